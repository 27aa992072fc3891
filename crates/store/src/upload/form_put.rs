//! Stores a short object in the form of a call that the SDK made before.

use bytes::Bytes;

use crate::error::{Operation, StoreError, StoreErrorKind};
use crate::overwrite::Overwrite;
use crate::transport::checksums::Header;
use crate::transport::connect::Store;
use crate::transport::form_call::FormAnswer;
use crate::transport::request_form::FormCall;
use crate::upload::attributes::ObjectAttributes;
use crate::upload::put::{Facts, NULL, Put, WriteAnswer};

/// Maximum length of such an object. With a longer one the SDK takes a small part of the time.
const FORM_PUT_BYTES_MAX: u64 = 1 << 20;
/// The type that the SDK gives an object without one.
const TYPE_DEFAULT: &str = "application/octet-stream";

/// Result of a PUT in the learned form.
pub(crate) enum FormPut {
    Stored(WriteAnswer),
    /// The SDK has to make the call. S3 answered one in the form with this status, if there was one.
    NotStored {
        failure: Option<u16>,
    },
}

impl Store {
    /// Stores a short object in the form of a call that the SDK made before, if that is known. A condition is
    /// left to the SDK.
    ///
    /// # Errors
    ///
    /// S3 did not answer, is in trouble, or echoes another checksum.
    pub(crate) async fn put_by_form(
        &self,
        put: &Put,
        facts: &Facts,
        bytes: &Bytes,
    ) -> Result<FormPut, StoreError> {
        let is_short = facts.len <= FORM_PUT_BYTES_MAX && !self.upload_limit.is_limited();
        if !is_short || put.overwrite != Overwrite::Allowed {
            return Ok(FormPut::NotStored { failure: None });
        }
        let header = self.checksums.get().header();
        let call = FormCall {
            method: "PUT",
            key: &put.key,
            version_id: None,
            headers: self.headers(put, facts, header),
            body: Some((bytes.clone(), facts.sha256)),
        };
        let limit = self.stall_limit(facts.len, None);
        let answer = match self.call_by_form(limit, Operation::Put, call).await? {
            FormAnswer::Success(answer) => answer,
            // S3 may have stored it. So this is an attempt of its own, and the SDK makes the next one.
            FormAnswer::Failure { status: status @ (408 | 429 | 500 | 502 | 503 | 504) } => {
                let err = StoreError::new(Operation::Put, &put.key, StoreErrorKind::Transient);
                return Err(err.with_cause(format!("expected success, found HTTP status {status}")));
            }
            FormAnswer::Failure { status } => {
                return Ok(FormPut::NotStored { failure: Some(status) });
            }
            FormAnswer::Unsuitable => return Ok(FormPut::NotStored { failure: None }),
        };
        let text = |name: &str| answer.headers().get(name).map(str::to_owned);
        let echoed = text("x-amz-checksum-crc64nvme");
        let subject = (Operation::Put, &put.key);
        self.check_echo(subject, header, facts.crc64nvme, echoed.as_deref())?;
        let version_id = text("x-amz-version-id").filter(|id| id != NULL);
        Ok(FormPut::Stored(WriteAnswer { etag: text("etag"), version_id }))
    }

    /// Returns the header fields of a PUT as the SDK writes them, without those of the signature.
    fn headers(&self, put: &Put, facts: &Facts, header: Header) -> Vec<(String, String)> {
        let attributes = ObjectAttributes::of(self, put, Some(facts.sha256));
        let ObjectAttributes { content_type, metadata, storage_class, sse, kms_key_id } =
            attributes;
        let checksum = (header == Header::Sent).then(|| facts.crc64nvme.to_string());
        let content_type = content_type.unwrap_or_else(|| TYPE_DEFAULT.to_owned());
        let named = [
            ("content-length", Some(facts.len.to_string())),
            ("content-type", Some(content_type)),
            ("x-amz-checksum-crc64nvme", checksum),
            ("x-amz-storage-class", storage_class.map(|class| class.as_str().to_owned())),
            ("x-amz-server-side-encryption", sse.map(|sse| sse.as_str().to_owned())),
            ("x-amz-server-side-encryption-aws-kms-key-id", kms_key_id),
        ];
        let named = named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        let metadata =
            metadata.into_iter().map(|(name, value)| (format!("x-amz-meta-{name}"), value));
        named.chain(metadata).collect()
    }
}
