//! The states of backups as `status` and `list` show them, one word each.

use std::fmt;

use s3up_repository::catalogue::Publication;
use serde::Serialize;

/// State of the pointer of one subvolume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PointerState {
    Published,
    /// There is no pointer.
    Nothing,
    /// A document must be thawed before anything can be said.
    Archived,
    Broken,
}

/// State of one backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BackupState {
    Current,
    Earlier,
    Unpublished,
    Unknown,
    Archived,
    Broken,
}

impl BackupState {
    pub fn of(publication: &Publication) -> BackupState {
        match publication {
            Publication::Current => BackupState::Current,
            Publication::Earlier => BackupState::Earlier,
            Publication::Unpublished => BackupState::Unpublished,
            Publication::Unknown => BackupState::Unknown,
            Publication::Archived(_) => BackupState::Archived,
            Publication::Broken(_) => BackupState::Broken,
        }
    }
}

impl fmt::Display for PointerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PointerState::Published => "published",
            PointerState::Nothing => "nothing",
            PointerState::Archived => "archived",
            PointerState::Broken => "broken",
        })
    }
}

impl fmt::Display for BackupState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BackupState::Current => "current",
            BackupState::Earlier => "earlier",
            BackupState::Unpublished => "unpublished",
            BackupState::Unknown => "unknown",
            BackupState::Archived => "archived",
            BackupState::Broken => "broken",
        })
    }
}
