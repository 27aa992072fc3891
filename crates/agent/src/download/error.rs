//! Errors of a download, each with the next step.

use std::io;
use std::path::PathBuf;

use jiff::Timestamp;
use s3up_core::{PathRule, RemotePath, Sha256Digest};

use crate::gateway::error::GatewayError;
use crate::remote_files::versioning::VersioningError;

#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    #[error("remote path {path:?}")]
    Path { path: String, source: PathRule },
    #[error("download {:?}: the gateway has no such file; list the files with s3up list, or restore a directory with s3up restore", path.as_str())]
    Missing { path: RemotePath },
    #[error(
        "download {:?}: it has no version {version_id:?}; `s3up list PATH --versions` lists them",
        path.as_str()
    )]
    NoVersion { path: RemotePath, version_id: String },
    #[error(
        "download {:?}: it did not exist at {at}; `s3up list PATH --versions` shows its history",
        path.as_str()
    )]
    NotThen { path: RemotePath, at: Timestamp },
    #[error(transparent)]
    Versioning(#[from] VersioningError),
    #[error("download {:?}", path.as_str())]
    Gateway { path: RemotePath, source: GatewayError },
    #[error("download {:?}: expected {expected} bytes, found {found}; run the command again", path.as_str())]
    Length { path: RemotePath, expected: u64, found: u64 },
    #[error(
        "download {:?}: expected SHA-256 {expected}, found {found}; run the command again",
        path.as_str()
    )]
    Digest { path: RemotePath, expected: Sha256Digest, found: Sha256Digest },
    #[error("write {path:?}")]
    Write { path: PathBuf, source: io::Error },
    #[error("write {path:?}: it is a directory; give the name of a file")]
    Dir { path: PathBuf },
    #[error("write {path:?}: it exists; pass --overwrite to replace it")]
    Exists { path: PathBuf },
}
