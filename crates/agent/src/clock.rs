//! Reads the clocks. No other module does.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

use crate::settling::ClockReading;

/// Kernels tick every 1 to 10 ms.
const TICK_PAUSE: Duration = Duration::from_millis(1);

#[expect(clippy::disallowed_methods, reason = "this is the clock of the agent")]
pub fn now() -> ClockReading {
    ClockReading { instant: Instant::now(), wall_ns: wall_ns() }
}

/// Returns the time of the clock of async timers, which a test can pause.
#[expect(clippy::disallowed_methods, reason = "this is the clock of the agent")]
pub fn timer_now() -> tokio::time::Instant {
    tokio::time::Instant::now()
}

/// Returns seconds since the Unix epoch.
pub fn wall_seconds() -> i64 {
    wall_ns().div_euclid(1_000_000_000)
}

/// Returns nanoseconds since the Unix epoch.
#[expect(clippy::disallowed_methods, reason = "this is the clock of the agent")]
pub fn wall_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// Returns a time of the clock that the kernel takes file timestamps from. All
/// files written before the call have an earlier timestamp. That clock advances
/// in ticks of some milliseconds, so this waits for the next tick.
pub async fn file_clock_ns() -> i64 {
    let called_at = wall_ns();
    loop {
        let time = clock_gettime(ClockId::RealtimeCoarse);
        let tick = time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec);
        // If the clock is set back meanwhile, the wait ends as well.
        if tick > called_at || wall_ns() < called_at {
            return tick;
        }
        tokio::time::sleep(TICK_PAUSE).await;
    }
}
