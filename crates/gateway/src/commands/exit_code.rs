//! The exit code of a gateway that cannot start.

use s3up_cli::Exit;

use crate::start::error::StartError;

/// A demand of the configuration that the bucket or S3 does not meet exits with
/// code 2: a repetition would fail in the same way.
pub(super) fn start_error(err: StartError) -> anyhow::Error {
    match err {
        StartError::VersioningOff { .. } | StartError::VersioningUnknown { .. } => {
            Exit::Usage.with(err)
        }
        StartError::Connect(_)
        | StartError::Probe(_)
        | StartError::Database(_)
        | StartError::Random(_) => err.into(),
    }
}
