//! The log lines of the daemon.
//!
//! None of them shows a key, and none is written per event of the kernel.

use std::path::Path;
use std::time::Duration;

use s3up_core::{Size, error_chain};

use super::scan_job::ScanResult;
use crate::files::watch::Watch;
use crate::scanning::live_databases::LiveDatabases;
use crate::scanning::scan::ScanReport;
use crate::states::decide::ListedProblem;
use crate::states::problem::ProblemKind;
use crate::watching::{WatchGaps, WatchStartError};

/// Maximum number of problems logged after one scan; `status` lists all.
const PROBLEMS_MAX: usize = 20;

/// The value that distributions set on large machines. A watch takes about 1 KiB
/// of kernel memory.
const WATCHES_ADVISED: usize = 524_288;

pub(super) const NEVER_SETTLED: &str = "never settled: the file keeps changing";

pub(super) fn started(server: &str, watches: usize, database: &Path, upload_existing: bool) {
    tracing::info!(
        event = "started",
        version = env!("CARGO_PKG_VERSION"),
        server,
        watches,
        database = %database.display(),
        upload_existing,
    );
}

pub(super) fn database_removed(database: &Path) {
    tracing::error!(
        event = "database_removed",
        path = %database.display(),
        "the database was removed or replaced while the agent ran; the agent starts again with a \
         new one and asks the gateway for every file",
    );
}

pub(super) fn stopped(pending: u64) {
    tracing::info!(event = "stopped", pending);
}

/// State of a watcher that could not be started.
pub(super) const NOT_STARTED: &str =
    "degraded: inotify is not available; scanning all watches once a minute instead";

pub(super) fn watcher_not_started(err: &WatchStartError) {
    tracing::error!(
        event = "watch_degraded",
        error = error_chain(err),
        fix = err.fix(),
        "{NOT_STARTED}"
    );
}

/// Returns the state of a degraded watcher, with the command or the setting that repairs it.
pub(super) fn degraded_message(degraded: &WatchGaps) -> String {
    let WatchGaps { needed, unwatched, not_entered, example, changed_elsewhere } = degraded;
    let mut gaps = Vec::new();
    if *unwatched > 0 {
        let watched = needed - unwatched;
        let advised = (needed * 2).next_power_of_two().max(WATCHES_ADVISED);
        gaps.push(format!(
            "expected {needed} inotify watches, found {watched}; scanning the other directories instead; \
             to watch all, run sysctl fs.inotify.max_user_watches={advised}"
        ));
    }
    if let Some(example) = example {
        gaps.push(format!(
            "no right to enter {directories}, such as {example:?}; give the agent the right to read them",
            directories = directories(*not_entered)
        ));
    }
    for (root, filesystem) in changed_elsewhere {
        gaps.push(format!(
            "changes of {root:?} that are made past its mount ({filesystem}) raise no event; scans find \
             them, each minute with poll: true in this watch"
        ));
    }
    format!("degraded: {}", gaps.join("; "))
}

fn directories(count: usize) -> String {
    if count == 1 { "1 directory".to_owned() } else { format!("{count} directories") }
}

pub(super) fn watch_degraded(message: &str) {
    tracing::warn!(event = "watch_degraded", "{message}");
}

pub(super) fn live_databases(watch: &Watch, found: &LiveDatabases) {
    tracing::warn!(
        event = "live_database",
        watch = %watch.root.display(),
        files = found.files,
        path = found.example,
        "these files seem to belong to databases, and a copy of them may be torn while the database \
         runs; back up a dump, and exclude them"
    );
}

pub(super) fn watch_restored() {
    tracing::info!(event = "watch_restored", "all directories are watched");
}

pub(super) fn watch_overflow() {
    tracing::warn!(event = "watch_overflow", "the kernel dropped events; scanning all watches");
}

pub(super) fn scanned(watch: &Watch, result: &ScanResult) {
    let ScanResult { report, took, .. } = result;
    let root = watch.root.display();
    if let Some(error) = &report.error {
        tracing::error!(event = "scan_failed", watch = %root, error);
    }
    if !result.complete {
        return;
    }
    let counts = report.counts;
    tracing::info!(
        event = "scan_done",
        watch = %root,
        elapsed_seconds = took.as_secs_f64(),
        files = counts.total().files,
        protected = counts.protected.files,
        pending = counts.pending.files,
        baseline = counts.baseline.files,
        excluded = counts.excluded.files,
        problems = counts.problems.files,
        gone = report.gone.len(),
    );
    problems(report);
}

fn problems(report: &ScanReport) {
    for ListedProblem { local_path, problem } in report.problems.iter().take(PROBLEMS_MAX) {
        let help = problem.help();
        tracing::warn!(event = "file_problem", path = local_path, reason = %problem, "{help}");
    }
    let count = report.counts.problems.files;
    if count > PROBLEMS_MAX as u64 {
        tracing::warn!(
            event = "file_problem",
            count,
            "more problems; run s3up status to list them"
        );
    }
}

pub(super) fn upload_done(path: &str, bytes: u64, took: Duration) {
    tracing::info!(event = "upload_done", path, bytes, elapsed_seconds = took.as_secs_f64());
}

pub(super) fn upload_unchanged(path: &str, bytes: u64) {
    tracing::info!(event = "upload_unchanged", path, bytes, "the gateway has this file already");
}

pub(super) fn metadata_updated(path: &str) {
    tracing::info!(event = "metadata_updated", path, "the gateway has its new mtime and mode");
}

pub(super) fn file_problem(path: &str, kind: ProblemKind, reason: &str) {
    tracing::warn!(event = "file_problem", path, kind = kind.as_str(), reason, "{}", kind.help());
}

pub(super) fn upload_failed(path: &str, reason: &str, delay: Duration) {
    let retry_seconds = delay.as_secs_f64();
    tracing::warn!(event = "upload_failed", path, error = reason, retry_seconds, "trying again");
}

pub(super) fn concurrency_lowered(uploads: usize, reason: &str) {
    tracing::info!(
        event = "concurrency_lowered",
        uploads,
        reason,
        "the gateway takes fewer uploads at a time than upload.concurrent"
    );
}

/// The engine logs this once, until the gateway accepts the key.
pub(super) fn unauthorized(reason: &str) {
    tracing::error!(
        event = "unauthorized",
        error = reason,
        "the gateway does not accept the client key; check server.api_key. Files stay pending",
    );
}

pub(super) fn gateway_recovered(pending: usize) {
    tracing::info!(event = "gateway_recovered", pending);
}

pub(super) fn never_settled(path: &str, bytes: u64) {
    let size = Size(bytes);
    tracing::warn!(
        event = "file_problem",
        path,
        kind = "never_settled",
        reason = NEVER_SETTLED,
        "current size is {size}"
    );
}

pub(super) fn task_panicked(err: &tokio::task::JoinError) {
    tracing::error!(event = "task_panicked", error = %err, "bug: a task of the agent panicked");
}

pub(super) fn uploads_not_recorded() {
    tracing::warn!(
        event = "uploads_not_recorded",
        "the database did not record the last uploads in time; the next start offers these \
         files to the gateway again"
    );
}
