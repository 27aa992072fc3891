//! The result of a cleanup.

use super::judge::NotDeleted;
use crate::states::counts::FileCount;

/// The end of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileOutcome {
    Deleted,
    /// A dry run would delete it.
    WouldDelete,
    Kept(NotDeleted),
}

#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct CleanupSummary {
    pub deleted: FileCount,
    pub would_delete: FileCount,
    /// Files that this run verified.
    pub verified: FileCount,
    /// Files that were verified less than `cleanup.after_days` ago.
    pub waiting: FileCount,
    /// Files that stay because enough space is free.
    pub not_needed: FileCount,
    pub kept: FileCount,
    /// Files among `kept` that S3 does not have as they were acknowledged.
    pub alarms: u64,
    /// Errors of watches that were left out.
    pub errors: Vec<String>,
}
