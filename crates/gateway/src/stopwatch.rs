//! The gateway's only reading of the clock: the time since a request or a wait
//! began, and the clock that the database gets.

use std::time::{Duration, SystemTime};

use s3up_core::Clock;

use tokio::time::Instant;

/// The clock of this machine.
#[expect(clippy::disallowed_methods, reason = "this is the clock of the gateway")]
pub(crate) const CLOCK: Clock = Clock { wall: SystemTime::now, monotonic: std::time::Instant::now };

/// Measures the time since it was started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "this is the clock of the gateway")]
    pub(crate) fn start() -> Stopwatch {
        Stopwatch(Instant::now())
    }

    #[expect(clippy::disallowed_methods, reason = "this is the clock of the gateway")]
    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}
