//! Counts the calls to S3 and the time until their answers, for metrics.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::latencies::Latencies;

/// The calls since the start that had one result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallTotal {
    pub calls: u64,
    /// Time of all of them until the answer, their bodies included.
    pub elapsed: Duration,
    pub latencies: Latencies,
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

#[derive(Debug)]
struct CallCounter {
    calls: AtomicU64,
    micros: AtomicU64,
    /// Number of calls in each range of [`Latencies`].
    ranges: [AtomicU64; Latencies::ranges()],
}

impl Default for CallCounter {
    fn default() -> CallCounter {
        CallCounter {
            calls: AtomicU64::default(),
            micros: AtomicU64::default(),
            ranges: [const { AtomicU64::new(0) }; Latencies::ranges()],
        }
    }
}

impl CallCounters {
    pub(super) fn add(&self, has_succeeded: bool, elapsed: Duration) {
        let counter = &self.0[usize::from(has_succeeded)];
        let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        counter.calls.fetch_add(1, Ordering::Relaxed);
        counter.micros.fetch_add(micros, Ordering::Relaxed);
        if let Some(range) = counter.ranges.get(Latencies::range_of(elapsed)) {
            range.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn totals(&self) -> CallTotals {
        let total = |counter: &CallCounter| CallTotal {
            calls: counter.calls.load(Ordering::Relaxed),
            elapsed: Duration::from_micros(counter.micros.load(Ordering::Relaxed)),
            latencies: Latencies::of(counter.ranges.iter().map(|it| it.load(Ordering::Relaxed))),
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
        let CallTotals { succeeded, failed } = counters.totals();
        let of = |total: CallTotal| (total.calls, total.elapsed.as_millis());
        assert_eq!((of(succeeded), of(failed)), ((2, 11), (1, 7)));
        let (first, last) = (succeeded.latencies.percentile(50), failed.latencies.percentile(99));
        assert!(first >= Some(Duration::from_millis(5)) && first < Some(Duration::from_millis(6)));
        assert!(last >= Some(Duration::from_millis(7)) && last < Some(Duration::from_millis(9)));
    }
}
