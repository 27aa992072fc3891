use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::clock;

const NO_LIMIT: usize = 99;
const LIMITS: LaneLimits = LaneLimits { short: 2, long: 1, batches: 0, short_bytes_max: 100 };

#[test]
fn long_files_do_not_delay_short_ones() {
    let mut queue = Queue::new(LIMITS);
    for n in 0..3 {
        queue.push(job(n, 1000));
    }
    for n in 10..13 {
        queue.push(job(n, 100));
    }

    let started: Vec<_> =
        std::iter::from_fn(|| queue.start_next(NO_LIMIT)).map(|job| job.key).collect();

    assert_eq!(started, [10, 11, 0], "two short ones and one long one");
    assert_eq!(queue.finish(&10), None);
    assert_eq!(queue.start_next(NO_LIMIT).map(|job| job.key), Some(12));
    assert_eq!(queue.start_next(NO_LIMIT), None, "the long lane is full");
}

#[test]
fn a_lower_limit_is_kept_and_leaves_room_for_short_files() {
    #[rustfmt::skip]
    let cases = [
        // limit  short  long   started
        (1,       2,     1,     vec![0]),
        (1,       0,     2,     vec![10]),
        (2,       0,     2,     vec![10]),
        (2,       1,     2,     vec![0, 10]),
        (3,       1,     2,     vec![0, 10]),
    ];
    for (limit, short, long, want) in cases {
        let mut queue = Queue::new(LIMITS);
        (0..short).for_each(|n| queue.push(job(n, 1)));
        (10..10 + long).for_each(|n| queue.push(job(n, 1000)));
        let started = std::iter::from_fn(|| queue.start_next(limit)).map(|job| job.key);
        assert_eq!(started.collect::<Vec<_>>(), want, "{limit} {short} {long}");
    }
}

#[test]
fn a_failure_is_the_files_own_if_others_were_stored_since() {
    let failed = |count, successes_before| Failures { count, own: 0, successes_before };
    #[rustfmt::skip]
    let cases = [
        ("its first failure",       failed(0, 0),  9, false),
        ("nothing was stored",      failed(2, 9),  9, false),
        ("others were stored",      failed(1, 8),  9, true),
    ];
    for (situation, failures, successes, want) in cases {
        assert_eq!(failures.is_own(successes), want, "{situation}");
    }
}

#[test]
fn a_path_is_queued_once_however_often_it_is_pushed() {
    let mut queue = Queue::new(LIMITS);
    for _ in 0..5 {
        queue.push(job(1, 1));
    }
    assert_eq!(queue.len(), 1);
    assert!(queue.start_next(NO_LIMIT).is_some());
    assert_eq!(queue.start_next(NO_LIMIT), None);
}

#[test]
fn a_change_removes_a_waiting_file_and_marks_one_that_is_uploaded() {
    let mut queue = Queue::new(LIMITS);
    queue.push(job(1, 1));
    let settled = ChangeTarget::NotInFlight(Writes::CLOSED);
    assert_eq!(queue.note_change(&1, Writes::NONE), settled, "its events are not lost");
    assert!(queue.is_empty());

    queue.push(job(1, 1));
    queue.start_next(NO_LIMIT).unwrap();
    assert_eq!(queue.note_change(&1, Writes::CLOSED), ChangeTarget::InFlight);
    queue.recording(&1);
    assert_eq!(queue.note_change(&1, Writes::NONE), ChangeTarget::InFlight);
    assert_eq!(queue.finish(&1), Some(Writes::CLOSED), "the change was noted");
    assert!(queue.is_empty());
}

#[test]
fn a_delayed_file_delays_no_other() {
    let now = clock::now().instant;
    let later = now + Duration::from_secs(9);
    let mut queue = Queue::new(LIMITS);
    queue.push_delayed(job(1, 1), later);
    queue.push(job(2, 1));

    queue.release_delayed(now);
    assert_eq!(queue.start_next(NO_LIMIT).map(|job| job.key), Some(2));
    assert_eq!(queue.start_next(NO_LIMIT), None);
    assert_eq!(queue.next_delayed_at(), Some(later));
    queue.release_delayed(later);
    assert_eq!(queue.start_next(NO_LIMIT).map(|job| job.key), Some(1));
}

#[test]
fn short_files_that_wait_share_the_batches() {
    let mut queue =
        Queue::new(LaneLimits { short: 8, long: 2, batches: 4, short_bytes_max: 1 << 20 });
    let started = |queue: &mut Queue<u32>| {
        let job = queue.start_next(8)?;
        let more = queue.start_batch(&job);
        Some(std::iter::once(job).chain(more).map(|job| job.key).collect::<Vec<_>>())
    };
    for key in 0..10 {
        queue.push(job(key, 1000));
    }
    queue.push(job(10, BATCHED_BYTES_MAX + 1));
    queue.push(Job { failures: Failures { count: 1, ..Failures::default() }, ..job(11, 1000) });

    assert_eq!(started(&mut queue), Some(vec![0, 1, 2]));
    assert_eq!(started(&mut queue), Some(vec![3, 4, 5]));
    assert_eq!(started(&mut queue), Some(vec![6, 7]));
    assert_eq!(started(&mut queue), Some(vec![8, 9]));
    queue.push(job(12, 1000));
    assert_eq!(started(&mut queue), Some(vec![10]), "a file of more than a batch takes");
    assert_eq!(started(&mut queue), Some(vec![11]), "one that failed before is sent by itself");
    assert_eq!(started(&mut queue), None, "all batches run");

    assert_eq!((queue.uploading_count(), queue.recording_count()), (12, 0));
    assert_eq!(queue.note_change(&1, Writes::REPLACED), ChangeTarget::InFlight);
    for key in 0..3 {
        queue.finish(&key);
    }
    assert_eq!(started(&mut queue), Some(vec![12]));
    queue.push(job(13, 1000));
    queue.send_batches(false);
    queue.push(job(14, 1000));
    assert_eq!(started(&mut queue), Some(vec![13]));
    assert_eq!(started(&mut queue), Some(vec![14]), "as many as may run, each by itself");
}

#[test]
fn a_batch_has_a_maximum_of_files_and_of_bytes() {
    let limits = LaneLimits { short: 1, long: 1, batches: 1, short_bytes_max: 1 << 20 };
    for (size, want) in [(1, BATCH_FILES_MAX), (BATCHED_BYTES_MAX, 16)] {
        let mut queue = Queue::new(limits);
        (0..100).for_each(|key| queue.push(job(key, size)));
        let first = queue.start_next(1).unwrap();
        assert_eq!(1 + queue.start_batch(&first).len(), want);
    }
}

proptest! {
    /// In any order of calls, no path is in two slots, none is
    /// lost, and the lanes keep their limits.
    #[test]
    fn every_path_is_in_exactly_one_slot(steps in proptest::collection::vec((0u8..6, 0u32..8, 0u64..200), 0..300), batches in 0usize..3) {
        let start = clock::now().instant;
        let limits = LaneLimits { batches, ..LIMITS };
        let mut queue = Queue::new(limits);
        let mut away = BTreeSet::new();
        for (n, (what, key, bytes)) in steps.into_iter().enumerate() {
            let now = start + Duration::from_secs(n as u64);
            queue.release_delayed(now);
            match what {
                0 => queue.push(job(key, bytes)),
                1 => queue.push_delayed(job(key, bytes), now + Duration::from_secs(bytes)),
                2 => { queue.note_change(&key, Writes::NONE); }
                3 => if let Some(job) = queue.start_next(NO_LIMIT) {
                    let more = queue.start_batch(&job);
                    for job in std::iter::once(job).chain(more) {
                        prop_assert!(away.insert(job.key), "started twice");
                    }
                },
                4 => if away.contains(&key) { queue.recording(&key) },
                _ => if away.remove(&key) { queue.finish(&key); },
            }
            prop_assert_eq!(queue.ready.len() + queue.delayed.len() + away.len(), queue.len());
            prop_assert!(queue.running.get(&Lane::Short).is_none_or(|n| *n <= LIMITS.short));
            prop_assert!(queue.running.get(&Lane::Batch).is_none_or(|n| *n <= batches));
            prop_assert!(queue.running.get(&Lane::Long).is_none_or(|n| *n <= LIMITS.long));
        }
    }
}

fn job(key: u32, size: u64) -> Job<u32> {
    let identity = Identity { device: 1, inode: 1, size, mtime_ns: 0, ctime_ns: 0 };
    let (writes, mode) = (Writes::CLOSED, UploadMode::Settled);
    Job { key, identity, writes, mode, failures: Failures::default() }
}
