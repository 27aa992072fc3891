//! Delayed checks of files whose writer was not seen closing them.
//!
//! A file that gets its name by a link (`O_TMPFILE` and `linkat`, or `link` and
//! `unlink`) raises no event under that name for writes through the descriptor
//! that its program still holds. So the agent checks the file again, three times.

use std::time::Instant;

use super::state::{Engine, Mode};
use crate::files::watch::Name;
use crate::files::writes::{LastWriter, Writes};

/// Times of the checks in debounce times: 1, 5 and 15 minutes by default.
const CHECK_AFTER: [u32; 3] = [20, 100, 300];
/// Maximum number of checks that wait. Beyond it, a scan at the time of the last
/// check finds what changed.
const DELAYED_CHECKS_MAX: usize = 30_000;

impl Engine {
    /// Plans the delayed checks of a file that has settled.
    pub(super) fn plan_delayed_checks(&mut self, name: &Name, writes: Writes, now: Instant) {
        if writes.writer != LastWriter::Open || !matches!(self.mode, Mode::Daemon { .. }) {
            return;
        }
        let debounce = self.options.settle.debounce;
        if self.delayed_checks.len() + CHECK_AFTER.len() > DELAYED_CHECKS_MAX {
            let last = now + debounce * CHECK_AFTER[CHECK_AFTER.len() - 1];
            if let Some(next_at) = self.scans.next_at.get_mut(usize::from(name.watch)) {
                *next_at = last.min(*next_at);
            }
            return;
        }
        self.delayed_checks.extend(CHECK_AFTER.map(|count| (now + debounce * count, name.clone())));
    }

    /// Sends the files whose check is due to the wheel.
    pub(super) fn start_delayed_checks(&mut self, now: Instant) {
        while self.delayed_checks.first().is_some_and(|(due, _)| *due <= now) {
            let Some((_, name)) = self.delayed_checks.pop_first() else { return };
            self.file_event(name, Writes::REPLACED, now);
        }
    }
}
