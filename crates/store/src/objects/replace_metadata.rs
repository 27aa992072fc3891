//! Replaces the user metadata of an object, without its content being sent again.
//!
//! S3 has no call that changes metadata. The object is copied onto itself, with other metadata: in a
//! bucket with versions that is a new version, and the previous one stays. Only the version that was
//! seen is copied. The caller keeps other writers of the key away: S3 checks the source when the copy
//! begins, and not when it ends. A copy whose request timed out may end later, on top of a newer object,
//! so the bucket has to keep versions.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_s3::types::{MetadataDirective, StorageClass};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3up_core::Key;

use crate::error::{Operation, StoreError, StoreErrorKind};
use crate::objects::etag::is_reported;
use crate::objects::facts::ObjectFacts;
use crate::transport::connect::Store;
use crate::upload::attributes::ObjectAttributes;
use crate::upload::put::has_metadata;

/// Maximum length of an object that is copied. S3 copies 5 GiB in one call, but a copy that takes long may
/// outlast its request, and each is paid for as a version of its own.
pub const COPY_BYTES_MAX: u64 = 64 << 20;
/// Characters that are escaped in the name of a source: all but the unreserved ones and the slash.
const SOURCE: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

impl Store {
    /// Gives the newest version of `key`, which is `found`, this user metadata. Returns the facts of
    /// the object from then on.
    ///
    /// # Errors
    ///
    /// Another version is under this key now, the object is archived, the server returns no ETag by which the
    /// version could be recognised, or S3 cannot be asked.
    pub async fn replace_metadata(
        &self,
        key: &Key,
        found: &ObjectFacts,
        metadata: &BTreeMap<String, String>,
        retry_for: Duration,
    ) -> Result<ObjectFacts, StoreError> {
        if !is_reported(&found.etag) {
            let what = "expected an ETag of the object, found none";
            return Err(StoreError::new(Operation::Copy, key, StoreErrorKind::NotImplemented)
                .with_cause(what));
        }
        let copied = self.retry(retry_for, || self.copy_onto_itself(key, found, metadata)).await;
        let changed = || {
            let what = "another object is under this key";
            StoreError::new(Operation::Copy, key, StoreErrorKind::Precondition).with_cause(what)
        };
        let err = match copied {
            Ok(()) => changed(),
            // The answer to an attempt that succeeded may have been lost.
            Err(err) if err.kind == StoreErrorKind::Precondition => err,
            Err(err) => return Err(err),
        };
        // The answer to a copy has no size, and on some servers an ETag in another form.
        let now = self.head(key, None, retry_for).await?;
        let is_copy = |now: &ObjectFacts| {
            let checksums = now.crc64nvme.zip(found.crc64nvme);
            let has_content = checksums.is_none_or(|(now, found)| now == found);
            has_content && now.size == found.size && has_metadata(now, metadata)
        };
        now.filter(is_copy).ok_or(err)
    }

    async fn copy_onto_itself(
        &self,
        key: &Key,
        found: &ObjectFacts,
        metadata: &BTreeMap<String, String>,
    ) -> Result<(), StoreError> {
        let _permit = self.throttle.acquire().await;
        let name = format!("{}/{}", self.bucket(), key.as_str());
        let encryption = ObjectAttributes::of_sse(&self.settings.sse);
        let call = self
            .client
            .copy_object()
            .bucket(self.bucket())
            .key(key.as_str())
            .copy_source(utf8_percent_encode(&name, SOURCE).to_string())
            .copy_source_if_match(&found.etag)
            .metadata_directive(MetadataDirective::Replace)
            .set_metadata(Some(metadata.clone().into_iter().collect()))
            .set_content_type(found.content_type.clone())
            .set_storage_class(found.storage_class.as_deref().map(StorageClass::from))
            .set_server_side_encryption(encryption.sse)
            .set_ssekms_key_id(encryption.kms_key_id);
        let limit = self.settings.timeouts.limit(found.size);
        self.call_within(limit, Operation::Copy, key, call.send()).await.map(drop)
    }
}
