//! Probes the bucket, so that wrong settings are reported at start.

use std::time::Duration;

use aws_sdk_s3::types::BucketVersioningStatus;
use s3up_core::KeyPrefix;

use crate::error::{Operation, StoreError, StoreErrorKind};
use crate::transport::capabilities::Versioning;
use crate::transport::connect::Store;

impl Store {
    /// Checks that the bucket exists and that the credentials may list `prefix`.
    /// Returns whether the bucket keeps versions.
    pub async fn probe(
        &self,
        prefix: &KeyPrefix,
        retry_for: Duration,
    ) -> Result<Versioning, StoreError> {
        let subject = match &self.settings.endpoint {
            Some(endpoint) => format!("bucket {} at {endpoint}", self.bucket()),
            None => format!("bucket {}", self.bucket()),
        };
        self.retry(retry_for, || {
            let list = self.client.list_objects_v2().bucket(self.bucket());
            let list = list.prefix(prefix.as_str()).max_keys(1);
            self.call(Operation::Probe, &subject, list.send())
        })
        .await
        .map_err(|mut err| {
            if err.kind == StoreErrorKind::NotFound {
                err.kind = StoreErrorKind::NoBucket;
            }
            err
        })?;
        let versioning = self.client.get_bucket_versioning().bucket(self.bucket());
        let versioning =
            match self.call(Operation::GetVersioning, &subject, versioning.send()).await {
                Ok(answer) if answer.status == Some(BucketVersioningStatus::Enabled) => {
                    Versioning::Enabled
                }
                Ok(_) => Versioning::Off,
                Err(err) => {
                    tracing::debug!(
                        event = "versioning_unknown",
                        "cannot find out whether the bucket keeps versions: {err}"
                    );
                    Versioning::Unknown
                }
            };
        self.learned.learn(|known| known.versioning = Some(versioning));
        Ok(versioning)
    }
}
