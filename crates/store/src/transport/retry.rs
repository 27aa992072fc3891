//! The retry schedule of failed calls.
//!
//! Exponential back-off with full jitter
//! (<https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>):
//! the wait is drawn between zero and a ceiling that doubles. The caller decides
//! for how long to retry. The retries of the SDK are off, so that there is one
//! schedule.

use std::error::Error;
use std::time::Duration;

use crate::clock;
use crate::error::{StoreError, StoreErrorKind};
use crate::transport::connect::Store;

const CEILING_FIRST: Duration = Duration::from_millis(100);
/// Longer waits would only delay the recovery once S3 is back.
const CEILING_MAX: Duration = Duration::from_secs(20);

/// Returns the wait after failure number `failures_before`, counted from 0.
/// `random` lies in `0.0..=1.0`. The wait is at least what S3 asked for, up to the
/// maximum.
pub(crate) fn backoff(
    failures_before: u32,
    retry_after: Option<Duration>,
    random: f64,
) -> Duration {
    let ceiling = CEILING_FIRST.saturating_mul(1 << failures_before.min(16)).min(CEILING_MAX);
    ceiling.mul_f64(random).max(retry_after.unwrap_or_default().min(CEILING_MAX))
}

/// Data that was damaged in transit is sent again; broken memory would damage it
/// every time.
const DAMAGED_ATTEMPTS_MAX: u32 = 3;

/// An answer that was cut off is whole the next time. A server with another dialect
/// answers the same way for ever.
const UNREADABLE_IN_A_ROW_MAX: u32 = 2;

/// A request that waited long before it was sent is signed again. A clock that is
/// wrong stays wrong.
const CLOCK_SKEW_IN_A_ROW_MAX: u32 = 2;

/// Returns true if a failed call is retried. `failed` counts the failures so far,
/// this one included, and `in_a_row` those of the same kind up to it.
fn is_retryable(kind: StoreErrorKind, failed: u32, in_a_row: u32) -> bool {
    match kind {
        StoreErrorKind::Transient => true,
        // The next attempt is signed with another time.
        StoreErrorKind::ClockSkew => in_a_row < CLOCK_SKEW_IN_A_ROW_MAX,
        StoreErrorKind::Unreadable => in_a_row < UNREADABLE_IN_A_ROW_MAX,
        StoreErrorKind::Corrupt => failed < DAMAGED_ATTEMPTS_MAX,
        StoreErrorKind::NotFound
        | StoreErrorKind::NoUpload
        | StoreErrorKind::NoBucket
        | StoreErrorKind::NoLifecycleRules
        | StoreErrorKind::ExpiredCredentials
        | StoreErrorKind::Quota
        | StoreErrorKind::BadCredentials
        | StoreErrorKind::NoCredentials
        | StoreErrorKind::Denied
        | StoreErrorKind::WrongRegion
        | StoreErrorKind::Precondition
        | StoreErrorKind::Archived
        | StoreErrorKind::TooLong
        | StoreErrorKind::NotImplemented
        | StoreErrorKind::Permanent => false,
    }
}

/// Paces the warnings about a call that keeps failing.
struct WarningTimer {
    every: Duration,
    warned: u32,
}

impl WarningTimer {
    /// Returns true if a warning is due, `waited` after the first failure.
    fn is_due(&mut self, waited: Duration) -> bool {
        let is_due = waited >= self.every.saturating_mul(self.warned + 1);
        if is_due {
            let turns = waited.as_nanos() / self.every.as_nanos().max(1);
            self.warned = u32::try_from(turns).unwrap_or(u32::MAX - 1);
        }
        is_due
    }
}

impl Store {
    /// Repeats `call` until it succeeds, fails permanently, or the next wait would
    /// exceed `retry_for`.
    pub(crate) async fn retry<T, F>(
        &self,
        retry_for: Duration,
        mut call: impl FnMut() -> F,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let started = clock::now();
        let mut warning_timer =
            WarningTimer { every: self.settings.timeouts.warn_every, warned: 0 };
        let mut attempt = 0;
        let mut in_a_row = (None, 0);
        let logged_after = self.settings.timeouts.warn_every.min(INTERRUPTION_LOGGED);
        let mut interruption = InterruptedWait { logged_after, waiting: None };
        loop {
            let outcome = call().await;
            interruption.waiting = None;
            let err = match outcome {
                Ok(value) => return Ok(value),
                Err(err) => err,
            };
            let wait = backoff(attempt, err.retry_after, random());
            attempt += 1;
            let waited = clock::now() - started;
            in_a_row = match in_a_row {
                (Some(kind), count) if kind == err.kind => (Some(kind), count + 1),
                _ => (Some(err.kind), 1),
            };
            if !is_retryable(err.kind, attempt, in_a_row.1)
                || waited.saturating_add(wait) > retry_for
            {
                return Err(err);
            }
            interruption.waiting = Some((waited, err.to_string()));
            if warning_timer.is_due(waited) {
                warn(&err, waited);
            }
            tracing::debug!(
                event = "store_retry",
                attempt,
                wait_seconds = wait.as_secs_f64(),
                "{err}"
            );
            tokio::time::sleep(wait).await;
        }
    }
}

/// A shorter wait needs no explanation.
const INTERRUPTION_LOGGED: Duration = Duration::from_secs(10);

/// Says what a call was waiting for if it is dropped meanwhile, as by SIGTERM.
struct InterruptedWait {
    logged_after: Duration,
    /// Time since the call began to fail, and its last error.
    waiting: Option<(Duration, String)>,
}

impl Drop for InterruptedWait {
    fn drop(&mut self) {
        let Some((waited, err)) = &self.waiting else { return };
        if *waited >= self.logged_after {
            tracing::warn!(
                event = "store_wait_interrupted",
                waited_seconds = waited.as_secs(),
                "stopped while retrying: {err}"
            );
        }
    }
}

fn warn(err: &StoreError, waited: Duration) {
    tracing::warn!(
        event = "store_waiting",
        key = %err.subject,
        waited_seconds = waited.as_secs(),
        cause = err.source().map(tracing::field::display),
        "retrying: {err}"
    );
}

/// Jitter needs no secrecy. If the kernel gives no randomness, the full wait is
/// right.
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
    fn the_backoff_doubles_up_to_its_maximum_and_honours_retry_after() {
        let ms = Duration::from_millis;
        #[rustfmt::skip]
        let cases = [
            // failures retry-after     random  wait
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
            assert_eq!(backoff(attempt, retry_after, random), want, "{attempt} {random}");
        }
    }

    #[test]
    fn only_failures_that_may_pass_are_retried() {
        #[rustfmt::skip]
        let cases = [
            // kind            failures  in a row  retried
            (StoreErrorKind::Transient,  1,        1,        true),
            (StoreErrorKind::Transient,  1_000,    1_000,    true),
            (StoreErrorKind::Unreadable, 1,        1,        true),
            (StoreErrorKind::Unreadable, 7,        1,        true),
            (StoreErrorKind::Unreadable, 2,        2,        false),
            (StoreErrorKind::Corrupt,    1,        1,        true),
            (StoreErrorKind::Corrupt,    2,        2,        true),
            (StoreErrorKind::Corrupt,    3,        1,        false),
            (StoreErrorKind::ClockSkew,  1,        1,        true),
            (StoreErrorKind::ClockSkew,  2,        2,        false),
            (StoreErrorKind::Denied,     1,        1,        false),
            (StoreErrorKind::NotFound,   1,        1,        false),
            (StoreErrorKind::Permanent,  1,        1,        false),
        ];
        for (kind, failed, in_a_row, want) in cases {
            assert_eq!(is_retryable(kind, failed, in_a_row), want, "{kind:?} {failed} {in_a_row}");
        }
    }

    #[test]
    fn a_call_that_keeps_failing_is_warned_about_once_a_minute() {
        let mut warning_timer = WarningTimer { every: Duration::from_secs(60), warned: 0 };
        #[rustfmt::skip]
        let cases = [
            (0, false), (59, false), (60, true), (61, false), (119, false), (125, true),
            (179, false), (180, true), (1000, true), (1001, false), (1020, true),
        ];
        for (seconds, want) in cases {
            assert_eq!(warning_timer.is_due(Duration::from_secs(seconds)), want, "{seconds} s");
        }
    }
}
