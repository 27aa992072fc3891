//! The clocks, read here and nowhere else.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

use crate::settle::Now;

pub fn now() -> Now {
    Now { instant: Instant::now(), wall_ns: wall_ns() }
}

/// Unix seconds.
pub fn wall_seconds() -> i64 {
    wall_ns().div_euclid(1_000_000_000)
}

/// Nanoseconds since 1970.
pub fn wall_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// The clock that the kernel dates files with: it goes in ticks, so a file
/// written after this moment is never dated before it.
pub fn file_clock_ns() -> i64 {
    let time = clock_gettime(ClockId::RealtimeCoarse);
    time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec)
}
