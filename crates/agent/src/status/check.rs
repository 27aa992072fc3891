//! `s3up status --check`: prints one line for a monitor. Pure: the time is a parameter.
//!
//! The format is that of `btrfs-to-s3 status --check`: `OK: …`, or `PROBLEM: subject: problem,
//! problem; subject: …`.

use std::time::Duration;

use s3up_core::Count;

use super::{Status, WatchStatus};
use crate::reporting::messages::time;
use crate::states::gateway_state::GatewayStatus;

/// The agent records each minute that it works.
const ALIVE_MAX: Duration = Duration::from_secs(5 * 60);

/// Limits of `--check`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest time for which a file may be pending.
    pub pending_max: Duration,
    /// Longest time since the last complete scan.
    pub scan_max: Duration,
}

impl Limits {
    /// A scan may be late by one interval, and take an hour.
    pub fn new(pending_max: Duration, scan_every: Duration) -> Limits {
        Limits { pending_max, scan_max: scan_every * 2 + Duration::from_secs(3600) }
    }
}

/// Returns the problems, one text per subject. None means that all is well.
pub fn problems(status: &Status, limits: &Limits, now: i64) -> Vec<String> {
    let agent = ("agent", agent(status, now));
    let gateway = ("gateway", gateway(status));
    let watcher = ("watcher", watcher(status));
    let pending = ("pending", pending(status, limits, now));
    let watches = status
        .watches
        .iter()
        .map(|watch| (watch.local_path.as_str(), of_watch(watch, limits, now)));
    let subjects = [agent, gateway, watcher, pending].into_iter().chain(watches);
    subjects
        .filter(|(_, whats)| !whats.is_empty())
        .map(|(subject, whats)| format!("{subject}: {}", whats.join(", ")))
        .collect()
}

/// Returns the line, with its line break.
pub fn line(status: &Status, problems: &[String]) -> String {
    if !problems.is_empty() {
        return format!("PROBLEM: {}\n", problems.join("; ").replace(['\n', '\r'], " "));
    }
    let scanned = status.last_scan_at().map_or_else(|| "never".to_owned(), time);
    format!(
        "OK: {} protected, {} pending, all watches scanned since {scanned}\n",
        Count(status.total.protected.files, "file"),
        status.total.pending.files
    )
}

fn agent(status: &Status, now: i64) -> Vec<String> {
    if !status.running {
        return vec!["not running".to_owned()];
    }
    let old = status.alive_at.filter(|at| is_older(*at, ALIVE_MAX, now));
    let text = |at| format!("has recorded nothing since {}; see its log", time(at));
    old.map(text).into_iter().collect()
}

fn gateway(status: &Status) -> Vec<String> {
    let Some(gateway) = &status.gateway else { return Vec::new() };
    match gateway.status {
        GatewayStatus::Ok => Vec::new(),
        GatewayStatus::Away | GatewayStatus::KeyRefused => {
            let (what, since) = (gateway.status.as_str(), time(gateway.since));
            let reason = gateway.reason.as_deref().unwrap_or("unknown error");
            vec![format!("{what} since {since}: {reason}")]
        }
    }
}

fn watcher(status: &Status) -> Vec<String> {
    let state = status.watcher.as_deref().unwrap_or("ok");
    if state == "ok" { Vec::new() } else { vec![state.to_owned()] }
}

fn pending(status: &Status, limits: &Limits, now: i64) -> Vec<String> {
    let old = status.oldest_pending_at.filter(|at| is_older(*at, limits.pending_max, now));
    let files = Count(status.total.pending.files, "file");
    old.map(|at| format!("{files}, the oldest since {}", time(at))).into_iter().collect()
}

fn of_watch(watch: &WatchStatus, limits: &Limits, now: i64) -> Vec<String> {
    let mut whats = Vec::new();
    whats.extend(watch.error.clone());
    match watch.last_scan_at {
        None => whats.push("never scanned completely".to_owned()),
        Some(at) if is_older(at, limits.scan_max, now) => {
            whats.push(format!("not scanned completely since {}", time(at)));
        }
        Some(_) => {}
    }
    match watch.counts.problems.files {
        0 => {}
        count => whats.push(format!("{} (s3up status lists them)", Count(count, "problem"))),
    }
    whats
}

fn is_older(at: i64, limit: Duration, now: i64) -> bool {
    u64::try_from(now.saturating_sub(at)).is_ok_and(|age| age > limit.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::states::counts::{FileCount, StateCounts};
    use crate::states::gateway_state::GatewayState;

    const NOW: i64 = 100_000;

    #[test]
    fn a_monitor_reads_one_line() {
        let gateway = |status| GatewayState { status, since: 60, reason: Some("no\nroute".into()) };
        let away = Some(gateway(GatewayStatus::Away));
        let refused = Some(gateway(GatewayStatus::KeyRefused));
        let watcher = |text: &str| Some(text.to_owned());
        #[rustfmt::skip]
        let cases: [(Status, &str); 11] = [
            (well(),                                                "OK: 2 files protected, 0 pending, all watches scanned since 1970-01-02T03:46:00Z\n"),
            (Status { running: false, ..well() },                   "PROBLEM: agent: not running\n"),
            (Status { alive_at: Some(NOW - 301), ..well() },        "PROBLEM: agent: has recorded nothing since 1970-01-02T03:41:39Z; see its log\n"),
            (Status { gateway: away, ..well() },                    "PROBLEM: gateway: away since 1970-01-01T00:01:00Z: no route\n"),
            (Status { gateway: refused, ..well() },                 "PROBLEM: gateway: key refused since 1970-01-01T00:01:00Z: no route\n"),
            (Status { watcher: watcher("degraded: x"), ..well() },  "PROBLEM: watcher: degraded: x\n"),
            (Status { oldest_pending_at: Some(NOW - 600), ..well() }, "OK: 2 files protected, 0 pending, all watches scanned since 1970-01-02T03:46:00Z\n"),
            (Status { oldest_pending_at: Some(NOW - 601), ..well() }, "PROBLEM: pending: 0 files, the oldest since 1970-01-02T03:36:39Z\n"),
            (with_watch(|it| it.last_scan_at = None),               "PROBLEM: /up: never scanned completely\n"),
            (with_watch(|it| it.last_scan_at = Some(NOW - 10_801)), "PROBLEM: /up: not scanned completely since 1970-01-02T00:46:39Z\n"),
            (with_watch(|it| { it.error = Some("gone".into()); it.counts.problems.files = 2; }), "PROBLEM: /up: gone, 2 problems (s3up status lists them)\n"),
        ];
        for (status, want) in cases {
            let limits = Limits::new(Duration::from_secs(600), Duration::from_secs(3600));
            let found = problems(&status, &limits, NOW);
            assert_eq!(line(&status, &found), want);
        }
    }

    fn well() -> Status {
        let counts =
            StateCounts { protected: FileCount { files: 2, bytes: 20 }, ..StateCounts::default() };
        let watch = WatchStatus {
            local_path: "/up".to_owned(),
            counts,
            last_scan_at: Some(NOW - 40),
            ..WatchStatus::default()
        };
        Status {
            running: true,
            alive_at: Some(NOW - 300),
            watcher: Some("ok".to_owned()),
            gateway: Some(GatewayState { status: GatewayStatus::Ok, since: 0, reason: None }),
            total: counts,
            watches: vec![watch],
            ..Status::default()
        }
    }

    fn with_watch(edit: impl Fn(&mut WatchStatus)) -> Status {
        let mut status = well();
        status.watches.iter_mut().for_each(edit);
        status
    }
}
