//! `status --check`: prints one line for a monitor. Pure: the time is a parameter.
//!
//! The format is stable: `OK: …`, or `PROBLEM: subvolume: problem, problem; subvolume:
//! …`.

use jiff::{SignedDuration, Timestamp};
use s3up_repository::origin::Origin;
use s3up_repository::stamp::seconds;

use crate::status::last_runs::RunStatus;
use crate::status::states::PointerState;
use crate::status::{BrokenLine, SubvolumeStatus};

/// The timer fires hourly, and a backup of terabytes takes hours.
pub const OVERDUE_AFTER: SignedDuration = SignedDuration::from_hours(24);

/// With a monthly timer, one drill may fail before it is a problem.
const DRILL_AGE_MAX: SignedDuration = SignedDuration::from_hours(62 * 24);

/// The status of one subvolume, or why it is unknown.
pub struct CheckInput<'a> {
    pub subvolume: &'a str,
    pub status: Result<&'a SubvolumeStatus, &'a str>,
}

/// Returns the problems, one text per subvolume. None means that all is well.
pub fn problems(all: &[CheckInput<'_>], now: Timestamp) -> Vec<String> {
    let of = |checked: &CheckInput<'_>| {
        let whats = match checked.status {
            Ok(status) => wrong(status, now),
            Err(reason) => vec![format!("cannot check: {reason}")],
        };
        (!whats.is_empty()).then(|| format!("{}: {}", checked.subvolume, whats.join(", ")))
    };
    all.iter().filter_map(of).collect()
}

/// Returns the line, with its line break.
pub fn line(all: &[CheckInput<'_>], problems: &[String]) -> String {
    if !problems.is_empty() {
        return format!("PROBLEM: {}\n", problems.join("; ").replace(['\n', '\r'], " "));
    }
    let last = all.iter().filter_map(|checked| checked.status.ok()?.last_backup_at.as_deref());
    let oldest = last.min().unwrap_or("never");
    match all.len() {
        1 => format!("OK: 1 subvolume, last backup at {oldest}\n"),
        count => format!("OK: {count} subvolumes, last backups at {oldest} or later\n"),
    }
}

fn wrong(status: &SubvolumeStatus, now: Timestamp) -> Vec<String> {
    let mut wrong = Vec::new();
    if status.backups == PointerState::Nothing {
        wrong.push("never backed up".to_owned());
    }
    wrong.extend(repository_problems(status));
    if let Some(at) = status.due_at
        && now.duration_since(at) > OVERDUE_AFTER
    {
        wrong.push(format!("overdue since {}", seconds(at)));
    }
    wrong.extend(drill_problem(status, now));
    if let Some(run) = &status.last_run {
        let error = run.error.as_deref().unwrap_or("unknown error");
        match run.outcome {
            RunStatus::Failed => wrong.push(format!("last run failed: {error}")),
            RunStatus::Stopped => wrong.push("last run was stopped".to_owned()),
            RunStatus::Published | RunStatus::NotDue => {}
        }
    }
    wrong
}

/// Returns the problems of the backups in the bucket.
pub fn repository_problems(status: &SubvolumeStatus) -> Vec<String> {
    let mut wrong = Vec::new();
    match (status.backups, &status.problem) {
        (PointerState::Nothing, _) => {}
        (PointerState::Published, Some(problem)) => {
            wrong.push(problem.clone());
            wrong.extend(broken(&status.broken));
        }
        (PointerState::Broken | PointerState::Archived, Some(problem)) => {
            wrong.push(format!("broken: {problem}"));
        }
        (PointerState::Published | PointerState::Broken | PointerState::Archived, None) => {
            wrong.extend(broken(&status.broken))
        }
    }
    if let Some(origin) = &status.other_origin {
        wrong.push(other_origin(origin, status.is_origin_unproven));
    }
    wrong
}

/// Says who made the newest backup.
pub fn other_origin(origin: &Origin, is_unproven: bool) -> String {
    let hint =
        if is_unproven { " (only root can find out whether it was restored here)" } else { "" };
    format!(
        "the newest backup was made by {origin}, not by this host, which may not back up here{hint}"
    )
}

/// Names the first of the backups that cannot be restored.
fn broken(all: &[BrokenLine]) -> Option<String> {
    let BrokenLine { created_at, reason, .. } = all.first()?;
    Some(match all.len() {
        1 => format!("the backup of {created_at} cannot be restored: {reason}"),
        count => {
            format!("{count} backups cannot be restored, the first is of {created_at}: {reason}")
        }
    })
}

/// Returns what is wrong with the drills: if they are configured, a recent one must have succeeded.
pub fn drill_problem(status: &SubvolumeStatus, now: Timestamp) -> Option<String> {
    if !status.drills {
        return None;
    }
    let Some(drill) = &status.last_good_drill else {
        return Some("no successful drill yet".to_owned());
    };
    let is_old = now.duration_since(drill.drilled_at) > DRILL_AGE_MAX;
    is_old.then(|| format!("no successful drill since {}", seconds(drill.drilled_at)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::last_drills::LastDrill;
    use crate::status::last_runs::LastRun;

    const DAY: i64 = 24 * 3600;
    const PUBLISHED: PointerState = PointerState::Published;

    fn time(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn status(
        backups: PointerState,
        due_at: Option<i64>,
        outcome: Option<RunStatus>,
    ) -> SubvolumeStatus {
        let run = |outcome| LastRun {
            ran_at: time(0),
            outcome,
            error: (outcome == RunStatus::Failed).then(|| "no\nspace".to_owned()),
            next_due_at: time(0),
        };
        SubvolumeStatus {
            subvolume: "data".to_owned(),
            last_run: outcome.map(run),
            backups,
            problem: (backups == PointerState::Broken).then(|| "a chunk is missing".to_owned()),
            broken: Vec::new(),
            other_origin: None,
            is_origin_unproven: false,
            last_backup_at: Some(seconds(time(0))),
            last_backup: Some(time(0)),
            chain_length: Some(1),
            due: false,
            next_due_at: due_at.map(|at| seconds(time(at))),
            next_due_kind: None,
            due_at: due_at.map(time),
            last_good_drill: None,
            drills: false,
            history: Vec::new(),
        }
    }

    #[test]
    fn a_monitor_reads_one_line() {
        use PointerState::{Broken, Nothing};
        use RunStatus::{Failed, NotDue, Published, Stopped};
        #[rustfmt::skip]
        let cases = [
            (PUBLISHED,   Some(9 * DAY), Some(Published), "OK: 1 subvolume, last backup at 1970-01-01T00:00:00Z\n"),
            (PUBLISHED,   Some(9 * DAY), Some(NotDue),    "OK: 1 subvolume, last backup at 1970-01-01T00:00:00Z\n"),
            (PUBLISHED,   Some(7 * DAY), None,            "OK: 1 subvolume, last backup at 1970-01-01T00:00:00Z\n"),
            (PUBLISHED,   Some(DAY - 1), None,            "PROBLEM: data: overdue since 1970-01-01T23:59:59Z\n"),
            (PUBLISHED,   Some(9 * DAY), Some(Failed),    "PROBLEM: data: last run failed: no space\n"),
            (PUBLISHED,   Some(9 * DAY), Some(Stopped),   "PROBLEM: data: last run was stopped\n"),
            (Nothing,     None,          None,            "PROBLEM: data: never backed up\n"),
            (Broken,      None,          None,            "PROBLEM: data: broken: a chunk is missing\n"),
            (Broken,      Some(0),       Some(Stopped),   "PROBLEM: data: broken: a chunk is missing, overdue since 1970-01-01T00:00:00Z, last run was stopped\n"),
        ];
        for (backups, due_at, outcome, want) in cases {
            let status = status(backups, due_at, outcome);
            let all = [CheckInput { subvolume: "data", status: Ok(&status) }];
            assert_eq!(line(&all, &problems(&all, time(2 * DAY))), want);
        }
        let status_of = status(PUBLISHED, Some(9 * DAY), None);
        let all =
            ["data", "home"].map(|subvolume| CheckInput { subvolume, status: Ok(&status_of) });
        let want = "OK: 2 subvolumes, last backups at 1970-01-01T00:00:00Z or later\n";
        assert_eq!(line(&all, &problems(&all, time(2 * DAY))), want);
        let mut status = status(PUBLISHED, None, None);
        let line_of = |created_at: &str| BrokenLine {
            created_at: created_at.to_owned(),
            manifest: "m".to_owned(),
            reason: "c is missing".to_owned(),
        };
        #[rustfmt::skip]
        let cases = [
            (vec![line_of("T1")],                "PROBLEM: data: the backup of T1 cannot be restored: c is missing\n"),
            (vec![line_of("T1"), line_of("T2")], "PROBLEM: data: 2 backups cannot be restored, the first is of T1: c is missing\n"),
        ];
        for (broken, want) in cases {
            status.broken = broken;
            let all = [CheckInput { subvolume: "data", status: Ok(&status) }];
            assert_eq!(line(&all, &problems(&all, time(0))), want);
        }
        status.broken = Vec::new();
        status.other_origin = Some(Origin { host: "b".to_owned(), ..Origin::default() });
        let all = [CheckInput { subvolume: "data", status: Ok(&status) }];
        let found = problems(&all, time(0));
        assert!(found[0].contains("was made by host b (identity unknown"), "{found:?}");
        status.other_origin = None;
        let drill = |at| LastDrill {
            drilled_at: time(at),
            manifest: "m".to_owned(),
            extent: "full".to_owned(),
            proven: "all".to_owned(),
            total_bytes: 1,
            elapsed_seconds: 1.0,
        };
        #[rustfmt::skip]
        let cases = [
            (false, None,                 ""),
            (false, Some(drill(0)),       ""),
            (true,  Some(drill(9 * DAY)), ""),
            (true,  Some(drill(8 * DAY)), ""),
            (true,  Some(drill(7 * DAY)), "PROBLEM: data: no successful drill since 1970-01-08T00:00:00Z\n"),
            (true,  None,                 "PROBLEM: data: no successful drill yet\n"),
        ];
        for (drills, last_good_drill, want) in cases {
            (status.drills, status.last_good_drill) = (drills, last_good_drill);
            let all = [CheckInput { subvolume: "data", status: Ok(&status) }];
            let problems = problems(&all, time(70 * DAY));
            assert_eq!(problems.is_empty(), want.is_empty(), "{want}");
            assert!(want.is_empty() || line(&all, &problems) == want, "{problems:?}");
        }
        let all = [CheckInput { subvolume: "data", status: Err("S3 does not answer") }];
        let want = "PROBLEM: data: cannot check: S3 does not answer\n";
        assert_eq!(line(&all, &problems(&all, time(0))), want);
    }
}
