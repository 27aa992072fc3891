use proptest::prelude::*;

use super::*;

const DEBOUNCE: Duration = Duration::from_secs(3);
const SKIP: SettlePolicy = SettlePolicy {
    debounce: DEBOUNCE,
    max_attempts: 4,
    on_max_attempts: OnMaxAttempts::Skip,
    hot_every: Duration::from_secs(3600),
};
const UPLOAD: SettlePolicy = SettlePolicy { on_max_attempts: OnMaxAttempts::Upload, ..SKIP };
/// The wall clock at the start of each test. It is not at a whole second, so that
/// stamps are not coarse.
const START_NS: i64 = 1_700_000_000_000_000_001;

#[test]
fn a_file_found_by_a_scan_settles_by_its_age() {
    #[rustfmt::skip]
    let cases = [
        // situation                     mtime   ctime   due after
        ("long untouched",               -100.0, -100.0, None),
        ("exactly the debounce time",    -3.0,   -3.0,   None),
        ("written just now",             0.0,    0.0,    Some(3.0)),
        ("written a second ago",         -1.0,   -1.0,   Some(2.0)),
        ("moved here with its old date", -100.0, -1.0,   Some(2.0)),
        ("dated in the future",          9.0,    -100.0, Some(3.0)),
        ("the clock was set back",       9.0,    9.0,    Some(3.0)),
        ("before 1970",                  -3e9,   -100.0, None),
    ];
    for (situation, mtime, ctime, want) in cases {
        let clock = Clock::start();
        let mut wheel = SettleWheel::new(SKIP);
        let verdict = wheel.add_scanned("f", dated(mtime, ctime), clock.at(0.0));
        let want_verdict = if want.is_none() {
            SettleVerdict::Settled(Writes::NONE)
        } else {
            SettleVerdict::Waiting
        };
        assert_eq!(verdict, want_verdict, "{situation}");
        let due = wheel.next_due().map(|due| due - clock.instant);
        assert_eq!(due, want.map(Duration::from_secs_f64), "{situation}");
    }
}

#[test]
fn a_file_written_once_settles_one_debounce_time_after_its_last_change() {
    let clock = Clock::start();
    let mut wheel = SettleWheel::new(SKIP);
    wheel.note_event("f", Writes::NONE, clock.at(0.0).instant);
    wheel.note_event("f", Writes::CLOSED, clock.at(1.0).instant);

    assert_eq!(wheel.take_due(9, clock.at(2.9).instant), Vec::<&str>::new());
    assert_eq!(wheel.take_due(9, clock.at(3.0).instant), ["f"]);
    assert_eq!(wheel.observe(&"f", dated(1.0, 1.0), clock.at(3.0)), SettleVerdict::Waiting);
    assert_eq!(wheel.take_due(9, clock.at(3.9).instant), Vec::<&str>::new());
    assert_eq!(wheel.take_due(9, clock.at(4.0).instant), ["f"]);
    assert_eq!(
        wheel.observe(&"f", dated(1.0, 1.0), clock.at(4.0)),
        SettleVerdict::Settled(Writes::CLOSED)
    );
    assert!(wheel.is_empty());
}

#[test]
fn a_file_dated_in_the_future_settles_once_its_identity_stays_the_same() {
    let clock = Clock::start();
    let mut wheel = SettleWheel::new(SKIP);
    wheel.note_event("f", Writes::NONE, clock.at(0.0).instant);

    let verdicts = observe_until_settled(&mut wheel, &clock, |_| dated(1e6, 0.0));

    assert_eq!(
        verdicts,
        [(3.0, SettleVerdict::Waiting), (6.0, SettleVerdict::Settled(Writes::NONE))]
    );
}

#[test]
fn a_file_that_never_settles_is_reported_once_and_settles_when_it_stops_changing() {
    let clock = Clock::start();
    let mut wheel = SettleWheel::new(SKIP);
    wheel.note_event("f", Writes::NONE, clock.at(0.0).instant);

    let verdicts =
        observe_until_settled(&mut wheel, &clock, |at| dated(at.min(20.0), at.min(20.0)));

    use SettleVerdict::*;
    let want =
        [Waiting, Waiting, Waiting, NeverSettled, Waiting, Waiting, Waiting, Settled(Writes::NONE)];
    assert_eq!(verdicts.iter().map(|(_, verdict)| *verdict).collect::<Vec<_>>(), want);
    assert_eq!(verdicts.last(), Some(&(23.0, Settled(Writes::NONE))), "the last change was at 20");
}

#[test]
fn repeated_closes_do_not_hide_a_file_that_never_settles() {
    let clock = Clock::start();
    let mut wheel = SettleWheel::new(SKIP);
    let mut reported = 0;
    for tenth in 0..200 {
        let now = clock.at(f64::from(tenth) / 10.0);
        wheel.note_event("log", Writes::CLOSED, now.instant);
        for key in wheel.take_due(9, now.instant) {
            let verdict = wheel.observe(&key, dated(f64::from(tenth) / 10.0, 0.0), now);
            reported += u32::from(verdict == SettleVerdict::NeverSettled);
        }
    }
    assert_eq!(reported, 1);
}

#[test]
fn a_close_after_the_last_attempt_starts_a_new_count() {
    let clock = Clock::start();
    let mut wheel = SettleWheel::new(UPLOAD);
    wheel.note_event("f", Writes::NONE, clock.at(0.0).instant);
    let mut hot = Vec::new();
    for second in (0..7260).step_by(3) {
        let now = clock.at(f64::from(second));
        if second == 3600 {
            wheel.note_event("f", Writes::CLOSED, now.instant);
        }
        for key in wheel.take_due(9, now.instant) {
            let verdict = wheel.observe(&key, dated(f64::from(second), 0.0), now);
            if matches!(verdict, SettleVerdict::Hot(_)) {
                hot.push(second);
            }
        }
    }
    assert_eq!(hot, [12, 3612, 7212], "after four attempts, then at most hourly");
}

#[test]
fn a_change_after_a_hot_upload_that_stored_the_file_is_reported_once() {
    for is_stored in [false, true] {
        let clock = Clock::start();
        let mut wheel = SettleWheel::new(UPLOAD);
        wheel.note_event("f", Writes::NONE, clock.at(0.0).instant);
        let mut found = Vec::new();
        for second in (0..60).step_by(3) {
            let now = clock.at(f64::from(second));
            if second == 15 && is_stored {
                wheel.note_hot_stored(&"f");
            }
            for key in wheel.take_due(9, now.instant) {
                let verdict = wheel.observe(&key, dated(f64::from(second), 0.0), now);
                if verdict != SettleVerdict::Waiting {
                    found.push((second, verdict));
                }
            }
        }
        let hot = (12, SettleVerdict::Hot(Writes::NONE));
        match is_stored {
            true => assert_eq!(found, [hot, (15, SettleVerdict::StillHot)]),
            false => assert_eq!(found, [hot]),
        }
    }
}

#[test]
fn a_torn_hot_upload_is_repeated_a_few_times_and_then_waits() {
    let clock = Clock::start();
    let mut wheel = SettleWheel::new(UPLOAD);
    wheel.note_event("f", Writes::NONE, clock.at(0.0).instant);
    let mut hot = Vec::new();
    for second in (0..3660).step_by(3) {
        let now = clock.at(f64::from(second));
        for key in wheel.take_due(9, now.instant) {
            let verdict = wheel.observe(&key, dated(f64::from(second), 0.0), now);
            if matches!(verdict, SettleVerdict::Hot(_)) {
                hot.push(second);
                wheel.note_hot_torn(&key);
            }
        }
    }
    assert_eq!(hot, [12, 15, 18, 21, 24, 3624, 3627, 3630, 3633, 3636]);
}

#[test]
fn a_file_settles_once_it_was_quiet_for_long_enough() {
    const WHOLE: i64 = -1; // to the whole second before
    #[rustfmt::skip]
    let cases = [
        // situation                                  events            stamp   size  settles at
        ("closed",                                    Writes::CLOSED,   0,      1,    3.0),
        ("written and not closed",                    Writes::OPEN,     0,      1,    30.0),
        ("created and empty",                         Writes::OPEN,     0,      0,    30.0),
        ("closed and empty",                          Writes::CLOSED,   0,      0,    3.0),
        ("moved here",                                Writes::REPLACED, 0,      1,    3.0),
        ("found empty in a new directory",            Writes::REPLACED, 0,      0,    30.0),
        ("touched and empty",                         Writes::NONE,     0,      0,    3.0),
        ("closed, stamps of whole seconds",           Writes::CLOSED,   WHOLE,  1,    5.0),
        ("not closed, stamps of whole seconds",       Writes::OPEN,     WHOLE,  1,    32.0),
    ];
    for (situation, events, nanosecond, size, want) in cases {
        let clock = Clock::start();
        let mut wheel = SettleWheel::new(SettlePolicy { max_attempts: 100, ..SKIP });
        wheel.note_event("f", events, clock.at(0.0).instant);
        let stamp = START_NS + nanosecond;
        let file = Identity { size, mtime_ns: stamp, ctime_ns: stamp, ..dated(0.0, 0.0) };

        let verdicts = observe_until_settled(&mut wheel, &clock, |_| file);

        let (at, verdict) = *verdicts.last().unwrap();
        assert_eq!(verdict, SettleVerdict::Settled(events), "{situation}");
        assert!((at - want).abs() < 0.001, "{situation}: at {at}");
    }
}

#[test]
fn a_close_ends_the_longer_wait_for_an_open_writer() {
    let clock = Clock::start();
    let mut wheel = SettleWheel::new(SKIP);
    wheel.note_event("f", Writes::OPEN, clock.at(0.0).instant);
    assert_eq!(wheel.take_due(9, clock.at(3.0).instant), ["f"]);
    assert_eq!(wheel.observe(&"f", dated(0.0, 0.0), clock.at(3.0)), SettleVerdict::Waiting);

    wheel.note_event("f", Writes::CLOSED, clock.at(4.0).instant);

    assert_eq!(wheel.take_due(9, clock.at(6.0).instant), ["f"]);
    let verdict = wheel.observe(&"f", dated(0.0, 0.0), clock.at(6.0));
    assert_eq!(verdict, SettleVerdict::Settled(Writes::CLOSED));
}

#[test]
fn an_open_file_that_is_never_quiet_for_long_settles_after_the_attempts() {
    let clock = Clock::start();
    let mut wheel = SettleWheel::new(SettlePolicy { max_attempts: 100, ..SKIP });
    wheel.note_event("log", Writes::OPEN, clock.at(0.0).instant);

    // A line each 10 seconds.
    let verdicts = observe_until_settled(&mut wheel, &clock, |at| {
        let written = (at / 10.0).floor() * 10.0;
        dated(written, written)
    });

    let (at, verdict) = *verdicts.last().unwrap();
    assert_eq!(verdict, SettleVerdict::Settled(Writes::OPEN));
    assert!((300.0..310.0).contains(&at), "after 100 debounce times: {at}");
}

#[test]
fn a_forgotten_path_does_not_become_due() {
    let clock = Clock::start();
    let mut wheel = SettleWheel::new(SKIP);
    wheel.note_event("f", Writes::NONE, clock.at(0.0).instant);
    wheel.forget(&"f");
    assert_eq!(wheel.next_due(), None);

    wheel.note_event("f", Writes::NONE, clock.at(0.0).instant);
    assert_eq!(wheel.take_due(9, clock.at(3.0).instant), ["f"]);
    wheel.forget(&"f");
    assert_eq!(wheel.observe(&"f", dated(-100.0, -100.0), clock.at(3.0)), SettleVerdict::Waiting);
    assert!(wheel.is_empty());
}

proptest! {
    #[test]
    fn ten_thousand_files_settle_in_one_debounce_time(started in 0u32..1000) {
        let clock = Clock::start();
        let mut wheel = SettleWheel::new(SKIP);
        let wrote = f64::from(started) / 1000.0;
        for n in 0..10_000 {
            wheel.note_event(n, Writes::CLOSED, clock.at(wrote).instant);
        }
        let now = clock.at(wrote + 3.0);
        let due = wheel.take_due(usize::MAX, now.instant);
        prop_assert_eq!(due.len(), 10_000);
        for n in due {
            prop_assert_eq!(wheel.observe(&n, dated(wrote, wrote), now), SettleVerdict::Settled(Writes::CLOSED));
        }
    }

    /// In any order of calls, each path on the wheel becomes due, and the two
    /// indexes agree.
    #[test]
    fn no_path_on_the_wheel_is_lost(steps in proptest::collection::vec((0u8..5, 0u8..4, 0u32..4000), 0..200)) {
        let clock = Clock::start();
        let mut wheel = SettleWheel::new(SKIP);
        let mut at = 0.0;
        for (what, key, millis) in steps {
            at += f64::from(millis) / 1000.0;
            let now = clock.at(at);
            match what {
                0 => wheel.note_event(key, Writes::NONE, now.instant),
                1 => wheel.note_event(key, Writes::CLOSED, now.instant),
                2 => { wheel.add_scanned(key, dated(at, at), now); }
                3 => wheel.forget(&key),
                _ => for due in wheel.take_due(2, now.instant) {
                    wheel.observe(&due, dated(at - f64::from(millis) / 500.0, 0.0), now);
                },
            }
            prop_assert_eq!(wheel.due.len(), wheel.waiting.len());
            for (due, key) in &wheel.due {
                prop_assert_eq!(wheel.waiting[key].due, Some(*due));
                prop_assert!(*due <= now.instant + DEBOUNCE);
            }
        }
    }
}

struct Clock {
    instant: Instant,
}

impl Clock {
    fn start() -> Clock {
        Clock { instant: crate::clock::now().instant }
    }

    fn at(&self, seconds: f64) -> ClockReading {
        ClockReading {
            instant: self.instant + Duration::from_secs_f64(seconds),
            wall_ns: START_NS + nanoseconds(seconds),
        }
    }
}

/// Observes the path whenever it is due, until it settles.
fn observe_until_settled(
    wheel: &mut SettleWheel<&'static str>,
    clock: &Clock,
    file: impl Fn(f64) -> Identity,
) -> Vec<(f64, SettleVerdict)> {
    let mut verdicts = Vec::new();
    while let Some(due) = wheel.next_due() {
        let at = (due - clock.instant).as_secs_f64();
        for key in wheel.take_due(1, due) {
            verdicts.push((at, wheel.observe(&key, file(at), clock.at(at))));
        }
    }
    verdicts
}

fn dated(mtime: f64, ctime: f64) -> Identity {
    Identity {
        device: 1,
        inode: 1,
        size: 1,
        mtime_ns: START_NS.saturating_add(nanoseconds(mtime)),
        ctime_ns: START_NS.saturating_add(nanoseconds(ctime)),
    }
}

fn nanoseconds(seconds: f64) -> i64 {
    (seconds * 1000.0).round() as i64 * 1_000_000
}
