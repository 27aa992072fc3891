//! What the daemon logs. Never a key, never a line per event of the kernel.

use std::time::Duration;

use s3up_core::Size;

use super::round::Scanned;
use crate::config::Config;
use crate::inotify::Degraded;
use crate::scan::Report;
use crate::watch::Watch;

/// Problems named after one scan; `status` has them all.
const PROBLEMS_SAID_MAX: usize = 20;

/// What distributions set on big machines; a watch costs the kernel about 1 KiB.
const WATCHES_ADVISED: usize = 524_288;

pub(super) fn started(config: &Config) {
    tracing::info!(
        event = "started",
        version = env!("CARGO_PKG_VERSION"),
        server = config.server.url.as_str(),
        watches = config.watches.len(),
        database = %config.database.display(),
        upload_existing = config.upload_existing,
    );
}

pub(super) fn stopped(pending: usize) {
    tracing::info!(event = "stopped", pending);
}

pub(super) fn no_watcher(err: &std::io::Error) {
    tracing::error!(
        event = "watch_degraded",
        error = %err,
        fix = "sysctl fs.inotify.max_user_instances=1024",
        "no inotify: every watch is scanned once a minute instead",
    );
}

/// What an operator has to know and to do about it.
pub(super) fn degradation(degraded: Degraded) -> String {
    let Degraded { needed, unwatched } = degraded;
    let watched = needed - unwatched;
    let enough = (needed * 2).next_power_of_two().max(WATCHES_ADVISED);
    format!(
        "degraded: need {needed} watches, have {watched}; the rest is scanned instead; \
         sysctl fs.inotify.max_user_watches={enough}"
    )
}

pub(super) fn degraded(what: &str) {
    tracing::warn!(event = "watch_degraded", "{what}");
}

pub(super) fn watching_again() {
    tracing::info!(event = "watch_restored", "every folder is watched");
}

pub(super) fn overflow() {
    tracing::warn!(event = "watch_overflow", "the kernel dropped events; scanning once");
}

pub(super) fn scanned(watch: &Watch, scanned: &Scanned) {
    let Scanned { report, took, .. } = scanned;
    let root = watch.root.display();
    if let Some(trouble) = &report.trouble {
        tracing::error!(event = "scan_failed", watch = %root, error = trouble);
    }
    if !scanned.complete {
        return;
    }
    let tally = report.tally;
    tracing::info!(
        event = "scan_done",
        watch = %root,
        seconds = took.as_secs_f64(),
        files = tally.total().files,
        protected = tally.protected.files,
        pending = tally.pending.files,
        baseline = tally.baseline.files,
        excluded = tally.excluded.files,
        problems = tally.problems.files,
        gone = report.gone.len(),
    );
    problems(report);
}

fn problems(report: &Report) {
    for (path, reason) in report.problems.iter().take(PROBLEMS_SAID_MAX) {
        tracing::warn!(event = "problem", path, reason);
    }
    let count = report.tally.problems.files;
    if count > PROBLEMS_SAID_MAX as u64 {
        tracing::warn!(event = "problem", count, "more problems; `s3up status` names them");
    }
}

pub(super) fn uploaded(path: &str, bytes: u64, took: Duration) {
    tracing::info!(event = "upload_done", path, bytes, seconds = took.as_secs_f64());
}

pub(super) fn known_already(path: &str, bytes: u64) {
    tracing::info!(event = "upload_unchanged", path, bytes, "the gateway has it already");
}

pub(super) fn problem(path: &str, kind: &str, reason: &str) {
    tracing::warn!(event = "problem", path, kind, reason);
}

pub(super) fn failed(path: &str, reason: &str, delay: Duration) {
    let retry_seconds = delay.as_secs_f64();
    tracing::warn!(event = "upload_failed", path, error = reason, retry_seconds);
}

/// Said once for as long as it lasts.
pub(super) fn unauthorized(reason: &str) {
    tracing::error!(
        event = "unauthorized",
        error = reason,
        "the gateway does not know this key; nothing is lost, and it is tried on slowly: \
         check server.api_key",
    );
}

pub(super) fn back(waiting: usize) {
    tracing::info!(event = "gateway_back", pending = waiting);
}

pub(super) fn never_settled(path: &str, bytes: u64) {
    let size = Size(bytes);
    tracing::warn!(
        event = "problem",
        path,
        kind = "never_settled",
        reason = NEVER_SETTLED,
        "it is {size} by now"
    );
}

pub(super) const NEVER_SETTLED: &str = "never settled: it changes all the time";

pub(super) fn task_died(err: &tokio::task::JoinError) {
    tracing::error!(event = "bug", error = %err, "a task of the engine died");
}

pub(super) fn not_recorded() {
    tracing::warn!(
        event = "database_failed",
        "the last uploads are not recorded; they are offered to the gateway again"
    );
}
