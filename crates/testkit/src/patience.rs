//! Waiting for what no file descriptor announces: the end of a process that is
//! not our child, a loop device that the kernel lets go of.
//!
//! The condition decides, never the time: the limit only turns waiting in vain
//! into a failure.

use std::time::{Duration, Instant};

/// Often enough that nobody notices, and cheap to look.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Looks until `condition` holds; `false` if it does not within `limit`.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the kernel has no event for these conditions")]
pub fn wait_until(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    loop {
        if condition() {
            return true;
        }
        if start.elapsed() >= limit {
            return false;
        }
        std::thread::sleep(LOOK_EVERY);
    }
}
