//! The clock of the gateway. No other file reads one.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use s3up_core::Clock;

/// The clock of this machine. A test that pauses the time of tokio pauses it, too.
#[expect(clippy::disallowed_methods, reason = "this is the clock of the gateway")]
pub(crate) const CLOCK: Clock = Clock { wall: SystemTime::now, monotonic };

#[expect(clippy::disallowed_methods, reason = "this is the clock of the gateway")]
fn monotonic() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// A time in Unix milliseconds.
pub(crate) type Millis = i64;

/// Returns a time in Unix milliseconds.
pub(crate) fn millis(at: SystemTime) -> Millis {
    let since_1970 = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis::try_from(since_1970.as_millis()).unwrap_or(Millis::MAX)
}

/// Returns the time `seconds` before `at`.
pub(crate) fn before(at: Millis, seconds: u64) -> Millis {
    let millis = seconds.saturating_mul(1000);
    at.saturating_sub(Millis::try_from(millis).unwrap_or(Millis::MAX))
}

/// Returns a time in RFC 3339, UTC, in seconds.
pub(crate) fn time_text(at: Millis) -> String {
    let at = Timestamp::from_millisecond(at).unwrap_or_default();
    format!("{at:.0}")
}
