//! Back-off: the delay after failures of the gateway.
//!
//! The first `retry_attempts` failures in a row wait for at most
//! `retry_delay_seconds`. After that the limit doubles with each failure, up to
//! [`SLOW_DELAY_MAX`]. The agent never gives up. A key that the gateway does not
//! know waits for the longest time at once, because a quick retry is pointless.
//! Jitter is full, so that many agents do not retry together. It is added to
//! a Retry-After.
//!
//! Pure: the random number is a parameter. [`super::circuit_breaker`] applies
//! these delays to the whole agent.

use std::time::Duration;

/// Long enough not to burden a gateway that is down for days, short enough to
/// notice soon that it is back.
pub const SLOW_DELAY_MAX: Duration = Duration::from_secs(300);
/// Limit for a Retry-After of the gateway.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    pub quick_tries: u32,
    pub quick_delay: Duration,
}

/// Consequence of a failed attempt for the next one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetryHint {
    pub retry_after: Option<Duration>,
    /// True if a quick retry is pointless, because the key is wrong.
    pub slow: bool,
}

impl RetryPolicy {
    /// Returns the delay after the `failures`-th failure in a row. `random` is in
    /// 0..1.
    pub fn delay(&self, failures: u32, hint: RetryHint, random: f64) -> Duration {
        let jitter = self.delay_max(failures, hint).mul_f64(random.clamp(0.0, 1.0));
        hint.retry_after.unwrap_or_default().min(RETRY_AFTER_MAX) + jitter
    }

    fn delay_max(&self, failures: u32, hint: RetryHint) -> Duration {
        if hint.slow {
            return SLOW_DELAY_MAX;
        }
        let doublings = failures.saturating_sub(self.quick_tries).min(31);
        self.quick_delay.saturating_mul(1 << doublings).min(SLOW_DELAY_MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const POLICY: RetryPolicy = RetryPolicy { quick_tries: 3, quick_delay: Duration::from_secs(5) };
    const PLAIN: RetryHint = RetryHint { retry_after: None, slow: false };

    #[test]
    fn delays_grow_with_failures_and_respect_retry_after() {
        let after =
            |seconds| RetryHint { retry_after: Some(Duration::from_secs(seconds)), ..PLAIN };
        let slow = RetryHint { slow: true, ..PLAIN };
        #[rustfmt::skip]
        let cases = [
            // situation                    failures hint        random seconds
            ("first quick try",             1,       PLAIN,       1.0,   5.0),
            ("jitter may be none",          1,       PLAIN,       0.0,   0.0),
            ("last quick try",              3,       PLAIN,       1.0,   5.0),
            ("the limit begins to grow",        4,       PLAIN,       1.0,   10.0),
            ("and doubles",                 6,       PLAIN,       1.0,   40.0),
            ("half the jitter",                  6,       PLAIN,       0.5,   20.0),
            ("up to its limit",             99,      PLAIN,       1.0,   300.0),
            ("a wrong key is retried slowly", 1,       slow,        1.0,   300.0),
            ("Retry-After is a minimum",   1,       after(30),   0.0,   30.0),
            ("and jittered",                1,       after(30),   1.0,   35.0),
            ("limited to an hour",        1,       after(9999), 0.0,   3600.0),
        ];
        for (situation, failures, hint, random, want) in cases {
            let got = POLICY.delay(failures, hint, random);
            assert_eq!(got, Duration::from_secs_f64(want), "{situation}");
        }
    }

    proptest! {
        #[test]
        fn a_delay_is_never_longer_than_its_limits_nor_shorter_than_retry_after(
            failures in 0u32..10_000, random in 0.0f64..1.0, seconds in proptest::option::of(0u64..10_000)
        ) {
            let hint = RetryHint { retry_after: seconds.map(Duration::from_secs), slow: false };
            let delay = POLICY.delay(failures, hint, random);
            prop_assert!(delay <= RETRY_AFTER_MAX + SLOW_DELAY_MAX);
            prop_assert!(delay >= hint.retry_after.unwrap_or_default().min(RETRY_AFTER_MAX));
        }
    }
}
