//! The gateway's only reading of the clock: the time since a request or a wait
//! began.

use std::time::Duration;

use tokio::time::Instant;

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
