//! The settings of a cleanup.

use std::time::Duration;

use ignore::gitignore::Gitignore;
use jiff::civil::Time;

/// Pattern of the names that files have while they are removed. Every watch excludes it.
pub const REMOVED_NAMES: &str = ".s3up-cleanup-*";

#[derive(Clone, Debug)]
pub struct CleanupPolicy {
    pub is_enabled: bool,
    /// Time since the verification after which a file is deleted.
    pub after: Duration,
    /// Time since the last change of a file before which it is kept.
    pub min_age: Duration,
    /// If set, files are deleted only while their filesystem has less free space.
    pub min_free_bytes: Option<u64>,
    /// Number of days for which the bucket has to keep a version that is replaced later; `None` if it
    /// may never delete one.
    pub min_old_version_days: Option<u32>,
    pub files_per_minute: u32,
    /// Time of day (UTC) at which the daemon runs it.
    pub time: Time,
    /// Files that are never deleted.
    pub excludes: Gitignore,
}
