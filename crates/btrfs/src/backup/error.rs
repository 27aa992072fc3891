//! The reason why a backup failed.

use btrfs_host::send::SendError;
use btrfs_host::spool::SpoolError;
use btrfs_host::tool::ToolError;
use s3up_cli::Signal;
use s3up_repository::publish::PublishError;
use s3up_store::UploadError;

use crate::backup::check_stream::StreamMismatch;
use crate::backup::observe::ObserveError;
use crate::snapshots::dir::{ListError, SnapshotDirError};
use crate::snapshots::record::RecordError;

/// The first failure of a subvolume that was not backed up.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("inspect existing backups")]
    Observe(#[from] ObserveError),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    Snapshots(#[from] ListError),
    #[error(transparent)]
    Snapshot(#[from] ToolError),
    #[error(transparent)]
    Send(#[from] SendError),
    #[error(transparent)]
    Spool(#[from] SpoolError),
    #[error(transparent)]
    Upload(UploadError),
    #[error(transparent)]
    StreamMismatch(#[from] StreamMismatch),
    #[error("the upload ended before the send stream did")]
    Unfinished,
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error("stopped by a signal")]
    Stopped(Signal),
    /// The backup may be published; the next run finds out.
    #[error(
        "stopped by a signal while publishing; the next run finds out whether the backup is \
         published"
    )]
    StoppedPublishing(Signal),
}

impl From<SnapshotDirError> for Failure {
    fn from(err: SnapshotDirError) -> Failure {
        match err {
            SnapshotDirError::Record(err) => Failure::Record(err),
            SnapshotDirError::Snapshot(err) => Failure::Snapshot(err),
        }
    }
}
