//! Later looks at files whose writer was not seen closing them.
//!
//! A file that gets its name by a link (`O_TMPFILE` and `linkat`, or `link` and
//! `unlink`) raises no event under that name for writes through the descriptor
//! that its program still holds. So the agent checks the file again, three times.

use std::collections::BTreeSet;
use std::time::Instant;

use super::state::{Engine, Mode};
use crate::files::watch::Name;
use crate::files::writes::{Writer, Writes};

/// Times of the looks in debounce times: 1, 5 and 15 minutes by default.
const LOOKS: [u32; 3] = [20, 100, 300];
/// Maximum number of looks that wait. Beyond it, a scan at the time of the last
/// look finds what changed.
const LOOKS_MAX: usize = 30_000;

impl Engine {
    /// Plans the later looks at a file that has settled.
    pub(super) fn plan_later_looks(&mut self, name: &Name, writes: Writes, now: Instant) {
        if writes.writer != Writer::Open || !matches!(self.mode, Mode::Daemon { .. }) {
            return;
        }
        let debounce = self.options.settle.debounce;
        if self.later_looks.len() + LOOKS.len() > LOOKS_MAX {
            let last = now + debounce * LOOKS[LOOKS.len() - 1];
            self.scans.next_at = self.scans.next_at.min(last);
            return;
        }
        self.later_looks.extend(LOOKS.map(|count| (now + debounce * count, name.clone())));
    }

    /// Sends the files whose look is due to the wheel.
    pub(super) fn look_again(&mut self, now: Instant) {
        while self.later_looks.first().is_some_and(|(due, _)| *due <= now) {
            let Some((_, name)) = self.later_looks.pop_first() else { return };
            self.file_event(name, Writes::REPLACED, now);
        }
    }
}

/// The looks that wait, by the time at which they are due.
pub(super) type LaterLooks = BTreeSet<(Instant, Name)>;
