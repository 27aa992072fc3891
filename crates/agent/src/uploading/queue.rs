//! The queue: settled files that wait for an upload, and those being uploaded.
//!
//! It is keyed by path: a path is here once, however often it changed, so memory
//! grows with the number of files and not of events. Short files (one part) and
//! long ones have a lane each, so that a long file never delays the short ones.
//! A change during an upload is remembered, and [`Queue::finish`] returns it.
//!
//! Pure: no clock, no channel.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::time::Instant;

use s3up_core::part::MIB;

use crate::files::identity::Identity;
use crate::files::writes::Writes;
use crate::uploading::task::UploadMode;

/// Maximum size of a short file, which is read into memory and sent from there.
pub const SHORT_BYTES_MAX: u64 = 8 * MIB;

/// A file to upload, as it was when it settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job<K> {
    pub key: K,
    pub identity: Identity,
    pub writes: Writes,
    pub mode: UploadMode,
    pub failures: Failures,
}

/// The failed attempts of one file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    pub count: u32,
    /// Number of failures while others were stored.
    pub own: u32,
    /// Number of uploads of the agent that had succeeded at the last failure.
    pub successes_before: u64,
}

impl Failures {
    /// True if a failure now is the file's own: it failed before, and others were stored since.
    pub fn is_own(&self, successes: u64) -> bool {
        self.count > 0 && successes > self.successes_before
    }
}

/// Maximum number of uploads at a time in each lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneLimits {
    pub short: usize,
    pub long: usize,
    /// Maximum size of a short file.
    pub short_bytes_max: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Lane {
    Short,
    Long,
}

/// Answer to [`Queue::note_change`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeTarget {
    /// The file is being uploaded or recorded; `finish` will return the change.
    InFlight,
    /// The file is not in the queue any more: it has to settle. The events are those
    /// of the removed job, if there was one, and the new one.
    NotInFlight(Writes),
}

#[derive(Debug)]
pub struct Queue<K> {
    limits: LaneLimits,
    next_turn: u64,
    ready: BTreeMap<(Lane, u64), Job<K>>,
    delayed: BTreeMap<(Instant, u64), Job<K>>,
    slots: HashMap<K, Slot>,
    running: BTreeMap<Lane, usize>,
    changed: BTreeMap<K, Writes>,
}

#[derive(Clone, Copy, Debug)]
enum Slot {
    Ready(Lane, u64),
    Delayed(Instant, u64),
    Uploading(Lane),
    /// The upload is over, and its result is not in the database yet.
    Recording,
}

impl<K: Clone + Eq + Hash + Ord> Queue<K> {
    pub fn new(limits: LaneLimits) -> Queue<K> {
        Queue {
            limits,
            next_turn: 0,
            ready: BTreeMap::new(),
            delayed: BTreeMap::new(),
            slots: HashMap::new(),
            running: BTreeMap::new(),
            changed: BTreeMap::new(),
        }
    }

    /// Returns the number of files, also those being uploaded or recorded.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Returns the number of running uploads.
    pub fn uploading_count(&self) -> usize {
        self.running.values().sum()
    }

    /// Queues a settled file. One that is being uploaded is only marked as changed.
    pub fn push(&mut self, mut job: Job<K>) {
        match self.note_change(&job.key, job.writes) {
            ChangeTarget::InFlight => return,
            ChangeTarget::NotInFlight(writes) => job.writes = writes,
        }
        let lane = self.lane(job.identity.size);
        let turn = self.take_turn();
        self.slots.insert(job.key.clone(), Slot::Ready(lane, turn));
        self.ready.insert((lane, turn), job);
    }

    /// Queues a file that may start no earlier than `at`. It delays no other file.
    pub fn push_delayed(&mut self, mut job: Job<K>, at: Instant) {
        match self.note_change(&job.key, job.writes) {
            ChangeTarget::InFlight => return,
            ChangeTarget::NotInFlight(writes) => job.writes = writes,
        }
        let turn = self.take_turn();
        self.slots.insert(job.key.clone(), Slot::Delayed(at, turn));
        self.delayed.insert((at, turn), job);
    }

    /// Marks the file as changed: it has to settle again.
    pub fn note_change(&mut self, key: &K, event: Writes) -> ChangeTarget {
        let removed = match self.slots.get(key) {
            None => None,
            Some(Slot::Uploading(_) | Slot::Recording) => {
                self.changed.entry(key.clone()).or_default().add(event);
                return ChangeTarget::InFlight;
            }
            Some(Slot::Ready(lane, turn)) => self.ready.remove(&(*lane, *turn)),
            Some(Slot::Delayed(at, turn)) => self.delayed.remove(&(*at, *turn)),
        };
        self.slots.remove(key);
        let mut writes = removed.map(|job| job.writes).unwrap_or_default();
        writes.add(event);
        ChangeTarget::NotInFlight(writes)
    }

    /// Returns the number of files that wait, ready or delayed.
    pub fn waiting_count(&self) -> usize {
        self.ready.len() + self.delayed.len()
    }

    /// Returns the number of files whose upload is not in the database yet.
    pub fn recording_count(&self) -> usize {
        self.len() - self.waiting_count() - self.uploading_count()
    }

    /// Makes the delayed files ready whose time has come.
    pub fn release_delayed(&mut self, now: Instant) {
        while let Some(entry) = self.delayed.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let job = entry.remove();
            self.slots.remove(&job.key);
            self.push(job);
        }
    }

    /// Returns the next file that may start, short ones first. At most `limit` uploads run, and a
    /// long file leaves one of them to the short ones, if there is more than one.
    pub fn start_next(&mut self, limit: usize) -> Option<Job<K>> {
        let running = self.uploading_count();
        let long_max = (limit - 1).max(1);
        let lane = [Lane::Short, Lane::Long].into_iter().find(|lane| {
            let room = match lane {
                Lane::Short => running < limit,
                Lane::Long => running < limit && self.running_in(Lane::Long) < long_max,
            };
            room && self.may_start(*lane)
        })?;
        let turn = self.first(lane)?;
        let job = self.ready.remove(&(lane, turn))?;
        self.slots.insert(job.key.clone(), Slot::Uploading(lane));
        *self.running.entry(lane).or_default() += 1;
        Some(job)
    }

    /// Returns when the next delayed file may start.
    pub fn next_delayed_at(&self) -> Option<Instant> {
        self.delayed.keys().next().map(|(at, _)| *at)
    }

    /// Ends the upload of a file that has to be recorded. Its lane is free again.
    pub fn recording(&mut self, key: &K) {
        self.leave_lane(key);
        self.slots.insert(key.clone(), Slot::Recording);
    }

    /// Removes a file. Returns its change during the upload, if there was one.
    pub fn finish(&mut self, key: &K) -> Option<Writes> {
        self.leave_lane(key);
        self.slots.remove(key);
        self.changed.remove(key)
    }

    fn leave_lane(&mut self, key: &K) {
        if let Some(Slot::Uploading(lane)) = self.slots.get(key) {
            let running = self.running.entry(*lane).or_default();
            *running = running.saturating_sub(1);
        }
    }

    fn may_start(&self, lane: Lane) -> bool {
        let limit = match lane {
            Lane::Short => self.limits.short,
            Lane::Long => self.limits.long,
        };
        self.running_in(lane) < limit && self.first(lane).is_some()
    }

    fn running_in(&self, lane: Lane) -> usize {
        self.running.get(&lane).copied().unwrap_or_default()
    }

    fn first(&self, lane: Lane) -> Option<u64> {
        self.ready.range((lane, 0)..=(lane, u64::MAX)).next().map(|((_, turn), _)| *turn)
    }

    fn lane(&self, bytes: u64) -> Lane {
        if bytes <= self.limits.short_bytes_max { Lane::Short } else { Lane::Long }
    }

    fn take_turn(&mut self) -> u64 {
        self.next_turn += 1;
        self.next_turn
    }
}

#[cfg(test)]
mod tests;
