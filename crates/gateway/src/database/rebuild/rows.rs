//! The rows of the catalogue, as a rebuild reads and changes them.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use s3up_core::RemotePath;

use crate::clock::Millis;
use crate::database::record::CatalogueEntry;

/// A row of the catalogue, as it was read before S3 was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CatalogueRow {
    pub size: u64,
    pub etag: String,
    pub version_id: Option<String>,
    pub(crate) uploaded_at: Millis,
}

/// The change of the row of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RowChange {
    Insert(CatalogueEntry),
    Update { before: CatalogueRow, entry: CatalogueEntry },
    Remove { before: CatalogueRow },
}

/// The progress of a rebuild of one client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RebuildPosition {
    /// The last key that was listed.
    pub after: Option<String>,
    /// True once all keys were listed.
    pub is_listed: bool,
    /// Number of files about which S3 did not answer. Their rows are as before.
    pub not_examined: u64,
}

/// The rows that were changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ChangedRows {
    pub added: u64,
    pub updated: u64,
    pub removed: u64,
}

impl AddAssign for ChangedRows {
    fn add_assign(&mut self, other: ChangedRows) {
        self.added += other.added;
        self.updated += other.updated;
        self.removed += other.removed;
    }
}

/// All files of a client, as its quota counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileTotal {
    pub files: u64,
    pub bytes: u64,
}

/// The files of one commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RebuildPage {
    /// The paths that were examined.
    pub examined: Vec<RemotePath>,
    pub changes: BTreeMap<RemotePath, RowChange>,
    pub position: RebuildPosition,
}
