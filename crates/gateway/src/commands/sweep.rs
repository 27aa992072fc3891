//! `s3up-server sweep`: aborts multipart uploads that were left behind, and prints each.

use s3up_core::Count;
use std::io::{BufWriter, Write};
use std::time::Duration;

use anyhow::Context;
use jiff::Timestamp;
use s3up_cli::{Exit, LogArgs};
use s3up_store::AbandonedUpload;

use super::exit_code::start_error;
use crate::config::ConfigFiles;
use crate::sweep::{SweepMode, Sweeper, prefixes};

/// Options of `sweep`.
pub(super) struct SweepArgs {
    /// In hours.
    pub older_than: u32,
    pub dry_run: bool,
    pub json: bool,
}

#[tokio::main]
pub(super) async fn run(
    files: &ConfigFiles,
    log: LogArgs,
    args: SweepArgs,
) -> anyhow::Result<Exit> {
    let SweepArgs { older_than: hours, dry_run, json } = args;
    let config = files.load()?;
    log.with_config(None, config.log_format).init()?;
    let older_than = Duration::from_secs(u64::from(hours) * 3600);
    let names = config.clients.policies().map(|policy| policy.name.clone());
    let prefixes = prefixes(&config.prefix, names);
    let connected = Sweeper::connect(config.store, prefixes, older_than).await;
    let sweeper = connected.map_err(start_error)?;
    let mut output = BufWriter::new(std::io::stdout());
    let mut written = Ok(());
    let mode = if dry_run { SweepMode::List } else { SweepMode::Abort };
    let swept = sweeper.sweep(mode, |upload| {
        if written.is_ok() {
            let line = if json { json_line(upload, dry_run) } else { text_line(upload) };
            written = writeln!(output, "{line}").and_then(|()| output.flush());
        }
    });
    let count = swept.await.context("sweep abandoned multipart uploads")?;
    if !json && written.is_ok() {
        let verb = if dry_run { "found" } else { "aborted" };
        written =
            writeln!(output, "{verb} {} older than {hours} h", Count(count, "multipart upload"));
    }
    written.and_then(|()| output.flush()).context("write to standard output")?;
    Ok(Exit::Done)
}

fn json_line(upload: &AbandonedUpload, dry_run: bool) -> String {
    let line = serde_json::json!({
        "key": upload.key,
        "upload_id": upload.upload_id,
        "started_at": started_at(upload).to_string(),
        "aborted": !dry_run,
    });
    line.to_string()
}

fn text_line(upload: &AbandonedUpload) -> String {
    format!("{:.0}  {}", started_at(upload), s3up_cli::one_line(&upload.key))
}

fn started_at(upload: &AbandonedUpload) -> Timestamp {
    Timestamp::try_from(upload.started_at).unwrap_or_default()
}
