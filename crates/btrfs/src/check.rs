//! `status --check`: one line for a monitor. Pure; the time is a parameter.
//!
//! The form is stable: `OK: …`, or `PROBLEM: subvolume: what; …`.

use jiff::{SignedDuration, Timestamp};

use crate::plan::seconds;
use crate::state::Outcome;
use crate::status::Status;

/// A timer fires hourly, and a backup of terabytes takes its time.
const OVERDUE_AFTER: SignedDuration = SignedDuration::from_hours(24);

/// What was found of one subvolume, or why it is not known.
pub struct Checked<'a> {
    pub subvolume: &'a str,
    pub status: Result<&'a Status, &'a str>,
}

/// What is wrong, by subvolume. Nothing: all is well.
pub fn problems(all: &[Checked<'_>], now: Timestamp) -> Vec<String> {
    let of = |checked: &Checked<'_>| {
        let whats = match checked.status {
            Ok(status) => wrong(status, now),
            Err(reason) => vec![format!("unknown: {reason}")],
        };
        (!whats.is_empty()).then(|| format!("{}: {}", checked.subvolume, whats.join(", ")))
    };
    all.iter().filter_map(of).collect()
}

/// The line, with its line break.
pub fn line(all: &[Checked<'_>], problems: &[String]) -> String {
    if !problems.is_empty() {
        return format!("PROBLEM: {}\n", problems.join("; ").replace(['\n', '\r'], " "));
    }
    let last = all.iter().filter_map(|checked| checked.status.ok()?.last_backup_at.as_deref());
    let oldest = last.min().unwrap_or("never");
    format!("OK: {} subvolumes, each backed up since {oldest}\n", all.len())
}

fn wrong(status: &Status, now: Timestamp) -> Vec<String> {
    let mut wrong = Vec::new();
    match (status.backups, &status.trouble) {
        ("nothing", _) => wrong.push("never backed up".to_owned()),
        (_, Some(trouble)) => wrong.push(format!("broken: {trouble}")),
        (_, None) => {}
    }
    if let Some(at) = status.due_at
        && now.duration_since(at) > OVERDUE_AFTER
    {
        wrong.push(format!("overdue since {}", seconds(at)));
    }
    if let Some(run) = &status.last_run {
        let error = run.error.as_deref().unwrap_or("no error is on record");
        match run.outcome {
            Outcome::Failed => wrong.push(format!("last run failed: {error}")),
            Outcome::Stopped => wrong.push("last run was stopped".to_owned()),
            Outcome::Published | Outcome::NotDue => {}
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::LastRun;

    const DAY: i64 = 24 * 3600;

    fn time(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn status(backups: &'static str, due_at: Option<i64>, outcome: Option<Outcome>) -> Status {
        let run = |outcome| LastRun {
            ran_at: time(0),
            outcome,
            error: (outcome == Outcome::Failed).then(|| "no\nspace".to_owned()),
            next_due_at: time(0),
        };
        Status {
            subvolume: "data".to_owned(),
            last_run: outcome.map(run),
            backups,
            trouble: (backups == "broken").then(|| "a chunk is missing".to_owned()),
            last_backup_at: Some(seconds(time(0))),
            due: false,
            next_due_at: due_at.map(|at| seconds(time(at))),
            next_due_kind: None,
            due_at: due_at.map(time),
            history: Vec::new(),
        }
    }

    #[test]
    fn what_a_monitor_reads() {
        use Outcome::{Failed, NotDue, Published, Stopped};
        #[rustfmt::skip]
        let cases = [
            ("published", Some(9 * DAY), Some(Published), "OK: 1 subvolumes, each backed up since 1970-01-01T00:00:00Z\n"),
            ("published", Some(9 * DAY), Some(NotDue),    "OK: 1 subvolumes, each backed up since 1970-01-01T00:00:00Z\n"),
            ("published", Some(7 * DAY), None,            "OK: 1 subvolumes, each backed up since 1970-01-01T00:00:00Z\n"),
            ("published", Some(DAY - 1), None,            "PROBLEM: data: overdue since 1970-01-01T23:59:59Z\n"),
            ("published", Some(9 * DAY), Some(Failed),    "PROBLEM: data: last run failed: no space\n"),
            ("published", Some(9 * DAY), Some(Stopped),   "PROBLEM: data: last run was stopped\n"),
            ("nothing",   None,          None,            "PROBLEM: data: never backed up\n"),
            ("broken",    None,          None,            "PROBLEM: data: broken: a chunk is missing\n"),
            ("broken",    Some(0),       Some(Stopped),   "PROBLEM: data: broken: a chunk is missing, overdue since 1970-01-01T00:00:00Z, last run was stopped\n"),
        ];
        for (backups, due_at, outcome, want) in cases {
            let status = status(backups, due_at, outcome);
            let all = [Checked { subvolume: "data", status: Ok(&status) }];
            assert_eq!(line(&all, &problems(&all, time(2 * DAY))), want);
        }
        let all = [Checked { subvolume: "data", status: Err("the store is away") }];
        let want = "PROBLEM: data: unknown: the store is away\n";
        assert_eq!(line(&all, &problems(&all, time(0))), want);
    }
}
