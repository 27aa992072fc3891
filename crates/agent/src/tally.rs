//! Counts: every entry on the host in exactly one of five states.

use std::ops::{Add, AddAssign};

use serde::Serialize;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    pub files: u64,
    pub bytes: u64,
}

/// Files on the host = protected + pending + baseline + excluded + problems.
/// An excluded folder counts as one; nobody looks how much is in it, nor at
/// the bytes of anything excluded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    pub protected: Count,
    pub pending: Count,
    pub baseline: Count,
    pub excluded: Count,
    pub problems: Count,
}

impl Count {
    pub fn add_file(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

impl Tally {
    pub fn total(&self) -> Count {
        self.protected + self.pending + self.baseline + self.excluded + self.problems
    }
}

impl Add for Count {
    type Output = Count;

    fn add(self, other: Count) -> Count {
        Count { files: self.files + other.files, bytes: self.bytes.saturating_add(other.bytes) }
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.protected = self.protected + other.protected;
        self.pending = self.pending + other.pending;
        self.baseline = self.baseline + other.baseline;
        self.excluded = self.excluded + other.excluded;
        self.problems = self.problems + other.problems;
    }
}
