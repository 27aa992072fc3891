//! `POST /exists`: asks about many files in one call.

use serde::{Deserialize, Serialize};

use crate::Sha256Digest;

/// Maximum number of files in one query. Each of them costs the gateway a request to S3.
pub const EXISTS_FILES_MAX: usize = 1000;

/// The body of `POST /exists`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ExistsQuery {
    #[cfg_attr(feature = "openapi", schema(max_items = 1000))]
    pub files: Vec<QueriedFile>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct QueriedFile {
    pub path: String,
    pub size: u64,
    pub sha256: Sha256Digest,
}

/// The 200 response to `POST /exists`: one entry for each file, in the order of the query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Verdicts {
    pub files: Vec<VerdictOfFile>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct VerdictOfFile {
    pub path: String,
    pub verdict: Verdict,
    /// Set with `unchanged`, if the bucket keeps versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
}

/// Says what is stored under a path, or why an upload of it would be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Missing,
    /// The stored file has this size and SHA-256.
    Unchanged,
    /// The stored file has another size or SHA-256, or its SHA-256 is not known.
    Differs,
    TooLarge,
    /// The extension is not allowed, or other content may not be overwritten.
    Forbidden,
    Quota,
    BadPath,
    /// A verdict of a newer gateway, unknown to this version.
    #[serde(other)]
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_is_written_in_snake_case_and_a_new_one_is_read_as_unknown() {
        assert_eq!(serde_json::to_string(&Verdict::TooLarge).unwrap(), "\"too_large\"");
        assert_eq!(serde_json::from_str::<Verdict>("\"later\"").unwrap(), Verdict::Unknown);
    }
}
