//! The answers that several calls share.

use serde::{Deserialize, Serialize};

use crate::{Code, Sha256Digest};

/// The 200 response to `POST /upload` and `PUT /files/{path}`: the file is safe
/// in S3.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UploadResponse {
    pub success: bool,
    pub s3_key: String,
    pub size: u64,
    pub sha256: Sha256Digest,
    /// Null if the bucket keeps no versions.
    pub version_id: Option<String>,
    /// True if the same content was already stored, so that nothing was written.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unchanged: bool,
}

/// The body of every refusal: a problem document (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    pub status: u16,
    pub title: String,
    pub detail: String,
    pub code: Code,
}
