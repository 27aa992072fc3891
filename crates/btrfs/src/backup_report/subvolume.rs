//! Builds the report of one subvolume. Pure: the time is a parameter.

use jiff::Timestamp;
use s3up_core::wire::{BackupCheck, BackupRun, RunOutcome, SubvolumeReport};
use s3up_repository::names::SubvolumeName;
use s3up_repository::stamp::seconds;

use crate::status::SubvolumeStatus;
use crate::status::check::{OVERDUE_AFTER, drill_problem, repository_problems};
use crate::status::last_drills::LastDrill;
use crate::status::last_runs::{LastRun, RunStatus};
use crate::status::states::PointerState;

/// Maximum length of a text in a report. The first sentences of an error say what happened.
const TEXT_BYTES_MAX: usize = 2000;

/// The state of the backups in the bucket, as far as this run observed it.
#[derive(Debug)]
pub enum Observation<'a> {
    /// `nested` is the problem of subvolumes inside it that are in no backup.
    Seen {
        status: &'a SubvolumeStatus,
        nested: Option<&'a str>,
    },
    Failed(&'a str),
    /// There was no time for it.
    None,
}

/// The memory of this host of a subvolume.
#[derive(Debug, Default)]
pub struct Memory<'a> {
    /// The report before.
    pub known: Option<&'a SubvolumeReport>,
    pub last_run: Option<&'a LastRun>,
    pub good_drill: Option<&'a LastDrill>,
}

/// Returns the report of a subvolume.
pub fn report(
    name: &SubvolumeName,
    observation: &Observation<'_>,
    memory: &Memory<'_>,
    now: Timestamp,
) -> SubvolumeReport {
    let mut report = match observation {
        Observation::Seen { status, nested } => seen(status, *nested, now),
        Observation::Failed(reason) => {
            let unreadable = Some(cut(reason));
            SubvolumeReport { unreadable, ..memory.known.cloned().unwrap_or_default() }
        }
        Observation::None => memory.known.cloned().unwrap_or_default(),
    };
    report.name = name.to_string();
    report.last_run = memory.last_run.map(run);
    let newest_at = report.newest_backup_at.as_deref().and_then(|at| at.parse().ok());
    report.newest_backup_age_seconds = newest_at.map(|at| seconds_between(at, now));
    let known = memory.known;
    report.last_drill = last_drill(known.and_then(|it| it.last_drill.as_ref()), memory.good_drill);
    report.last_verify = known.and_then(|it| it.last_verify.clone());
    report
}

/// Returns the facts of the bucket.
fn seen(status: &SubvolumeStatus, nested: Option<&str>, now: Timestamp) -> SubvolumeReport {
    let mut problems = repository_problems(status);
    problems.extend(drill_problem(status, now));
    problems.extend(nested.map(str::to_owned));
    SubvolumeReport {
        observed_at: Some(seconds(now)),
        newest_backup_at: status.last_backup_at.clone(),
        overdue_age_seconds: status.last_backup.zip(status.due_at).map(|(last, due)| {
            seconds_between(last, due.saturating_add(OVERDUE_AFTER).unwrap_or(due))
        }),
        chain_length: status.chain_length.map(|length| length as u64),
        restorable: match status.backups {
            PointerState::Nothing => None,
            PointerState::Published => Some(status.broken.is_empty()),
            PointerState::Broken | PointerState::Archived => Some(false),
        },
        problem: (!problems.is_empty()).then(|| cut(&problems.join(", "))),
        ..SubvolumeReport::default()
    }
}

fn run(run: &LastRun) -> BackupRun {
    BackupRun {
        at: seconds(run.ran_at),
        outcome: match run.outcome {
            RunStatus::Published => RunOutcome::Published,
            RunStatus::NotDue => RunOutcome::NotDue,
            RunStatus::Failed => RunOutcome::Failed,
            RunStatus::Stopped => RunOutcome::Stopped,
        },
        error: run.error.as_deref().map(cut),
    }
}

/// Returns the newer of the last drill that was reported and the last good one, which also a drill
/// without `[report]` records. Of two in one second the reported one counts: it may have failed.
fn last_drill(known: Option<&BackupCheck>, good: Option<&LastDrill>) -> Option<BackupCheck> {
    let good_at = good.map(|drill| seconds(drill.drilled_at));
    match (known, good_at) {
        // Times of this form are in the order of their texts.
        (Some(known), Some(good_at)) if known.at >= good_at => {
            let last_good_at = known.last_good_at.clone().max(Some(good_at));
            Some(BackupCheck { last_good_at, ..known.clone() })
        }
        (_, Some(at)) => {
            let last_good_at = Some(at.clone());
            Some(BackupCheck { at, error: None, last_good_at, deep: false })
        }
        (known, None) => known.cloned(),
    }
}

/// Returns the result of a drill or a verify that ended at `now`, after the one before. What only a deep
/// verify finds, only a deep one finds cured.
pub fn checked(
    before: Option<&BackupCheck>,
    result: Result<(), &str>,
    deep: bool,
    now: Timestamp,
) -> BackupCheck {
    let at = seconds(now);
    match (result, before) {
        (Ok(()), Some(before)) if before.error.is_some() && before.deep && !deep => before.clone(),
        (Ok(()), _) => BackupCheck { last_good_at: Some(at.clone()), at, error: None, deep },
        (Err(error), before) => {
            let last_good_at = before.and_then(|before| before.last_good_at.clone());
            let deep = deep || before.is_some_and(|before| before.error.is_some() && before.deep);
            BackupCheck { at, error: Some(cut(error)), last_good_at, deep }
        }
    }
}

/// Returns 0 if the clock was set back between the two.
fn seconds_between(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.duration_since(from).as_secs()).unwrap_or(0)
}

fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(TEXT_BYTES_MAX)].to_owned()
}

#[cfg(test)]
mod tests;
