//! A first look at the bucket, so that wrong settings are said at start.

use std::time::Duration;

use aws_sdk_s3::types::BucketVersioningStatus;
use s3up_core::KeyPrefix;

use crate::connect::Store;
use crate::error::{Kind, StoreError};

/// What the bucket does with what is overwritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Versioning {
    Kept,
    NotKept,
    /// The credentials may not ask, or the server does not know the question.
    Unknown,
}

impl Store {
    /// Checks that the bucket exists and the credentials may list `prefix`, and
    /// says whether it keeps versions.
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
            self.call("look into", &subject, list.send())
        })
        .await
        .map_err(|mut err| {
            if err.kind == Kind::NotFound {
                err.kind = Kind::NoBucket;
            }
            err
        })?;
        let versioning = self.client.get_bucket_versioning().bucket(self.bucket());
        match self.call("ask for the versioning of", &subject, versioning.send()).await {
            Ok(answer) if answer.status == Some(BucketVersioningStatus::Enabled) => {
                Ok(Versioning::Kept)
            }
            Ok(_) => Ok(Versioning::NotKept),
            Err(err) => {
                tracing::debug!(event = "versioning_unknown", "{err}");
                Ok(Versioning::Unknown)
            }
        }
    }
}
