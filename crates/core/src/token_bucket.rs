//! A token bucket: decides when bytes may be sent under a bandwidth limit.
//!
//! At most a quarter of a second's bytes pass at once. A transfer that takes more than there is
//! goes into debt and waits, so all transfers get their turn in the order in which they asked.

use std::num::NonZeroU64;
use std::time::Duration;

/// Share of a second's bytes that may pass at once.
const BURST: f64 = 0.25;

/// Pure: the time is a parameter, counted from the creation of the bucket.
#[derive(Debug)]
pub struct TokenBucket {
    bytes_per_second: f64,
    /// A negative number is a debt.
    tokens: f64,
    at: Duration,
}

impl TokenBucket {
    pub fn new(bytes_per_second: NonZeroU64) -> TokenBucket {
        let bytes_per_second = bytes_per_second.get() as f64;
        TokenBucket { bytes_per_second, tokens: bytes_per_second * BURST, at: Duration::ZERO }
    }

    /// Takes `bytes` and returns how long to wait before sending them.
    pub fn take(&mut self, bytes: u64, now: Duration) -> Duration {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.at = self.at.max(now);
        let full = self.bytes_per_second * BURST;
        self.tokens = (self.tokens + passed * self.bytes_per_second).min(full) - bytes as f64;
        Duration::from_secs_f64((-self.tokens).max(0.0) / self.bytes_per_second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(bytes_per_second: u64) -> TokenBucket {
        TokenBucket::new(NonZeroU64::new(bytes_per_second).expect("not zero"))
    }

    #[test]
    fn a_bucket_fills_over_time_and_lends() {
        let mut bucket = bucket(1000);
        let ms = Duration::from_millis;
        #[rustfmt::skip]
        let cases = [
            // now      bytes   wait
            (ms(0),     250,    ms(0)),      // the burst
            (ms(0),     100,    ms(100)),    // a debt
            (ms(50),    100,    ms(150)),    // a second one also waits for the first
            (ms(1_000), 250,    ms(0)),      // full again, not fuller
            (ms(1_000), 5_000,  ms(5_000)),  // more than a second's bytes pass, later
            (ms(6_000), 1,      ms(1)),
            (ms(5_000), 1,      ms(2)),      // a clock that goes backwards gives nothing
        ];
        for (now, bytes, want) in cases {
            assert_eq!(bucket.take(bytes, now), want, "{bytes} at {now:?}");
        }
    }

    #[test]
    fn no_second_passes_more_than_its_bytes_and_a_burst() {
        for (rate, slice, senders) in [(1000, 125, 1), (1000, 125, 4), (1 << 20, 1 << 17, 3)] {
            let mut bucket = bucket(rate);
            let mut times = vec![Duration::ZERO; senders];
            let mut sent = Vec::new();
            for _ in 0..400 {
                let next = times.iter_mut().min().expect("a sender");
                *next += bucket.take(slice, *next);
                sent.push(*next);
            }
            let last = *sent.last().expect("slices sent");
            for start in (0..last.as_secs()).map(Duration::from_secs) {
                let end = start + Duration::from_secs(1);
                let count = sent.iter().filter(|at| (start..end).contains(*at)).count() as u64;
                assert!(count * slice <= rate + rate / 2, "{rate} {senders}: {count} at {start:?}");
            }
            let all = sent.len() as f64 * slice as f64 / last.as_secs_f64();
            assert!(all <= rate as f64 * 1.1 && all >= rate as f64 * 0.9, "{rate}: {all}");
        }
    }
}
