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
/// Maximum size of a file that is sent in a batch. A longer one gains nothing there.
pub const BATCHED_BYTES_MAX: u64 = 256 << 10;
/// Maximum number of batches at a time. The gateway stores some files of each at the same time, so
/// more would only take memory.
pub const BATCHES_MAX: usize = 4;
/// Maximum number of files of one batch. Each of them is open until its answer.
const BATCH_FILES_MAX: usize = 64;
/// Maximum number of bytes of one batch, which are in memory.
const BATCH_BYTES_MAX: u64 = 4 * MIB;

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
    /// Returns true if a failure now is the file's own: it failed before, and others were stored since.
    pub fn is_own(&self, successes: u64) -> bool {
        self.count > 0 && successes > self.successes_before
    }
}

/// Maximum number of uploads at a time in each lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneLimits {
    pub short: usize,
    pub long: usize,
    /// Maximum number of batches; 0: each file is sent by itself.
    pub batches: usize,
    /// Maximum size of a short file.
    pub short_bytes_max: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Lane {
    /// Files that can be sent in a batch.
    Batch,
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
    /// Number of files that are being uploaded in the batch of another one.
    batched: usize,
    /// False while each file is sent by itself.
    sends_batches: bool,
    changed: BTreeMap<K, Writes>,
}

#[derive(Clone, Copy, Debug)]
enum Slot {
    Ready(Lane, u64),
    Delayed(Instant, u64),
    Uploading(Lane),
    /// The file is being uploaded in the batch of another one, which counts as one upload.
    Batched,
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
            batched: 0,
            sends_batches: true,
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

    /// Returns the number of files that are being uploaded.
    pub fn uploading_count(&self) -> usize {
        self.running_count() + self.batched
    }

    /// Returns the number of running uploads. A batch is one.
    fn running_count(&self) -> usize {
        self.running.values().sum()
    }

    /// Queues a settled file. One that is being uploaded is only marked as changed.
    pub fn push(&mut self, mut job: Job<K>) {
        match self.note_change(&job.key, job.writes) {
            ChangeTarget::InFlight => return,
            ChangeTarget::NotInFlight(writes) => job.writes = writes,
        }
        let lane = self.lane(&job);
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
            Some(Slot::Uploading(_) | Slot::Batched | Slot::Recording) => {
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
        if self.running_count() >= limit {
            return None;
        }
        let long_max = (limit - 1).max(1);
        let short = [Lane::Batch, Lane::Short].into_iter().filter(|lane| self.may_start(*lane));
        let lane = match short.min_by_key(|lane| self.first(*lane)) {
            Some(lane) => lane,
            None if self.running_in(Lane::Long) < long_max && self.may_start(Lane::Long) => {
                Lane::Long
            }
            None => return None,
        };
        let turn = self.first(lane)?;
        let job = self.ready.remove(&(lane, turn))?;
        self.slots.insert(job.key.clone(), Slot::Uploading(lane));
        *self.running.entry(lane).or_default() += 1;
        Some(job)
    }

    /// Says whether short files are sent in batches from now on.
    pub fn send_batches(&mut self, sends_batches: bool) {
        self.sends_batches = sends_batches;
    }

    /// Starts more files in the batch of `job`, which was just started: its share of those that wait,
    /// if the other batches start as well.
    pub fn start_batch(&mut self, job: &Job<K>) -> Vec<Job<K>> {
        let mut batch = Vec::new();
        let is_in_lane = matches!(self.slots.get(&job.key), Some(Slot::Uploading(Lane::Batch)));
        if !is_in_lane || !self.sends_batches {
            return batch;
        }
        let batches = 1 + self.limits.batches.saturating_sub(self.running_in(Lane::Batch));
        let all = BATCH_FILES_MAX * batches;
        let waiting =
            self.ready.range((Lane::Batch, 0)..=(Lane::Batch, u64::MAX)).take(all).count();
        let files_max = (1 + waiting).div_ceil(batches).min(BATCH_FILES_MAX);
        let mut bytes = job.identity.size;
        while 1 + batch.len() < files_max
            && let Some(turn) = self.first(Lane::Batch)
            && let Some(next) = self.ready.get(&(Lane::Batch, turn))
            && bytes + next.identity.size <= BATCH_BYTES_MAX
            && let Some(next) = self.ready.remove(&(Lane::Batch, turn))
        {
            bytes += next.identity.size;
            self.slots.insert(next.key.clone(), Slot::Batched);
            self.batched += 1;
            batch.push(next);
        }
        batch
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
        match self.slots.get(key) {
            Some(Slot::Uploading(lane)) => {
                let running = self.running.entry(*lane).or_default();
                *running = running.saturating_sub(1);
            }
            Some(Slot::Batched) => self.batched -= 1,
            Some(Slot::Ready(..) | Slot::Delayed(..) | Slot::Recording) | None => {}
        }
    }

    fn may_start(&self, lane: Lane) -> bool {
        let limit = match lane {
            Lane::Batch if self.sends_batches => self.limits.batches,
            Lane::Batch => self.limits.short,
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

    /// A file that failed before is sent by itself: it may be what its batch failed by.
    fn lane(&self, job: &Job<K>) -> Lane {
        let bytes = job.identity.size;
        let is_plain = job.mode == UploadMode::Settled && job.failures.count == 0;
        match bytes {
            0..=BATCHED_BYTES_MAX if is_plain && self.limits.batches > 0 => Lane::Batch,
            _ if bytes <= self.limits.short_bytes_max => Lane::Short,
            _ => Lane::Long,
        }
    }

    fn take_turn(&mut self) -> u64 {
        self.next_turn += 1;
        self.next_turn
    }
}

#[cfg(test)]
mod tests;
