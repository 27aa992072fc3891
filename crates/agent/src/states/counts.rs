//! Counts of files by state. Each entry on the host is in exactly one state.

use std::ops::{Add, AddAssign};

use serde::Serialize;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FileCount {
    pub files: u64,
    pub bytes: u64,
}

/// Number and size of the files in each state; the sum is all files on the host.
/// An excluded directory counts as one entry, because it is not entered. Bytes of
/// excluded entries are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateCounts {
    pub protected: FileCount,
    pub pending: FileCount,
    pub baseline: FileCount,
    pub excluded: FileCount,
    pub problems: FileCount,
}

impl FileCount {
    pub fn add_file(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

impl StateCounts {
    pub fn total(&self) -> FileCount {
        self.protected + self.pending + self.baseline + self.excluded + self.problems
    }
}

impl Add for FileCount {
    type Output = FileCount;

    fn add(self, other: FileCount) -> FileCount {
        FileCount { files: self.files + other.files, bytes: self.bytes.saturating_add(other.bytes) }
    }
}

impl AddAssign for StateCounts {
    fn add_assign(&mut self, other: StateCounts) {
        self.protected = self.protected + other.protected;
        self.pending = self.pending + other.pending;
        self.baseline = self.baseline + other.baseline;
        self.excluded = self.excluded + other.excluded;
        self.problems = self.problems + other.problems;
    }
}
