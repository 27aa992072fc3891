//! The reasons why a restore ends early. A file that fails by itself is not one: it is counted in the
//! [`RestoreSummary`].

use std::io;
use std::path::PathBuf;

use super::summary::RestoreSummary;
use crate::gateway::error::GatewayError;
use crate::remote_files::versioning::VersioningError;

#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    #[error("open the target {path:?}")]
    Target { path: PathBuf, source: io::Error },
    #[error("target {path:?}: another restore is writing into it; wait for its end")]
    Locked { path: PathBuf },
    #[error("list the files below {prefix:?}")]
    List { prefix: String, source: GatewayError },
    #[error("the gateway has no file below {prefix:?}; check the prefix with `s3up list`")]
    NothingFound { prefix: String },
    #[error(transparent)]
    Versioning(#[from] VersioningError),
    #[error("{}; {} restored so far, run the same command again to resume", reason, files(summary))]
    Stopped { reason: String, summary: Box<RestoreSummary> },
    #[error("write everything below {path:?} to its disk; run the same command again to check it")]
    Sync { path: PathBuf, source: io::Error },
    #[error(
        "a thread of the restore ended early; this is a bug, report it and run the command again"
    )]
    Panicked,
}

fn files(summary: &RestoreSummary) -> s3up_core::Count {
    s3up_core::Count(summary.restored.files, "file")
}
