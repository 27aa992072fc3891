use super::*;
use crate::status::BrokenLine;

const DAY: i64 = 24 * 3600;

fn time(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn data() -> SubvolumeName {
    SubvolumeName::parse("data").unwrap()
}

/// A chain of three backups; the newest was made on day 1, and the next is due on day 8.
fn status() -> SubvolumeStatus {
    SubvolumeStatus {
        subvolume: "data".to_owned(),
        last_run: None,
        backups: PointerState::Published,
        problem: None,
        broken: Vec::new(),
        other_origin: None,
        is_origin_unproven: false,
        last_backup_at: Some(seconds(time(DAY))),
        last_backup: Some(time(DAY)),
        chain_length: Some(3),
        due: false,
        next_due_at: None,
        next_due_kind: None,
        due_at: Some(time(8 * DAY)),
        last_good_drill: None,
        drills: false,
        history: Vec::new(),
    }
}

fn of(status: &SubvolumeStatus, nested: Option<&str>) -> SubvolumeReport {
    report(&data(), &Observation::Seen { status, nested }, &Memory::default(), time(3 * DAY))
}

#[test]
fn an_observation_gives_the_facts() {
    let want = SubvolumeReport {
        name: "data".to_owned(),
        observed_at: Some("1970-01-04T00:00:00Z".to_owned()),
        newest_backup_at: Some("1970-01-02T00:00:00Z".to_owned()),
        newest_backup_age_seconds: Some(2 * 86_400),
        overdue_age_seconds: Some(8 * 86_400),
        chain_length: Some(3),
        restorable: Some(true),
        ..SubvolumeReport::default()
    };
    assert_eq!(of(&status(), None), want);
}

#[test]
fn a_problem_says_whether_a_restore_is_possible() {
    use PointerState::{Broken, Nothing, Published};
    let broken = || {
        let (created_at, manifest) = ("T1".to_owned(), "m".to_owned());
        vec![BrokenLine { created_at, manifest, reason: "c is missing".to_owned() }]
    };
    let lost = "the backup of T1 cannot be restored: c is missing";
    #[rustfmt::skip]
    let cases = [
        (Published, None,             vec![],   false, None,           Some(true),  None),
        (Published, Some("archived"), vec![],   false, None,           Some(true),  Some("archived".to_owned())),
        (Published, None,             broken(), false, None,           Some(false), Some(lost.to_owned())),
        (Published, None,             broken(), false, Some("nested"), Some(false), Some(format!("{lost}, nested"))),
        (Published, None,             vec![],   true,  None,           Some(true),  Some("no successful drill yet".to_owned())),
        (Broken,    Some("m is gone"), vec![],  false, None,           Some(false), Some("broken: m is gone".to_owned())),
        // Its state says that there is none.
        (Nothing,   None,             vec![],   false, None,           None,        None),
        (Nothing,   None,             vec![],   false, Some("nested"), None,        Some("nested".to_owned())),
    ];
    for (backups, problem, broken, drills, nested, restorable, want) in cases {
        let problem = problem.map(str::to_owned);
        let status = SubvolumeStatus { backups, problem, broken, drills, ..status() };
        let found = of(&status, nested);
        assert_eq!((found.restorable, found.problem), (restorable, want), "{status:?}");
    }
}

#[test]
fn what_could_not_be_observed_is_reported_as_it_was_seen_last() {
    let known = of(&status(), None);
    let run = LastRun::failed("no space".to_owned(), time(5 * DAY));
    let memory = Memory { known: Some(&known), last_run: Some(&run), good_drill: None };
    let at = |observation: &Observation<'_>| report(&data(), observation, &memory, time(5 * DAY));

    let failed = at(&Observation::Failed("S3 does not answer"));

    assert_eq!(failed.unreadable.as_deref(), Some("S3 does not answer"));
    assert_eq!(failed.observed_at, known.observed_at);
    assert_eq!((failed.chain_length, failed.restorable), (Some(3), Some(true)));
    assert_eq!(failed.newest_backup_age_seconds, Some(4 * 86_400), "it is as old as it is now");
    let last_run = failed.last_run.as_ref().unwrap();
    assert_eq!(
        (last_run.outcome, last_run.error.as_deref()),
        (RunOutcome::Failed, Some("no space"))
    );
    assert_eq!(at(&Observation::None), SubvolumeReport { unreadable: None, ..failed });
    let never = report(&data(), &Observation::Failed("x"), &Memory::default(), time(0));
    assert_eq!((never.observed_at, never.restorable), (None, None), "nothing is known of it");
}

#[test]
fn the_newer_of_two_drills_counts_and_a_good_one_is_not_forgotten() {
    let good = |day: i64| LastDrill {
        drilled_at: time(day * DAY),
        manifest: "m".to_owned(),
        extent: "full".to_owned(),
        proven: "all".to_owned(),
        total_bytes: 1,
        elapsed_seconds: 1.0,
    };
    let failed = |day: i64, before: Option<&BackupCheck>| {
        checked(before, Err("rot"), false, time(day * DAY))
    };
    let known_good = checked(None, Ok(()), false, time(3 * DAY));
    let day = |day: i64| Some(seconds(time(day * DAY)));
    #[rustfmt::skip]
    let cases = [
        (None,                               None,          None),
        (None,                               Some(good(2)), Some((day(2), false, day(2)))),
        (Some(failed(4, None)),              None,          Some((day(4), true,  None))),
        (Some(failed(4, None)),              Some(good(2)), Some((day(4), true,  day(2)))),
        (Some(failed(4, Some(&known_good))), Some(good(2)), Some((day(4), true,  day(3)))),
        (Some(failed(4, None)),              Some(good(5)), Some((day(5), false, day(5)))),
        (Some(failed(5, None)),              Some(good(5)), Some((day(5), true,  day(5)))),
        (Some(known_good.clone()),           Some(good(3)), Some((day(3), false, day(3)))),
    ];
    for (known, good, want) in cases {
        let found = last_drill(known.as_ref(), good.as_ref());
        let found = found.map(|it| (Some(it.at), it.error.is_some(), it.last_good_at));
        assert_eq!(found, want, "{known:?} {good:?}");
    }
}

#[test]
fn only_a_deep_verify_takes_back_what_one_found() {
    let at = |day: i64| time(day * DAY);
    let found = |deep| checked(None, Err("rot"), deep, at(1));
    #[rustfmt::skip]
    let cases = [
        // found by deep, then deep, then good
        (false, false, true),
        (false, true,  true),
        (true,  false, false),
        (true,  true,  true),
    ];
    for (first, second, want) in cases {
        let after = checked(Some(&found(first)), Ok(()), second, at(2));
        assert_eq!(after.error.is_none(), want, "{first} {second}");
        assert_eq!(after.last_good_at.is_some(), want, "{first} {second}");
    }
    let again = checked(Some(&found(true)), Err("missing"), false, at(2));
    assert_eq!(again.error.as_deref(), Some("missing"));
    let cured = checked(Some(&again), Ok(()), false, at(3));
    assert!(cured.error.is_some(), "the chunks were not read again");
}

#[test]
fn a_long_error_is_cut_between_characters() {
    let run = LastRun::failed("ö".repeat(5000), time(0));
    let memory = Memory { last_run: Some(&run), ..Memory::default() };
    let report = report(&data(), &Observation::None, &memory, time(0));
    assert_eq!(report.last_run.unwrap().error.unwrap(), "ö".repeat(TEXT_BYTES_MAX / 2));
}
