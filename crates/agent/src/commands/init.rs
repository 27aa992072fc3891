//! `s3up init`: asks what a configuration needs, writes it, and checks it with the gateway.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::Args;
use s3up_cli::Exit;
use s3up_cli::init::{Dialog, Question, write_new_file};
use s3up_core::{Code, RemotePath};
use serde::Serialize;

use super::gateway_args::read_key;
use super::output_args::OutputArgs;
use crate::config::first::{FirstConfig, proposed_prefix};
use crate::config::{Config, Raw};
use crate::gateway::client::GatewayClient;
use crate::gateway::error::GatewayError;

const DATABASE: &str = "/var/lib/s3up/client.db";
/// A path that no client stores. Asking for it shows whether the gateway knows the key.
const NO_FILE: &str = ".s3up-init";

pub(super) const EXAMPLES: &str = "\
Asks on a terminal for each value that no option gives, writes the file of
--config with mode 0600, and checks that the gateway knows the key. A file that
exists is not touched.

Examples:
  s3up init

  s3up init --url https://backup.example.org:8080 --key-file web-01.key \\
    --watch /var/www/uploads";

#[derive(Clone, Debug, Args)]
pub struct InitArgs {
    /// Address of the gateway
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Read the client key from this file
    /// (default: ask, without showing it)
    #[arg(long, value_name = "FILE", verbatim_doc_comment)]
    key_file: Option<PathBuf>,
    /// Trust this certificate authority only
    #[arg(long, value_name = "FILE")]
    ca_file: Option<String>,
    /// Allow http, which sends the key in the clear
    #[arg(long)]
    insecure: bool,
    /// Directory to watch; repeatable. Files are
    /// stored below PREFIX (default: its name)
    #[arg(long, value_name = "PATH[=PREFIX]", verbatim_doc_comment)]
    watch: Vec<String>,
    /// SQLite file of the agent
    /// (default: /var/lib/s3up/client.db)
    #[arg(long, value_name = "FILE", verbatim_doc_comment)]
    database: Option<String>,
    /// Write the file without contacting the gateway
    #[arg(long)]
    offline: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// The output with `--json`.
#[derive(Debug, Serialize)]
struct InitLine {
    /// Name of the configuration file that was written; other bytes than UTF-8 are replaced.
    file: String,
    /// True if the gateway is ready and knows the key; false with `--offline`.
    gateway_checked: bool,
}

/// Writes the file only if its content is valid. It stays if the gateway does not accept the key.
pub(super) async fn run(args: InitArgs, file: &Path) -> anyhow::Result<Exit> {
    let (is_offline, output) = (args.offline, args.output);
    let text = answers(args).map_err(|err| Exit::Usage.with(err))?.text();
    let loaded = s3up_cli::config::parse::<Raw>(file, &text, &|_| None);
    let config = loaded.and_then(Config::check).map_err(|err| Exit::Usage.with(err))?;
    for watch in &config.watches {
        if !watch.root.is_dir() {
            let root = watch.root.display();
            let what = "expected a directory, found none; create it first";
            return Err(Exit::Usage.with(anyhow!("--watch {root}: {what}")));
        }
    }
    write_new_file(file, &text)?;
    output.print_step(&format!("wrote {}\n", file.display()))?;
    if !is_offline {
        let wrote = || format!("{} is written, but this check failed", file.display());
        check_gateway(&config).await.with_context(wrote)?;
        output.print_step("the gateway is ready, and knows the key\n")?;
    }
    let line = InitLine { file: file.display().to_string(), gateway_checked: !is_offline };
    output.print(&line, || format!("next:\n  s3up scan --config {}\n", file.display()))?;
    Ok(Exit::Done)
}

fn answers(args: InitArgs) -> anyhow::Result<FirstConfig> {
    let mut dialog = Dialog::on_terminal();
    let question = |argument, text, default| Question { argument, text, default };
    let url = dialog.text(question("--url", "Address of the gateway", None), args.url)?;
    let key = match &args.key_file {
        Some(file) => read_key(file)?,
        None => dialog.secret(question("--key-file", "Client key (it is not shown)", None))?,
    };
    let what = "Certificate authority of the gateway; empty for those of the system";
    let ca_file = dialog.optional(question("--ca-file", what, None), args.ca_file)?;
    let watches = match args.watch.is_empty() {
        false => args.watch.iter().map(|watch| watch_of(watch)).collect(),
        true => {
            let what = "Directories to watch, separated by commas";
            let answer = dialog.text(question("--watch", what, None), None)?;
            answer.split(',').map(|watch| watch_of(watch.trim())).collect()
        }
    };
    let database = args.database.unwrap_or_else(|| DATABASE.to_owned());
    Ok(FirstConfig { url, key, ca_file, insecure: args.insecure, database, watches })
}

/// Parses `PATH=PREFIX`, or a path alone.
fn watch_of(text: &str) -> (String, String) {
    match text.rsplit_once('=') {
        Some((path, prefix)) => (path.to_owned(), prefix.to_owned()),
        None => (text.to_owned(), proposed_prefix(text)),
    }
}

/// Asks the gateway whether it is ready, and whether it knows the key.
async fn check_gateway(config: &Config) -> anyhow::Result<()> {
    let gateway = GatewayClient::new(&config.server)?;
    let readiness = gateway.readiness().await?;
    if !readiness.ready {
        return Err(anyhow!(
            "the gateway is not ready: S3 or its database does not answer; see its log"
        ));
    }
    let path = RemotePath::parse(NO_FILE).context("the path of the test request")?;
    match gateway.exists(&path).await {
        Ok(_) => Ok(()),
        // The key is known, and may not ask. The agent needs that right.
        Err(GatewayError::Refused(refusal)) if refusal.code == Code::Forbidden => Err(anyhow!(
            "the gateway knows the key, which lacks the right `exists`; add it to `allow` of this client"
        )),
        Err(err) => Err(err.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_may_have_a_prefix() {
        for (text, path, prefix) in [
            ("/var/www/uploads", "/var/www/uploads", "uploads/"),
            ("/var/www/uploads=files/", "/var/www/uploads", "files/"),
            ("/srv/a=b=c/", "/srv/a=b", "c/"),
        ] {
            assert_eq!(watch_of(text), (path.to_owned(), prefix.to_owned()));
        }
    }
}
