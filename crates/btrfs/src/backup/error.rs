//! Why a backup did not happen.

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

/// Why one subvolume was not backed up: what failed first.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("look at what is there")]
    Look(#[from] ObserveError),
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
    #[error("the stream was not read to its end")]
    Unfinished,
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error("stopped by a signal")]
    Stopped(Signal),
    /// It may be published or not; the next run finds out.
    #[error("stopped by a signal while it was published")]
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
