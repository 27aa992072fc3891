//! Waits for conditions without an event: the end of a process that is not our
//! child, or the release of a loop device by the kernel.
//!
//! The result depends on the condition; the limit only ends a wait that would never
//! succeed.

use std::time::Duration;

use crate::CLOCK;

/// Short enough not to slow a test down, and the checks are cheap.
const CHECK_INTERVAL: Duration = Duration::from_millis(5);

/// Waits until `condition` holds. Returns `false` if it does not within `limit`.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the kernel has no event for these conditions")]
pub fn wait_until(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let start = CLOCK.start();
    loop {
        if condition() {
            return true;
        }
        if start.elapsed() >= limit {
            return false;
        }
        std::thread::sleep(CHECK_INTERVAL);
    }
}
