//! Reads the clocks. No other module of this program does: they are given this one.

use std::time::{Instant, SystemTime};

use s3up_core::Clock;
use s3up_repository::stamp::timestamp;

#[expect(clippy::disallowed_methods, reason = "commands read the clocks and pass the time on")]
pub const CLOCK: Clock = Clock { wall: SystemTime::now, monotonic: Instant::now };

/// Returns the current time in the time zone of this host.
pub fn now() -> jiff::Zoned {
    let zone = jiff::tz::TimeZone::try_system().unwrap_or_else(|err| {
        tracing::warn!(
            event = "time_zone_unknown",
            "using UTC, cannot read the time zone of this host: {err}"
        );
        jiff::tz::TimeZone::UTC
    });
    timestamp(CLOCK.now()).to_zoned(zone)
}
