//! Why a backup failed.

use s3up_cli::Stop;
use s3up_store::UploadError;

use crate::look::ObserveError;
use crate::publish::{PublishError, StreamMismatch};
use crate::record::RecordError;
use crate::send::SendError;
use crate::spool::SpoolError;
use crate::subvolume::SubvolumeError;
use crate::tool::ToolError;

/// The first failure of a subvolume that was not backed up.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("inspect existing backups")]
    Look(#[from] ObserveError),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    Snapshots(#[from] SubvolumeError),
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
    Stopped(Stop),
    /// The backup may be published; the next run finds out.
    #[error(
        "stopped by a signal while publishing; the next run finds out whether the backup is \
         published"
    )]
    StoppedPublishing(Stop),
}
