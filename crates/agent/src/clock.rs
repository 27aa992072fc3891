//! The clocks, read here and nowhere else.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

use crate::settle::Now;

/// Kernels tick every 1 to 10 ms.
const TICK_PAUSE: Duration = Duration::from_millis(1);

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

/// A moment by the clock that the kernel dates files with, such that all that
/// was written before the call is dated before it. That clock goes in ticks of
/// some milliseconds, so the next one is waited for.
pub async fn file_clock_ns() -> i64 {
    let called_at = wall_ns();
    loop {
        let time = clock_gettime(ClockId::RealtimeCoarse);
        let tick = time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec);
        // A clock that is set back meanwhile ends the wait as well.
        if tick > called_at || wall_ns() < called_at {
            return tick;
        }
        tokio::time::sleep(TICK_PAUSE).await;
    }
}
