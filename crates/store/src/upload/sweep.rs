//! Aborts abandoned multipart uploads.
//!
//! A process that dies leaves its upload behind, and S3 charges for the parts until
//! it is aborted. A sweep looks only below a prefix that is ours and only at
//! uploads older than a limit: a younger one may be running.

use std::time::{Duration, SystemTime};

use aws_sdk_s3::types::MultipartUpload;

use crate::error::{Operation, StoreError, StoreErrorKind};
use crate::transport::connect::Store;
use crate::upload::duplicates::started_at;

/// Age from which an upload counts as abandoned. An upload lives as long as one
/// object takes, which has at most 5 TiB (nine MiB/s take a week), and a call is
/// retried for hours, not days. A lifecycle rule (`AbortIncompleteMultipartUpload`)
/// with the same number of days covers hosts that were lost.
pub const SWEEP_AGE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The multipart uploads below a prefix, one page at a time.
pub(crate) struct UploadListing {
    store: Store,
    prefix: String,
    retry_for: Duration,
    next: Option<Marker>,
}

#[derive(Default)]
struct Marker {
    key: Option<String>,
    id: Option<String>,
}

impl UploadListing {
    /// Returns the next page, or `None` after the last.
    pub(crate) async fn next_page(&mut self) -> Result<Option<Vec<MultipartUpload>>, StoreError> {
        let Some(marker) = self.next.take() else { return Ok(None) };
        let store = &self.store;
        let subject = store.subject_of(&self.prefix);
        let page = store.retry(self.retry_for, || {
            let list = store.client.list_multipart_uploads().bucket(store.bucket());
            let list = list.prefix(&self.prefix).set_key_marker(marker.key.clone());
            let list = list.set_upload_id_marker(marker.id.clone());
            store.call(Operation::ListUploads, &subject, list.send())
        });
        let page = page.await?;
        if page.is_truncated == Some(true) && page.next_key_marker.is_some() {
            self.next = Some(Marker { key: page.next_key_marker, id: page.next_upload_id_marker });
        }
        Ok(Some(page.uploads.unwrap_or_default()))
    }
}

/// A multipart upload that was started before a limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AbandonedUpload {
    /// The key as text: not every key in a bucket is a valid [`s3up_core::Key`].
    pub key: String,
    pub upload_id: String,
    pub started_at: SystemTime,
}

/// The abandoned uploads below a prefix, one page at a time.
pub struct AbandonedUploads {
    uploads: UploadListing,
    started_before: SystemTime,
}

impl AbandonedUploads {
    /// Returns those of the next page, or `None` after the last.
    pub async fn next_page(&mut self) -> Result<Option<Vec<AbandonedUpload>>, StoreError> {
        let page = self.uploads.next_page().await?;
        let abandoned = |upload: MultipartUpload| abandoned(upload, self.started_before);
        Ok(page.map(|page| page.into_iter().filter_map(abandoned).collect()))
    }
}

impl Store {
    /// Lists the uploads to keys that start with `prefix` and were started before
    /// `started_before` (normally now minus [`SWEEP_AGE`]).
    pub fn abandoned_uploads(
        &self,
        prefix: &str,
        started_before: SystemTime,
        retry_for: Duration,
    ) -> AbandonedUploads {
        AbandonedUploads { uploads: self.uploads(prefix, retry_for), started_before }
    }

    /// Aborts these uploads. Returns how many there were.
    pub async fn sweep(
        &self,
        prefix: &str,
        started_before: SystemTime,
        retry_for: Duration,
    ) -> Result<u64, StoreError> {
        let mut swept = 0;
        let mut uploads = self.abandoned_uploads(prefix, started_before, retry_for);
        while let Some(page) = uploads.next_page().await? {
            for upload in &page {
                self.abort_abandoned(upload, retry_for).await?;
                swept += 1;
            }
        }
        Ok(swept)
    }

    /// Aborts an upload. A missing one is not an error.
    pub async fn abort_abandoned(
        &self,
        upload: &AbandonedUpload,
        retry_for: Duration,
    ) -> Result<(), StoreError> {
        self.abort_upload(&upload.key, &upload.upload_id, retry_for).await
    }

    /// Aborts the uploads whose abort failed because S3 did not answer. Returns how many were aborted. After
    /// an error, the next call tries again.
    pub async fn abort_remaining(&self) -> Result<u64, StoreError> {
        let mut count = 0;
        while let Some((key, upload_id)) = self.not_aborted.first() {
            let outcome = self.abort_upload(key.as_str(), &upload_id, Duration::ZERO).await;
            let is_refused =
                outcome.as_ref().is_err_and(|err| err.kind != StoreErrorKind::Transient);
            if outcome.is_ok() || is_refused {
                // A refusal would be the same the next time.
                self.not_aborted.remove(&upload_id);
            }
            outcome?;
            count += 1;
        }
        Ok(count)
    }

    pub(crate) fn uploads(&self, prefix: &str, retry_for: Duration) -> UploadListing {
        let prefix = prefix.to_owned();
        UploadListing { store: self.clone(), prefix, retry_for, next: Some(Marker::default()) }
    }

    /// Aborts an upload. A missing one is not an error: it was completed or
    /// aborted.
    pub(crate) async fn abort_upload(
        &self,
        key: &str,
        id: &str,
        retry_for: Duration,
    ) -> Result<(), StoreError> {
        let outcome = self.retry(retry_for, || {
            let abort = self.client.abort_multipart_upload().bucket(self.bucket());
            self.call(Operation::AbortUpload, &key, abort.key(key).upload_id(id).send())
        });
        match outcome.await {
            Ok(_) => Ok(()),
            Err(err) if matches!(err.kind, StoreErrorKind::NoUpload | StoreErrorKind::NotFound) => {
                Ok(())
            }
            Err(err) => Err(err),
        }
    }
}

/// Returns an upload if it is older; none if its age is unknown.
fn abandoned(upload: MultipartUpload, started_before: SystemTime) -> Option<AbandonedUpload> {
    let started_at = started_at(&upload).filter(|started| *started < started_before)?;
    let (key, upload_id) = (upload.key?, upload.upload_id?);
    Some(AbandonedUpload { key, upload_id, started_at })
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_s3::primitives::DateTime;

    #[test]
    fn only_an_upload_with_a_known_old_date_is_swept() {
        let upload = || MultipartUpload::builder().key("a").upload_id("1");
        let at = |second| upload().initiated(DateTime::from_secs(second)).build();
        let limit = SystemTime::UNIX_EPOCH + Duration::from_secs(100);
        for (upload, want) in [(at(99), true), (at(100), false), (upload().build(), false)] {
            assert_eq!(abandoned(upload.clone(), limit).is_some(), want, "{upload:?}");
        }
    }
}
