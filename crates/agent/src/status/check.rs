//! The problems that `s3up status --check` tells a monitor of. Pure: the time is a parameter.

use std::time::Duration;

use super::{Status, WatchStatus};
use crate::states::drill_record::DrillRecord;
use crate::states::gateway_state::{GatewayState, GatewayStatus};
use crate::states::watcher_state::WatcherState;

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

/// One subject that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckProblem {
    NotRunning,
    /// The agent runs and has recorded nothing since then.
    Silent {
        since: i64,
    },
    Gateway(GatewayState),
    /// Text of the degraded watcher.
    Watcher(String),
    Pending {
        files: u64,
        oldest_at: i64,
    },
    /// The last drill failed, or could not be carried out.
    Drill(DrillRecord),
    Watch {
        local_path: String,
        problems: Vec<WatchProblem>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchProblem {
    NotScanned { error: String },
    NeverScanned,
    ScannedBefore { at: i64 },
    Files { count: u64 },
}

impl Limits {
    /// A scan may be late by one interval, and take an hour.
    pub fn new(pending_max: Duration, scan_every: Duration) -> Limits {
        Limits { pending_max, scan_max: scan_every * 2 + Duration::from_secs(3600) }
    }
}

/// Returns at most one problem per subject. None means that all is well.
pub fn problems(status: &Status, limits: &Limits, now: i64) -> Vec<CheckProblem> {
    let (agent, pending) = (agent(status, now), pending(status, limits, now));
    let own = [agent, gateway(status), watcher(status), pending, drill(status)];
    let watches = status.watches.iter().filter_map(|watch| of_watch(watch, limits, now));
    own.into_iter().flatten().chain(watches).collect()
}

fn agent(status: &Status, now: i64) -> Option<CheckProblem> {
    if !status.running {
        return Some(CheckProblem::NotRunning);
    }
    let since = status.alive_at.filter(|at| is_older(*at, ALIVE_MAX, now))?;
    Some(CheckProblem::Silent { since })
}

fn gateway(status: &Status) -> Option<CheckProblem> {
    let gateway = status.gateway.as_ref()?;
    match gateway.status {
        GatewayStatus::Ok => None,
        GatewayStatus::Unavailable | GatewayStatus::KeyRefused => {
            Some(CheckProblem::Gateway(gateway.clone()))
        }
    }
}

fn watcher(status: &Status) -> Option<CheckProblem> {
    match status.watcher.as_ref()? {
        WatcherState::Complete | WatcherState::Off => None,
        WatcherState::Degraded(text) => Some(CheckProblem::Watcher(text.clone())),
    }
}

fn pending(status: &Status, limits: &Limits, now: i64) -> Option<CheckProblem> {
    let oldest_at = status.oldest_pending_at.filter(|at| is_older(*at, limits.pending_max, now))?;
    Some(CheckProblem::Pending { files: status.total.pending.files, oldest_at })
}

fn drill(status: &Status) -> Option<CheckProblem> {
    status.last_drill.filter(|drill| !drill.is_good()).map(CheckProblem::Drill)
}

fn of_watch(watch: &WatchStatus, limits: &Limits, now: i64) -> Option<CheckProblem> {
    let error = watch.files.error.clone().map(|error| WatchProblem::NotScanned { error });
    let scan = match watch.last_scan_at {
        None => Some(WatchProblem::NeverScanned),
        Some(at) if is_older(at, limits.scan_max, now) => Some(WatchProblem::ScannedBefore { at }),
        Some(_) => None,
    };
    let count = watch.files.counts.problems.files;
    let files = (count > 0).then_some(WatchProblem::Files { count });
    let problems: Vec<_> = [error, scan, files].into_iter().flatten().collect();
    let local_path = watch.files.local_path.clone();
    (!problems.is_empty()).then_some(CheckProblem::Watch { local_path, problems })
}

fn is_older(at: i64, limit: Duration, now: i64) -> bool {
    u64::try_from(now.saturating_sub(at)).is_ok_and(|age| age > limit.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::states::counts::{FileCount, StateCounts};
    use crate::status::dir_status::DirStatus;

    const NOW: i64 = 100_000;

    #[test]
    fn each_subject_has_its_limit() {
        use CheckProblem::{Gateway, NotRunning, Pending, Silent, Watcher};
        let gateway = |status| GatewayState { status, since: 60, reason: None };
        let unavailable = gateway(GatewayStatus::Unavailable);
        let refused = gateway(GatewayStatus::KeyRefused);
        let good = DrillRecord::after(None, 10, (3, 30, 0));
        let failed = DrillRecord::after(Some(&good), 20, (3, 30, 1));
        let empty = DrillRecord::after(Some(&good), 20, (0, 0, 0));
        let degraded = WatcherState::Degraded("degraded: x".to_owned());
        let of_watch = |problem: WatchProblem| CheckProblem::Watch {
            local_path: "/up".to_owned(),
            problems: vec![problem],
        };
        #[rustfmt::skip]
        let cases: [(Status, Option<CheckProblem>); 16] = [
            (well(),                                                     None),
            (Status { running: false, ..well() },                        Some(NotRunning)),
            (Status { alive_at: Some(NOW - 301), ..well() },             Some(Silent { since: NOW - 301 })),
            (Status { gateway: None, ..well() },                         None),
            (Status { gateway: Some(unavailable.clone()), ..well() },    Some(Gateway(unavailable))),
            (Status { gateway: Some(refused.clone()), ..well() },        Some(Gateway(refused))),
            (Status { watcher: Some(degraded), ..well() },               Some(Watcher("degraded: x".to_owned()))),
            (Status { oldest_pending_at: Some(NOW - 600), ..well() },    None),
            (Status { oldest_pending_at: Some(NOW - 601), ..well() },    Some(Pending { files: 0, oldest_at: NOW - 601 })),
            (Status { last_drill: Some(good), ..well() },                None),
            (Status { last_drill: Some(failed), ..well() },              Some(CheckProblem::Drill(failed))),
            (Status { last_drill: Some(empty), ..well() },               Some(CheckProblem::Drill(empty))),
            (with_watch(|it| it.last_scan_at = None),                    Some(of_watch(WatchProblem::NeverScanned))),
            (with_watch(|it| it.last_scan_at = Some(NOW - 10_800)),      None),
            (with_watch(|it| it.last_scan_at = Some(NOW - 10_801)),      Some(of_watch(WatchProblem::ScannedBefore { at: NOW - 10_801 }))),
            (with_watch(|it| it.files.counts.problems.files = 2),              Some(of_watch(WatchProblem::Files { count: 2 }))),
        ];
        for (status, want) in cases {
            let limits = Limits::new(Duration::from_secs(600), Duration::from_secs(3600));
            assert_eq!(problems(&status, &limits, NOW), Vec::from_iter(want), "{status:?}");
        }
    }

    #[test]
    fn a_watch_may_have_several_problems() {
        let status = with_watch(|it| {
            it.files.error = Some("gone".to_owned());
            it.last_scan_at = None;
            it.files.counts.problems.files = 2;
        });
        let limits = Limits::new(Duration::from_secs(600), Duration::from_secs(3600));
        let want = CheckProblem::Watch {
            local_path: "/up".to_owned(),
            problems: vec![
                WatchProblem::NotScanned { error: "gone".to_owned() },
                WatchProblem::NeverScanned,
                WatchProblem::Files { count: 2 },
            ],
        };
        assert_eq!(problems(&status, &limits, NOW), [want]);
    }

    fn well() -> Status {
        let counts =
            StateCounts { protected: FileCount { files: 2, bytes: 20 }, ..StateCounts::default() };
        let files = DirStatus { local_path: "/up".to_owned(), counts, ..DirStatus::default() };
        let watch = WatchStatus { files, last_scan_at: Some(NOW - 40), ..WatchStatus::default() };
        Status {
            running: true,
            alive_at: Some(NOW - 300),
            watcher: Some(WatcherState::Complete),
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
