//! Stores a short object in the form of a PUT that the SDK made before.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use aws_credential_types::provider::ProvideCredentials;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::put_object::PutObjectError;
use aws_smithy_runtime_api::client::http::HttpConnector;
use bytes::Bytes;

use crate::clock;
use crate::error::{Operation, StoreError};
use crate::overwrite::Overwrite;
use crate::transport::checksums::Header;
use crate::transport::connect::Store;
use crate::transport::put_form::PutForm;
use crate::upload::attributes::ObjectAttributes;
use crate::upload::put::{Facts, Put, WriteAnswer};
use crate::upload::staged::NULL;

/// Maximum length of such an object. With a longer one the SDK takes a small part of the time.
const FORM_PUT_BYTES_MAX: u64 = 1 << 20;
/// The type that the SDK gives an object without one.
const TYPE_DEFAULT: &str = "application/octet-stream";

/// Result of a PUT in the learned form.
pub(crate) enum FormPut {
    Stored(WriteAnswer),
    /// The SDK has to make the call: no form is known, or it does not fit, or S3 answered with this status,
    /// which is no success.
    Unsuitable {
        status: Option<u16>,
    },
}

impl FormPut {
    /// Returns true if the status says that the request is wrong, and not that S3 is in trouble.
    pub(crate) fn is_refusal(status: Option<u16>) -> bool {
        status.is_some_and(|status| (400..500).contains(&status) && !matches!(status, 408 | 429))
    }
}

impl Store {
    /// Stores a short object in the form of a PUT that the SDK made before, if that is known.
    ///
    /// # Errors
    ///
    /// S3 did not answer, or it echoes another checksum.
    pub(crate) async fn put_by_form(
        &self,
        put: &Put,
        facts: &Facts,
        bytes: &Bytes,
    ) -> Result<FormPut, StoreError> {
        let unsuitable = FormPut::Unsuitable { status: None };
        let is_short = facts.len <= FORM_PUT_BYTES_MAX && !self.upload_limit.is_limited();
        if !is_short || put.overwrite != Overwrite::Allowed {
            return Ok(unsuitable);
        }
        let Some(form) = self.put_forms.get() else { return Ok(unsuitable) };
        let header = self.checksums.get().header();
        let status = AtomicU16::new(0);
        let send = self.send_by_form(form, put, facts, bytes, header, &status);
        let limit = self.stall_limit(facts.len, None);
        let answer = self.call_within(limit, Operation::Put, &put.key, send).await;
        let answer = match (answer, status.into_inner()) {
            (Ok(Some(answer)), _) => answer,
            (Ok(None), _) => return Ok(unsuitable),
            (Err(err), 0) => {
                self.put_forms.forget();
                return Err(err);
            }
            (Err(_), status) => {
                self.put_forms.forget();
                return Ok(FormPut::Unsuitable { status: Some(status) });
            }
        };
        let text = |name: &str| answer.headers().get(name).map(str::to_owned);
        let echoed = text("x-amz-checksum-crc64nvme");
        let call = (Operation::Put, &put.key);
        self.check_echo(call, header, facts.crc64nvme, echoed.as_deref())?;
        let version_id = text("x-amz-version-id").filter(|id| id != NULL);
        Ok(FormPut::Stored(WriteAnswer { etag: text("etag"), version_id }))
    }

    /// Sends the request, and returns the answer if it is success. An answer of another kind is an error, and
    /// its status is in `status`. Returns `None` if there is no such request.
    async fn send_by_form(
        &self,
        form: Arc<PutForm>,
        put: &Put,
        facts: &Facts,
        bytes: &Bytes,
        header: Header,
        status: &AtomicU16,
    ) -> Result<Option<HttpResponse>, SdkError<PutObjectError, HttpResponse>> {
        let Ok(credentials) = self.credentials.provide_credentials().await else { return Ok(None) };
        let headers = self.headers(put, facts, header);
        let at = (credentials, clock::wall_now());
        let Ok(request) = form.request(&put.key, &headers, bytes, facts.sha256, at) else {
            return Ok(None);
        };
        let sent = form.connector.call(request).await;
        let answer = sent.map_err(SdkError::dispatch_failure)?;
        if answer.status().is_success() {
            return Ok(Some(answer));
        }
        status.store(answer.status().as_u16(), Ordering::Relaxed);
        Err(SdkError::response_error("the SDK makes the call again", answer))
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
            ("user-agent", Some(concat!("s3up/", env!("CARGO_PKG_VERSION")).to_owned())),
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
