//! What gateway and agent say to each other, as JSON. DESIGN of the API: `docs/api.md`.
//!
//! Readers ignore unknown fields, so that either side may be newer.

use serde::{Deserialize, Serialize};

use crate::{Code, Sha256Digest};

/// Request header: mtime of the file in nanoseconds since 1970 (may be negative).
pub const MTIME_NS_HEADER: &str = "x-mtime-ns";
/// Request header: permission bits of the file, in octal (`0644`).
pub const MODE_HEADER: &str = "x-mode";
/// Request and answer header (RFC 9530): SHA-256 of the whole file.
pub const REPR_DIGEST_HEADER: &str = "repr-digest";
/// Media type of a [`Problem`] (RFC 9457).
pub const PROBLEM_TYPE: &str = "application/problem+json";

/// 200 to `POST /upload` and `PUT /files/{path}`: the file is safe in S3.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadAnswer {
    pub success: bool,
    pub s3_key: String,
    /// Bytes stored.
    pub size: u64,
    pub sha256: Sha256Digest,
    /// Null where the bucket keeps no versions.
    pub version_id: Option<String>,
    /// True when the same content was there already and nothing was written.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unchanged: bool,
}

/// 200 to `GET /exists`. All but `exists` are absent when it is false.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExistsAnswer {
    pub exists: bool,
    #[serde(flatten)]
    pub file: Option<StoredFile>,
}

/// What the gateway knows of a stored file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredFile {
    pub size: u64,
    /// Null for a long upload whose digest was not announced.
    pub sha256: Option<Sha256Digest>,
    /// Nanoseconds since 1970, as the uploader said; null where it did not.
    pub mtime_ns: Option<i64>,
    /// RFC 3339, UTC: when S3 took the object.
    pub uploaded_at: String,
    pub version_id: Option<String>,
}

/// 200 to `GET /health`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    pub status: String,
}

/// The body of every refusal (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    pub status: u16,
    pub title: String,
    pub detail: String,
    pub code: Code,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_has_no_other_fields() {
        let json = serde_json::to_string(&ExistsAnswer::default()).unwrap();
        assert_eq!(json, r#"{"exists":false}"#);
        assert_eq!(serde_json::from_str::<ExistsAnswer>(&json).unwrap(), ExistsAnswer::default());
    }

    #[test]
    fn a_stored_file_is_one_flat_object() {
        let answer = ExistsAnswer {
            exists: true,
            file: Some(StoredFile {
                size: 1,
                sha256: None,
                mtime_ns: Some(-1),
                uploaded_at: "2026-01-01T00:00:00Z".to_owned(),
                version_id: None,
            }),
        };
        let json = serde_json::to_string(&answer).unwrap();
        assert_eq!(
            json,
            r#"{"exists":true,"size":1,"sha256":null,"mtime_ns":-1,"uploaded_at":"2026-01-01T00:00:00Z","version_id":null}"#
        );
        assert_eq!(serde_json::from_str::<ExistsAnswer>(&json).unwrap(), answer);
    }

    #[test]
    fn unchanged_is_said_only_when_true() {
        let mut answer = UploadAnswer {
            success: true,
            s3_key: "w/a".to_owned(),
            size: 0,
            sha256: Sha256Digest::of(b""),
            version_id: None,
            unchanged: false,
        };
        assert!(!serde_json::to_string(&answer).unwrap().contains("unchanged"));
        answer.unchanged = true;
        assert!(serde_json::to_string(&answer).unwrap().ends_with(r#""unchanged":true}"#));
    }
}
