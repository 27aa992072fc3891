//! The only place in this crate that reads a clock.
//!
//! Retries, rates and throttling measure intervals, so this is the monotonic
//! clock of the runtime, which a test can pause. Calendar time is a
//! parameter (`thaw`, `sweep`), but for the end of credentials.

use std::time::SystemTime;

use tokio::time::Instant;

#[expect(clippy::disallowed_methods, reason = "this is the clock of the store")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Returns the calendar time, for the end of credentials.
#[expect(clippy::disallowed_methods, reason = "this is the clock of the store")]
pub(crate) fn wall_now() -> SystemTime {
    SystemTime::now()
}
