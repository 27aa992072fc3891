//! Errors of a restore of files.

use std::io;
use std::path::PathBuf;

use btrfs_stream_index::Malformed;
use btrfs_stream_index::chain::IndexChainError;
use s3up_cli::Signal;
use s3up_core::Key;
use s3up_repository::fetch::FetchError;
use s3up_repository::fetch::parts::OutsideStream;
use s3up_repository::thaw::{ThawError, ThawMode, ThawState};

use super::document_kind::DocumentKind;
use super::staging::FileStagingError;
use crate::browse::BrowseError;
use crate::restore::error::{RestoreError, end_of_thaw};

#[derive(Debug, thiserror::Error)]
pub enum FileRestoreError {
    #[error(transparent)]
    Select(#[from] RestoreError),
    #[error(transparent)]
    Browse(#[from] BrowseError),
    #[error("read the indexes of the chain")]
    Chain(#[from] IndexChainError),
    #[error(
        "the index of backup {backup} of the chain is damaged; build it again with `index --build`"
    )]
    Index { backup: usize, source: Malformed },
    #[error("read the pieces of the files from temporary files at the target; check its disk")]
    Malformed(#[from] Malformed),
    #[error("read the indexes of the chain; build them again with `index --build`")]
    Outside(#[from] OutsideStream),
    #[error("the backup {manifest} has no file that matches --path; list its files with `find`")]
    NoMatch { manifest: Key },
    #[error("restore into {path:?}")]
    Target { path: PathBuf, source: io::Error },
    #[error("restore into {path:?}")]
    Staging { path: PathBuf, source: FileStagingError },
    #[error(
        "sort the pieces of the files in temporary files at the target; check the free space there"
    )]
    Sort(#[from] io::Error),
    #[error("write the content of the files into {path:?}; what was written is removed")]
    Write { path: PathBuf, source: io::Error },
    #[error("decompress a piece of a file")]
    Decode(#[from] super::decode::DecodeError),
    #[error("restore files: a thread ended early; this is a bug, report it")]
    ThreadDied,
    #[error(
        "write the content of the files: expected the part with byte {expected} of backup {} of the \
         chain, found {found}; this is a bug, report it", .level + 1
    )]
    PartOrder { level: usize, expected: u64, found: String },
    #[error(
        "the {kind} are archived: a restore thaws them first, and then only the chunks that hold the \
         files, which are not known before"
    )]
    UnknownChunks { kind: DocumentKind },
    #[error(
        "the {kind} are archived again, or a lifecycle rule of the bucket archives them at once; \
         check the rules, then run the restore again"
    )]
    StillArchived { kind: DocumentKind },
    #[error("{state}; {}", end_of_thaw(*mode))]
    Archived { state: Box<ThawState>, mode: ThawMode },
    #[error(transparent)]
    Thaw(#[from] ThawError),
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("stopped by a signal")]
    Stopped(Signal),
}
