//! Builds heartbeats and reports from the status. Pure: the time is a parameter.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use s3up_core::Count;
use s3up_core::wire::{
    AgentFacts, Drill, FLEET_VERSION, FileTotals, Heartbeat, PROBLEMS_MAX, Report, ReportedProblem,
    TEXT_BYTES_MAX, Total, WATCHES_MAX, WatchFacts, Watcher, Watches,
};

use crate::states::counts::{FileCount, StateCounts};
use crate::states::drill_record::DrillRecord;
use crate::states::watcher_state::WatcherState;
use crate::status::{Status, WatchStatus};

/// Maximum length of the watches of a heartbeat: half of what a gateway takes.
const WATCHES_BYTES_MAX: usize = 32 << 10;
/// Maximum length of a text of a watch. The daily report has the whole of an error.
const WATCH_TEXT_BYTES_MAX: usize = 1 << 10;

/// The clocks of the host when a message is made.
#[derive(Clone, Copy, Debug)]
pub(super) struct HostClocks {
    /// Unix seconds of the clock of the host, which may be wrong.
    pub wall: i64,
    /// Time since the start of the agent, by a clock that is never set.
    pub running: Duration,
    /// True once all watches were scanned since then.
    pub has_scanned: bool,
}

impl HostClocks {
    fn age(self, at: i64) -> u64 {
        u64::try_from(self.wall.saturating_sub(at)).unwrap_or(0)
    }

    /// Returns the age of the last complete scan. If the clock was set since a scan of this run, the time
    /// since the start of the agent is closer to the truth.
    fn scan_age(self, at: i64) -> u64 {
        let age = self.age(at);
        if self.has_scanned { age.min(self.running.as_secs()) } else { age }
    }
}

pub(super) fn heartbeat(agent: &AgentFacts, status: &Status, now: HostClocks) -> Heartbeat {
    let scanned_at = status.last_scan_at();
    Heartbeat {
        version: FLEET_VERSION,
        agent: agent.clone(),
        files: totals(&status.total),
        oldest_pending_seconds: status.oldest_pending_seconds(now.wall),
        last_scan_at: scanned_at.map(time),
        last_scan_age_seconds: scanned_at.map(|at| now.scan_age(at)),
        running_seconds: Some(now.running.as_secs()),
        watcher: watcher(status),
        watch_error: watch_error(status),
        last_drill: status.last_drill.map(|record| drill(record, now)),
        watches: Some(watches(status, now)),
    }
}

/// Returns the watches that fit into a heartbeat. Those that could not be scanned come first.
fn watches(status: &Status, now: HostClocks) -> Watches {
    let has_failed = |watch: &&WatchStatus| watch.files.error.is_some();
    let failed = status.watches.iter().filter(has_failed);
    let others = status.watches.iter().filter(|watch| !has_failed(watch));
    let mut room = WATCHES_BYTES_MAX;
    let facts = failed.chain(others).take(WATCHES_MAX).map(|watch| watch_facts(watch, now));
    let list = facts.take_while(|facts| {
        let bytes = serde_json::to_string(facts).map_or(usize::MAX, |json| json.len());
        let fits = bytes <= room;
        room = room.saturating_sub(bytes);
        fits
    });
    Watches { total: status.watches.len() as u64, list: list.collect() }
}

fn watch_facts(watch: &WatchStatus, now: HostClocks) -> WatchFacts {
    let WatchStatus { files, prefix, recursive, poll, last_scan_at, .. } = watch;
    WatchFacts {
        path: cut(&files.local_path, WATCH_TEXT_BYTES_MAX),
        prefix: cut(prefix, WATCH_TEXT_BYTES_MAX),
        recursive: *recursive,
        mode: if *poll { "scans" } else { "events" }.to_owned(),
        files: totals(&files.counts),
        last_scan_age_seconds: last_scan_at.map(|at| now.scan_age(at)),
        error: files.error.as_ref().map(|error| cut(error, WATCH_TEXT_BYTES_MAX)),
    }
}

fn watch_error(status: &Status) -> Option<String> {
    let error = |watch: &WatchStatus| {
        let error = watch.files.error.as_ref()?;
        Some(text(&format!("{}: {error}", watch.files.local_path)))
    };
    status.watches.iter().find_map(error)
}

pub(super) fn report(
    agent: &AgentFacts,
    status: &Status,
    (day, uploaded): (Date, FileCount),
    now: HostClocks,
) -> Report {
    let problems = status.watches.iter().flat_map(|watch| &watch.files.problems);
    let errors = status.watches.iter().filter_map(|watch| {
        let reason = watch.files.error.clone()?;
        Some(ReportedProblem {
            path: text(&watch.files.local_path),
            reason: text(&reason),
            since: None,
        })
    });
    let problems = problems.map(|problem| ReportedProblem {
        path: text(&problem.local_path),
        reason: text(&problem.problem.to_string()),
        since: None,
    });
    Report {
        version: FLEET_VERSION,
        day: day.to_string(),
        agent: agent.clone(),
        files: totals(&status.total),
        uploaded: total(uploaded),
        oldest_pending_seconds: status.oldest_pending_seconds(now.wall),
        last_scan_at: status.last_scan_at().map(time),
        watcher: watcher(status),
        last_drill: status.last_drill.map(|record| drill(record, now)),
        problems: errors.chain(problems).take(PROBLEMS_MAX).collect(),
    }
}

/// Returns the line that `systemctl status` shows.
pub(super) fn service_status(status: &Status) -> String {
    let StateCounts { protected, pending, problems, .. } = status.total;
    let gateway = status.gateway.as_ref().map_or("not known", |state| state.status.as_str());
    format!(
        "{} protected, {} pending, {}; gateway: {gateway}",
        Count(protected.files, "file"),
        pending.files,
        Count(problems.files, "problem")
    )
}

/// Formats Unix seconds as RFC 3339.
pub fn time(seconds: i64) -> String {
    Timestamp::from_second(seconds).unwrap_or_default().to_string()
}

fn drill(record: DrillRecord, now: HostClocks) -> Drill {
    let DrillRecord { at, files, bytes, failed, last_good_at } = record;
    Drill {
        at: time(at),
        age_seconds: Some(now.age(at)),
        files,
        bytes,
        failed,
        last_good_at: last_good_at.map(time),
        last_good_age_seconds: last_good_at.map(|at| now.age(at)),
    }
}

fn watcher(status: &Status) -> Watcher {
    let degraded = |detail| Watcher { state: "degraded".to_owned(), detail };
    match &status.watcher {
        Some(state @ (WatcherState::Complete | WatcherState::Off)) => {
            Watcher { state: state.to_string(), detail: None }
        }
        Some(WatcherState::Degraded(detail)) => degraded(Some(text(detail))),
        None => degraded(None),
    }
}

fn totals(counts: &StateCounts) -> FileTotals {
    let StateCounts { protected, pending, baseline, excluded, problems } = *counts;
    FileTotals {
        protected: total(protected),
        pending: total(pending),
        baseline: total(baseline),
        excluded: total(excluded),
        problems: total(problems),
    }
}

fn total(count: FileCount) -> Total {
    Total { files: count.files, bytes: count.bytes }
}

/// Cuts a text that the gateway would refuse as too long.
fn text(text: &str) -> String {
    cut(text, TEXT_BYTES_MAX)
}

fn cut(text: &str, bytes_max: usize) -> String {
    let end = (0..=bytes_max.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text[..end.unwrap_or(0)].to_owned()
}

#[cfg(test)]
mod tests {
    use s3up_core::wire::HEARTBEAT_BYTES_MAX;

    use super::*;
    use crate::states::decide::{FileProblem, ListedProblem};
    use crate::states::gateway_state::{GatewayState, GatewayStatus};
    use crate::status::WatchStatus;
    use crate::status::dir_status::DirStatus;

    #[test]
    fn a_report_keeps_the_limits_of_the_gateway() {
        let problem = ListedProblem {
            local_path: "ä".repeat(TEXT_BYTES_MAX),
            problem: FileProblem::Unreadable("x".repeat(TEXT_BYTES_MAX + 1)),
        };
        let files = DirStatus {
            local_path: "/srv".to_owned(),
            problems: vec![problem; PROBLEMS_MAX],
            error: Some("gone".to_owned()),
            ..DirStatus::default()
        };
        let watch = WatchStatus { files, ..WatchStatus::default() };
        let status = Status { watches: vec![watch], ..Status::default() };
        let agent =
            AgentFacts { version: "1".to_owned(), host: "web1".to_owned(), started_at: time(0) };

        let day = "2026-01-31".parse().unwrap();
        let now = HostClocks { wall: 0, running: Duration::ZERO, has_scanned: false };
        let report = report(&agent, &status, (day, FileCount { files: 2, bytes: 20 }), now);

        assert_eq!(report.check(), Ok(()));
        assert_eq!(report.problems.len(), PROBLEMS_MAX);
        assert_eq!(report.problems[0].reason, "gone");
        assert_eq!((report.day.as_str(), report.uploaded.bytes), ("2026-01-31", 20));
        assert_eq!(heartbeat(&agent, &status, now).check(), Ok(()));
    }

    #[test]
    fn a_heartbeat_has_the_watches_that_fit_and_the_failed_ones_first() {
        let watch = |path: &str, error: Option<&str>| WatchStatus {
            files: DirStatus {
                local_path: path.to_owned(),
                error: error.map(str::to_owned),
                ..DirStatus::default()
            },
            prefix: "uploads/".to_owned(),
            recursive: true,
            last_scan_at: Some(40),
            ..WatchStatus::default()
        };
        let now = HostClocks { wall: 100, running: Duration::from_secs(90), has_scanned: true };
        let agent =
            AgentFacts { version: "1".to_owned(), host: "web1".to_owned(), started_at: time(0) };
        let of = |watches: Vec<WatchStatus>| {
            let beat = heartbeat(&agent, &Status { watches, ..Status::default() }, now);
            assert_eq!(beat.check(), Ok(()));
            let bytes = serde_json::to_string(&beat).unwrap().len() as u64;
            assert!(bytes < HEARTBEAT_BYTES_MAX, "{bytes}");
            beat.watches.unwrap()
        };

        let two = of(vec![watch("/srv/a", None), watch("/srv/b", Some("not mounted"))]);
        let many = of(vec![watch("/srv", None); 300]);
        let long = of(vec![watch(&"\u{1}".repeat(4096), Some(&"x".repeat(9000))); 300]);

        let paths: Vec<_> = two.list.iter().map(|it| it.path.as_str()).collect();
        assert_eq!(paths, ["/srv/b", "/srv/a"]);
        assert_eq!(two.list[0].error.as_deref(), Some("not mounted"));
        let a = &two.list[1];
        assert_eq!((a.prefix.as_str(), a.recursive, a.mode.as_str()), ("uploads/", true, "events"));
        assert_eq!(a.last_scan_age_seconds, Some(60));
        assert_eq!((many.total, many.list.len()), (300, WATCHES_MAX));
        assert_eq!((long.total, long.list.is_empty()), (300, false));
        assert!(long.list.len() < 10, "{}", long.list.len());
    }

    #[test]
    fn the_age_of_a_scan_survives_a_clock_that_is_set() {
        let day = 86_400;
        let (hour, minute) = (Duration::from_secs(3600), Duration::from_secs(60));
        #[rustfmt::skip]
        let cases = [
            // scanned at  now       running  scanned since  age
            (1000,         1600,     hour,    true,          600),
            (1000,         1600,     minute,  false,         600),
            // The clock was set forward after the scan, then back.
            (1000,         3 * day,  hour,    true,          3600),
            (1000,         3 * day,  minute,  false,         3 * day - 1000),
            (3 * day,      1000,     hour,    true,          0),
            (i64::MIN,     i64::MAX, minute,  true,          60),
        ];
        for (at, wall, running, has_scanned, want) in cases {
            let now = HostClocks { wall, running, has_scanned };
            assert_eq!(i64::try_from(now.scan_age(at)).unwrap(), want, "{at} {now:?}");
        }
    }

    #[test]
    fn the_service_manager_shows_one_line() {
        let mut status = Status::default();
        assert_eq!(
            service_status(&status),
            "0 files protected, 0 pending, 0 problems; gateway: not known"
        );
        status.total.protected.files = 1;
        status.total.pending.files = 2;
        status.total.problems.files = 1;
        let reason = None;
        status.gateway =
            Some(GatewayState { status: GatewayStatus::Unavailable, since: 0, reason });
        assert_eq!(
            service_status(&status),
            "1 file protected, 2 pending, 1 problem; gateway: unavailable"
        );
    }

    #[test]
    fn a_time_is_rfc_3339_in_utc() {
        assert_eq!(time(0), "1970-01-01T00:00:00Z");
    }
}
