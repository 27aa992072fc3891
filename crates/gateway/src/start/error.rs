//! The reason why the gateway does not start.

use s3up_store::{ConnectError, StoreError};

use crate::database::DatabaseError;

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("connect to S3")]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Probe(#[from] StoreError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error("generate a random name for this run")]
    Random(#[from] getrandom::Error),
    #[error(
        "bucket {bucket}: expected versioning enabled (`s3.require_versioning`), found off; \
         enable it on the bucket"
    )]
    VersioningOff { bucket: String },
    #[error(
        "bucket {bucket}: expected versioning enabled (`s3.require_versioning`), but S3 did not \
         report it; allow s3:GetBucketVersioning"
    )]
    VersioningUnknown { bucket: String },
}
