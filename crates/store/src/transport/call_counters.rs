//! Counts the calls to S3 and the time until their answers, for metrics.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The calls since the start that had one result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallTotal {
    pub calls: u64,
    /// Time of all of them until the answer, their bodies included.
    pub elapsed: Duration,
}

/// The calls since the start. A call that is repeated counts again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallTotals {
    pub succeeded: CallTotal,
    /// S3 answered with an error, or not in time.
    pub failed: CallTotal,
}

/// Clones count together.
#[derive(Clone, Debug, Default)]
pub(crate) struct CallCounters(Arc<[CallCounter; 2]>);

#[derive(Debug, Default)]
struct CallCounter {
    calls: AtomicU64,
    micros: AtomicU64,
}

impl CallCounters {
    pub(super) fn add(&self, has_succeeded: bool, elapsed: Duration) {
        let counter = &self.0[usize::from(has_succeeded)];
        let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        counter.calls.fetch_add(1, Ordering::Relaxed);
        counter.micros.fetch_add(micros, Ordering::Relaxed);
    }

    pub(super) fn totals(&self) -> CallTotals {
        let total = |counter: &CallCounter| CallTotal {
            calls: counter.calls.load(Ordering::Relaxed),
            elapsed: Duration::from_micros(counter.micros.load(Ordering::Relaxed)),
        };
        let [failed, succeeded] = &*self.0;
        CallTotals { succeeded: total(succeeded), failed: total(failed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_their_result() {
        let counters = CallCounters::default();
        for (has_succeeded, millis) in [(true, 5), (false, 7), (true, 6)] {
            counters.clone().add(has_succeeded, Duration::from_millis(millis));
        }
        let total = |calls, millis| CallTotal { calls, elapsed: Duration::from_millis(millis) };
        let want = CallTotals { succeeded: total(2, 11), failed: total(1, 7) };
        assert_eq!(counters.totals(), want);
    }
}
