//! Clocks as a parameter.
//!
//! Only programs and tests make a [`Clock`] that reads one, so that every other module can be given
//! another time.

use std::time::{Duration, Instant, SystemTime};

/// The clocks of this machine, so that a test can replace them.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Reads the calendar time, which an operator or NTP may set back.
    pub wall: fn() -> SystemTime,
    /// Reads the clock that only goes forward, for durations.
    pub monotonic: fn() -> Instant,
}

/// Measures the time since it was started.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch {
    started_at: Instant,
    monotonic: fn() -> Instant,
}

impl Clock {
    pub fn now(self) -> SystemTime {
        (self.wall)()
    }

    pub fn start(self) -> Stopwatch {
        Stopwatch { started_at: (self.monotonic)(), monotonic: self.monotonic }
    }
}

impl Stopwatch {
    pub fn elapsed(self) -> Duration {
        (self.monotonic)().saturating_duration_since(self.started_at)
    }
}
