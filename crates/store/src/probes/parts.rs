//! Finds out how many parts one upload may have, by the number of a single part.
//!
//! Some servers take 1,000 parts and not 10,000. A chunk of 200 GiB would be refused after 31
//! GiB of it. The probe starts an upload, sends one byte under a high number, and aborts.

use std::time::Duration;

use s3up_core::Key;

use crate::error::{Operation, StoreError, StoreErrorKind};
use crate::settings::Profile;
use crate::transport::connect::Store;

/// The limit of S3.
const PARTS_MAX: u32 = 10_000;
/// Limits of servers that were met, below that of S3.
const SMALLER_LIMITS: [u32; 2] = [5_000, 1_000];

impl Store {
    /// Learns the limit, and returns it if it is smaller than that of S3. AWS is not asked.
    pub(super) async fn probe_parts(
        &self,
        key: &Key,
        retry_for: Duration,
    ) -> Result<Option<u32>, StoreError> {
        if self.settings.profile == Profile::Aws {
            return Ok(None);
        }
        let created = self.retry(retry_for, || {
            let create = self.client.create_multipart_upload().bucket(self.bucket());
            self.call(Operation::StartUpload, key, create.key(key.as_str()).send())
        });
        let Some(upload_id) = created.await?.upload_id else {
            return Err(StoreError::new(Operation::StartUpload, key, StoreErrorKind::Unreadable)
                .with_cause("the answer has no upload ID"));
        };
        let limit = self.smaller_limit(key, &upload_id, retry_for).await;
        self.abort_upload(key.as_str(), &upload_id, retry_for).await?;
        let limit = limit?;
        if let Some(limit) = limit {
            self.learned.learn(|known| known.parts_max = Some(limit));
        }
        Ok(limit)
    }

    /// Returns `None` if the server takes as many parts as S3, or if even the smallest limit is
    /// refused: then the number is not why.
    async fn smaller_limit(
        &self,
        key: &Key,
        upload_id: &str,
        retry_for: Duration,
    ) -> Result<Option<u32>, StoreError> {
        if self.takes_part(key, upload_id, PARTS_MAX, retry_for).await? {
            return Ok(None);
        }
        for limit in SMALLER_LIMITS {
            if self.takes_part(key, upload_id, limit, retry_for).await? {
                return Ok(Some(limit));
            }
        }
        Ok(None)
    }

    async fn takes_part(
        &self,
        key: &Key,
        upload_id: &str,
        number: u32,
        retry_for: Duration,
    ) -> Result<bool, StoreError> {
        let sent = self.retry(retry_for, || {
            let part = self.client.upload_part().bucket(self.bucket()).key(key.as_str());
            let part = part.upload_id(upload_id).part_number(number as i32);
            self.call(Operation::PutPart, key, part.body(b"x".to_vec().into()).send())
        });
        match sent.await {
            Ok(_) => Ok(true),
            Err(err)
                if matches!(
                    err.kind,
                    StoreErrorKind::Permanent | StoreErrorKind::NotImplemented
                ) =>
            {
                Ok(false)
            }
            Err(err) => Err(err),
        }
    }
}
