//! The errors of reading a chain of indexes.

use crate::codec::Malformed;
use crate::table::TableError;

/// Maximum length of a path in a lookup. The kernel sends paths of at most 4 KiB.
const PATH_BYTES_MAX: usize = 64 << 10;

#[derive(Debug, thiserror::Error)]
pub enum IndexChainError {
    #[error(transparent)]
    Table(#[from] TableError),
    #[error(
        "the index of backup {} of {of}: expected {path:?} in the index of its parent, found \
         nothing; build both again with `index --build`",
        .level + 1
    )]
    Missing { level: usize, of: usize, path: String },
    #[error(
        "the index of backup {} of {of}: expected that of {}, found that of {}; build the \
         indexes again with `index --build`",
        .level + 1, kind(*.level > 0), kind(*.level == 0)
    )]
    Order { level: usize, of: usize },
    #[error(
        "sort the changes of files with several names in a temporary file; check the free space in \
         {}", std::env::temp_dir().display()
    )]
    Sort(#[source] std::io::Error),
    #[error("look up a path: expected at most {PATH_BYTES_MAX} bytes, found {bytes}")]
    TooLong { bytes: usize },
    #[error(
        "the stream of backup {} of {of} has more levels of clones than an index can follow",
        .level + 1
    )]
    TooDeep { level: usize, of: usize },
    #[error(
        "a file of backup {} of {of} has too many extents that are clones of each other; restore \
         the whole subvolume to btrfs instead",
        .level + 1
    )]
    ClonesWithin { level: usize, of: usize },
    #[error(
        "the clones of a file of backup {} of {of} lead through more operations than an index can \
         follow; restore the whole subvolume to btrfs instead",
        .level + 1
    )]
    TooManySteps { level: usize, of: usize },
}

/// Fails if a path is longer than any of a backup.
pub fn check_path(path: &[u8]) -> Result<(), IndexChainError> {
    let bytes = path.len();
    if bytes <= PATH_BYTES_MAX { Ok(()) } else { Err(IndexChainError::TooLong { bytes }) }
}

fn kind(is_incremental: bool) -> &'static str {
    if is_incremental { "an incremental" } else { "a full" }
}

impl From<Malformed> for IndexChainError {
    fn from(err: Malformed) -> IndexChainError {
        IndexChainError::Table(err.into())
    }
}
