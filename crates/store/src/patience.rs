//! How long a call may take before it is given up, and made again.
//!
//! Every call has a limit: a store that accepts a request and never answers
//! would otherwise hold its caller for ever. For how long a call that fails is
//! repeated is another question, and the caller's (`retry`).

use std::time::Duration;

/// The time limits of all calls. [`Patience::default`] is what programs use;
/// tests use shorter ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For a connection to be made, TLS included.
    pub connect: Duration,
    /// For an answer, beside the time that the bytes take.
    pub answer: Duration,
    /// For the next bytes of a download.
    pub idle: Duration,
    /// A body that moves more slowly than this is given up, in bytes.
    pub bytes_per_second_min: u64,
    /// An operator is told so often that a call still fails.
    pub tell_every: Duration,
}

/// A host that is there answers within one round trip.
const CONNECT: Duration = Duration::from_secs(10);
/// S3 answers in milliseconds; some servers take seconds to write a part.
const ANSWER: Duration = Duration::from_secs(60);
/// A connection that delivers nothing for this long is taken for broken.
const IDLE: Duration = Duration::from_secs(30);
/// Slower links are not worth using: a part of 32 MiB would take nine minutes.
const BYTES_PER_SECOND_MIN: u64 = 64 << 10;
/// Often enough to be seen, rare enough to be read: six hours are 360 lines.
const TELL_EVERY: Duration = Duration::from_secs(60);

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            connect: CONNECT,
            answer: ANSWER,
            idle: IDLE,
            bytes_per_second_min: BYTES_PER_SECOND_MIN,
            tell_every: TELL_EVERY,
        }
    }
}

impl Patience {
    /// The limit of a call that moves `bytes`.
    pub(crate) fn limit(&self, bytes: u64) -> Duration {
        self.answer + Duration::from_secs(bytes / self.bytes_per_second_min.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_has_time_for_its_bytes() {
        let patience = Patience::default();
        for (bytes, seconds) in [(0, 60), (64 << 10, 61), (32 << 20, 572)] {
            assert_eq!(patience.limit(bytes), Duration::from_secs(seconds), "{bytes}");
        }
        let divided = Patience { bytes_per_second_min: 0, ..patience };
        assert_eq!(divided.limit(7), Duration::from_secs(67), "no division by zero");
    }
}
