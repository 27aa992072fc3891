//! The findings of the last look for abandoned uploads and rules in the bucket. They are kept, so that no
//! page waits for S3.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use s3up_cli::FindingLine;
use s3up_store::{AbandonedUpload, AbortRule, SWEEP_AGE};

use crate::clock::{Millis, millis};

/// The findings of one look.
#[derive(Clone, Debug)]
pub(super) struct BucketFacts {
    pub at: Millis,
    pub abort_rule: AbortRule,
    /// The finding about rules that delete files.
    pub expiry: FindingLine,
    /// The reason is for the operator.
    pub uploads: Result<FoundUploads, String>,
}

/// Multipart uploads that are not complete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FoundUploads {
    /// Older than any upload that may still run.
    pub abandoned: u64,
    /// Younger ones, which may be running.
    pub young: u64,
    pub oldest: Option<SystemTime>,
    /// True if there are more than were read.
    pub has_more: bool,
}

/// The last look of this gateway.
#[derive(Debug, Default)]
pub(crate) struct BucketWatch(Mutex<Option<Arc<BucketFacts>>>);

impl BucketWatch {
    pub(super) fn last(&self) -> Option<Arc<BucketFacts>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set(&self, facts: BucketFacts) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(facts));
    }
}

impl FoundUploads {
    pub(super) fn count(&mut self, page: &[AbandonedUpload], now: SystemTime) {
        for upload in page {
            let is_abandoned =
                now.duration_since(upload.started_at).is_ok_and(|age| age >= SWEEP_AGE);
            *(if is_abandoned { &mut self.abandoned } else { &mut self.young }) += 1;
            let oldest = self.oldest.get_or_insert(upload.started_at);
            *oldest = (*oldest).min(upload.started_at);
        }
    }
}

/// Returns the time of the oldest multipart upload that was found.
pub(super) fn oldest(uploads: &FoundUploads) -> Option<Millis> {
    uploads.oldest.map(millis)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_upload_is_abandoned_once_none_of_that_age_can_run() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let upload = |age| AbandonedUpload {
            key: String::new(),
            upload_id: String::new(),
            started_at: now - age,
        };
        let mut found = FoundUploads::default();
        let second = Duration::from_secs(1);
        found.count(&[upload(SWEEP_AGE), upload(SWEEP_AGE - second), upload(Duration::ZERO)], now);
        // The clock of S3 is ahead.
        found.count(&[AbandonedUpload { started_at: now + second, ..upload(second) }], now);
        let oldest = Some(now - SWEEP_AGE);
        let want = FoundUploads { abandoned: 1, young: 3, oldest, has_more: false };
        assert_eq!(found, want);
    }
}
