//! The result of a restore of files: counts, files that were not restored, and metadata that could
//! not be set.

use std::collections::BTreeMap;
use std::fmt;

use s3up_core::{Count, Size};

/// Maximum number of failures that are kept for the summary. Each is logged as well.
const FAILURES_MAX: usize = 1000;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub files: u64,
    pub bytes: u64,
}

impl Tally {
    pub fn add(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
    }
}

/// Metadata that the target does not have as the source.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unset {
    Owner,
    /// The bits that give the rights of the owner, which is another one.
    SetIdBits,
    Mode,
    Times,
    Xattr(String),
    Acl,
    /// The filesystem made no link, so that the name has a file of its own.
    HardLink,
}

impl fmt::Display for Unset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unset::Owner => "owner",
            Unset::SetIdBits => "setuid and setgid bits",
            Unset::Mode => "mode",
            Unset::Times => "times",
            Unset::Xattr(name) => return write!(f, "extended attribute {name}"),
            Unset::Acl => "ACL",
            Unset::HardLink => "hard link",
        })
    }
}

/// Number of files on which something could not be set, with the first path and error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsetCount {
    pub count: u64,
    pub first: String,
    pub error: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileFailure {
    pub path: String,
    pub reason: String,
}

#[derive(Clone, Debug, Default)]
pub struct RestoredFiles {
    /// Files, symlinks and special files.
    pub restored: Tally,
    pub directories: u64,
    /// Files that are at the target already.
    pub skipped: Tally,
    pub failed: Tally,
    pub failures: Vec<FileFailure>,
    pub unset: BTreeMap<Unset, UnsetCount>,
    /// Bytes that were downloaded.
    pub fetched_bytes: u64,
}

impl RestoredFiles {
    /// Records a file that is not restored.
    pub fn fail(&mut self, path: String, bytes: u64, reason: String) {
        tracing::warn!(event = "file_not_restored", path, reason, "not restored: {reason}");
        self.failed.add(bytes);
        if self.failures.len() < FAILURES_MAX {
            self.failures.push(FileFailure { path, reason });
        }
    }

    pub fn note_unset(&mut self, unset: Unset, path: impl FnOnce() -> String, error: String) {
        let note = self.unset.entry(unset);
        let note = note.or_insert_with(|| UnsetCount { count: 0, first: path(), error });
        note.count += 1;
    }

    /// Returns true if everything is as in the source.
    pub fn is_whole(&self) -> bool {
        self.failed.files == 0 && self.unset.is_empty()
    }
}

impl fmt::Display for RestoredFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files =
            |tally: Tally| format!("{} ({})", Count(tally.files, "file"), Size(tally.bytes));
        write!(f, "restored {}", files(self.restored))?;
        if self.skipped.files > 0 {
            write!(f, "; {} were there already", files(self.skipped))?;
        }
        if self.failed.files > 0 {
            write!(f, "; {} were not restored", files(self.failed))?;
        }
        Ok(())
    }
}
