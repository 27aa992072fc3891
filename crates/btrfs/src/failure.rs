//! Why a backup did not happen.

use s3up_cli::Stop;
use s3up_store::UploadError;

use crate::look::LookError;
use crate::publish::{PublishError, Unplanned};
use crate::send::SendError;
use crate::snapshot::SubvolumeName;
use crate::tool::ToolError;

/// Why a run ended before any snapshot was made.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("stopped by a signal")]
    Stopped(Stop),
    #[error("look at what is there of {subvolume}")]
    Look { subvolume: SubvolumeName, source: LookError },
}

/// Why one subvolume was not backed up: what failed first.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error(transparent)]
    Snapshot(#[from] ToolError),
    #[error(transparent)]
    Send(#[from] SendError),
    #[error(transparent)]
    Upload(UploadError),
    #[error(transparent)]
    Unplanned(#[from] Unplanned),
    #[error("the stream was not read to its end")]
    Unfinished,
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error("stopped by a signal")]
    Stopped(Stop),
    /// It may be published or not; the next run finds out.
    #[error("stopped by a signal while it was published")]
    StoppedPublishing(Stop),
}
