//! The facts that S3 reports about one object.

use std::collections::BTreeMap;
use std::time::SystemTime;

use s3up_core::{Crc64Nvme, Sha256Digest};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectFacts {
    /// In bytes.
    pub size: u64,
    /// The ETag as S3 writes it, with quotes. A server that returns none gets a substitute
    /// ([`crate::is_etag_reported`]).
    pub etag: String,
    /// `None` if the bucket keeps no versions.
    pub version_id: Option<String>,
    pub content_type: Option<String>,
    pub modified_at: SystemTime,
    pub metadata: BTreeMap<String, String>,
    /// The digest that our upload recorded; `None` if it was not known in time.
    pub sha256: Option<Sha256Digest>,
    /// Checksum of the whole object, if S3 reports one.
    pub crc64nvme: Option<Crc64Nvme>,
    /// `None` means STANDARD.
    pub storage_class: Option<String>,
    pub sse: Option<String>,
}
