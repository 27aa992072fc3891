//! The result of a cleanup.

use super::judge::NotDeleted;
use crate::restore::summary::Tally;

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
    pub deleted: Tally,
    pub would_delete: Tally,
    /// Files that this run verified.
    pub verified: Tally,
    /// Files that were verified less than `cleanup.after_days` ago.
    pub waiting: Tally,
    /// Files that stay because enough space is free.
    pub not_needed: Tally,
    pub kept: Tally,
    /// Files among `kept` that S3 does not have as they were acknowledged.
    pub alarms: u64,
    /// Errors of watches that were left out.
    pub errors: Vec<String>,
}
