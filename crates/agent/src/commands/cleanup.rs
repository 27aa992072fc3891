//! `s3up cleanup`: deletes local files that S3 is proven to have, or shows which ones it would delete.

use std::sync::Arc;

use anyhow::{Context, anyhow};
use s3up_cli::{Exit, one_line, progress};
use s3up_core::{Count, Size};
use serde::Serialize;

use super::output::{Output, OutputReader};
use crate::cleanup::lock::CleanupLock;
use crate::cleanup::run::Cleanup;
use crate::cleanup::summary::{CleanupSummary, FileOutcome};
use crate::config::Config;
use crate::database::{self, CleanupRow, recorder};
use crate::gateway::client::GatewayClient;
use crate::states::counts::FileCount;

pub(super) const EXAMPLES: &str = "\
The first run verifies the files: S3 is asked for the size, the SHA-256, the
checksum and the version of each of them. A file is deleted by a run at least
cleanup.after_days later, if S3 still has that version and keeps versions, the
file is the one that was uploaded, and no process uses it. Any doubt keeps it.
The agent runs it each day at cleanup.time, if cleanup.enabled is true.

s3up get and s3up restore bring files back. The client key needs the right
exists.

Exit codes: 0 done, 1 failed, 3 S3 does not have a file as it was acknowledged,
or a watch was left out, 75 another cleanup runs.

Examples:
  # Show what would be deleted, and what would be kept and why
  s3up cleanup --dry-run

  s3up cleanup --json";

#[derive(Clone, Debug, clap::Args)]
pub struct CleanupArgs {
    /// Change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long, help_heading = super::headings::OUTPUT)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct FileLine<'f> {
    path: &'f str,
    remote_path: &'f str,
    bytes: u64,
    /// `deleted`, `would_delete` or `kept`.
    result: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

pub(super) async fn run(config: &Config, args: &CleanupArgs) -> anyhow::Result<Exit> {
    if !config.cleanup.is_enabled && !args.dry_run {
        return Err(Exit::Usage.with(anyhow!(
            "cleanup.enabled is false, so nothing is deleted; set it to true, or pass --dry-run to \
             see what would be deleted"
        )));
    }
    let _lock = CleanupLock::take(&config.database)
        .with_context(|| format!("lock the cleanups of database {:?}", config.database))?
        .ok_or_else(|| {
            Exit::Locked.with(anyhow!("another cleanup runs; wait until it has ended"))
        })?;
    let gateway = GatewayClient::new(&config.server)?;
    let watches = config.watches.iter().cloned().map(Arc::new).collect();
    let policy = config.cleanup.clone();
    let reader = database::open_read_only(&config.database).await?;
    if args.dry_run {
        let cleanup = Cleanup { watches, policy, gateway, reader, requests: None };
        let exit = clean(&cleanup, args).await;
        cleanup.reader.close().await;
        return exit;
    }
    reader.close().await;
    let database = database::open(&config.database).await?;
    let recorder = recorder::start(database.writer);
    let (reader, requests) = (database.reader, Some(recorder.requests));
    let cleanup = Cleanup { watches, policy, gateway, reader, requests };
    let exit = clean(&cleanup, args).await;
    let Cleanup { reader, requests, .. } = cleanup;
    drop(requests);
    reader.close().await;
    recorder.task.await.context("close the database")?;
    exit
}

async fn clean(cleanup: &Cleanup, args: &CleanupArgs) -> anyhow::Result<Exit> {
    cleanup.recover().await?;
    let bar = progress::bytes("cleanup", None);
    let mut output = Output::new();
    let mut printed = Ok(OutputReader::Open);
    let mut ends = |row: &CleanupRow, end: &FileOutcome| {
        bar.inc(row.identity.size);
        if matches!(printed, Ok(OutputReader::Open)) {
            printed = match args.json {
                true => output.json_line(&file_line(row, end)),
                false => output.line(&text(row, end)),
            };
        }
    };
    let result = cleanup.run(&mut ends).await;
    drop(bar);
    let summary = result?;
    let exit = match summary.alarms == 0 && summary.errors.is_empty() {
        true => Exit::Done,
        false => Exit::Partial,
    };
    if printed? == OutputReader::Closed {
        return Ok(exit);
    }
    let end = match args.json {
        true => output.json_line(&summary)?,
        false => output.line(&summary_text(&summary, if args.dry_run { DRY_RUN } else { RUN }))?,
    };
    match end {
        OutputReader::Closed => Ok(exit),
        OutputReader::Open => output.flush().map(|_| exit),
    }
}

fn file_line<'f>(row: &'f CleanupRow, end: &FileOutcome) -> FileLine<'f> {
    let (result, reason) = match end {
        FileOutcome::Deleted => ("deleted", None),
        FileOutcome::WouldDelete => ("would_delete", None),
        FileOutcome::Kept(keep) => ("kept", Some(keep.to_string())),
    };
    let (path, remote_path) = (row.local_path.as_str(), row.remote_path.as_str());
    FileLine { path, remote_path, bytes: row.identity.size, result, reason }
}

fn text(row: &CleanupRow, end: &FileOutcome) -> String {
    let (path, size) = (one_line(&row.local_path), Size(row.identity.size));
    match end {
        FileOutcome::Deleted => format!("deleted: {path} ({size})"),
        FileOutcome::WouldDelete => format!("would delete: {path} ({size})"),
        FileOutcome::Kept(keep) => format!("kept: {path}: {keep}"),
    }
}

/// The words for files that are deleted, and for those that are verified.
type Verbs = [&'static str; 2];
const RUN: Verbs = ["deleted", "verified"];
const DRY_RUN: Verbs = ["would be deleted", "would be verified first"];

fn summary_text(summary: &CleanupSummary, [delete, verify]: Verbs) -> String {
    let CleanupSummary {
        deleted, would_delete, verified, waiting, not_needed, kept, errors, ..
    } = summary;
    let count = |count: &FileCount, end: &str| {
        format!("{} {end} ({})", Count(count.files, "file"), Size(count.bytes))
    };
    // One of them is zero.
    let deleted = FileCount {
        files: deleted.files + would_delete.files,
        bytes: deleted.bytes + would_delete.bytes,
    };
    let mut parts = vec![count(&deleted, delete)];
    let others = [
        (verified, verify),
        (waiting, "verified less than cleanup.after_days ago"),
        (not_needed, "not needed"),
        (kept, "kept"),
    ];
    let others = others.into_iter().filter(|(count, _)| count.files > 0);
    parts.extend(others.map(|(count, what)| format!("{} {what}", count.files)));
    let mut text = parts.join(", ");
    errors.iter().for_each(|error| text.push_str(&format!("\nnot cleaned up: {error}")));
    text
}
