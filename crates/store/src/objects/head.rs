//! The facts that S3 reports about one object.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::types::{ChecksumMode, ChecksumType};
use s3up_core::{Crc64Nvme, Key, Sha256Digest};

use crate::error::{Kind, StoreError};
use crate::transport::connect::Store;

/// Name of the user metadata with the SHA-256 of the whole object, 64 hex digits.
pub(crate) const SHA256_METADATA: &str = "sha256";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectFacts {
    /// In bytes.
    pub size: u64,
    /// As S3 writes it, with quotes.
    pub etag: String,
    /// `None` if the bucket keeps no versions.
    pub version_id: Option<String>,
    pub content_type: Option<String>,
    pub modified_at: SystemTime,
    pub metadata: BTreeMap<String, String>,
    /// As recorded by our uploads; `None` if it was not known in time.
    pub sha256: Option<Sha256Digest>,
    /// Checksum of the whole object, if S3 reports one.
    pub crc64nvme: Option<Crc64Nvme>,
    /// `None` means STANDARD.
    pub storage_class: Option<String>,
    pub sse: Option<String>,
}

impl Store {
    /// Describes the newest version of `key`, or the given one. Returns `None` if
    /// there is no such object.
    pub async fn head(
        &self,
        key: &Key,
        version_id: Option<&str>,
        retry_for: Duration,
    ) -> Result<Option<ObjectFacts>, StoreError> {
        let head = self.head_raw(key, version_id, retry_for).await?;
        head.map(|head| facts_of(key, head)).transpose()
    }

    pub(crate) async fn head_raw(
        &self,
        key: &Key,
        version_id: Option<&str>,
        retry_for: Duration,
    ) -> Result<Option<HeadObjectOutput>, StoreError> {
        let call = || {
            let head = self.client.head_object().bucket(self.bucket()).key(key.as_str());
            let head = head.set_version_id(version_id.map(str::to_owned));
            let head = head.checksum_mode(ChecksumMode::Enabled);
            self.call("head", key, head.send())
        };
        match self.retry(retry_for, call).await {
            Ok(head) => Ok(Some(head)),
            Err(err) if err.kind == Kind::NotFound => Ok(None),
            Err(err) => Err(err),
        }
    }
}

fn facts_of(key: &Key, head: HeadObjectOutput) -> Result<ObjectFacts, StoreError> {
    let missing = |what: &str| {
        StoreError::new("head", key, Kind::Permanent)
            .with_cause(format!("the answer has no {what}"))
    };
    let size = head.content_length.and_then(|len| u64::try_from(len).ok());
    let metadata: BTreeMap<_, _> = head.metadata.unwrap_or_default().into_iter().collect();
    // A composite checksum covers the checksums of the parts, not the bytes of the
    // object.
    let is_of_whole = head.checksum_type != Some(ChecksumType::Composite);
    let crc64nvme = head.checksum_crc64_nvme.filter(|_| is_of_whole);
    let modified_at = head.last_modified.and_then(|at| SystemTime::try_from(at).ok());
    Ok(ObjectFacts {
        size: size.ok_or_else(|| missing("length"))?,
        etag: head.e_tag.ok_or_else(|| missing("ETag"))?,
        version_id: head.version_id.filter(|id| id != "null"),
        content_type: head.content_type,
        modified_at: modified_at.ok_or_else(|| missing("date"))?,
        sha256: metadata.get(SHA256_METADATA).and_then(|hex| Sha256Digest::parse_hex(hex).ok()),
        metadata,
        crc64nvme: crc64nvme.and_then(|text| Crc64Nvme::parse(&text).ok()),
        storage_class: head.storage_class.map(|class| class.as_str().to_owned()),
        sse: head.server_side_encryption.map(|sse| sse.as_str().to_owned()),
    })
}
