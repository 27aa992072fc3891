//! One file that the gateway has.

use jiff::Timestamp;
use s3up_core::storage_class::is_archive_class;
use s3up_core::wire::ListedFile;
use s3up_core::{RemotePath, Sha256Digest};
use serde::Serialize;

use super::file_metadata::FileMetadata;

/// A file in the gateway. Facts that a listing does not have are `None`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RemoteFile {
    pub path: RemotePath,
    pub size: u64,
    pub uploaded_at: Timestamp,
    pub sha256: Option<Sha256Digest>,
    pub mtime_ns: Option<i64>,
    /// Permission bits in octal.
    pub mode: Option<String>,
    /// `None` means STANDARD.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_class: Option<String>,
    /// The version to download; `None` for the newest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
}

/// A part of a listing that this program cannot use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEntry {
    #[error("path {path:?}: {rule}")]
    Path { path: String, rule: s3up_core::PathRule },
    #[error("{path:?}: expected a time in RFC 3339, found {found:?}")]
    Time { path: String, found: String },
}

impl RemoteFile {
    pub fn of_listed(listed: ListedFile) -> Result<RemoteFile, InvalidEntry> {
        Ok(RemoteFile {
            path: path(&listed.path)?,
            size: listed.size,
            uploaded_at: time(&listed.path, &listed.uploaded_at)?,
            sha256: listed.sha256,
            mtime_ns: listed.mtime_ns,
            mode: listed.mode,
            storage_class: listed.storage_class,
            version_id: None,
        })
    }

    /// Returns the newest version of a file, as this host recorded its upload.
    pub fn of_record(path: RemotePath, size: u64, sha256: Sha256Digest) -> RemoteFile {
        RemoteFile {
            path,
            size,
            uploaded_at: Timestamp::UNIX_EPOCH,
            sha256: Some(sha256),
            mtime_ns: None,
            mode: None,
            storage_class: None,
            version_id: None,
        }
    }

    /// Returns the permission bits, if the gateway knows them.
    pub fn mode_bits(&self) -> Option<u32> {
        u32::from_str_radix(self.mode.as_deref()?, 8).ok()
    }

    /// Returns the metadata that a restored file gets.
    pub fn metadata(&self) -> FileMetadata {
        FileMetadata { mtime_ns: self.mtime_ns, mode: self.mode_bits() }
    }

    /// Returns true if S3 refuses to return the file until it is thawed.
    pub fn is_archived(&self) -> bool {
        is_archive_class(self.storage_class.as_deref())
    }
}

pub(super) fn path(text: &str) -> Result<RemotePath, InvalidEntry> {
    RemotePath::parse(text).map_err(|rule| InvalidEntry::Path { path: text.to_owned(), rule })
}

pub(super) fn time(path: &str, text: &str) -> Result<Timestamp, InvalidEntry> {
    text.parse().map_err(|_| InvalidEntry::Time { path: path.to_owned(), found: text.to_owned() })
}
