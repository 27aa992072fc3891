//! The report of the watcher to the agent.

use std::collections::{BTreeSet, HashMap};

use crate::files::watch::{Name, WatchIndex};
use crate::settling::FileEvent;

/// Everything that happened since the last report, one entry per file.
#[derive(Debug, Default)]
pub struct WatchEvents {
    pub files: HashMap<Name, FileEvent>,
    /// Watches that need a scan because some of their events were missed.
    pub rescan: BTreeSet<WatchIndex>,
    /// True if the kernel's event queue overflowed.
    pub overflow: bool,
    /// Set if a directory could not be watched.
    pub degraded: Option<Degraded>,
}

/// Number of directories that inotify cannot watch. They are scanned more often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Degraded {
    pub needed: usize,
    pub unwatched: usize,
}

/// Maximum number of files in one report. Watches of further files are scanned
/// instead, because a scan holds few names at a time.
const FILES_MAX: usize = 100_000;

impl WatchEvents {
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.rescan.is_empty() && !self.overflow && self.degraded.is_none()
    }

    /// Adds an event. `Closed` replaces `Changed`, and not the other way round.
    pub(super) fn add(&mut self, name: Name, event: FileEvent) {
        if self.files.len() >= FILES_MAX && !self.files.contains_key(&name) {
            self.rescan.insert(name.watch);
            return;
        }
        let recorded = self.files.entry(name).or_insert(event);
        if event == FileEvent::Closed {
            *recorded = event;
        }
    }
}
