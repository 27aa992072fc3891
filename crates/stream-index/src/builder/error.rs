//! The error of an index that is being built.

use std::io;

/// The reason why a stream gets no index. The backup itself is not affected.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error("write the temporary files of the index; check the free space for them")]
    Write(#[from] io::Error),
    #[error(
        "the stream refers to {path:?} after too many other files, which an index cannot describe; \
         `restore` needs no index"
    )]
    Forgotten { path: String },
    #[error("the stream has {what}, which an index cannot describe; `restore` needs no index")]
    Unsupported { what: &'static str },
    #[error("expected at most {limit} {what} in the stream, found more; `restore` needs no index")]
    TooMany { what: &'static str, limit: usize },
    #[error("expected the end of the stream, found none")]
    Unfinished,
}
