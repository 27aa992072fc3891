//! JSON bodies and headers of the gateway's HTTP API, as `docs/api.md` describes
//! them.
//!
//! Readers ignore unknown fields, so that either side may be newer.

mod answers;
mod backup_report;
mod batch;
mod body_error;
mod clients;
mod exists;
mod files;
mod fleet;
mod proof;
mod ready;

use serde::{Deserialize, Serialize};

pub use self::answers::{Problem, UploadResponse};
pub use self::backup_report::{
    BACKUP_REPORT_BYTES_MAX, BACKUP_REPORT_VERSION, BackupCheck, BackupReport, BackupRun,
    ProgramFacts, RunOutcome, SUBVOLUMES_MAX, SubvolumeReport,
};
pub use self::batch::{
    BATCH_ANSWERS_TYPE, BATCH_FILE_BYTES_MAX, BATCH_FILES_MAX, BATCH_HEADER_BYTES_MAX, BATCH_TYPE,
    BatchAnswer, BatchFile, BatchOutcome,
};
pub use self::body_error::{BodyError, TEXT_BYTES_MAX};
pub use self::clients::{
    ClientList, ClientReport, ClientState, ClientStatus, Frozen, Incident, ReportList,
};
pub use self::exists::{
    EXISTS_FILES_MAX, ExistsQuery, QueriedFile, Verdict, VerdictOfFile, Verdicts,
};
pub use self::files::{LIST_LIMIT_MAX, ListedFile, ListedVersion, Listing, Versions};
pub use self::fleet::{
    Accepted, AgentFacts, Drill, FLEET_VERSION, FileTotals, HEARTBEAT_BYTES_MAX, Heartbeat,
    PROBLEMS_MAX, REPORT_BYTES_MAX, Report, ReportedProblem, Total, WATCHES_MAX, WatchFacts,
    Watcher, Watches,
};
pub use self::proof::{
    Expiry, FileProof, OldVersions, PROOF_FILES_MAX, ProofQuery, Proofs, ProvenObject,
};
pub use self::ready::{Part, Readiness};
use crate::Sha256Digest;

/// Request header: mtime of the file in nanoseconds since 1970. It may be
/// negative.
pub const MTIME_NS_HEADER: &str = "x-mtime-ns";
/// Request header: permission bits of the file, in octal (`0644`).
pub const MODE_HEADER: &str = "x-mode";
/// Request header: `true` if the file had not settled. `overwrite: never` lets a later version
/// replace it.
pub const HOT_HEADER: &str = "x-hot";
/// Request and response header (RFC 9530): SHA-256 of the whole file.
pub const REPR_DIGEST_HEADER: &str = "repr-digest";
/// Media type of a [`Problem`] (RFC 9457).
pub const PROBLEM_TYPE: &str = "application/problem+json";

/// The 200 response to `GET /exists`. If `exists` is false, all other fields are
/// absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ExistsResponse {
    pub exists: bool,
    #[serde(flatten)]
    pub file: Option<StoredFile>,
}

/// The facts about a stored file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StoredFile {
    pub size: u64,
    /// Null for an upload of several parts whose SHA-256 was not announced.
    pub sha256: Option<Sha256Digest>,
    /// MD5 in hex, of a file without a SHA-256 that S3 has an MD5 of; otherwise absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub md5: Option<String>,
    /// The announced mtime in nanoseconds since 1970; null if none was announced.
    pub mtime_ns: Option<i64>,
    /// Time at which S3 stored the object: RFC 3339, UTC.
    pub uploaded_at: String,
    pub version_id: Option<String>,
}

/// The 200 response to `GET /health`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Health {
    pub status: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_has_no_other_fields() {
        let json = serde_json::to_string(&ExistsResponse::default()).unwrap();
        assert_eq!(json, r#"{"exists":false}"#);
        assert_eq!(
            serde_json::from_str::<ExistsResponse>(&json).unwrap(),
            ExistsResponse::default()
        );
    }

    #[test]
    fn a_stored_file_is_one_flat_object() {
        let response = ExistsResponse {
            exists: true,
            file: Some(StoredFile {
                md5: None,
                size: 1,
                sha256: None,
                mtime_ns: Some(-1),
                uploaded_at: "2026-01-01T00:00:00Z".to_owned(),
                version_id: None,
            }),
        };
        let json = serde_json::to_string(&response).unwrap();
        assert_eq!(
            json,
            r#"{"exists":true,"size":1,"sha256":null,"mtime_ns":-1,"uploaded_at":"2026-01-01T00:00:00Z","version_id":null}"#
        );
        assert_eq!(serde_json::from_str::<ExistsResponse>(&json).unwrap(), response);
    }

    #[test]
    fn unchanged_is_written_only_if_true() {
        let mut response = UploadResponse {
            success: true,
            s3_key: "w/a".to_owned(),
            size: 0,
            sha256: Sha256Digest::of(b""),
            version_id: None,
            unchanged: false,
        };
        assert!(!serde_json::to_string(&response).unwrap().contains("unchanged"));
        response.unchanged = true;
        assert!(serde_json::to_string(&response).unwrap().ends_with(r#""unchanged":true}"#));
    }
}
