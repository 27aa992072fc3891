//! The reason why a backup failed.

use btrfs_host::send::SendError;
use btrfs_host::spool::SpoolError;
use btrfs_host::tool::ToolError;
use s3up_cli::Signal;
use s3up_core::Size;
use s3up_repository::manifest::CHUNK_COUNT_MAX;
use s3up_repository::origin::Origin;
use s3up_repository::publish::PublishError;
use s3up_store::UploadError;

use crate::backup::check_stream::StreamMismatch;
use crate::backup::observe::ObserveError;
use crate::plan::unplanned::Unplanned;
use crate::selection::SelectionError;
use crate::snapshots::dir::{ListError, SnapshotDirError};
use crate::snapshots::record::RecordError;

/// The first failure of a subvolume that was not backed up.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("inspect existing backups")]
    Observe(#[from] ObserveError),
    /// The path in the configuration cannot be backed up.
    #[error(transparent)]
    Selection(#[from] SelectionError),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    Snapshots(#[from] ListError),
    #[error(transparent)]
    SnapshotName(SnapshotDirError),
    #[error(transparent)]
    Snapshot(#[from] ToolError),
    #[error(transparent)]
    Send(#[from] SendError),
    #[error("spool the stream; `s3.spool_enabled = false` sends it through memory only")]
    Spool(#[from] SpoolError),
    #[error(transparent)]
    Upload(UploadError),
    #[error(transparent)]
    StreamMismatch(#[from] StreamMismatch),
    #[error(
        "the upload ended before the send stream did, which is a bug of btrfs-to-s3; report it"
    )]
    Unfinished,
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// Refused before anything was done.
    #[error(
        "expected the newest backup below this prefix to be from {ours}, found one from \
         {published}, another origin, which was not restored here; give each host its own \
         `s3.prefix`, or restore the backup on this host, or let this host take the prefix over \
         with `backup --adopt`"
    )]
    OtherOrigin { published: Box<Origin>, ours: Box<Origin> },
    #[error(
        "published the interrupted backup, but cannot base an incremental with the later changes on \
         it: {reason}; the next run backs them up"
    )]
    FollowUp { reason: String },
    #[error(
        "not making an unplanned full, because `schedule.unplanned_full` is `refuse`: {unplanned}; \
         run `backup --full` to make it, or set the key to `warn`"
    )]
    UnplannedFull { unplanned: Box<Unplanned> },
    /// Refused before the first byte was sent.
    #[error(
        "this backup will send {bytes}: expected at most {CHUNK_COUNT_MAX} chunks of {chunk_bytes} \
         bytes, found more; raise `s3.chunk_size_bytes`"
    )]
    TooManyChunks { bytes: Size, chunk_bytes: u64 },
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
            err @ SnapshotDirError::NoFreeName { .. } => Failure::SnapshotName(err),
        }
    }
}
