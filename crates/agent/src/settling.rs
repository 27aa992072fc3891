//! The settle wheel: decides when a file has settled (elsewhere: *debounce*).
//!
//! A path becomes due one debounce time after its first event, and the caller
//! then reads its identity. The file has settled if its mtime and ctime are both
//! older than the debounce time. It has also settled if two readings that far
//! apart gave the same identity, since a file dated in the future never looks
//! old. Otherwise this was one attempt, and the path waits for the rest of its
//! time. Ten thousand paths wait independently of each other.
//!
//! An event neither postpones a waiting path nor resets its attempts; otherwise
//! a file that is rewritten all the time would never be reported. After
//! `max_attempts` attempts it is reported once and stays on the wheel: it settles
//! when it stops changing, and IN_CLOSE_WRITE starts a new count.
//!
//! Pure: both clocks are parameters, and the caller reads the files.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::time::{Duration, Instant};

use crate::files::identity::Identity;

/// Minimum time between two uploads of a file that never settles.
pub const HOT_EVERY: Duration = Duration::from_secs(3600);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SettlePolicy {
    pub debounce: Duration,
    pub max_attempts: u32,
    pub on_max_attempts: OnMaxAttempts,
}

/// Treatment of a file that never settles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnMaxAttempts {
    /// Makes the file a problem until it settles.
    Skip,
    /// Uploads the file as it is. It stays a problem, because the upload may be torn.
    Upload,
}

/// An event of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileEvent {
    Changed,
    /// A writer closed the file.
    Closed,
}

/// Result of an observation of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettleResult {
    /// The file left the wheel and can be uploaded.
    Settled,
    Waiting,
    /// The attempts are used up. Returned once until the path settles.
    NeverSettled,
    /// The attempts are used up, and the file is to be uploaded as it is.
    Hot,
}

/// The time of both clocks: the monotonic one for waiting, and the wall clock to
/// compare with timestamps of files.
#[derive(Clone, Copy, Debug)]
pub struct Clocks {
    pub instant: Instant,
    pub wall_ns: i64,
}

impl Clocks {
    /// Returns the wall clock in seconds since the Unix epoch.
    pub fn wall_seconds(self) -> i64 {
        self.wall_ns.div_euclid(1_000_000_000)
    }
}

#[derive(Debug)]
pub struct SettleWheel<K> {
    policy: SettlePolicy,
    waiting: HashMap<K, WaitingPath>,
    due: BTreeSet<(Instant, K)>,
}

#[derive(Clone, Copy, Debug)]
struct WaitingPath {
    /// Time of the next observation; `None` while the caller makes it.
    due: Option<Instant>,
    /// The last identity, and when it was first observed.
    observed: Option<(Identity, Instant)>,
    attempts: u32,
    given_up: bool,
    hot_at: Option<Instant>,
}

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

    /// Takes an event: the path waits from now on, unless it waits already.
    pub fn note_event(&mut self, key: K, event: FileEvent, now: Instant) {
        match self.waiting.get_mut(&key) {
            Some(waiting) if event == FileEvent::Closed && waiting.given_up => waiting.attempts = 0,
            Some(_) => {}
            None => self.wait(key, WaitingPath::new(None), now + self.policy.debounce),
        }
    }

    /// Adds a path that a scan found, with its identity.
    pub fn add_found(&mut self, key: K, identity: Identity, now: Clocks) -> SettleResult {
        if self.waiting.contains_key(&key) {
            return SettleResult::Waiting;
        }
        let rest = match self.rest(&identity, now) {
            None => return SettleResult::Settled,
            Some(rest) => rest,
        };
        self.wait(key, WaitingPath::new(Some((identity, now.instant))), now.instant + rest);
        SettleResult::Waiting
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

    /// Takes the identity that a due path has now.
    pub fn observe(&mut self, key: &K, identity: Identity, now: Clocks) -> SettleResult {
        let Some(mut waiting) = self.waiting.remove(key) else { return SettleResult::Waiting };
        if let Some(due) = waiting.due {
            self.due.remove(&(due, key.clone()));
        }
        let Some(rest) = self.rest(&identity, now) else { return SettleResult::Settled };
        let rest = match waiting.observed {
            Some((observed, since)) if observed == identity => {
                let unchanged_for = now.instant.saturating_duration_since(since);
                match self.policy.debounce.checked_sub(unchanged_for) {
                    None | Some(Duration::ZERO) => return SettleResult::Settled,
                    Some(left) => left,
                }
            }
            _ => {
                waiting.observed = Some((identity, now.instant));
                rest
            }
        };
        waiting.attempts += 1;
        let result = waiting.result(&self.policy, now.instant);
        self.wait(key.clone(), waiting, now.instant + rest);
        result
    }

    /// Removes a path that is gone, or that is not uploaded.
    pub fn forget(&mut self, key: &K) {
        if let Some(WaitingPath { due: Some(due), .. }) = self.waiting.remove(key) {
            self.due.remove(&(due, key.clone()));
        }
    }

    /// Returns the time until `identity` is older than the debounce time; `None` if
    /// it is. A date in the future proves nothing and leaves the whole time.
    fn rest(&self, identity: &Identity, now: Clocks) -> Option<Duration> {
        let age = now.wall_ns.saturating_sub(identity.changed_at_ns());
        match u64::try_from(age) {
            Ok(age) => match self.policy.debounce.checked_sub(Duration::from_nanos(age)) {
                None | Some(Duration::ZERO) => None,
                rest => rest,
            },
            Err(_) => Some(self.policy.debounce),
        }
    }

    fn wait(&mut self, key: K, waiting: WaitingPath, due: Instant) {
        self.due.insert((due, key.clone()));
        self.waiting.insert(key, WaitingPath { due: Some(due), ..waiting });
    }
}

impl WaitingPath {
    fn new(observed: Option<(Identity, Instant)>) -> WaitingPath {
        WaitingPath { due: None, observed, attempts: 0, given_up: false, hot_at: None }
    }

    fn result(&mut self, policy: &SettlePolicy, now: Instant) -> SettleResult {
        if self.attempts < policy.max_attempts {
            return SettleResult::Waiting;
        }
        match policy.on_max_attempts {
            OnMaxAttempts::Skip if self.given_up => SettleResult::Waiting,
            OnMaxAttempts::Skip => {
                self.given_up = true;
                SettleResult::NeverSettled
            }
            OnMaxAttempts::Upload => {
                self.given_up = true;
                if self.hot_at.is_some_and(|at| now.saturating_duration_since(at) < HOT_EVERY) {
                    return SettleResult::Waiting;
                }
                self.hot_at = Some(now);
                SettleResult::Hot
            }
        }
    }
}

#[cfg(test)]
mod tests;
