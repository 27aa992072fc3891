//! Objects that go.

use std::time::Duration;

use s3up_core::Key;

use crate::connect::Store;
use crate::error::{Kind, StoreError};

impl Store {
    /// Deletes an object. One that is not there is no error.
    pub async fn delete(&self, key: &Key, retry_for: Duration) -> Result<(), StoreError> {
        let outcome = self.retry(retry_for, || {
            let delete = self.client.delete_object().bucket(self.bucket()).key(key.as_str());
            self.call("delete", key, delete.send())
        });
        match outcome.await {
            Ok(_) => Ok(()),
            Err(err) if err.kind == Kind::NotFound => Ok(()),
            Err(err) => Err(err),
        }
    }
}
