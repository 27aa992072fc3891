//! The settle wheel: decides when a file has settled (elsewhere: *debounce*).
//!
//! A path becomes due one debounce time after its first event, and the caller
//! then reads its identity. The file has settled if its mtime and ctime are both
//! older than its quiet time. It has also settled if two readings that far apart
//! gave the same identity, since a file dated in the future never looks old.
//! Otherwise the path is observed again, at the latest after another debounce
//! time. Ten thousand paths wait independently of each other.
//!
//! The quiet time is the debounce time, with two exceptions. Where stamps are
//! coarse, a stamp younger than its resolution proves nothing, so the resolution
//! is added. A file whose writer has it open is not complete because it is quiet,
//! so it has to be quiet for [`OPEN_QUIET`] times as long. A log that stays open for
//! weeks is never that quiet, so this ends after `max_attempts` debounce times.
//!
//! An event neither postpones a waiting path nor resets its attempts; otherwise
//! a file that is rewritten all the time would never be reported. Each observation that
//! finds another version is an attempt. After `max_attempts` of them the file is
//! reported once and stays on the wheel: it settles when it stops changing, and
//! IN_CLOSE_WRITE starts a new count.
//!
//! Pure: both clocks are parameters, and the caller reads the files.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::time::{Duration, Instant};

use crate::files::identity::Identity;
use crate::files::writes::{Evidence, LastWriter, Writes};

/// Number of debounce times that a file with an open writer has to be quiet: half a
/// minute by default. A log with one line every few seconds is one file, and its
/// last lines are still stored soon.
pub const OPEN_QUIET: u32 = 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SettlePolicy {
    pub debounce: Duration,
    pub max_attempts: u32,
    pub on_max_attempts: OnMaxAttempts,
    /// Minimum time between two uploads of a file that keeps changing.
    pub hot_every: Duration,
}

/// Treatment of a file that never settles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnMaxAttempts {
    /// The file is a problem until it settles.
    Skip,
    /// The file is uploaded as it is and stays a problem, because the upload may be torn.
    Upload,
}

/// Result of an observation of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettleVerdict {
    /// The file left the wheel and can be uploaded.
    Settled(Writes),
    Waiting,
    /// The attempts are used up. Returned once until the path settles.
    NeverSettled,
    /// The attempts are used up, and the file is to be uploaded as it is.
    Hot(Writes),
    /// The file was uploaded as it is, and its last changes have to wait for the next such upload.
    StillHot,
}

/// Both clocks at one moment: the monotonic one for waiting, and the wall clock to
/// compare with timestamps of files.
#[derive(Clone, Copy, Debug)]
pub struct ClockReading {
    pub instant: Instant,
    pub wall_ns: i64,
}

impl ClockReading {
    /// Returns the wall clock in seconds since the Unix epoch.
    pub fn wall_seconds(self) -> i64 {
        self.wall_ns.div_euclid(1_000_000_000)
    }
}

#[derive(Debug)]
pub struct SettleWheel<K> {
    policy: SettlePolicy,
    waiting: HashMap<K, Waiting>,
    due: BTreeSet<(Instant, K)>,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    /// Time of the next observation; `None` while the caller makes it.
    due: Option<Instant>,
    /// The last identity, and when it was first observed.
    observed: Option<(Identity, Instant)>,
    writes: Writes,
    /// Time of the first event.
    since: Instant,
    attempts: u32,
    given_up: bool,
    hot_at: Option<Instant>,
    /// True if the upload at `hot_at` stored the file, and no change was found since.
    hot_is_stored: bool,
    /// Number of hot uploads in a row that were torn.
    hot_torn: u32,
}

/// Maximum number of hot uploads in a row that are torn; the next one is due after `hot_every`. Each is unlucky: the
/// content of a short file is read at once.
const HOT_TORN_MAX: u32 = 5;

impl<K: Clone + Eq + Hash + Ord> SettleWheel<K> {
    pub fn new(policy: SettlePolicy) -> SettleWheel<K> {
        SettleWheel { policy, waiting: HashMap::new(), due: BTreeSet::new() }
    }

    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Records an event: the path waits from now on, unless it waits already.
    pub fn note_event(&mut self, key: K, event: Writes, now: Instant) {
        let soon = now + self.policy.debounce;
        let Some(waiting) = self.waiting.get_mut(&key) else {
            return self.wait(key, Waiting::new(None, event, now), soon);
        };
        waiting.writes.add(event);
        if event.writer == LastWriter::Closed && waiting.given_up {
            waiting.attempts = 0;
        }
    }

    /// Adds a path that a scan found, with its identity.
    pub fn add_scanned(&mut self, key: K, identity: Identity, now: ClockReading) -> SettleVerdict {
        if self.waiting.contains_key(&key) {
            return SettleVerdict::Waiting;
        }
        let writes = Writes::NONE;
        let waiting = Waiting::new(Some((identity, now.instant)), writes, now.instant);
        let quiet = self.quiet(&identity, &waiting, now);
        let Some(rest) = rest(&identity, quiet, now) else { return SettleVerdict::Settled(writes) };
        let due = now.instant + rest.min(self.policy.debounce);
        self.wait(key, waiting, due);
        SettleVerdict::Waiting
    }

    /// Notes that the upload of a hot file stored a whole version of it. The next change is reported as
    /// [`SettleVerdict::StillHot`]: otherwise the file would be pending, and no problem, until the next
    /// such upload.
    pub fn note_hot_stored(&mut self, key: &K) {
        if let Some(waiting) = self.waiting.get_mut(key) {
            waiting.hot_is_stored = true;
            waiting.hot_torn = 0;
        }
    }

    /// Notes that the upload of a hot file was torn and stored nothing. The next change of the file is
    /// [`SettleVerdict::Hot`] again, unless this happened [`HOT_TORN_MAX`] times in a row.
    pub fn note_hot_torn(&mut self, key: &K) {
        let Some(waiting) = self.waiting.get_mut(key) else { return };
        waiting.hot_torn += 1;
        match waiting.hot_torn < HOT_TORN_MAX {
            true => waiting.hot_at = None,
            false => waiting.hot_torn = 0,
        }
    }

    pub fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Returns up to `count_max` paths that are due. The caller passes each to
    /// [`SettleWheel::observe`] or [`SettleWheel::forget`].
    pub fn take_due(&mut self, count_max: usize, now: Instant) -> Vec<K> {
        let mut taken = Vec::new();
        while taken.len() < count_max {
            match self.due.first() {
                Some((due, _)) if *due <= now => {}
                _ => break,
            }
            let Some((_, key)) = self.due.pop_first() else { break };
            if let Some(waiting) = self.waiting.get_mut(&key) {
                waiting.due = None;
            }
            taken.push(key);
        }
        taken
    }

    /// Applies the identity that a due path has now.
    pub fn observe(&mut self, key: &K, identity: Identity, now: ClockReading) -> SettleVerdict {
        let Some(mut waiting) = self.waiting.remove(key) else { return SettleVerdict::Waiting };
        if let Some(due) = waiting.due {
            self.due.remove(&(due, key.clone()));
        }
        let quiet = self.quiet(&identity, &waiting, now);
        let settled = SettleVerdict::Settled(waiting.writes);
        let Some(rest) = rest(&identity, quiet, now) else { return settled };
        let (rest, verdict) = match waiting.observed {
            Some((observed, since)) if observed == identity => {
                let unchanged_for = now.instant.saturating_duration_since(since);
                match left(quiet, unchanged_for) {
                    None => return settled,
                    Some(left) => (left.min(rest), SettleVerdict::Waiting),
                }
            }
            _ => {
                waiting.observed = Some((identity, now.instant));
                waiting.attempts += 1;
                (rest, waiting.verdict(&self.policy, now.instant))
            }
        };
        self.wait(key.clone(), waiting, now.instant + rest.min(self.policy.debounce));
        verdict
    }

    /// Removes a path that is gone, or that is not uploaded.
    pub fn forget(&mut self, key: &K) {
        if let Some(Waiting { due: Some(due), .. }) = self.waiting.remove(key) {
            self.due.remove(&(due, key.clone()));
        }
    }

    /// Returns how long a file has to stay unchanged until it has settled.
    fn quiet(&self, identity: &Identity, waiting: &Waiting, now: ClockReading) -> Duration {
        let SettlePolicy { debounce, max_attempts, .. } = self.policy;
        let Writes { evidence, writer } = waiting.writes;
        let may_be_open = match writer {
            LastWriter::Open => true,
            // A file that is created before it is filled.
            LastWriter::Unknown => identity.size == 0 && evidence == Evidence::Written,
            LastWriter::Closed => false,
        };
        let waited = now.instant.saturating_duration_since(waiting.since);
        let is_patient = may_be_open && waited < debounce * max_attempts;
        let quiet = if is_patient { debounce * OPEN_QUIET } else { debounce };
        quiet + identity.stamp_resolution()
    }

    fn wait(&mut self, key: K, waiting: Waiting, due: Instant) {
        self.due.insert((due, key.clone()));
        self.waiting.insert(key, Waiting { due: Some(due), ..waiting });
    }
}

/// Returns the time until `identity` is older than `quiet`; `None` if it is. A date
/// in the future proves nothing and leaves the whole time.
fn rest(identity: &Identity, quiet: Duration, now: ClockReading) -> Option<Duration> {
    let age = now.wall_ns.saturating_sub(identity.changed_at_ns());
    let age = u64::try_from(age).map_or(Duration::ZERO, Duration::from_nanos);
    left(quiet, age)
}

/// Returns `quiet - passed`, or `None` if nothing is left.
fn left(quiet: Duration, passed: Duration) -> Option<Duration> {
    quiet.checked_sub(passed).filter(|left| !left.is_zero())
}

impl Waiting {
    fn new(observed: Option<(Identity, Instant)>, writes: Writes, since: Instant) -> Waiting {
        Waiting {
            due: None,
            observed,
            writes,
            since,
            attempts: 0,
            given_up: false,
            hot_at: None,
            hot_is_stored: false,
            hot_torn: 0,
        }
    }

    fn verdict(&mut self, policy: &SettlePolicy, now: Instant) -> SettleVerdict {
        if self.attempts < policy.max_attempts {
            return SettleVerdict::Waiting;
        }
        match policy.on_max_attempts {
            OnMaxAttempts::Skip if self.given_up => SettleVerdict::Waiting,
            OnMaxAttempts::Skip => {
                self.given_up = true;
                SettleVerdict::NeverSettled
            }
            OnMaxAttempts::Upload => {
                self.given_up = true;
                if self
                    .hot_at
                    .is_some_and(|at| now.saturating_duration_since(at) < policy.hot_every)
                {
                    return match std::mem::take(&mut self.hot_is_stored) {
                        true => SettleVerdict::StillHot,
                        false => SettleVerdict::Waiting,
                    };
                }
                (self.hot_at, self.hot_is_stored) = (Some(now), false);
                SettleVerdict::Hot(self.writes)
            }
        }
    }
}

#[cfg(test)]
mod tests;
