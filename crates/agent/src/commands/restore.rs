//! `s3up restore`: restores the files below a prefix and shows the progress.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;

use s3up_cli::{Exit, ShutdownSignal, Signal, progress};
use s3up_core::Count;

use super::at_arg::moment;
use super::gateway_args::GatewayArgs;
use super::output_args::OutputArgs;
use crate::gateway::client::GatewayClient;
use crate::remote_files::pages::Pages;
use crate::remote_files::remote_file::RemoteFile;
use crate::restore::error::RestoreError;
use crate::restore::plan::Overwrite;
use crate::restore::run::{self, RestoreRequest};
use crate::restore::summary::RestoreSummary;

pub(super) const EXAMPLES: &str = "\
The files are written below DIR without PREFIX: with PREFIX uploads, the file
uploads/2026/a.jpg becomes DIR/2026/a.jpg. Each gets its name, its mode and its
time only after its SHA-256 was verified. The owner is the user who restores.

A file that has the right content already is not fetched again, so the same
command resumes a restore that was interrupted.

Exit codes: 0 all files are there, 3 the files that are listed were not restored
(or cannot be, with --dry-run), 1 the restore failed as a whole.

Examples:
  # What would be restored
  s3up restore uploads --target /var/www/uploads --dry-run

  # On a new host, with the client key in the file key
  s3up restore --url https://backup.example.com --key-file key --target /srv

  # As the files were, with those that were deleted or overwritten since
  s3up restore uploads --at '2026-01-31 23:59' --target /tmp/uploads";

#[derive(Clone, Debug, clap::Args)]
pub struct RestoreArgs {
    /// Remote directory (default: all files)
    prefix: Option<String>,
    /// Directory to write into; it is created if it is missing
    #[arg(long, value_name = "DIR")]
    target: PathBuf,
    /// Restore the files as they were at TIME:
    /// 2026-01-31T23:59:59Z,
    /// "2026-01-31 23:59" (local time) or
    /// 2026-01-31 (the end of the day)
    #[arg(long, value_name = "TIME", verbatim_doc_comment)]
    at: Option<String>,
    /// Replace files that have other content, and set
    /// mode and time of those that have the right one
    #[arg(long, verbatim_doc_comment)]
    overwrite: bool,
    /// Print what would be restored, and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    pub(super) gateway: GatewayArgs,
}

pub(super) async fn run(gateway: GatewayClient, args: &RestoreArgs) -> anyhow::Result<Exit> {
    let request = RestoreRequest {
        prefix: args.prefix.clone().unwrap_or_default(),
        moment: moment(args.at.as_deref())?,
        target: args.target.clone(),
        overwrite: if args.overwrite { Overwrite::Replace } else { Overwrite::Keep },
    };
    let shutdown = ShutdownSignal::listen();
    tokio::select! {
        exit = restore(&gateway, &request, args) => exit,
        signal = shutdown.wait() => Ok(interrupted(signal)),
    }
}

fn interrupted(signal: Signal) -> Exit {
    tracing::warn!(
        event = "restore_interrupted",
        "the restore was interrupted; run the same command again to resume"
    );
    signal.into()
}

async fn restore(
    gateway: &GatewayClient,
    request: &RestoreRequest,
    args: &RestoreArgs,
) -> anyhow::Result<Exit> {
    if args.dry_run {
        let plan = run::plan(gateway, request).await.map_err(with_exit)?;
        args.output.print(&plan, || plan.to_string())?;
        return Ok(if plan.conflicts.files > 0 { Exit::Partial } else { Exit::Done });
    }
    let bar = Arc::new(progress::bytes("restore", None));
    let (received, counted) = (bar.clone(), bar.clone());
    let counting = count_ahead(gateway.clone(), request.clone(), counted);
    let mut ended_count = 0;
    let mut ended = |file: &RemoteFile, failure: Option<&str>| {
        ended_count += 1;
        bar.label(&format!("restore: {}", Count(ended_count, "file")));
        if let Some(reason) = failure {
            tracing::warn!(
                event = "file_not_restored",
                path = file.path.as_str(),
                reason,
                "not restored: {reason}"
            );
        }
    };
    let received = Arc::new(move |bytes| received.inc(bytes));
    let restored = run::restore(gateway, request, received, &mut ended).await;
    drop(counting);
    drop(bar);
    let summary = restored.map_err(with_exit)?;
    args.output.print(&summary, || summary.to_string())?;
    Ok(exit(&summary))
}

/// Counts the bytes of all files for the progress bar, beside the restore. Nothing is counted if there
/// is no terminal to show it.
fn count_ahead(
    gateway: GatewayClient,
    request: RestoreRequest,
    bar: Arc<progress::TerminalProgress>,
) -> tokio::task::JoinSet<()> {
    let mut counting = tokio::task::JoinSet::new();
    if !std::io::stderr().is_terminal() {
        return counting;
    }
    counting.spawn(async move {
        let mut pages = Pages::new(&gateway, &request.prefix, request.moment);
        let mut bytes = 0;
        // A failure is reported by the restore itself.
        while let Ok(Some(page)) = pages.next().await {
            bytes += page.iter().map(|file| file.size).sum::<u64>();
        }
        bar.total(bytes);
    });
    counting
}

/// A file that fails does not fail the restore, also if it is the only one: the summary lists it.
fn exit(summary: &RestoreSummary) -> Exit {
    if summary.failed.files == 0 { Exit::Done } else { Exit::Partial }
}

fn with_exit(err: RestoreError) -> anyhow::Error {
    match &err {
        RestoreError::Locked { .. } => Exit::Locked.with(err),
        RestoreError::Stopped { summary, .. } if summary.restored.files > 0 => {
            Exit::Partial.with(err)
        }
        RestoreError::Target { .. }
        | RestoreError::List { .. }
        | RestoreError::NothingFound { .. }
        | RestoreError::Versioning(_)
        | RestoreError::Stopped { .. }
        | RestoreError::Sync { .. }
        | RestoreError::Panicked => err.into(),
    }
}
