//! Errors of a restore of files.

use std::io;
use std::path::PathBuf;

use btrfs_stream_index::Malformed;
use btrfs_stream_index::chain::IndexChainError;
use s3up_cli::Signal;
use s3up_repository::fetch::FetchError;
use s3up_repository::fetch::parts::OutsideStream;
use s3up_repository::thaw::{ThawError, ThawMode, ThawState};

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
    #[error("read the indexes of the chain; build them again with `index --build`")]
    Malformed(#[from] Malformed),
    #[error("read the indexes of the chain; build them again with `index --build`")]
    Outside(#[from] OutsideStream),
    #[error("the backup has no file that matches --path; list its files with `find`")]
    NoMatch,
    #[error("restore into {path:?}")]
    Target { path: PathBuf, source: io::Error },
    #[error("restore into {path:?}")]
    Staging { path: PathBuf, source: FileStagingError },
    #[error("sort the pieces of the files in temporary files")]
    Sort(#[from] io::Error),
    #[error("write the content of the files into {path:?}; what was written is removed")]
    Write { path: PathBuf, source: io::Error },
    #[error("decompress a piece of a file")]
    Decode(#[from] super::decode::DecodeError),
    #[error("write the content of the files: the download ended early; this is a bug, report it")]
    Ended,
    #[error("{state}; {}", end_of_thaw(*mode))]
    Archived { state: Box<ThawState>, mode: ThawMode },
    #[error(transparent)]
    Thaw(#[from] ThawError),
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("stopped by a signal")]
    Stopped(Signal),
}
