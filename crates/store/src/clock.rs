//! The only place in this crate that reads a clock.
//!
//! Retries, rates and throttling measure intervals, so this is the monotonic
//! clock of the runtime, which a test can pause. Calendar time is always a
//! parameter (`thaw`, `sweep`).

use tokio::time::Instant;

#[expect(clippy::disallowed_methods, reason = "this is the clock of the store")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
