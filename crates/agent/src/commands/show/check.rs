//! The line of `s3up status --check`, for a monitor.
//!
//! The format is that of `btrfs-to-s3 status --check`: `OK: …`, or `PROBLEM: subject: problem,
//! problem; subject: …`.

use std::fmt;

use s3up_core::Count;

use crate::reporting::messages::time;
use crate::status::Status;
use crate::status::check::{CheckProblem, WatchProblem};

/// Returns the line, with its line break.
pub(in crate::commands) fn line(status: &Status, problems: &[CheckProblem]) -> String {
    if !problems.is_empty() {
        let texts: Vec<_> = problems.iter().map(ToString::to_string).collect();
        return format!("PROBLEM: {}\n", texts.join("; ").replace(['\n', '\r'], " "));
    }
    let scanned = status.last_scan_at().map_or_else(|| "never".to_owned(), time);
    format!(
        "OK: {} protected, {} pending, all watches scanned since {scanned}\n",
        Count(status.total.protected.files, "file"),
        status.total.pending.files
    )
}

impl fmt::Display for CheckProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CheckProblem::NotRunning => f.write_str("agent: not running"),
            CheckProblem::Silent { since } => {
                write!(f, "agent: has recorded nothing since {}; see its log", time(*since))
            }
            CheckProblem::Gateway(gateway) => gateway.fmt(f),
            CheckProblem::Watcher(text) => write!(f, "watcher: {text}"),
            CheckProblem::Pending { files, oldest_at } => {
                let files = Count(*files, "file");
                write!(f, "pending: {files}, the oldest since {}", time(*oldest_at))
            }
            CheckProblem::Drill(drill) => match (drill.failed, drill.files) {
                (0, _) => write!(f, "drill: could not be carried out at {}", time(drill.at)),
                (failed, files) => {
                    let at = time(drill.at);
                    write!(f, "drill: {failed} of {} failed at {at}", Count(files, "file"))
                }
            },
            CheckProblem::Watch { local_path, problems } => {
                let texts: Vec<_> = problems.iter().map(ToString::to_string).collect();
                write!(f, "{local_path}: {}", texts.join(", "))
            }
        }
    }
}

impl fmt::Display for WatchProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WatchProblem::NotScanned { error } => f.write_str(error),
            WatchProblem::NeverScanned => f.write_str("never scanned completely"),
            WatchProblem::ScannedBefore { at } => {
                write!(f, "not scanned completely since {}", time(*at))
            }
            WatchProblem::Files { count } => {
                write!(f, "{} (s3up status lists them)", Count(*count, "problem"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::states::counts::{FileCount, StateCounts};
    use crate::states::drill_record::DrillRecord;
    use crate::states::gateway_state::{GatewayState, GatewayStatus};
    use crate::status::WatchStatus;

    #[test]
    fn a_monitor_reads_one_line() {
        let total =
            StateCounts { protected: FileCount { files: 2, bytes: 20 }, ..StateCounts::default() };
        let watch = WatchStatus { last_scan_at: Some(60), ..WatchStatus::default() };
        let status = Status { total, watches: vec![watch], ..Status::default() };
        let reason = Some("no\nroute".to_owned());
        let unavailable = GatewayState { status: GatewayStatus::Unavailable, since: 60, reason };
        let refused = GatewayState { status: GatewayStatus::KeyRefused, ..unavailable.clone() };
        let local_path = "/up".to_owned();
        let error = "gone".to_owned();
        let failed = DrillRecord::after(None, 60, (3, 30, 1));
        let empty = DrillRecord::after(None, 60, (0, 0, 0));
        let of_watch = vec![
            WatchProblem::NotScanned { error },
            WatchProblem::ScannedBefore { at: 61 },
            WatchProblem::Files { count: 1 },
        ];
        #[rustfmt::skip]
        let cases = [
            (vec![],                                                   "OK: 2 files protected, 0 pending, all watches scanned since 1970-01-01T00:01:00Z\n"),
            (vec![CheckProblem::NotRunning],                           "PROBLEM: agent: not running\n"),
            (vec![CheckProblem::Silent { since: 60 }],                 "PROBLEM: agent: has recorded nothing since 1970-01-01T00:01:00Z; see its log\n"),
            (vec![CheckProblem::Gateway(unavailable)],                 "PROBLEM: gateway: unavailable since 1970-01-01T00:01:00Z: no route\n"),
            (vec![CheckProblem::Gateway(refused)],                     "PROBLEM: gateway: key refused since 1970-01-01T00:01:00Z: no route\n"),
            (vec![CheckProblem::Watcher("degraded: x".to_owned())],    "PROBLEM: watcher: degraded: x\n"),
            (vec![CheckProblem::Pending { files: 1, oldest_at: 60 }, CheckProblem::NotRunning], "PROBLEM: pending: 1 file, the oldest since 1970-01-01T00:01:00Z; agent: not running\n"),
            (vec![CheckProblem::Drill(failed)],                        "PROBLEM: drill: 1 of 3 files failed at 1970-01-01T00:01:00Z\n"),
            (vec![CheckProblem::Drill(empty)],                         "PROBLEM: drill: could not be carried out at 1970-01-01T00:01:00Z\n"),
            (vec![CheckProblem::Watch { local_path, problems: of_watch }], "PROBLEM: /up: gone, not scanned completely since 1970-01-01T00:01:01Z, 1 problem (s3up status lists them)\n"),
        ];
        for (problems, want) in cases {
            assert_eq!(line(&status, &problems), want);
        }
    }
}
