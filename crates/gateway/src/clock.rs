//! The clock of the gateway. No other file reads one.

use std::time::{Instant, SystemTime};

use s3up_core::Clock;

/// The clock of this machine. A test that pauses the time of tokio pauses it, too.
#[expect(clippy::disallowed_methods, reason = "this is the clock of the gateway")]
pub(crate) const CLOCK: Clock = Clock { wall: SystemTime::now, monotonic };

#[expect(clippy::disallowed_methods, reason = "this is the clock of the gateway")]
fn monotonic() -> Instant {
    tokio::time::Instant::now().into_std()
}
