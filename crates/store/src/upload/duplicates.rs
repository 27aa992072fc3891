//! Removes duplicate multipart uploads of which only the first answer was lost.
//!
//! Each CreateMultipartUpload starts a new upload at S3. If its answer is lost, the
//! call is repeated, and the first upload would stay until a sweep, because we do
//! not know its ID. So we list the uploads to the same key and abort those that
//! were started, by the server's clock, while a failed attempt was running. Uploads
//! that this process has open are never aborted.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use aws_sdk_s3::types::MultipartUpload;
use s3up_core::Key;

use crate::error::StoreError;
use crate::transport::connect::Store;

/// Tolerance for comparing two clocks through one event: only the duration of a
/// call blurs it.
const SLACK: Duration = Duration::from_secs(2);
/// An upload that is not found in this time is left to a sweep.
pub(crate) const DUPLICATES_RETRY_FOR: Duration = Duration::from_secs(10);

/// A failed attempt to start an upload: how long before the successful one it
/// started and ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FailedAttempt {
    pub started_before: Duration,
    pub ended_before: Duration,
}

impl Store {
    /// Aborts what the failed attempts to start `ours` left. A failure here is not
    /// an error: a sweep removes the rest.
    pub(crate) async fn remove_duplicates(&self, key: &Key, ours: &str, failed: &[FailedAttempt]) {
        if let Err(err) = self.try_remove_duplicates(key, ours, failed).await {
            let key = key.as_str();
            tracing::debug!(
                event = "upload_not_aborted",
                key,
                "cannot abort a multipart upload, which a later sweep does: {err}"
            );
        }
    }

    async fn try_remove_duplicates(
        &self,
        key: &Key,
        ours: &str,
        failed: &[FailedAttempt],
    ) -> Result<(), StoreError> {
        let mut uploads = self.uploads(key.as_str(), DUPLICATES_RETRY_FOR);
        let mut listed = Vec::new();
        while let Some(page) = uploads.next_page().await? {
            listed.extend(page.into_iter().filter(|upload| upload.key() == Some(key.as_str())));
        }
        let Some(open) = self.open_uploads.ids(key) else { return Ok(()) };
        for id in duplicates(&listed, ours, &open, failed) {
            self.abort_upload(key.as_str(), id, DUPLICATES_RETRY_FOR).await?;
        }
        Ok(())
    }
}

/// Returns the IDs of the uploads that were started during a failed attempt.
fn duplicates<'a>(
    listed: &'a [MultipartUpload],
    ours: &str,
    open: &BTreeSet<String>,
    failed: &[FailedAttempt],
) -> Vec<&'a str> {
    let Some(ours_at) = listed.iter().find(|it| it.upload_id() == Some(ours)).and_then(started_at)
    else {
        return Vec::new();
    };
    let during_an_attempt = |at: SystemTime| {
        failed.iter().any(|attempt| {
            ours_at - attempt.started_before - SLACK <= at
                && at <= ours_at - attempt.ended_before + SLACK
        })
    };
    let candidates = listed.iter().filter(|it| started_at(it).is_some_and(during_an_attempt));
    let ids = candidates.filter_map(MultipartUpload::upload_id);
    ids.filter(|id| *id != ours && !open.contains(*id)).collect()
}

/// Returns when an upload was started, by the server's clock.
pub(crate) fn started_at(upload: &MultipartUpload) -> Option<SystemTime> {
    upload.initiated().and_then(|at| SystemTime::try_from(*at).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upload(id: &str, second: i64) -> MultipartUpload {
        let at = aws_sdk_s3::primitives::DateTime::from_secs(second);
        MultipartUpload::builder().key("a").upload_id(id).initiated(at).build()
    }

    fn failed(started_before: u64, ended_before: u64) -> FailedAttempt {
        FailedAttempt {
            started_before: Duration::from_secs(started_before),
            ended_before: Duration::from_secs(ended_before),
        }
    }

    #[test]
    fn only_an_upload_started_during_a_failed_attempt_is_a_duplicate() {
        let open = BTreeSet::from(["open".to_owned()]);
        #[rustfmt::skip]
        let cases = [
            // situation                  other            failed attempts               duplicate
            ("during the attempt",           upload("x", 990),  vec![failed(20, 5)],             true),
            ("just before it",            upload("x", 978),  vec![failed(20, 5)],             true),
            ("long before it",            upload("x", 970),  vec![failed(20, 5)],             false),
            ("after it",                  upload("x", 999),  vec![failed(20, 5)],             false),
            ("during the second attempt",     upload("x", 990),  vec![failed(50, 40), failed(11, 9)], true),
            ("between two attempts",         upload("x", 980),  vec![failed(50, 40), failed(11, 9)], false),
            ("open in this process",      upload("open", 990), vec![failed(20, 5)],          false),
            ("no attempt failed",          upload("x", 990),  vec![],                        false),
        ];
        for (situation, other, failed, is_duplicate) in cases {
            let listed = [other, upload("ours", 1000)];
            let found = duplicates(&listed, "ours", &open, &failed);
            assert_eq!(!found.is_empty(), is_duplicate, "{situation}: {found:?}");
        }
        let alone = [upload("x", 990)];
        assert_eq!(duplicates(&alone, "ours", &open, &[failed(20, 5)]), Vec::<&str>::new());
    }
}
