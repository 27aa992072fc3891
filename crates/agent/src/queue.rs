//! What is ready to be uploaded, and what is on its way.
//!
//! Keyed by path, so that memory follows the number of files and not of
//! events: a path is here once, however often it was touched. Short files
//! (one part) and long ones wait in lanes of their own, so that a big file
//! never blocks small ones. A path that is touched while it is on its way is
//! marked, and its owner is told when it comes back.
//!
//! Pure: no clock, no channel.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;
use std::time::Instant;

use crate::identity::Identity;

/// One file to upload, as it was when it settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job<K> {
    pub key: K,
    pub identity: Identity,
    /// Sent as it is, though it never settled.
    pub hot: bool,
    /// How often the gateway failed on it.
    pub failures: u32,
}

/// How many may be on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub short: usize,
    pub long: usize,
    /// A file of at most so many bytes is short.
    pub short_bytes_max: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Lane {
    Short,
    Long,
}

/// What a touch found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touched {
    /// It is on its way; its owner will hear of the touch when it is back.
    OnItsWay,
    /// It is not here (any more): it has to settle.
    Free,
}

#[derive(Debug)]
pub struct Queue<K> {
    limits: Limits,
    next_turn: u64,
    ready: BTreeMap<(Lane, u64), Job<K>>,
    later: BTreeMap<(Instant, u64), Job<K>>,
    places: HashMap<K, Place>,
    running: BTreeMap<Lane, usize>,
    touched: BTreeSet<K>,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Ready(Lane, u64),
    Later(Instant, u64),
    OnItsWay(Lane),
    /// Sent, and not yet in the database.
    Recording,
}

impl<K: Clone + Eq + Hash + Ord> Queue<K> {
    pub fn new(limits: Limits) -> Queue<K> {
        Queue {
            limits,
            next_turn: 0,
            ready: BTreeMap::new(),
            later: BTreeMap::new(),
            places: HashMap::new(),
            running: BTreeMap::new(),
            touched: BTreeSet::new(),
        }
    }

    /// All that is here, on its way included.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Uploads under way.
    pub fn on_its_way_count(&self) -> usize {
        self.running.values().sum()
    }

    /// Queues a settled file. One that is on its way is only marked as touched.
    pub fn push(&mut self, job: Job<K>) {
        if self.touch(&job.key) == Touched::OnItsWay {
            return;
        }
        let lane = self.lane(job.identity.size);
        let turn = self.turn();
        self.places.insert(job.key.clone(), Place::Ready(lane, turn));
        self.ready.insert((lane, turn), job);
    }

    /// Queues a file for a later time; it stays on its own clock while the
    /// others go on.
    pub fn push_later(&mut self, job: Job<K>, at: Instant) {
        if self.touch(&job.key) == Touched::OnItsWay {
            return;
        }
        let turn = self.turn();
        self.places.insert(job.key.clone(), Place::Later(at, turn));
        self.later.insert((at, turn), job);
    }

    /// Something happened to the file: it has to settle again.
    pub fn touch(&mut self, key: &K) -> Touched {
        match self.places.get(key) {
            None => return Touched::Free,
            Some(Place::OnItsWay(_) | Place::Recording) => {
                self.touched.insert(key.clone());
                return Touched::OnItsWay;
            }
            Some(Place::Ready(lane, turn)) => drop(self.ready.remove(&(*lane, *turn))),
            Some(Place::Later(at, turn)) => drop(self.later.remove(&(*at, *turn))),
        }
        self.places.remove(key);
        Touched::Free
    }

    /// Files that are ready, or put off; not those under way.
    pub fn waiting_count(&self) -> usize {
        self.ready.len() + self.later.len()
    }

    /// Sent, and not yet in the database.
    pub fn recording_count(&self) -> usize {
        self.len() - self.waiting_count() - self.on_its_way_count()
    }

    /// Readies what was put off until now.
    pub fn ripen(&mut self, now: Instant) {
        while let Some(entry) = self.later.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let job = entry.remove();
            self.places.remove(&job.key);
            self.push(job);
        }
    }

    /// The next file that may start, short ones first.
    pub fn start(&mut self) -> Option<Job<K>> {
        let lane = [Lane::Short, Lane::Long].into_iter().find(|lane| self.may_start(*lane))?;
        let turn = self.first(lane)?;
        let job = self.ready.remove(&(lane, turn))?;
        self.places.insert(job.key.clone(), Place::OnItsWay(lane));
        *self.running.entry(lane).or_default() += 1;
        Some(job)
    }

    /// When a file that was put off may start; `None` where none was.
    pub fn next_later(&self) -> Option<Instant> {
        self.later.keys().next().map(|(at, _)| *at)
    }

    /// An upload is over, but not yet recorded: it makes room for the next.
    pub fn recording(&mut self, key: &K) {
        self.leave_lane(key);
        self.places.insert(key.clone(), Place::Recording);
    }

    /// A file is done with. True where it was touched on its way.
    pub fn finish(&mut self, key: &K) -> bool {
        self.leave_lane(key);
        self.places.remove(key);
        self.touched.remove(key)
    }

    fn leave_lane(&mut self, key: &K) {
        if let Some(Place::OnItsWay(lane)) = self.places.get(key) {
            let running = self.running.entry(*lane).or_default();
            *running = running.saturating_sub(1);
        }
    }

    fn may_start(&self, lane: Lane) -> bool {
        let limit = match lane {
            Lane::Short => self.limits.short,
            Lane::Long => self.limits.long,
        };
        self.running.get(&lane).is_none_or(|n| *n < limit) && self.first(lane).is_some()
    }

    fn first(&self, lane: Lane) -> Option<u64> {
        self.ready.range((lane, 0)..=(lane, u64::MAX)).next().map(|((_, turn), _)| *turn)
    }

    fn lane(&self, bytes: u64) -> Lane {
        if bytes <= self.limits.short_bytes_max { Lane::Short } else { Lane::Long }
    }

    fn turn(&mut self) -> u64 {
        self.next_turn += 1;
        self.next_turn
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits { short: 2, long: 1, short_bytes_max: 100 };

    #[test]
    fn long_files_never_block_short_ones() {
        let mut queue = Queue::new(LIMITS);
        for n in 0..3 {
            queue.push(job(n, 1000));
        }
        for n in 10..13 {
            queue.push(job(n, 100));
        }

        let started: Vec<_> = std::iter::from_fn(|| queue.start()).map(|job| job.key).collect();

        assert_eq!(started, [10, 11, 0], "two short ones and one long one");
        assert!(!queue.finish(&10));
        assert_eq!(queue.start().map(|job| job.key), Some(12));
        assert_eq!(queue.start(), None, "the long lane is full");
    }

    #[test]
    fn a_path_is_queued_once_however_often_it_is_pushed() {
        let mut queue = Queue::new(LIMITS);
        for _ in 0..5 {
            queue.push(job(1, 1));
        }
        assert_eq!(queue.len(), 1);
        assert!(queue.start().is_some());
        assert_eq!(queue.start(), None);
    }

    #[test]
    fn a_touch_takes_a_waiting_file_out_and_marks_one_on_its_way() {
        let mut queue = Queue::new(LIMITS);
        queue.push(job(1, 1));
        assert_eq!(queue.touch(&1), Touched::Free);
        assert!(queue.is_empty());

        queue.push(job(1, 1));
        queue.start().unwrap();
        assert_eq!(queue.touch(&1), Touched::OnItsWay);
        queue.recording(&1);
        assert_eq!(queue.touch(&1), Touched::OnItsWay);
        assert!(queue.finish(&1), "its owner hears of it");
        assert!(queue.is_empty());
    }

    #[test]
    fn a_file_that_was_put_off_waits_alone() {
        let now = Instant::now();
        let later = now + Duration::from_secs(9);
        let mut queue = Queue::new(LIMITS);
        queue.push_later(job(1, 1), later);
        queue.push(job(2, 1));

        queue.ripen(now);
        assert_eq!(queue.start().map(|job| job.key), Some(2));
        assert_eq!(queue.start(), None);
        assert_eq!(queue.next_later(), Some(later));
        queue.ripen(later);
        assert_eq!(queue.start().map(|job| job.key), Some(1));
    }

    proptest! {
        /// Whatever comes in whatever order: no path is in two places, none is
        /// lost, and the lanes keep their limits.
        #[test]
        fn the_books_balance(steps in proptest::collection::vec((0u8..6, 0u32..8, 0u64..200), 0..300)) {
            let start = Instant::now();
            let mut queue = Queue::new(LIMITS);
            let mut away = BTreeSet::new();
            for (n, (what, key, bytes)) in steps.into_iter().enumerate() {
                let now = start + Duration::from_secs(n as u64);
                queue.ripen(now);
                match what {
                    0 => queue.push(job(key, bytes)),
                    1 => queue.push_later(job(key, bytes), now + Duration::from_secs(bytes)),
                    2 => { queue.touch(&key); }
                    3 => if let Some(job) = queue.start() {
                        prop_assert!(away.insert(job.key), "started twice");
                    },
                    4 => if away.contains(&key) { queue.recording(&key) },
                    _ => if away.remove(&key) { queue.finish(&key); },
                }
                prop_assert_eq!(queue.ready.len() + queue.later.len() + away.len(), queue.len());
                prop_assert!(queue.running.get(&Lane::Short).is_none_or(|n| *n <= LIMITS.short));
                prop_assert!(queue.running.get(&Lane::Long).is_none_or(|n| *n <= LIMITS.long));
            }
        }
    }

    fn job(key: u32, size: u64) -> Job<u32> {
        let identity = Identity { device: 1, inode: 1, size, mtime_ns: 0, ctime_ns: 0 };
        Job { key, identity, hot: false, failures: 0 }
    }
}
