//! Decides whether S3 is known to be away: every call of some time has failed in a way that may pass.
//!
//! One failure proves nothing, and an answer that S3 does give ends it at once. A program that serves
//! others can refuse their requests meanwhile, and does not let each of them try S3 by itself.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::clock;
use crate::error::StoreErrorKind;

/// Number of failures in a row from which on S3 may be away: one may be lost with its connection, and
/// a second with another connection of the same age.
const FAILURES_MIN: u32 = 3;
/// Time for which all calls have failed. Repeated calls get over shorter troubles.
const FAILING_FOR_MIN: Duration = Duration::from_secs(5);

/// The failures since the last answer of S3. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reachability(Arc<Mutex<Failures>>);

/// Pure.
#[derive(Debug, Default)]
struct Failures {
    count: u32,
    /// Begin of the first call that failed.
    since: Option<Instant>,
    /// The last answer. A call that began before it fails from then on only.
    answered_at: Option<Instant>,
}

impl Failures {
    fn add(&mut self, began: Instant) {
        let began = self.answered_at.map_or(began, |at| began.max(at));
        self.count = self.count.saturating_add(1);
        self.since = Some(self.since.map_or(began, |since| since.min(began)));
    }

    /// Returns the time for which S3 is away at the time `now`.
    fn away_for(&self, now: Instant) -> Option<Duration> {
        let failing_for = now.saturating_duration_since(self.since?);
        (self.count >= FAILURES_MIN && failing_for >= FAILING_FOR_MIN).then_some(failing_for)
    }
}

/// Returns true if a failure shows that S3 answered. A refusal is an answer.
fn is_answer(kind: StoreErrorKind) -> bool {
    !matches!(kind, StoreErrorKind::Transient | StoreErrorKind::Unreadable)
}

impl Reachability {
    /// Records a call that began at `began`. `failure` is `None` for one that succeeded.
    pub(crate) fn record(&self, began: Instant, failure: Option<StoreErrorKind>) {
        match failure {
            Some(kind) if !is_answer(kind) => self.failures().add(began),
            Some(_) | None => {
                let answered_at = Some(clock::now());
                *self.failures() = Failures { answered_at, ..Failures::default() };
            }
        }
    }

    /// Returns the time for which no call was answered, if S3 is known to be away.
    pub(crate) fn away_for(&self) -> Option<Duration> {
        self.failures().away_for(clock::now())
    }

    fn failures(&self) -> MutexGuard<'_, Failures> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s3_is_away_after_some_failures_in_a_row_over_some_time() {
        let start = clock::now();
        let seconds = Duration::from_secs;
        #[rustfmt::skip]
        let cases: [(&[u64], u64, Option<u64>); 7] = [
            // begins of failed calls   now   away for
            (&[],                       100,  None),
            (&[10, 10, 10],             11,   None),
            (&[10, 11],                 100,  None),
            (&[10, 11, 12],             14,   None),
            (&[10, 11, 12],             15,   Some(5)),
            // Calls end in another order than they begin.
            (&[70, 10, 60],             71,   Some(61)),
            (&[10, 12, 14, 20, 40],     41,   Some(31)),
        ];
        for (began, now, want) in cases {
            let mut failures = Failures::default();
            began.iter().for_each(|at| failures.add(start + seconds(*at)));
            assert_eq!(
                failures.away_for(start + seconds(now)),
                want.map(seconds),
                "{began:?} {now}"
            );
        }
    }

    #[test]
    fn an_answer_of_s3_ends_it_also_a_refusal() {
        let long_ago = clock::now() - 2 * FAILING_FOR_MIN;
        for answer in [None, Some(StoreErrorKind::Denied), Some(StoreErrorKind::NotFound)] {
            let reachability = Reachability::default();
            for kind in [StoreErrorKind::Transient, StoreErrorKind::Unreadable].repeat(2) {
                reachability.record(long_ago, Some(kind));
            }
            assert!(reachability.away_for().is_some());

            reachability.record(long_ago, answer);

            assert_eq!(reachability.away_for(), None, "{answer:?}");
        }
    }
}
