//! Fetches a short object with its facts, in one call instead of a HEAD and a GET.

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::primitives::{ByteStream, DateTime, DateTimeFormat as Format};
use aws_sdk_s3::types::{ServerSideEncryption, StorageClass};
use bytes::{Bytes, BytesMut};
use s3up_core::{Key, Sha256Digest};

use crate::error::{Operation, StoreError, StoreErrorKind};
use crate::objects::facts::ObjectFacts;
use crate::objects::head::facts_of;
use crate::transport::connect::Store;
use crate::transport::form_call::FormAnswer;
use crate::transport::request_form::FormCall;

/// Maximum size of a short object. It is in memory besides the buffers of the pool, for each download.
pub const SHORT_BYTES_MAX: u64 = 64 << 10;

/// An object that was fetched whole, and that agrees with the SHA-256 in its facts.
#[derive(Clone, Debug)]
pub struct ShortObject {
    pub facts: ObjectFacts,
    pub bytes: Bytes,
}

impl Store {
    /// Fetches the newest version of `key`, or the given one, if it is short.
    ///
    /// Returns `None` if the caller has to use [`Store::head`] and [`Store::download`], which retry and
    /// say what is wrong. So it is if there is no such object, if it is longer, empty, damaged or cannot be
    /// read now, and if it has no SHA-256.
    pub async fn short_object(&self, key: &Key, version_id: Option<&str>) -> Option<ShortObject> {
        let short = self.try_short_object(key, version_id).await.ok().flatten()?;
        (short.facts.sha256 == Some(Sha256Digest::of(&short.bytes))).then_some(short)
    }

    /// Asks for the first [`SHORT_BYTES_MAX`] bytes, in the form of a call that the SDK made before if that is
    /// known. Returns `None` if there are none.
    async fn get_short(
        &self,
        key: &Key,
        version_id: Option<&str>,
    ) -> Result<Option<GetObjectOutput>, StoreError> {
        let idle = self.settings.timeouts.idle;
        let range = format!("bytes=0-{}", SHORT_BYTES_MAX - 1);
        let headers = vec![("range".to_owned(), range.clone())];
        let call = FormCall { method: "GET", key, version_id, headers, body: None };
        let failure = match self.call_by_form(idle, Operation::Get, call).await? {
            FormAnswer::Success(answer) => return Ok(Some(as_output(*answer))),
            FormAnswer::Failure { status: 404 | 416 } => return Ok(None),
            FormAnswer::Failure { status } => Some(status),
            FormAnswer::Unsuitable => None,
        };
        let call = self
            .client
            .get_object()
            .bucket(self.bucket())
            .key(key.as_str())
            .range(range)
            .set_version_id(version_id.map(str::to_owned));
        let answer = self.call_within(idle, Operation::Get, key, call.send()).await?;
        self.sdk_succeeded(key, failure);
        Ok(Some(answer))
    }

    async fn try_short_object(
        &self,
        key: &Key,
        version_id: Option<&str>,
    ) -> Result<Option<ShortObject>, StoreError> {
        let idle = self.settings.timeouts.idle;
        let Some(mut answer) = self.get_short(key, version_id).await? else { return Ok(None) };
        let Some(expected) = expected_bytes(&answer) else { return Ok(None) };
        let mut bytes = BytesMut::with_capacity(expected);
        while bytes.len() < expected {
            let fail = |what: String| {
                StoreError::new(Operation::Get, key, StoreErrorKind::Transient).with_cause(what)
            };
            let piece = tokio::time::timeout(idle, answer.body.next()).await;
            let stalled = || format!("received no bytes for {} s", idle.as_secs_f64());
            match piece.map_err(|_| fail(stalled()))? {
                Some(Ok(piece)) => {
                    self.download_limit.acquire(piece.len() as u64).await;
                    bytes.extend_from_slice(&piece);
                }
                Some(Err(err)) => return Err(fail(err.to_string())),
                None => return Err(fail("the body ended early".to_owned())),
            }
        }
        let facts = facts_of(key, as_head(answer))?;
        Ok(Some(ShortObject { facts, bytes: bytes.freeze() }))
    }
}

/// Returns the answer to a GET in the form as the SDK would return it.
fn as_output(mut answer: HttpResponse) -> GetObjectOutput {
    let body = answer.take_body();
    let text = |name: &str| answer.headers().get(name).map(str::to_owned);
    let metadata = answer.headers().iter().filter_map(|(name, value)| {
        Some((name.strip_prefix("x-amz-meta-")?.to_owned(), value.to_owned()))
    });
    let modified = text("last-modified");
    let modified = modified.and_then(|text| DateTime::from_str(&text, Format::HttpDate).ok());
    GetObjectOutput::builder()
        .set_content_range(text("content-range"))
        .set_content_length(text("content-length").and_then(|length| length.parse().ok()))
        .set_e_tag(text("etag"))
        .set_version_id(text("x-amz-version-id"))
        .set_content_type(text("content-type"))
        .set_last_modified(modified)
        .set_metadata(Some(metadata.collect()))
        .set_storage_class(text("x-amz-storage-class").as_deref().map(StorageClass::from))
        .set_server_side_encryption(
            text("x-amz-server-side-encryption").as_deref().map(ServerSideEncryption::from),
        )
        .body(ByteStream::new(body))
        .build()
}

/// Returns the length of the body, if it is the whole object.
fn expected_bytes(answer: &GetObjectOutput) -> Option<usize> {
    let content_range = answer.content_range.as_deref()?;
    let size = total(content_range)?;
    let is_whole = content_range == format!("bytes 0-{}/{size}", size.saturating_sub(1));
    let is_length = answer.content_length.and_then(|len| u64::try_from(len).ok()) == Some(size);
    usize::try_from(size).ok().filter(|_| is_whole && is_length && size <= SHORT_BYTES_MAX)
}

/// Returns the size of the object in a Content-Range.
fn total(content_range: &str) -> Option<u64> {
    content_range.rsplit_once('/')?.1.parse().ok()
}

/// Returns the answer as one to HEAD. It has no checksum, which may be that of the range.
fn as_head(answer: GetObjectOutput) -> HeadObjectOutput {
    let size = answer.content_range.as_deref().and_then(total);
    HeadObjectOutput::builder()
        .set_content_length(size.and_then(|size| i64::try_from(size).ok()))
        .set_e_tag(answer.e_tag)
        .set_version_id(answer.version_id)
        .set_content_type(answer.content_type)
        .set_last_modified(answer.last_modified)
        .set_metadata(answer.metadata)
        .set_storage_class(answer.storage_class)
        .set_server_side_encryption(answer.server_side_encryption)
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_object_is_taken() {
        const MAX: u64 = SHORT_BYTES_MAX;
        #[rustfmt::skip]
        let cases = [
            // Content-Range                                   length    expected
            (Some("bytes 0-4/5".to_owned()),                   5,        Some(5)),
            (Some(format!("bytes 0-{}/{MAX}", MAX - 1)),       MAX,      Some(MAX)),
            (Some(format!("bytes 0-{}/{}", MAX - 1, MAX + 1)), MAX,      None),
            (Some(format!("bytes 0-{MAX}/{}", MAX + 1)),       MAX + 1,  None),
            (Some("bytes 0-4/5".to_owned()),                   4,        None),
            (Some("bytes 1-4/5".to_owned()),                   5,        None),
            (Some("bytes 0-4/*".to_owned()),                   5,        None),
            (None,                                             5,        None),
        ];
        for (content_range, bytes, want) in cases {
            let len = i64::try_from(bytes).unwrap();
            let answer = GetObjectOutput::builder().content_length(len);
            let answer = answer.set_content_range(content_range.clone()).build();
            let found = expected_bytes(&answer).map(|bytes| bytes as u64);
            assert_eq!(found, want, "{content_range:?} {bytes}");
        }
    }
}
