//! Errors that end a cleanup, or keep it from a watch.

use std::path::PathBuf;

use crate::database::DatabaseError;
use crate::gateway::error::GatewayError;

#[derive(Debug, thiserror::Error)]
pub enum CleanupError {
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error("ask the gateway what S3 has")]
    Gateway(#[from] GatewayError),
    #[error(
        "expected answers of the gateway for {expected} files, found {found}; check the URL of the gateway and any proxy"
    )]
    Answers { expected: usize, found: usize },
    #[error("clean up {root:?}: {reason}")]
    Watch { root: PathBuf, reason: String },
    #[error("record a deletion: the database is being closed")]
    Stopped,
    #[error("a thread of the cleanup ended early; this is a bug, report it")]
    Panicked,
}
