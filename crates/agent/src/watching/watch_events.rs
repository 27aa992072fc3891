//! The report of the watcher to the agent.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;

use crate::files::watch::{Name, WatchIndex};
use crate::files::writes::Writes;

/// Everything that happened since the last report, one entry per file.
#[derive(Debug, Default)]
pub struct WatchEvents {
    pub files: HashMap<Name, Writes>,
    /// Watches that need a scan because some of their events were missed.
    pub rescan: BTreeSet<WatchIndex>,
    /// True if the kernel's event queue overflowed.
    pub overflow: bool,
    /// Set if the directories that are not watched may have changed: to `None` if all
    /// are watched now.
    pub degraded: Option<Option<WatchGaps>>,
}

/// Directories that are not watched, and watches whose events are not all of their changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchGaps {
    pub needed: usize,
    /// Number of directories that inotify cannot watch. They are scanned more often.
    pub unwatched: usize,
    /// Number of directories that the agent may not enter. An event reports the
    /// change of permissions that lets it in.
    pub not_entered: usize,
    /// One of them.
    pub example: Option<PathBuf>,
    /// Roots of the watches whose files may change without an event, with their filesystems.
    pub changed_elsewhere: Vec<(PathBuf, &'static str)>,
}

impl WatchGaps {
    pub fn is_empty(&self) -> bool {
        self.unwatched == 0 && self.not_entered == 0 && self.changed_elsewhere.is_empty()
    }
}

/// Maximum number of files in one report. Watches of further files are scanned
/// instead, because a scan holds few names at a time.
const FILES_MAX: usize = 100_000;

impl WatchEvents {
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.rescan.is_empty() && !self.overflow && self.degraded.is_none()
    }

    pub(super) fn add(&mut self, name: Name, event: Writes) {
        if self.files.len() >= FILES_MAX && !self.files.contains_key(&name) {
            self.rescan.insert(name.watch);
            return;
        }
        self.files.entry(name).or_default().add(event);
    }
}
