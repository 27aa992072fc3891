//! Why a backup did not happen.

use s3up_cli::Signal;
use s3up_store::UploadError;

use crate::look::ObserveError;
use crate::publish::{PublishError, StreamMismatch};
use crate::record::RecordError;
use crate::send::SendError;
use crate::spool::SpoolError;
use crate::subvolume::SubvolumeError;
use crate::tool::ToolError;

/// Why one subvolume was not backed up: what failed first.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("look at what is there")]
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
