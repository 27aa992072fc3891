//! The way of a command to the gateway: by the configuration file, or by arguments alone, on a host
//! that has no configuration.
//!
//! The client key is never an argument, because every user of a host can read the arguments of its
//! processes. It comes from a file or from the environment.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use s3up_cli::config::secret_from_environment;
use s3up_cli::{Exit, Secret};
use s3up_gateway_client::key_file;

use crate::gateway::address::{self, AddressError};
use crate::gateway::client::GatewayAccess;

/// Environment variable with the client key.
const KEY_VARIABLE: &str = "S3UP_API_KEY";

const HEADING: &str = "Without a configuration file";

#[derive(Clone, Debug, clap::Args)]
pub struct GatewayArgs {
    /// Address of the gateway; no configuration file is read
    #[arg(long, value_name = "URL", help_heading = HEADING)]
    url: Option<String>,
    /// Trust this certificate authority only
    #[arg(long, value_name = "FILE", requires = "url", help_heading = HEADING)]
    ca_file: Option<PathBuf>,
    /// Read the client key from this file
    /// (default: the environment variable S3UP_API_KEY)
    #[arg(
        long,
        value_name = "FILE",
        requires = "url",
        help_heading = HEADING,
        verbatim_doc_comment
    )]
    key_file: Option<PathBuf>,
    /// Allow http, which sends the key in the clear
    #[arg(long, requires = "url", help_heading = HEADING)]
    insecure: bool,
}

impl GatewayArgs {
    /// Returns how to reach the gateway; `None` if the configuration file says it.
    pub(super) fn access(&self) -> anyhow::Result<Option<GatewayAccess>> {
        let Some(url) = &self.url else { return Ok(None) };
        self.parse(url).map(Some).map_err(|err| Exit::Usage.with(err))
    }

    fn parse(&self, url: &str) -> anyhow::Result<GatewayAccess> {
        let url = address::parse(url, self.insecure).map_err(|err| {
            let advice = match err {
                AddressError::Plaintext => "; to allow that, pass --insecure",
                AddressError::UserName => "; the key belongs in a file, see --key-file",
                AddressError::NoUrl { .. }
                | AddressError::Scheme
                | AddressError::NoHost
                | AddressError::Query => "",
            };
            anyhow!("--url: {err}{advice}")
        })?;
        let (api_key, origin) = self.key()?;
        address::check_key(&api_key).context(origin)?;
        Ok(GatewayAccess { url, api_key, ca_file: self.ca_file.clone() })
    }

    /// Returns the key, and where it comes from.
    fn key(&self) -> anyhow::Result<(Secret, String)> {
        if let Some(file) = &self.key_file {
            return Ok((read_key(file)?, format!("--key-file {file:?}")));
        }
        let key = secret_from_environment(KEY_VARIABLE).ok_or_else(|| {
            anyhow!("--url: no client key; pass --key-file, or set the variable {KEY_VARIABLE}")
        })?;
        Ok((key, format!("environment variable {KEY_VARIABLE}")))
    }
}

/// Reads a client key from a file.
pub(super) fn read_key(file: &Path) -> anyhow::Result<Secret> {
    key_file::read_key(file).with_context(|| format!("--key-file {file:?}"))
}
