//! `s3up-server init`: asks what a configuration needs, writes it with a key for a first client, and
//! checks it as `check-config --online` does.
//!
//! The database is not opened: a file that root creates is of no use to the service.
//!
//! The client key is not printed: it goes into a file beside the configuration.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::Args;
use s3up_cli::init::{Dialog, Question, write_new_file};
use s3up_cli::{Exit, LogArgs};
use s3up_core::{ClientName, Sha256Digest};

use super::{check_config, keygen, show};
use crate::config::first::{FirstConfig, FirstTls};
use crate::config::{Config, ConfigFiles, DATABASE_PATH};

const PORT: &str = "8080";
const CLIENT: &str = "web-01";
/// Stands for the S3 credentials while the text is checked.
const PLACEHOLDER: &str = "x";

#[derive(Args)]
pub struct InitArgs {
    /// IP address to listen on
    /// (default: 0.0.0.0 with TLS, else 127.0.0.1)
    #[arg(long, value_name = "ADDRESS", verbatim_doc_comment)]
    host: Option<String>,
    /// Port to listen on (default: 8080)
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// Certificate with its chain, PEM
    /// (default: no TLS, for a proxy on this host)
    #[arg(long, value_name = "FILE", requires = "key_file", verbatim_doc_comment)]
    cert_file: Option<String>,
    /// Private key of the certificate, PEM
    #[arg(long, value_name = "FILE", requires = "cert_file")]
    key_file: Option<String>,
    /// Bucket
    #[arg(long, value_name = "NAME")]
    bucket: Option<String>,
    /// Region of the bucket
    #[arg(long, value_name = "NAME")]
    region: Option<String>,
    /// URL of an S3-compatible server (default: AWS)
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// Leading part of the keys of all clients
    /// (default: none)
    #[arg(long, value_name = "PREFIX", verbatim_doc_comment)]
    path_prefix: Option<String>,
    /// Name of the first client (default: web-01)
    #[arg(long, value_name = "NAME")]
    client: Option<String>,
    /// SQLite file of the gateway
    /// (default: /var/lib/s3up-server/gateway.db)
    #[arg(long, value_name = "FILE", verbatim_doc_comment)]
    database: Option<String>,
    /// Write the files without contacting the S3 server
    #[arg(long)]
    offline: bool,
}

/// Writes the files only if the configuration is valid. They stay if the checks find a problem.
pub(super) fn run(files: &ConfigFiles, log: LogArgs, args: InitArgs) -> anyhow::Result<Exit> {
    let is_offline = args.offline;
    let key = keygen::generate().context("generate a client key")?;
    let first = answers(args, &key).map_err(|err| Exit::Usage.with(err))?;
    let text = first.text();
    let any_credentials = |_: &str| Some(PLACEHOLDER.to_owned());
    Config::parse(&files.config, &text, &any_credentials).map_err(|err| Exit::Usage.with(err))?;
    let key_file = key_file(&files.config, &first.client);
    write_new_file(&files.config, &text)?;
    write_new_file(&key_file, &format!("{key}\n"))?;
    show::print(&format!(
        "wrote {}\nwrote {}, the key of the client {}\n",
        files.config.display(),
        key_file.display(),
        first.client
    ))?;
    if !is_offline {
        let wrote = || format!("{} is written, but this check failed", files.config.display());
        let config = files.load().with_context(wrote)?;
        check_config::check_server(config, log).with_context(wrote)?;
    }
    show::print(&next_steps(files, &key_file, is_offline))?;
    Ok(Exit::Done)
}

fn answers(args: InitArgs, key: &str) -> anyhow::Result<FirstConfig> {
    let mut dialog = Dialog::on_terminal();
    let question = |argument, text, default| Question { argument, text, default };
    let what = "Certificate with its chain; empty for a proxy on this host";
    let cert_file = dialog.optional(question("--cert-file", what, None), args.cert_file)?;
    let tls = match cert_file {
        None => None,
        Some(cert_file) => {
            let asked = question("--key-file", "Private key of the certificate", None);
            Some(FirstTls { cert_file, key_file: dialog.text(asked, args.key_file)? })
        }
    };
    let host = if tls.is_some() { "0.0.0.0" } else { "127.0.0.1" };
    let host = dialog.text(question("--host", "Address to listen on", Some(host)), args.host)?;
    let port = args.port.map(|port| port.to_string());
    let port = dialog.text(question("--port", "Port to listen on", Some(PORT)), port)?;
    let port = port.parse().map_err(|_| anyhow!("--port: expected 0 to 65535, found {port:?}"))?;
    let what = "URL of the S3 server; empty for AWS";
    let endpoint = dialog.optional(question("--endpoint", what, None), args.endpoint)?;
    let bucket = dialog.text(question("--bucket", "Bucket", None), args.bucket)?;
    let region = endpoint.as_ref().map(|_| "us-east-1");
    let region = dialog.text(question("--region", "Region of the bucket", region), args.region)?;
    let what = "Leading part of all keys; empty for none";
    let prefix = dialog.optional(question("--path-prefix", what, None), args.path_prefix)?;
    let asked = question("--client", "Name of the first client", Some(CLIENT));
    let client = dialog.text(asked, args.client)?;
    let client = ClientName::parse(&client).map_err(|err| anyhow!("--client: {err}"))?;
    let database = args.database.unwrap_or_else(|| DATABASE_PATH.to_owned());
    Ok(FirstConfig {
        host,
        port,
        tls,
        bucket,
        region,
        endpoint,
        prefix: prefix.unwrap_or_default(),
        client,
        digest: Sha256Digest::of(key.as_bytes()),
        database,
    })
}

/// Returns the file of the client key: `NAME.key`, beside the configuration.
fn key_file(config: &Path, client: &ClientName) -> PathBuf {
    config.with_file_name(format!("{client}.key"))
}

fn next_steps(files: &ConfigFiles, key_file: &Path, is_offline: bool) -> String {
    let env = files.env.as_ref().map(|env| format!(" --env-file {}", env.display()));
    let files = format!("--config {}{}", files.config.display(), env.unwrap_or_default());
    let key = key_file.display();
    let check = match is_offline {
        true => format!("  s3up-server check-config --online {files}\n"),
        false => String::new(),
    };
    format!(
        "next:\n{check}  s3up-server {files}\n\
         then move {key} to the web host, and there:\n  s3up init --key-file {key} --url URL\n"
    )
}
