//! `POST /proof`: the facts that S3 reports about files whose only copy it would be.

use serde::{Deserialize, Serialize};

use crate::Sha256Digest;

/// Maximum number of files in one query. Each of them costs the gateway a request to S3.
pub const PROOF_FILES_MAX: usize = 1000;

/// The body of `POST /proof`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProofQuery {
    pub paths: Vec<String>,
}

/// The 200 response to `POST /proof`: one entry for each path, in the order of the query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Proofs {
    /// `enabled` if the bucket keeps every version, else `off` or `unknown`.
    pub versioning: String,
    pub files: Vec<FileProof>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FileProof {
    pub path: String,
    /// Null if no file is stored under this path.
    pub stored: Option<ProvenObject>,
}

/// The newest version of a file as S3 itself reports it; the catalogue is not asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProvenObject {
    pub size: u64,
    /// SHA-256 that the object carries; null if it carries none.
    pub sha256: Option<Sha256Digest>,
    /// Checksum (CRC64NVME, base64) that S3 computed of the whole object; null if S3 has none.
    pub crc64nvme: Option<String>,
    pub version_id: Option<String>,
    /// True if its client marked it as a copy of a file that was being written.
    pub is_hot: bool,
    /// True if it has to be thawed before it can be downloaded.
    pub is_archived: bool,
    pub expiry: Expiry,
    /// The lifecycle rule, or the reason why the gateway cannot tell; absent without an expiry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiry_reason: Option<String>,
    /// Says what happens to this version once a newer one replaces it.
    #[serde(default)]
    pub old_versions: OldVersions,
    /// Days after which the bucket deletes an old version; absent unless a rule does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_version_days: Option<u32>,
    /// The lifecycle rule, or the reason why the gateway cannot tell; absent if they are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_versions_reason: Option<String>,
}

/// Says whether a lifecycle rule of the bucket will delete an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Expiry {
    Never,
    /// A rule deletes it, or may delete it.
    ByRule,
    /// The gateway cannot tell, or the value is one of a newer gateway.
    #[serde(other)]
    Unknown,
}

/// Says whether a lifecycle rule of the bucket deletes versions that were replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum OldVersions {
    Kept,
    /// A rule deletes them, or may delete them.
    DeletedByRule,
    /// The gateway cannot tell or is too old to, or the value is one of a newer gateway.
    #[default]
    #[serde(other)]
    Unknown,
}
