//! When a file has settled: the wheel on which every path waits for itself.
//!
//! A path becomes due one debounce time after its first event; then it is
//! looked at. It has settled when its mtime and ctime are both older than the
//! debounce time, or when two looks that far apart saw the same identity (a
//! file dated in the future never looks old). Anything else is one round, and
//! it waits for the rest of its time. Ten thousand paths wait side by side.
//!
//! Events neither postpone a path that already waits nor restart its rounds,
//! or a file that is rewritten again and again would never be reported. After
//! `max_attempts` rounds it is given up, which is said once, and watched on:
//! when it falls quiet it settles like any other, and IN_CLOSE_WRITE starts a
//! new count.
//!
//! Pure: both clocks are parameters, and the looking is the caller's.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::time::{Duration, Instant};

use crate::identity::Identity;

/// A file that never settles is sent as it is at most this often.
pub const HOT_EVERY: Duration = Duration::from_secs(3600);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    pub debounce: Duration,
    pub max_attempts: u32,
    pub on_max_attempts: OnMaxAttempts,
}

/// What becomes of a file that never settles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnMaxAttempts {
    /// It is a problem until it falls quiet.
    Skip,
    /// It is sent as it is, and stays a problem: what was sent may be torn.
    Upload,
}

/// What happened to a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touch {
    Changed,
    /// Closed by a writer.
    Closed,
}

/// What a look at a path means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Off the wheel, ready to be uploaded.
    Settled,
    Waiting,
    /// Given up; said once for as long as the path does not settle.
    NeverSettled,
    /// Given up, to be sent as it is.
    Hot,
}

/// Both clocks at one moment: the monotonic one for waiting, the wall clock to
/// compare with what the filesystem says.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    pub instant: Instant,
    pub wall_ns: i64,
}

#[derive(Debug)]
pub struct Wheel<K> {
    policy: Policy,
    waiting: HashMap<K, Waiting>,
    due: BTreeSet<(Instant, K)>,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    /// When it is looked at next; `None` while it is being looked at.
    due: Option<Instant>,
    /// What was seen last, and since when.
    seen: Option<(Identity, Instant)>,
    rounds: u32,
    given_up: bool,
    hot_at: Option<Instant>,
}

impl<K: Clone + Eq + Hash + Ord> Wheel<K> {
    pub fn new(policy: Policy) -> Wheel<K> {
        Wheel { policy, waiting: HashMap::new(), due: BTreeSet::new() }
    }

    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// An event: the path waits from now, if it does not wait already.
    pub fn touch(&mut self, key: K, touch: Touch, now: Instant) {
        match self.waiting.get_mut(&key) {
            Some(waiting) if touch == Touch::Closed && waiting.given_up => waiting.rounds = 0,
            Some(_) => {}
            None => self.wait(key, Waiting::new(None), now + self.policy.debounce),
        }
    }

    /// First sight of a path by a scan, which has looked at it already.
    pub fn found(&mut self, key: K, identity: Identity, now: Now) -> Verdict {
        if self.waiting.contains_key(&key) {
            return Verdict::Waiting;
        }
        let rest = match self.rest(&identity, now) {
            None => return Verdict::Settled,
            Some(rest) => rest,
        };
        self.wait(key, Waiting::new(Some((identity, now.instant))), now.instant + rest);
        Verdict::Waiting
    }

    pub fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Up to `count_max` paths that are due. Each must be looked at, and the
    /// look told to [`Wheel::saw`] or [`Wheel::forget`].
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

    /// A due path was looked at.
    pub fn saw(&mut self, key: &K, identity: Identity, now: Now) -> Verdict {
        let Some(mut waiting) = self.waiting.remove(key) else { return Verdict::Waiting };
        if let Some(due) = waiting.due {
            self.due.remove(&(due, key.clone()));
        }
        let Some(rest) = self.rest(&identity, now) else { return Verdict::Settled };
        let rest = match waiting.seen {
            Some((seen, since)) if seen == identity => {
                let held = now.instant.saturating_duration_since(since);
                match self.policy.debounce.checked_sub(held) {
                    None | Some(Duration::ZERO) => return Verdict::Settled,
                    Some(left) => left,
                }
            }
            _ => {
                waiting.seen = Some((identity, now.instant));
                rest
            }
        };
        waiting.rounds += 1;
        let verdict = waiting.judge(&self.policy, now.instant);
        self.wait(key.clone(), waiting, now.instant + rest);
        verdict
    }

    /// The path is gone, or is no longer ours to wait for.
    pub fn forget(&mut self, key: &K) {
        if let Some(Waiting { due: Some(due), .. }) = self.waiting.remove(key) {
            self.due.remove(&(due, key.clone()));
        }
    }

    /// How long until `identity` is older than the debounce time; `None` where
    /// it is. A date in the future says nothing, so the whole time is waited.
    fn rest(&self, identity: &Identity, now: Now) -> Option<Duration> {
        let age = now.wall_ns.saturating_sub(identity.changed_at_ns());
        match u64::try_from(age) {
            Ok(age) => match self.policy.debounce.checked_sub(Duration::from_nanos(age)) {
                None | Some(Duration::ZERO) => None,
                rest => rest,
            },
            Err(_) => Some(self.policy.debounce),
        }
    }

    fn wait(&mut self, key: K, waiting: Waiting, due: Instant) {
        self.due.insert((due, key.clone()));
        self.waiting.insert(key, Waiting { due: Some(due), ..waiting });
    }
}

impl Waiting {
    fn new(seen: Option<(Identity, Instant)>) -> Waiting {
        Waiting { due: None, seen, rounds: 0, given_up: false, hot_at: None }
    }

    fn judge(&mut self, policy: &Policy, now: Instant) -> Verdict {
        if self.rounds < policy.max_attempts {
            return Verdict::Waiting;
        }
        match policy.on_max_attempts {
            OnMaxAttempts::Skip if self.given_up => Verdict::Waiting,
            OnMaxAttempts::Skip => {
                self.given_up = true;
                Verdict::NeverSettled
            }
            OnMaxAttempts::Upload => {
                self.given_up = true;
                if self.hot_at.is_some_and(|at| now.saturating_duration_since(at) < HOT_EVERY) {
                    return Verdict::Waiting;
                }
                self.hot_at = Some(now);
                Verdict::Hot
            }
        }
    }
}

#[cfg(test)]
mod tests;
