//! The commands that examine or clean up and then end. They print; the library does not.

use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use jiff::Timestamp;
use s3up_cli::{Exit, LogArgs};
use s3up_server::{Config, Online, StartError, Sweeper, check_online};

/// Options of `sweep`.
pub struct SweepArgs {
    pub older_than: Duration,
    pub dry_run: bool,
    pub json: bool,
}

pub fn print(text: &str) -> anyhow::Result<Exit> {
    std::io::stdout().write_all(text.as_bytes()).context("write to standard output")?;
    Ok(Exit::Done)
}

/// Examines the S3 server of the configuration.
#[tokio::main]
pub async fn check_server(config: Config, log: LogArgs) -> anyhow::Result<Exit> {
    log.with_config(None, config.log_format).init()?;
    let online = check_online(config).await.map_err(start_error)?;
    print(&online.to_table())?;
    exit_of("check-config", online)
}

/// Fails if a guarantee is lost.
fn exit_of(command: &str, online: Online) -> anyhow::Result<Exit> {
    let problems = online.problems();
    if let Some(failed) = online.failed {
        let what = format!("{command}: an upload as the gateway makes it failed");
        return Err(anyhow::anyhow!(failed).context(what));
    }
    if problems > 0 {
        anyhow::bail!("{command}: problems found: {problems}; see the fixes above");
    }
    Ok(Exit::Done)
}

/// Examines everything that the gateway depends on.
#[tokio::main]
pub async fn doctor(file: &Path, log: LogArgs, json: bool) -> anyhow::Result<Exit> {
    let config = Config::load(file)?;
    log.with_config(None, config.log_format).init()?;
    let online = s3up_server::doctor(config, file).await;
    print(&if json { online.to_json() } else { online.to_table() })?;
    exit_of("doctor", online)
}

/// Aborts multipart uploads that were left behind, and prints each.
#[tokio::main]
pub async fn sweep(file: &Path, log: LogArgs, args: SweepArgs) -> anyhow::Result<Exit> {
    let SweepArgs { older_than, dry_run, json } = args;
    let config = Config::load(file)?;
    log.with_config(None, config.log_format).init()?;
    let sweeper = Sweeper::connect(config, older_than).await.map_err(start_error)?;
    let mut output = BufWriter::new(std::io::stdout());
    let mut written = Ok(());
    let swept = sweeper.sweep(!dry_run, |upload| {
        let started_at = Timestamp::try_from(upload.started_at).unwrap_or_default();
        let line = match json {
            true => serde_json::json!({
                "key": upload.key, "upload_id": upload.upload_id,
                "started_at": started_at.to_string(), "aborted": !dry_run,
            })
            .to_string(),
            false => format!("{started_at:.0}  {}", s3up_cli::one_line(&upload.key)),
        };
        if written.is_ok() {
            written = writeln!(output, "{line}").and_then(|()| output.flush());
        }
    });
    let count = swept.await.context("sweep abandoned multipart uploads")?;
    if !json && written.is_ok() {
        let hours = older_than.as_secs() / 3600;
        let verb = if dry_run { "found" } else { "aborted" };
        written = writeln!(output, "{verb} {count} multipart uploads older than {hours} h");
    }
    written.and_then(|()| output.flush()).context("write to standard output")?;
    Ok(Exit::Done)
}

/// A demand of the configuration that the bucket or S3 does not meet exits with
/// code 2: a repetition would fail in the same way.
pub fn start_error(err: StartError) -> anyhow::Error {
    match err {
        StartError::Overwrite { .. } | StartError::Versioning { .. } => Exit::Usage.with(err),
        StartError::Connect(_)
        | StartError::Probe(_)
        | StartError::Database(_)
        | StartError::Random(_) => err.into(),
    }
}
