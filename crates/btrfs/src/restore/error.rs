//! Errors of a restore.

use std::path::PathBuf;

use btrfs_sendstream::StreamError;
use s3up_cli::Stop;
use s3up_core::{Crc64Nvme, Key};
use s3up_store::{Kind, StoreError};

use super::names::OtherBase;
use crate::bucket::{BucketError, ReadChainError};
use crate::catalogue::read::CatalogueError;
use crate::compare::{CompareError, Proof};
use crate::failure::Failure;
use crate::filesystem::MountPointError;
use crate::kept::KeepError;
use crate::manifest::DocumentError;
use crate::receive::ReceiveError;
use crate::send::SendError;
use crate::snapshot::SubvolumeName;
use crate::staging::StagingError;
use crate::subvolume::SubvolumeError;
use crate::thaw::{Look, ThawError};
use crate::tool::ToolError;

#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    #[error("target {path:?}: expected an absolute path of a new subvolume, without `..`")]
    TargetPath { path: PathBuf },
    #[error("target {path:?} exists; choose another path, or move it away first")]
    TargetExists { path: PathBuf },
    #[error("check the parent directory of the target")]
    TargetFolder(#[source] MountPointError),
    #[error("cannot write to {path:?}, the parent directory of the target; make it writable")]
    TargetFolderReadOnly { path: PathBuf, source: std::io::Error },
    #[error("no backup of subvolume {subvolume} is published: {pointer} does not exist; {found}")]
    NothingPublished { subvolume: SubvolumeName, pointer: Key, found: String },
    #[error("no backup of subvolume {subvolume} was made at or before {at}; {found}")]
    NothingSoOld { subvolume: SubvolumeName, at: String, found: String },
    #[error(
        "receive {manifest}: its stream has protocol 2, which `btrfs receive` of btrfs-progs \
         {found} damages; install btrfs-progs 6.2 or later"
    )]
    ProgramTooOld { manifest: Key, found: String },
    #[error("read the free space at {path:?}")]
    FreeSpace { path: PathBuf, source: std::io::Error },
    #[error("read pointer {key}")]
    Pointer { key: Key, source: DocumentError },
    #[error("read manifest {key}")]
    Document { key: Key, source: DocumentError },
    #[error("manifest {key}: expected subvolume {asked}, found {found:?}")]
    OtherSubvolume { key: Key, found: String, asked: SubvolumeName },
    #[error("chunk {chunk} of {manifest} is missing in the bucket")]
    ChunkMissing { chunk: Key, manifest: Key },
    #[error("chunk {chunk} of {manifest}: expected {expected} bytes, found {found}")]
    ChunkSize { chunk: Key, manifest: Key, expected: u64, found: u64 },
    #[error("chunk {chunk} of {manifest}: expected CRC64NVME {expected}, found {found}")]
    ChunkChecksum { chunk: Key, manifest: Key, expected: Crc64Nvme, found: Crc64Nvme },
    #[error("download a chunk of {manifest}")]
    Fetch { manifest: Key, source: StoreError },
    #[error("chunk {chunk} of {manifest} is not part of the stream that was sent")]
    Stream { manifest: Key, chunk: Key, source: StreamError },
    #[error("the chunks of {manifest} are not a complete stream")]
    Cut { manifest: Key, source: StreamError },
    #[error(
        "check the received snapshot of {manifest}: {what}: expected {expected}, found {found}"
    )]
    Received { manifest: Key, what: &'static str, expected: String, found: String },
    #[error(
        "receive {manifest}: `btrfs receive` used the subvolume {found} as the parent, another \
         received copy on this filesystem; run one restore at a time, or restore to a filesystem \
         without such a copy"
    )]
    OtherParent { manifest: Key, found: String },
    #[error("{manifest} is not based on the backup before it in the chain")]
    Base { manifest: Key, source: OtherBase },
    #[error("write the stream of {manifest} to `btrfs receive`")]
    Pipe { manifest: Key, source: std::io::Error },
    #[error("the thread that verifies the stream of {manifest} died")]
    VerifyThreadDied { manifest: Key },
    #[error("set the times of the restored subvolume {path:?}")]
    RootTimes { path: PathBuf, source: std::io::Error },
    #[error("rename the restored subvolume to {path:?}")]
    RenameToTarget { path: PathBuf, source: std::io::Error },
    #[error("{look}; {why}")]
    Archived { look: Look, why: &'static str },
    #[error(
        "the received snapshot of {manifest} differs from its source, so the target was not \
         created; run the same command with `--verify none` to create it without another \
         download: {proof}"
    )]
    Differs { manifest: Key, proof: Box<Proof> },
    #[error("the chain is empty")]
    EmptyChain,
    #[error("stopped by a signal")]
    Stopped(Stop),
    #[error(transparent)]
    Thaw(#[from] ThawError),
    #[error(transparent)]
    Compare(#[from] CompareError),
    #[error(transparent)]
    Bucket(#[from] BucketError),
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
    #[error("read the identity of the received snapshot")]
    Identity(#[from] SendError),
    #[error("keep the parent of the next incremental")]
    Keep(#[from] KeepError),
    #[error("keep the parent of the next incremental")]
    SnapshotDir(#[from] Box<Failure>),
    #[error("generate an id for this run")]
    Random(#[from] getrandom::Error),
}

impl RestoreError {
    /// Returns whether the same command may succeed later, by resuming from the received
    /// backups.
    pub fn is_interruption(&self) -> bool {
        // A snapshot that differs was received completely, at the price of a thaw and a download.
        matches!(self, RestoreError::Stopped(_) | RestoreError::Differs { .. })
            || self.store_error().is_some_and(|source| !is_of_data(source.kind))
    }

    /// Returns whether this backup is missing or damaged in the bucket.
    pub fn is_of_data(&self) -> bool {
        if let Some(source) = self.store_error() {
            return is_of_data(source.kind);
        }
        matches!(
            self,
            RestoreError::Pointer { .. }
                | RestoreError::Document { .. }
                | RestoreError::ChunkMissing { .. }
                | RestoreError::ChunkSize { .. }
                | RestoreError::ChunkChecksum { .. }
                | RestoreError::Stream { .. }
                | RestoreError::Cut { .. }
                | RestoreError::Base { .. }
                | RestoreError::Bucket(_)
                | RestoreError::Chain(_)
        )
    }

    /// Returns the error of the S3 call, if there was one.
    fn store_error(&self) -> Option<&StoreError> {
        #[expect(clippy::wildcard_enum_match_arm, reason = "no other variant has an S3 error")]
        match self {
            RestoreError::Fetch { source, .. }
            | RestoreError::Store(source)
            | RestoreError::Bucket(BucketError::Store(source))
            | RestoreError::Chain(ReadChainError::Store(source)) => Some(source),
            _ => None,
        }
    }
}

/// Returns whether an object in S3 is missing or wrong.
fn is_of_data(kind: Kind) -> bool {
    matches!(kind, Kind::NotFound | Kind::Precondition | Kind::TooLong | Kind::Corrupt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_error_that_is_not_of_the_data_is_an_interruption() {
        let fetch = |kind| {
            let key = Key::parse("a").unwrap();
            let subject = key.to_string();
            let source = StoreError { op: "get", subject, kind, retry_after: None, source: None };
            RestoreError::Fetch { manifest: key, source }
        };
        #[rustfmt::skip]
        let cases = [
            (RestoreError::Stopped(Stop::Terminated), true),
            (fetch(Kind::Transient),                 true),
            (fetch(Kind::Denied),                    true),
            (fetch(Kind::Archived),                  true),
            (fetch(Kind::Corrupt),                   false),
            (fetch(Kind::NotFound),                  false),
            (fetch(Kind::Precondition),              false),
            (RestoreError::EmptyChain,                  false),
        ];
        for (err, want) in cases {
            assert_eq!(err.is_interruption(), want, "{err:?}");
            let is_of_data = matches!(&err, RestoreError::Fetch { .. }) && !want;
            assert_eq!(err.is_of_data(), is_of_data, "{err:?}");
        }
    }
}
