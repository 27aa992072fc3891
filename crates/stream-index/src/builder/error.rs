//! The error of an index that is being built.

use std::io;

/// The reason why a stream gets no index. The backup itself is not affected.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error("write the index")]
    Write(#[from] io::Error),
    #[error("the stream refers to {path:?} after too many other files")]
    Forgotten { path: String },
    #[error("the stream has {what}, which an index cannot describe")]
    Unsupported { what: &'static str },
    #[error("the stream has more than {limit} {what}, which an index cannot describe")]
    TooMany { what: &'static str, limit: usize },
    #[error("the stream did not end")]
    Unfinished,
}
