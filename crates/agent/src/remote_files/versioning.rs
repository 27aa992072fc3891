//! Asks whether the bucket keeps versions. Without them, files cannot be had as they were at a time.

use s3up_core::wire::Part;

use crate::gateway::client::GatewayClient;
use crate::gateway::error::GatewayError;

#[derive(Debug, thiserror::Error)]
pub enum VersioningError {
    #[error(
        "the bucket keeps no versions, so files cannot be restored as they were at a time; leave \
         out --at for the newest ones"
    )]
    Off,
    #[error(
        "the gateway does not know whether its bucket keeps versions, because S3 does not answer; \
         try again later"
    )]
    Unknown,
    #[error("ask the gateway whether its bucket keeps versions")]
    Ask(#[source] GatewayError),
}

/// Fails unless the bucket keeps versions.
pub async fn require_versions(gateway: &GatewayClient) -> Result<(), VersioningError> {
    let readiness = gateway.readiness().await.map_err(VersioningError::Ask)?;
    match (readiness.versioning.as_str(), readiness.s3) {
        ("enabled", _) => Ok(()),
        ("off", Part::Ok) => Err(VersioningError::Off),
        _ => Err(VersioningError::Unknown),
    }
}
