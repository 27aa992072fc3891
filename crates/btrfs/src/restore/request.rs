//! The request for a restore.

use std::path::PathBuf;

use s3up_repository::names::SubvolumeName;

use crate::restore::select_backup::BackupSelector;
use crate::snapshots::record::Records;

pub struct RestoreRequest {
    pub subvolume: SubvolumeName,
    pub target: PathBuf,
    pub wanted: BackupSelector,
    pub keep: KeepParent,
}

/// The place where the received snapshot is kept, if it is.
pub enum KeepParent {
    No,
    /// Beside the target: no configuration of this subvolume exists yet.
    Beside,
    ForBackups {
        /// Path of the subvolume in the configuration.
        path: PathBuf,
        base_dir: PathBuf,
        records: Records,
    },
}
