//! The time limits of calls.
//!
//! Every call has a limit: a server that accepts a request and never answers would
//! otherwise block its caller forever. How long a failed call is retried is the
//! decision of the caller (`retry`).

use std::time::Duration;

/// The time limits of all calls. Programs use [`Timeouts::default`], tests shorter
/// ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Maximum time for connecting, TLS included.
    pub connect: Duration,
    /// Maximum time for an answer, in addition to the time for its bytes.
    pub answer: Duration,
    /// Maximum time for the next bytes of a download.
    pub idle: Duration,
    /// Minimum speed of a body; a slower transfer is cancelled.
    pub bytes_per_second_min: u64,
    /// Interval of the warnings about a call that keeps failing.
    pub warn_every: Duration,
}

/// A reachable host answers within one round trip.
const CONNECT: Duration = Duration::from_secs(10);
/// S3 answers in milliseconds, but some servers take seconds to write a part.
const ANSWER: Duration = Duration::from_secs(60);
/// A connection that delivers nothing for this long counts as broken.
const IDLE: Duration = Duration::from_secs(30);
/// On a slower link a part of 32 MiB would take more than nine minutes.
const BYTES_PER_SECOND_MIN: u64 = 64 << 10;
/// Often enough to be noticed, rarely enough to be read: six hours are 360 lines.
const WARN_EVERY: Duration = Duration::from_secs(60);

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            connect: CONNECT,
            answer: ANSWER,
            idle: IDLE,
            bytes_per_second_min: BYTES_PER_SECOND_MIN,
            warn_every: WARN_EVERY,
        }
    }
}

impl Timeouts {
    /// Returns the time limit of a call that transfers `bytes`.
    pub(crate) fn limit(&self, bytes: u64) -> Duration {
        self.answer + Duration::from_secs(bytes / self.bytes_per_second_min.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_a_call_grows_with_its_bytes() {
        let timeouts = Timeouts::default();
        for (bytes, seconds) in [(0, 60), (64 << 10, 61), (32 << 20, 572)] {
            assert_eq!(timeouts.limit(bytes), Duration::from_secs(seconds), "{bytes}");
        }
        let divided = Timeouts { bytes_per_second_min: 0, ..timeouts };
        assert_eq!(divided.limit(7), Duration::from_secs(67), "no division by zero");
    }
}
