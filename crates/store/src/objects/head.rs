//! Asks S3 for the facts about one object.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::types::{ChecksumMode, ChecksumType};
use s3up_core::{Crc64Nvme, Key, Sha256Digest};

use crate::error::{Operation, StoreError, StoreErrorKind};
use crate::objects::etag;
use crate::objects::facts::ObjectFacts;
use crate::transport::connect::Store;

/// Name of the user metadata with the SHA-256 of the whole object, 64 hex digits.
pub(crate) const SHA256_METADATA: &str = "sha256";

impl Store {
    /// Describes the newest version of `key`, or the given one. Returns `None` if
    /// there is no such object.
    pub async fn head(
        &self,
        key: &Key,
        version_id: Option<&str>,
        retry_for: Duration,
    ) -> Result<Option<ObjectFacts>, StoreError> {
        let Some(head) = self.head_raw(key, version_id, retry_for).await? else { return Ok(None) };
        self.learn_from_head(key, head.e_tag.is_some());
        facts_of(key, head).map(Some)
    }

    /// Returns why HEAD was denied, from a call whose answer has a body: a wrong
    /// clock and a wrong key are answered with 403, too.
    async fn ask_with_body(&self, key: &Key, denied: StoreError) -> StoreError {
        let get = self.client.get_object().bucket(self.bucket()).key(key.as_str());
        match self.call(Operation::Head, key, get.range("bytes=0-0").send()).await {
            Err(err) if err.kind != StoreErrorKind::NotFound => err,
            Ok(_) | Err(_) => denied,
        }
    }

    /// Warns once if HEAD returns no ETag.
    fn learn_from_head(&self, key: &Key, has_etag: bool) {
        let before = self.learned.learn(|known| known.head_has_etag.replace(has_etag));
        if !has_etag && before != Some(false) {
            tracing::warn!(
                event = "head_without_etag",
                %key,
                "this server returns no ETag for HEAD; distinguishing versions by size, date and \
                 checksum (JuiceFS gateway: start it with `--keep-etag`)"
            );
        }
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
            self.call(Operation::Head, key, head.send())
        };
        match self.retry(retry_for, call).await {
            Ok(head) => Ok(Some(head)),
            Err(err) if err.kind == StoreErrorKind::NotFound => Ok(None),
            // The answer to HEAD has no body, and so no code.
            Err(err) if err.kind == StoreErrorKind::Denied => {
                Err(self.ask_with_body(key, err).await)
            }
            Err(err) => Err(err),
        }
    }
}

pub(crate) fn facts_of(key: &Key, head: HeadObjectOutput) -> Result<ObjectFacts, StoreError> {
    let missing = |what: &str| {
        StoreError::new(Operation::Head, key, StoreErrorKind::Permanent)
            .with_cause(format!("the answer has no {what}"))
    };
    let size = head.content_length.and_then(|len| u64::try_from(len).ok());
    let metadata: BTreeMap<_, _> = head.metadata.unwrap_or_default().into_iter().collect();
    // A composite checksum covers the checksums of the parts, not the bytes of the
    // object.
    let is_of_whole = head.checksum_type != Some(ChecksumType::Composite);
    let crc64nvme = head.checksum_crc64_nvme.filter(|_| is_of_whole);
    let modified_at = head.last_modified.and_then(|at| SystemTime::try_from(at).ok());
    let size = size.ok_or_else(|| missing("length"))?;
    let modified_at = modified_at.ok_or_else(|| missing("date"))?;
    let sha256 = metadata.get(SHA256_METADATA).and_then(|hex| Sha256Digest::parse_hex(hex).ok());
    let crc64nvme = crc64nvme.and_then(|text| Crc64Nvme::parse(&text).ok());
    let etag = head.e_tag.filter(|etag| !etag.is_empty());
    Ok(ObjectFacts {
        size,
        etag: etag.unwrap_or_else(|| etag::substitute(size, modified_at, crc64nvme, sha256)),
        version_id: head.version_id.filter(|id| id != "null"),
        content_type: head.content_type,
        modified_at,
        sha256,
        metadata,
        crc64nvme,
        storage_class: head.storage_class.map(|class| class.as_str().to_owned()),
        sse: head.server_side_encryption.map(|sse| sse.as_str().to_owned()),
    })
}
