//! When a failed call is tried again.
//!
//! Exponential back-off with full jitter
//! (<https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>):
//! the wait is drawn between nothing and a ceiling that doubles. For how long
//! to go on is the caller's decision. The SDK's own retries are off, so that
//! there is one schedule.

use std::time::Duration;

use tokio::time::Instant;

use crate::error::{Kind, StoreError};

const CEILING_FIRST: Duration = Duration::from_millis(100);
/// Longer waits would only delay the recovery of a store that is back.
const CEILING_MAX: Duration = Duration::from_secs(20);

/// The wait before try number `attempt + 1` (the first failure is attempt 0).
/// `random` lies in `0.0..1.0`; what the store asks for is a lower bound.
pub(crate) fn delay(attempt: u32, retry_after: Option<Duration>, random: f64) -> Duration {
    let ceiling = CEILING_FIRST.saturating_mul(1 << attempt.min(16)).min(CEILING_MAX);
    ceiling.mul_f64(random).max(retry_after.unwrap_or_default().min(CEILING_MAX))
}

/// Calls until it succeeds, fails for good, or `retry_for` is over.
pub(crate) async fn retry<T, F>(
    retry_for: Duration,
    mut call: impl FnMut() -> F,
) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let end = Instant::now() + retry_for;
    let mut attempt = 0;
    loop {
        let err = match call().await {
            Ok(value) => return Ok(value),
            Err(err) => err,
        };
        let wait = delay(attempt, err.retry_after, random());
        let hopeless = !matches!(err.kind, Kind::Transient | Kind::Unreadable);
        if hopeless || Instant::now() + wait > end {
            return Err(err);
        }
        tracing::debug!(event = "store_retry", attempt, wait_ms = wait.as_millis() as u64, "{err}");
        tokio::time::sleep(wait).await;
        attempt += 1;
    }
}

/// Jitter needs no secrecy; without randomness from the kernel the full wait is right.
fn random() -> f64 {
    match getrandom::u32() {
        Ok(bits) => f64::from(bits) / f64::from(u32::MAX),
        Err(_) => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schedule() {
        let ms = Duration::from_millis;
        #[rustfmt::skip]
        let cases = [
            // attempt  store says      random  wait
            (0,         None,           0.0,    ms(0)),
            (0,         None,           1.0,    ms(100)),
            (1,         None,           1.0,    ms(200)),
            (1,         None,           0.5,    ms(100)),
            (5,         None,           1.0,    ms(3_200)),
            (8,         None,           1.0,    ms(20_000)),
            (1_000_000, None,           1.0,    ms(20_000)),
            (0,         Some(ms(5000)), 0.0,    ms(5_000)),
            (0,         Some(ms(10)),   1.0,    ms(100)),
            (0,         Some(ms(1 << 30)), 0.0, ms(20_000)),
        ];
        for (attempt, retry_after, random, want) in cases {
            assert_eq!(delay(attempt, retry_after, random), want, "{attempt} {random}");
        }
    }
}
