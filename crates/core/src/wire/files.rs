//! `GET /list` and `GET /versions`: the files of the client, and the versions of one file.

use serde::{Deserialize, Serialize};

use crate::Sha256Digest;

/// Maximum number of files on a page, and the default: as many as S3 lists at once.
pub const LIST_LIMIT_MAX: usize = 1000;

/// The 200 response to `GET /list`: one page, in the order of the bytes of the paths.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Listing {
    pub files: Vec<ListedFile>,
    /// Value of `cursor` for the next page; null on the last one.
    pub cursor: Option<String>,
}

/// A file as S3 lists it, with what the gateway recorded about this very version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ListedFile {
    pub path: String,
    pub size: u64,
    /// Time at which S3 stored the object: RFC 3339, UTC.
    pub uploaded_at: String,
    /// Null if the gateway has no record of this version; `GET /exists` asks S3.
    pub sha256: Option<Sha256Digest>,
    pub mtime_ns: Option<i64>,
    /// Permission bits in octal.
    pub mode: Option<String>,
    /// Absent for STANDARD. An object of the class GLACIER or DEEP_ARCHIVE has to be thawed before
    /// it can be downloaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_class: Option<String>,
}

/// The 200 response to `GET /versions`. With `path`, the newest version is first. With `prefix`, it
/// is one page, in the order of the bytes of the paths, and the newest version of each path is first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Versions {
    pub versions: Vec<ListedVersion>,
    /// Value of `cursor` for the next page; absent on the last one, and with `path`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ListedVersion {
    #[serde(default)]
    pub path: String,
    /// Value of `version_id` for `GET /download`.
    pub version_id: String,
    pub size: u64,
    /// RFC 3339, UTC.
    pub uploaded_at: String,
    /// True for the version that `GET /download` returns.
    pub is_latest: bool,
    /// True if the file was deleted at this time; not by a gateway, which deletes nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_deleted: bool,
    /// Absent for STANDARD.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_class: Option<String>,
}
