//! Removes multipart uploads that nobody will complete.
//!
//! A process that dies leaves its upload behind; S3 charges for its parts until
//! it is aborted. Only uploads under a prefix that is ours are looked at, and
//! only those that are older than a limit: a younger one may be at work.

use std::time::{Duration, SystemTime};

use aws_sdk_s3::types::MultipartUpload;

use crate::connect::Store;
use crate::error::{Kind, StoreError};
use crate::retry::retry;

impl Store {
    /// Aborts the uploads to keys that start with `prefix` and were begun before
    /// `begun_before`. Returns how many there were.
    pub async fn sweep(
        &self,
        prefix: &str,
        begun_before: SystemTime,
        retry_for: Duration,
    ) -> Result<u64, StoreError> {
        let mut swept = 0;
        let mut marker = (None, None);
        loop {
            let (key_marker, id_marker) = marker;
            let page = retry(retry_for, || async {
                let list = self.client.list_multipart_uploads().bucket(self.bucket());
                let list = list.prefix(prefix).set_key_marker(key_marker.clone());
                let list = list.set_upload_id_marker(id_marker.clone());
                list.send()
                    .await
                    .map_err(|err| StoreError::of_sdk("list uploads under", &prefix, &err))
            })
            .await?;
            for upload in page.uploads.unwrap_or_default() {
                if is_older(&upload, begun_before) {
                    self.abort_upload(&upload, retry_for).await?;
                    swept += 1;
                }
            }
            marker = (page.next_key_marker, page.next_upload_id_marker);
            if page.is_truncated != Some(true) || marker.0.is_none() {
                return Ok(swept);
            }
        }
    }

    async fn abort_upload(
        &self,
        upload: &MultipartUpload,
        retry_for: Duration,
    ) -> Result<(), StoreError> {
        let (key, id) = (upload.key().unwrap_or_default(), upload.upload_id().unwrap_or_default());
        let outcome = retry(retry_for, || async {
            let abort = self.client.abort_multipart_upload().bucket(self.bucket());
            let abort = abort.key(key).upload_id(id);
            abort.send().await.map_err(|err| StoreError::of_sdk("abort", &key, &err))
        });
        match outcome.await {
            Ok(_) => Ok(()),
            // It was completed or aborted meanwhile.
            Err(err) if err.kind == Kind::NotFound => Ok(()),
            Err(err) => Err(err),
        }
    }
}

/// An upload of unknown age is left alone.
fn is_older(upload: &MultipartUpload, begun_before: SystemTime) -> bool {
    let begun = upload.initiated().and_then(|at| SystemTime::try_from(*at).ok());
    begun.is_some_and(|begun| begun < begun_before)
}
