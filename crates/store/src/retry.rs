//! When a failed call is tried again.
//!
//! Exponential back-off with full jitter
//! (<https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>):
//! the wait is drawn between nothing and a ceiling that doubles. For how long
//! to go on is the caller's decision. The SDK's own retries are off, so that
//! there is one schedule.

use std::error::Error;
use std::time::Duration;

use tokio::time::Instant;

use crate::connect::Store;
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

/// A part or an answer that was damaged on the way is sent again; memory that is
/// broken would damage it every time.
const DAMAGED_TRIES_MAX: u32 = 3;

/// Whether a call that failed so is worth another try; `failed` counts the
/// failures, this one included.
fn is_worth_it(kind: Kind, failed: u32) -> bool {
    match kind {
        Kind::Transient | Kind::Unreadable => true,
        Kind::Corrupt => failed < DAMAGED_TRIES_MAX,
        Kind::NotFound
        | Kind::NoBucket
        | Kind::BadCredentials
        | Kind::NoCredentials
        | Kind::Denied
        | Kind::WrongRegion
        | Kind::ClockSkew
        | Kind::Precondition
        | Kind::Archived
        | Kind::TooLong
        | Kind::Permanent => false,
    }
}

/// Says, once every so often, that a call still fails.
struct Teller {
    every: Duration,
    told: u32,
}

impl Teller {
    /// Whether it is time to say so, `waited` after the first failure.
    fn is_due(&mut self, waited: Duration) -> bool {
        let is_due = waited >= self.every.saturating_mul(self.told + 1);
        if is_due {
            let turns = waited.as_nanos() / self.every.as_nanos().max(1);
            self.told = u32::try_from(turns).unwrap_or(u32::MAX - 1);
        }
        is_due
    }
}

impl Store {
    /// Calls until it succeeds, fails for good, or `retry_for` is over.
    pub(crate) async fn retry<T, F>(
        &self,
        retry_for: Duration,
        mut call: impl FnMut() -> F,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let began = Instant::now();
        let mut teller = Teller { every: self.settings.patience.tell_every, told: 0 };
        let mut attempt = 0;
        loop {
            let err = match call().await {
                Ok(value) => return Ok(value),
                Err(err) => err,
            };
            let wait = delay(attempt, err.retry_after, random());
            attempt += 1;
            let waited = began.elapsed();
            if !is_worth_it(err.kind, attempt) || waited.saturating_add(wait) > retry_for {
                return Err(err);
            }
            if teller.is_due(waited) {
                tell(&err, waited);
            }
            tracing::debug!(
                event = "store_retry",
                attempt,
                wait_ms = wait.as_millis() as u64,
                "{err}"
            );
            tokio::time::sleep(wait).await;
        }
    }
}

fn tell(err: &StoreError, waited: Duration) {
    tracing::warn!(
        event = "store_waiting",
        key = %err.subject,
        waited_s = waited.as_secs(),
        cause = err.source().map(tracing::field::display),
        "{err}; trying again"
    );
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

    #[test]
    fn what_is_worth_another_try() {
        #[rustfmt::skip]
        let cases = [
            // kind            failures  again
            (Kind::Transient,  1,        true),
            (Kind::Transient,  1_000,    true),
            (Kind::Unreadable, 7,        true),
            (Kind::Corrupt,    1,        true),
            (Kind::Corrupt,    2,        true),
            (Kind::Corrupt,    3,        false),
            (Kind::Denied,     1,        false),
            (Kind::NotFound,   1,        false),
            (Kind::Permanent,  1,        false),
        ];
        for (kind, failed, want) in cases {
            assert_eq!(is_worth_it(kind, failed), want, "{kind:?} {failed}");
        }
    }

    #[test]
    fn an_operator_is_told_once_a_minute() {
        let mut teller = Teller { every: Duration::from_secs(60), told: 0 };
        #[rustfmt::skip]
        let cases = [
            (0, false), (59, false), (60, true), (61, false), (119, false), (125, true),
            (179, false), (180, true), (1000, true), (1001, false), (1020, true),
        ];
        for (seconds, want) in cases {
            assert_eq!(teller.is_due(Duration::from_secs(seconds)), want, "{seconds} s");
        }
    }
}
