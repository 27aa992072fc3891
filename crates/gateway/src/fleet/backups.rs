//! Decides in which state the backups of a btrfs host are, and why. Pure.
//!
//! The host says what it found; how old that is, and whether it is too old, is decided here by the clock
//! of the gateway. If the host could not read its backups again, the earlier facts still count, and the
//! failure is reported beside them.

use std::time::Duration;

use s3up_core::wire::{BackupCheck, BackupReport, ClientState, RunOutcome, SubvolumeReport};
use s3up_core::{Count, age_text};

use super::complaint::{Complaint, exit_threshold};
use crate::clock::Millis;
use crate::database::backup_reports::ReceivedBackupReport;

/// Returns the worst state of the subvolumes, with the reason of the first that is in it. `report_age` is
/// the time since the report arrived.
pub(super) fn backups(
    report: &BackupReport,
    report_age: Duration,
    late_after: Option<Duration>,
    before: Option<ClientState>,
) -> Option<Complaint> {
    let found: Vec<_> = report
        .subvolumes
        .iter()
        .filter_map(|subvolume| {
            let Complaint { state, reason } = one(subvolume, report_age, late_after, before)?;
            Some(Complaint::new(state, format!("{}: {reason}", subvolume.name)))
        })
        .collect();
    let worst = found.iter().map(|it| it.state).max()?;
    let mut reasons = found.into_iter().filter(|it| it.state == worst).map(|it| it.reason);
    let first = reasons.next()?;
    let reason = match reasons.count() {
        0 => first,
        more => format!("{first} (and {})", Count::of(more, "other subvolume")),
    };
    Some(Complaint::new(worst, reason))
}

fn one(
    subvolume: &SubvolumeReport,
    report_age: Duration,
    late_after: Option<Duration>,
    before: Option<ClientState>,
) -> Option<Complaint> {
    failed_run(subvolume)
        .or_else(|| unrestorable(subvolume))
        .or_else(|| failed_verify(subvolume))
        .or_else(|| late(subvolume, report_age, late_after, before))
        .or_else(|| degraded(subvolume))
}

fn failed_run(subvolume: &SubvolumeReport) -> Option<Complaint> {
    let run = subvolume.last_run.as_ref().filter(|run| run.outcome == RunOutcome::Failed)?;
    let error = run.error.as_deref().unwrap_or("no reason is known");
    Some(Complaint::new(ClientState::Failing, format!("the backup of {} failed: {error}", run.at)))
}

fn unrestorable(subvolume: &SubvolumeReport) -> Option<Complaint> {
    let problem = subvolume.problem.as_deref().unwrap_or("no reason is known");
    (subvolume.restorable == Some(false))
        .then(|| Complaint::new(ClientState::Failing, format!("it cannot be restored: {problem}")))
}

fn failed_verify(subvolume: &SubvolumeReport) -> Option<Complaint> {
    let (at, error) = failure(subvolume.last_verify.as_ref())?;
    Some(Complaint::new(ClientState::Failing, format!("the verify of {at} failed: {error}")))
}

fn late(
    subvolume: &SubvolumeReport,
    report_age: Duration,
    late_after: Option<Duration>,
    before: Option<ClientState>,
) -> Option<Complaint> {
    let Some(age) = subvolume.newest_backup_age_seconds else {
        // Unless the host read the bucket, it is not known that there is none.
        subvolume.observed_at.as_ref()?;
        return Some(Complaint::new(ClientState::Late, "it has no backup yet"));
    };
    let age = Duration::from_secs(age).saturating_add(report_age);
    let limit = late_after.or(subvolume.overdue_age_seconds.map(Duration::from_secs))?;
    (age > exit_threshold(limit, before == Some(ClientState::Late))).then(|| {
        let at = subvolume.newest_backup_at.as_deref().unwrap_or("an unknown time");
        let reason = format!("its newest backup is {} old, of {at}", age_text(age));
        Complaint::new(ClientState::Late, reason)
    })
}

fn degraded(subvolume: &SubvolumeReport) -> Option<Complaint> {
    let reason = if let Some(error) = &subvolume.unreadable {
        format!("the host could not read its backups: {error}")
    } else if let Some((at, error)) = failure(subvolume.last_drill.as_ref()) {
        format!("the drill of {at} failed: {error}")
    } else {
        subvolume.problem.clone()?
    };
    Some(Complaint::new(ClientState::Degraded, reason))
}

fn failure(check: Option<&BackupCheck>) -> Option<(&str, &str)> {
    let check = check?;
    Some((&check.at, check.error.as_deref()?))
}

/// Returns the subvolumes of a report with the ages that their backups have now.
pub(super) fn aged(received: &ReceivedBackupReport, now: Millis) -> Vec<SubvolumeReport> {
    let since = u64::try_from(now.saturating_sub(received.at) / 1000).unwrap_or(0);
    let mut subvolumes = received.body.subvolumes.clone();
    for subvolume in &mut subvolumes {
        let age = subvolume.newest_backup_age_seconds.as_mut();
        age.into_iter().for_each(|age| *age = age.saturating_add(since));
    }
    subvolumes
}

#[cfg(test)]
mod tests {
    use s3up_core::wire::{BACKUP_REPORT_VERSION, BackupRun, ProgramFacts};

    use super::*;

    const HOUR: u64 = 3600;
    const DAY: u64 = 24 * HOUR;

    /// A subvolume whose newest backup is two days old. The next is overdue after eight.
    fn data() -> SubvolumeReport {
        SubvolumeReport {
            name: "data".to_owned(),
            last_run: Some(run(RunOutcome::Published, None)),
            observed_at: Some("T2".to_owned()),
            newest_backup_at: Some("T1".to_owned()),
            newest_backup_age_seconds: Some(2 * DAY),
            overdue_age_seconds: Some(8 * DAY),
            chain_length: Some(3),
            restorable: Some(true),
            ..SubvolumeReport::default()
        }
    }

    fn run(outcome: RunOutcome, error: Option<&str>) -> BackupRun {
        BackupRun { at: "T0".to_owned(), outcome, error: error.map(str::to_owned) }
    }

    fn check(error: Option<&str>) -> Option<BackupCheck> {
        let error = error.map(str::to_owned);
        Some(BackupCheck { at: "T3".to_owned(), error, last_good_at: None, deep: false })
    }

    fn edited(edit: impl FnOnce(&mut SubvolumeReport)) -> SubvolumeReport {
        let mut subvolume = data();
        edit(&mut subvolume);
        subvolume
    }

    fn ran(outcome: RunOutcome, error: Option<&str>) -> SubvolumeReport {
        edited(|it| it.last_run = Some(run(outcome, error)))
    }

    fn aged_by(seconds: u64) -> SubvolumeReport {
        edited(|it| it.newest_backup_age_seconds = Some(seconds))
    }

    fn report(subvolumes: Vec<SubvolumeReport>) -> BackupReport {
        let program = ProgramFacts { version: "0".to_owned(), host: "nas".to_owned() };
        let command = "backup".to_owned();
        BackupReport {
            version: BACKUP_REPORT_VERSION,
            program,
            command,
            running_since: None,
            subvolumes,
        }
    }

    #[test]
    fn a_subvolume_is_in_the_worst_state_that_its_facts_show() {
        use ClientState::{Degraded, Failing, Late};
        use RunOutcome::{Failed, NotDue, Stopped};
        let unrestorable = edited(|it| {
            it.restorable = Some(false);
            it.problem = Some("a chunk is missing".to_owned());
        });
        let never = edited(|it| it.newest_backup_age_seconds = None);
        let never_looked =
            SubvolumeReport { name: "data".to_owned(), ..SubvolumeReport::default() };
        let unreadable = edited(|it| it.unreadable = Some("S3 does not answer".to_owned()));
        let old_and_unreadable =
            SubvolumeReport { unreadable: Some("x".to_owned()), ..aged_by(9 * DAY) };
        let both = SubvolumeReport {
            last_run: Some(run(Failed, Some("no space"))),
            ..unrestorable.clone()
        };
        #[rustfmt::skip]
        let cases = [
            (data(),                                             None),
            (ran(NotDue, None),                                  None),
            // The next run resumes it. Its age says if that takes too long.
            (ran(Stopped, None),                                 None),
            (never_looked.clone(),                               None),
            (ran(Failed, Some("no space")),                      Some((Failing,  "the backup of T0 failed: no space"))),
            (ran(Failed, None),                                  Some((Failing,  "the backup of T0 failed: no reason is known"))),
            (both,                                               Some((Failing,  "the backup of T0 failed: no space"))),
            (unrestorable,                                       Some((Failing,  "it cannot be restored: a chunk is missing"))),
            (edited(|it| it.last_verify = check(None)),          None),
            (edited(|it| it.last_verify = check(Some("rot"))),   Some((Failing,  "the verify of T3 failed: rot"))),
            (never,                                              Some((Late,     "it has no backup yet"))),
            (aged_by(8 * DAY - HOUR),                            None),
            // The report itself is an hour old.
            (aged_by(8 * DAY - HOUR + 1),                        Some((Late,     "its newest backup is 8 d old, of T1"))),
            (aged_by(u64::MAX),                                  Some((Late,     "its newest backup is 213503982334601 d old, of T1"))),
            (edited(|it| it.overdue_age_seconds = None),         None),
            (old_and_unreadable,                                 Some((Late,     "its newest backup is 9 d old, of T1"))),
            (unreadable,                                         Some((Degraded, "the host could not read its backups: S3 does not answer"))),
            (edited(|it| it.last_drill = check(None)),           None),
            (edited(|it| it.last_drill = check(Some("rot"))),    Some((Degraded, "the drill of T3 failed: rot"))),
            (edited(|it| it.problem = Some("overdue".to_owned())), Some((Degraded, "overdue"))),
        ];
        for (subvolume, want) in cases {
            let want = want.map(|(state, reason)| Complaint::new(state, format!("data: {reason}")));
            let found =
                backups(&report(vec![subvolume.clone()]), Duration::from_secs(HOUR), None, None);
            assert_eq!(found, want, "{subvolume:?}");
        }
    }

    #[test]
    fn the_threshold_of_the_gateway_counts_before_the_schedule_of_the_host() {
        use ClientState::Late;
        let days = |days| Some(Duration::from_secs(days * DAY));
        #[rustfmt::skip]
        let cases = [
            // age  threshold  before      late
            (3,     None,      None,       false),
            (3,     days(2),   None,       true),
            (9,     days(10),  None,       false),
            // It ends at three quarters.
            (9,     days(10),  Some(Late), true),
            (7,     days(10),  Some(Late), false),
        ];
        for (age, late_after, before, want) in cases {
            let report = report(vec![aged_by(age * DAY)]);
            let found = backups(&report, Duration::ZERO, late_after, before);
            assert_eq!(found.is_some(), want, "{age} {late_after:?} {before:?}");
        }
    }

    #[test]
    fn the_worst_subvolume_is_named_and_its_like_are_counted() {
        let named = |name: &str, subvolume| SubvolumeReport { name: name.to_owned(), ..subvolume };
        let failed = || ran(RunOutcome::Failed, Some("no space"));
        let all = vec![
            named("a", aged_by(9 * DAY)),
            named("b", failed()),
            named("c", data()),
            named("d", failed()),
            named("e", failed()),
        ];

        let found = backups(&report(all), Duration::ZERO, None, None);

        let want = "b: the backup of T0 failed: no space (and 2 other subvolumes)";
        assert_eq!(found.map(|it| it.reason).as_deref(), Some(want));
        assert_eq!(backups(&report(Vec::new()), Duration::ZERO, None, None), None);
    }

    #[test]
    fn an_age_grows_after_the_report() {
        let received = ReceivedBackupReport { at: 5_000, body: report(vec![data()]) };
        let age = |now| aged(&received, now)[0].newest_backup_age_seconds;
        assert_eq!(age(5_000), Some(2 * DAY));
        assert_eq!(age(65_999), Some(2 * DAY + 60));
        // The clock of the gateway was set back.
        assert_eq!(age(0), Some(2 * DAY));
    }
}
