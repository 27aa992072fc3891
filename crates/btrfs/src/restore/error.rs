//! Errors of a restore.

use std::fmt;
use std::path::PathBuf;

use btrfs_host::filesystem::MountPointError;
use btrfs_host::receivable::ReceivableError;
use btrfs_host::receive::ReceiveError;
use btrfs_host::send::SendError;
use btrfs_host::subvolume::SubvolumeError;
use btrfs_host::tool::ToolError;
use btrfs_sendstream::encode::AttributeTooLong;
use s3up_cli::Signal;
use s3up_core::Key;
use s3up_repository::catalogue::read::CatalogueError;
use s3up_repository::documents::ReadChainError;
use s3up_repository::fetch::FetchError;
use s3up_repository::manifest::DocumentError;
use s3up_repository::names::SubvolumeName;
use s3up_repository::thaw::{ThawError, ThawMode, ThawState};
use s3up_store::{StoreError, StoreErrorKind};

use super::uuid_rewrite::WrongParent;
use crate::compare::{CompareError, Proof};
use crate::restore::staging::StagingError;
use crate::snapshots::dir::SnapshotDirError;
use crate::snapshots::received_parent::KeepError;

/// The largest metadata blocks that btrfs has.
const NODE_BYTES_LARGEST: u64 = 64 << 10;

#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    #[error("target {path:?}: expected an absolute path of a new subvolume, without `..`")]
    TargetPath { path: PathBuf },
    #[error("target {path:?} exists; choose another path, or move it away first")]
    TargetExists { path: PathBuf },
    #[error(
        "target {path:?} was created by something else during the restore; move it away and run the \
         same command again, which resumes"
    )]
    TargetAppeared { path: PathBuf },
    #[error("check the parent directory of the target")]
    TargetDir(#[source] MountPointError),
    #[error("cannot write to {path:?}, the parent directory of the target; make it writable")]
    TargetDirReadOnly { path: PathBuf, source: std::io::Error },
    #[error(
        "restore incrementals to {path:?}: expected a mount of a subvolume, found {point:?}, a bind \
         mount of a plain directory, where `btrfs receive` cannot find the parent of an \
         incremental; mount the filesystem itself and restore to a path there"
    )]
    MountOfDir { path: PathBuf, point: PathBuf },
    #[error(
        "run `btrfs receive`: this process lacks {names}; run it outside of the container, or give \
         the container these capabilities"
    )]
    MissingCapability { names: String },
    #[error(
        "receive {manifest}: it has an extended attribute of {bytes} bytes: expected a target with \
         metadata blocks of {} bytes, found {node_bytes}; restore to a filesystem that was made with \
         `mkfs.btrfs --nodesize {}`",
        needed.unwrap_or(NODE_BYTES_LARGEST), needed.unwrap_or(NODE_BYTES_LARGEST)
    )]
    NodeSize { manifest: Key, bytes: u64, needed: Option<u64>, node_bytes: u64 },
    #[error(
        "receive a trial backup in {path:?} (nothing was thawed or downloaded yet); fix the cause and \
         run the same command again"
    )]
    Trial { path: PathBuf, source: ReceiveError },
    #[error("check the parent directory of the target")]
    Receivable(#[from] ReceivableError),
    #[error("no backup of subvolume {subvolume} is published: {pointer} does not exist; {found}")]
    NothingPublished { subvolume: SubvolumeName, pointer: Key, found: String },
    #[error("no backup of subvolume {subvolume} was made at or before {at}; {found}")]
    NothingSoOld { subvolume: SubvolumeName, at: String, found: String },
    #[error(
        "receive {manifest}: expected btrfs-progs {needed} or later, found {found}, whose `btrfs \
         receive` damages such a stream; install a newer release"
    )]
    ProgramTooOld { manifest: Key, needed: String, found: String },
    #[error("read the free space at {path:?}")]
    FreeSpace { path: PathBuf, source: std::io::Error },
    #[error("read pointer {key}")]
    Pointer { key: Key, source: DocumentError },
    #[error("read manifest {key}")]
    Document { key: Key, source: DocumentError },
    #[error("manifest {key}: expected subvolume {requested}, found {found:?}")]
    OtherSubvolume { key: Key, found: String, requested: SubvolumeName },
    #[error(
        "check the received snapshot of {manifest}: {fact}: expected {expected}, found {found}"
    )]
    Received { manifest: Key, fact: SnapshotFact, expected: String, found: String },
    #[error(
        "receive {manifest}: `btrfs receive` used the subvolume {found} as the parent, another \
         received copy on this filesystem; run one restore at a time, or restore to a filesystem \
         without such a copy"
    )]
    OtherParent { manifest: Key, found: String },
    #[error("{manifest}: expected a backup that is based on the one before it in the chain")]
    WrongParent { manifest: Key, source: WrongParent },
    #[error("read the extended attributes of {path:?}")]
    Attributes { path: PathBuf, source: std::io::Error },
    #[error("receive {manifest}: set the attributes of its top directory")]
    Encode { manifest: Key, source: AttributeTooLong },
    #[error("write the stream of {manifest} to `btrfs receive`")]
    Pipe { manifest: Key, source: std::io::Error },
    #[error("verify the stream of {manifest}: the thread ended early; this is a bug, report it")]
    VerifyThreadDied { manifest: Key },
    #[error("set the times of the restored subvolume {path:?}")]
    RootTimes { path: PathBuf, source: std::io::Error },
    #[error("rename the restored subvolume to {path:?}")]
    RenameToTarget { path: PathBuf, source: std::io::Error },
    #[error("{state}; {}", end_of_thaw(*mode))]
    Archived { state: Box<ThawState>, mode: ThawMode },
    #[error(
        "the received snapshot of {manifest} differs from its source, so the target was not \
         created; run the same command with `--verify none` to create it without another \
         download: {proof}"
    )]
    Differs { manifest: Key, proof: Box<Proof> },
    #[error("restore: expected at least one backup in the chain, found none")]
    EmptyChain,
    #[error("stopped by a signal")]
    Stopped(Signal),
    #[error(transparent)]
    Thaw(#[from] ThawError),
    #[error(transparent)]
    Compare(#[from] CompareError),
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    #[error(transparent)]
    Chain(#[from] ReadChainError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Staging(#[from] StagingError),
    #[error(transparent)]
    Receive(#[from] ReceiveError),
    #[error(transparent)]
    Subvolume(#[from] SubvolumeError),
    #[error(transparent)]
    Tool(#[from] ToolError),
    #[error("read the identity of the received snapshot of {manifest}")]
    SnapshotIdentity { manifest: Key, source: SendError },
    #[error("keep the parent of the next incremental")]
    Keep(#[from] KeepError),
    #[error("keep the parent of the next incremental")]
    SnapshotDir(#[from] SnapshotDirError),
    #[error("restore: generate an ID for this run")]
    Random(#[from] getrandom::Error),
}

/// A fact about a received snapshot that its manifest or its stream determines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotFact {
    SentUuid,
    Access,
    ReceivedUuid,
}

impl fmt::Display for SnapshotFact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SnapshotFact::SentUuid => "UUID in the stream",
            SnapshotFact::Access => "write access",
            SnapshotFact::ReceivedUuid => "received UUID",
        })
    }
}

/// Says why a restore ends while chunks are archived.
pub(crate) fn end_of_thaw(mode: ThawMode) -> &'static str {
    match mode {
        ThawMode::Observe => "the others are archived, and no thaw was requested",
        ThawMode::Request => "a thaw of the others was requested",
        ThawMode::Wait { .. } => {
            "the time to wait is over, and the thaw of the others is still in progress"
        }
    }
}

impl RestoreError {
    /// Returns true if S3 refused to read an object because it is archived.
    pub fn is_archived_object(&self) -> bool {
        self.store_error().is_some_and(|source| source.kind == StoreErrorKind::Archived)
    }

    /// Returns true if this backup is missing or damaged in the bucket.
    pub fn is_of_data(&self) -> bool {
        if let Some(source) = self.store_error() {
            return is_of_data(source.kind);
        }
        matches!(
            self,
            RestoreError::Pointer { .. }
                | RestoreError::Document { .. }
                | RestoreError::WrongParent { .. }
                | RestoreError::Fetch(_)
                | RestoreError::Chain(_)
        )
    }

    /// Returns the error of the S3 call, if there was one.
    fn store_error(&self) -> Option<&StoreError> {
        #[expect(clippy::wildcard_enum_match_arm, reason = "no other variant has an S3 error")]
        match self {
            RestoreError::Fetch(err) => err.of_store(),
            RestoreError::Store(source) | RestoreError::Chain(ReadChainError::Store(source)) => {
                Some(source)
            }
            _ => None,
        }
    }
}

/// Returns true if an object in S3 is missing or wrong.
fn is_of_data(kind: StoreErrorKind) -> bool {
    matches!(
        kind,
        StoreErrorKind::NotFound
            | StoreErrorKind::Precondition
            | StoreErrorKind::TooLong
            | StoreErrorKind::Corrupt
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_of_the_data_only_if_an_object_is_missing_or_wrong() {
        let fetch = |kind| {
            let key = Key::parse("a").unwrap();
            let subject = key.to_string();
            let source = StoreError {
                op: s3up_store::Operation::Get,
                subject,
                kind,
                retry_after: None,
                source: None,
            };
            RestoreError::Fetch(FetchError::Download { manifest: key, source })
        };
        #[rustfmt::skip]
        let cases = [
            (RestoreError::Stopped(Signal::Terminated), false),
            (fetch(StoreErrorKind::Transient),                    false),
            (fetch(StoreErrorKind::Denied),                       false),
            (fetch(StoreErrorKind::Archived),                     false),
            (fetch(StoreErrorKind::Corrupt),                      true),
            (fetch(StoreErrorKind::NotFound),                     true),
            (fetch(StoreErrorKind::Precondition),                 true),
            (RestoreError::EmptyChain,                  false),
        ];
        for (err, want) in cases {
            assert_eq!(err.is_of_data(), want, "{err:?}");
        }
    }
}
