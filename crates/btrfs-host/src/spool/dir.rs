//! The directory of a spool, its limit and its errors.

use std::fmt;
use std::io;
use std::path::PathBuf;

use s3up_core::Size;

/// Length of one piece, the unit of reading, writing and checking.
pub const PIECE_BYTES: usize = 1 << 20;

/// A directory, and how much of a stream may wait in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spool {
    pub directory: PathBuf,
    /// At least two pieces.
    pub limit_bytes: u64,
}

impl fmt::Display for Spool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", Size(self.limit_bytes), self.directory.display())
    }
}

#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    #[error("create a file in the spool {directory:?}")]
    Create { directory: PathBuf, source: io::Error },
    #[error("write to the spool {directory:?}")]
    Write { directory: PathBuf, source: io::Error },
    #[error(
        "the disk of the spool {directory:?} is full: no space for {}, and nothing in the spool is \
         left to drain; free some space there", Size(*bytes)
    )]
    Full { directory: PathBuf, bytes: u64, source: io::Error },
    #[error("read from the spool {directory:?}")]
    Read { directory: PathBuf, source: io::Error },
    #[error(
        "the spool {directory:?} returned other bytes than were written; its disk or the memory is \
         faulty"
    )]
    Changed { directory: PathBuf },
    #[error("the spool {directory:?} stopped before the end of the stream")]
    Stopped { directory: PathBuf },
}
