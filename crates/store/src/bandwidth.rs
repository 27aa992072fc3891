//! How fast bodies go: a bucket of tokens, one per direction and process.
//!
//! Bytes are taken in short slices, so a part of any length goes through, and
//! the line is used evenly: no more goes at once than a quarter of a second's
//! worth. Whoever takes more than there is goes into debt and waits for it, so
//! all transfers get their turn in the order in which they asked.

use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The part of a second's bytes that may go at once.
const BURST: f64 = 0.25;
/// Slices of fast lines need not be longer than this.
const SLICE_BYTES_MAX: u64 = 256 << 10;

/// Pure: the time is a parameter, counted from when the bucket was made.
#[derive(Debug)]
struct Bucket {
    bytes_per_second: f64,
    /// Below zero: a debt.
    tokens: f64,
    at: Duration,
}

impl Bucket {
    fn new(bytes_per_second: NonZeroU64) -> Bucket {
        let bytes_per_second = bytes_per_second.get() as f64;
        Bucket { bytes_per_second, tokens: bytes_per_second * BURST, at: Duration::ZERO }
    }

    /// Takes `bytes`, and says how long to wait before they may go.
    fn take(&mut self, bytes: u64, now: Duration) -> Duration {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.at = self.at.max(now);
        let full = self.bytes_per_second * BURST;
        self.tokens = (self.tokens + passed * self.bytes_per_second).min(full) - bytes as f64;
        Duration::from_secs_f64((-self.tokens).max(0.0) / self.bytes_per_second)
    }
}

/// One direction. Clones share their bucket.
#[derive(Clone, Debug)]
pub(crate) struct Line(Option<Arc<Metered>>);

#[derive(Debug)]
struct Metered {
    slice_bytes: u64,
    began: Instant,
    bucket: Mutex<Bucket>,
}

impl Line {
    /// `None`: as fast as it goes.
    pub(crate) fn new(bytes_per_second: Option<NonZeroU64>) -> Line {
        Line(bytes_per_second.map(|bytes_per_second| {
            let slice_bytes = (bytes_per_second.get() / 8).clamp(1, SLICE_BYTES_MAX);
            let bucket = Mutex::new(Bucket::new(bytes_per_second));
            Arc::new(Metered { slice_bytes, began: Instant::now(), bucket })
        }))
    }

    pub(crate) fn is_limited(&self) -> bool {
        self.0.is_some()
    }

    /// As much as should go at once.
    pub(crate) fn slice_bytes(&self) -> u64 {
        self.0.as_ref().map_or(u64::MAX, |metered| metered.slice_bytes)
    }

    /// Takes `bytes`, and says how long to wait before they may go.
    pub(crate) fn take(&self, bytes: u64) -> Duration {
        let Some(metered) = &self.0 else { return Duration::ZERO };
        let now = metered.began.elapsed();
        metered.bucket.lock().unwrap_or_else(PoisonError::into_inner).take(bytes, now)
    }

    /// Waits until `bytes` may go.
    pub(crate) async fn pass(&self, bytes: u64) {
        let wait = self.take(bytes);
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(bytes_per_second: u64) -> Bucket {
        Bucket::new(NonZeroU64::new(bytes_per_second).expect("not zero"))
    }

    #[test]
    fn a_bucket_over_time() {
        let mut bucket = bucket(1000);
        let ms = Duration::from_millis;
        #[rustfmt::skip]
        let cases = [
            // now      bytes   wait
            (ms(0),     250,    ms(0)),      // what may go at once
            (ms(0),     100,    ms(100)),    // a debt
            (ms(50),    100,    ms(150)),    // a second one waits for the first, too
            (ms(1_000), 250,    ms(0)),      // full again, and not fuller
            (ms(1_000), 5_000,  ms(5_000)),  // more than a second's worth goes, later
            (ms(6_000), 1,      ms(1)),
            (ms(5_000), 1,      ms(2)),      // a clock that goes back gives nothing
        ];
        for (now, bytes, want) in cases {
            assert_eq!(bucket.take(bytes, now), want, "{bytes} at {now:?}");
        }
    }

    #[test]
    fn no_second_gets_more_than_its_worth_and_a_burst() {
        for (rate, slice, senders) in [(1000, 125, 1), (1000, 125, 4), (1 << 20, 1 << 17, 3)] {
            let mut bucket = bucket(rate);
            let mut times = vec![Duration::ZERO; senders];
            let mut went = Vec::new();
            for _ in 0..400 {
                let next = times.iter_mut().min().expect("a sender");
                *next += bucket.take(slice, *next);
                went.push(*next);
            }
            let last = *went.last().expect("slices went");
            for start in (0..last.as_secs()).map(Duration::from_secs) {
                let end = start + Duration::from_secs(1);
                let count = went.iter().filter(|at| (start..end).contains(*at)).count() as u64;
                assert!(count * slice <= rate + rate / 2, "{rate} {senders}: {count} at {start:?}");
            }
            let all = went.len() as f64 * slice as f64 / last.as_secs_f64();
            assert!(all <= rate as f64 * 1.1 && all >= rate as f64 * 0.9, "{rate}: {all}");
        }
    }
}
