//! Latencies of calls: a histogram of a fixed size. Pure.

use std::time::Duration;

/// Number of ranges: the first is up to 1 ms, the last from 54 s on.
const RANGES: usize = 65;
/// Number of ranges in which a time doubles, so that a percentile is at most 19 % too long from 1 ms to
/// 65 s.
const RANGES_PER_DOUBLING: f64 = 4.0;

/// Counts calls by the range of their time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latencies([u64; RANGES]);

impl Default for Latencies {
    fn default() -> Latencies {
        Latencies([0; RANGES])
    }
}

impl Latencies {
    pub(super) fn of(counts: impl Iterator<Item = u64>) -> Latencies {
        let mut latencies = Latencies::default();
        for (range, count) in latencies.0.iter_mut().zip(counts) {
            *range = count;
        }
        latencies
    }

    pub(super) const fn ranges() -> usize {
        RANGES
    }

    /// Returns the number of the range of a time.
    pub(super) fn range_of(elapsed: Duration) -> usize {
        let millis = (elapsed.as_secs_f64() * 1000.0).max(1.0);
        let range = (millis.log2() * RANGES_PER_DOUBLING).ceil();
        // At most a few hundred, and not negative.
        (range as usize).min(RANGES - 1)
    }

    /// Returns the longest time of a range.
    fn end_of(range: usize) -> Duration {
        Duration::from_secs_f64((range as f64 / RANGES_PER_DOUBLING).exp2() / 1000.0)
    }

    /// Returns the time within which `percent` of the calls were answered, rounded up to the end of its range;
    /// a time over 65 s is returned as 65.5 s. `None`: there were no calls.
    pub fn percentile(&self, percent: u64) -> Option<Duration> {
        let total: u64 = self.0.iter().sum();
        let rank = u128::from(total) * u128::from(percent.min(100));
        let rank = u64::try_from(rank.div_ceil(100)).unwrap_or(total).max(1);
        let mut counted = 0;
        let range = self.0.iter().position(|count| {
            counted += count;
            counted >= rank
        });
        range.map(Latencies::end_of)
    }

    /// Returns the calls since an earlier moment; `None` if the counts began again meanwhile.
    pub fn since(&self, earlier: &Latencies) -> Option<Latencies> {
        let mut left = *self;
        for (now, before) in left.0.iter_mut().zip(earlier.0) {
            *now = now.checked_sub(before)?;
        }
        Some(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(times: impl IntoIterator<Item = Duration>) -> Latencies {
        let mut latencies = Latencies::default();
        for time in times {
            latencies.0[Latencies::range_of(time)] += 1;
        }
        latencies
    }

    #[test]
    fn a_percentile_is_never_shorter_than_the_call_and_at_most_a_fifth_longer() {
        for micros in [1000, 1001, 1500, 2000, 2001, 9_999, 123_456, 30_000_000, 65_000_000] {
            let time = Duration::from_micros(micros);
            let found = counted([time]).percentile(50).unwrap();
            assert!(found >= time && found <= time.mul_f64(1.2), "{time:?}: {found:?}");
        }
        let millis = Duration::from_millis;
        assert_eq!(counted([Duration::ZERO]).percentile(50), Some(millis(1)));
        assert_eq!(counted([millis(3_600_000)]).percentile(50), Some(millis(65_536)));
    }

    #[test]
    fn percentiles_are_ranks() {
        let latencies =
            counted((1..=100).map(|n| Duration::from_millis(if n > 95 { 512 } else { 8 })));
        #[rustfmt::skip]
        let cases = [(0, 8), (50, 8), (95, 8), (96, 512), (99, 512), (100, 512), (200, 512)];
        for (percent, millis) in cases {
            assert_eq!(
                latencies.percentile(percent),
                Some(Duration::from_millis(millis)),
                "{percent}"
            );
        }
        assert_eq!(Latencies::default().percentile(99), None);
    }

    #[test]
    fn a_difference_has_the_calls_between_two_moments() {
        let (short, long) = (Duration::from_millis(2), Duration::from_millis(64));
        let (before, now) = (counted([short, short]), counted([short, short, long]));
        assert_eq!(now.since(&before), Some(counted([long])));
        assert_eq!(before.since(&now), None);
    }
}
