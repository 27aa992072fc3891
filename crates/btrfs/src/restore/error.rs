//! Why a restore did not happen. Nothing is left of it then.

use std::path::PathBuf;

use btrfs_sendstream::StreamError;
use s3up_cli::Stop;
use s3up_core::{Crc64Nvme, Key};
use s3up_store::StoreError;

use crate::bucket::{BucketError, ReadChainError};
use crate::compare::{CompareError, Proof};
use crate::filesystem::PlaceError;
use crate::manifest::DocumentError;
use crate::receive::ReceiveError;
use crate::snapshot::SubvolumeName;
use crate::staging::StagingError;
use crate::subvolume::SubvolumeError;
use crate::thaw::{Look, ThawError};
use crate::tool::ToolError;

#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    #[error("target {path:?}: expected an absolute path without `..` that names a new subvolume")]
    TargetPath { path: PathBuf },
    #[error("target {path:?} exists; choose a path that does not, or move it away first")]
    TargetExists { path: PathBuf },
    #[error("the folder of the target")]
    TargetFolder(#[source] PlaceError),
    #[error("nothing is published for the subvolume {subvolume}: there is no {pointer}")]
    NothingPublished { subvolume: SubvolumeName, pointer: Key },
    #[error("nothing of the subvolume {subvolume} was made at {at} or before: {found}")]
    NothingSoOld { subvolume: SubvolumeName, at: String, found: String },
    #[error(
        "{manifest} is a stream of protocol 2, which `btrfs receive` of btrfs-progs {found} \
         damages; it needs 6.2 or later"
    )]
    ProgramTooOld { manifest: Key, found: String },
    #[error("look how much space is free at {path:?}")]
    FreeSpace { path: PathBuf, source: std::io::Error },
    #[error("pointer {key}")]
    Pointer { key: Key, source: DocumentError },
    #[error("manifest {key}")]
    Document { key: Key, source: DocumentError },
    #[error("manifest {key} is of the subvolume {found:?}, asked for was {asked}")]
    OtherSubvolume { key: Key, found: String, asked: SubvolumeName },
    #[error("chunk {chunk} of {manifest} is missing in the bucket")]
    ChunkMissing { chunk: Key, manifest: Key },
    #[error("chunk {chunk} of {manifest} is {found} bytes long, expected {expected}")]
    ChunkSize { chunk: Key, manifest: Key, expected: u64, found: u64 },
    #[error("chunk {chunk} of {manifest} has the CRC64NVME {found}, expected {expected}")]
    ChunkChecksum { chunk: Key, manifest: Key, expected: Crc64Nvme, found: Crc64Nvme },
    #[error("fetch a chunk of {manifest}")]
    Fetch { manifest: Key, source: StoreError },
    #[error("chunk {chunk} of {manifest} does not hold what was sent")]
    Stream { manifest: Key, chunk: Key, source: StreamError },
    #[error("the chunks of {manifest} do not hold a whole stream")]
    Cut { manifest: Key, source: StreamError },
    #[error("{manifest} was received wrong: {what} is {found}, expected {expected}")]
    Received { manifest: Key, what: &'static str, expected: String, found: String },
    #[error(
        "{manifest}: `btrfs receive` took the subvolume {found} for its parent, another received \
         copy on this filesystem; restore onto a filesystem without one, one restore at a time, \
         or delete that copy"
    )]
    OtherParent { manifest: Key, found: String },
    #[error("give the restored subvolume its name {path:?}")]
    HandOver { path: PathBuf, source: std::io::Error },
    #[error("{look}; {why}")]
    Archived { look: Look, why: &'static str },
    #[error(
        "what was received of {manifest} is not the source snapshot, and is not handed over \
         (`--verify none` does that): {proof}"
    )]
    Differs { manifest: Key, proof: Box<Proof> },
    #[error("the chain has no links")]
    NoLinks,
    #[error("stopped by a signal")]
    Stopped(Stop),
    #[error(transparent)]
    Thaw(#[from] ThawError),
    #[error(transparent)]
    Compare(#[from] CompareError),
    #[error(transparent)]
    Bucket(#[from] BucketError),
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
}
