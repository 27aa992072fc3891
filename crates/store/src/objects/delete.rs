//! Deletes objects, one or many.
//!
//! Many objects are deleted in batches, or one by one if the server does not
//! support batches. An object that cannot be deleted is reported and does not stop
//! the others.

use std::time::Duration;

use aws_sdk_s3::types::{Delete, Error as PerKey, ObjectIdentifier};
use futures::StreamExt;
use s3up_core::{Key, error_chain};

use crate::error::codes::kind_of_code;
use crate::error::{Operation, StoreError, StoreErrorKind};
use crate::transport::connect::Store;

/// S3 accepts no more:
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html>
const BATCH_KEYS_MAX: usize = 1000;
/// If each key needs a call, several at once hide the latency.
const SINGLES_IN_FLIGHT: usize = 8;

/// An object that was not deleted, and why.
#[derive(Debug)]
pub struct NotDeleted {
    pub key: Key,
    pub error: StoreError,
}

/// The next step for a key that a batch did not delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DeleteResult {
    AlreadyGone,
    RetryAlone,
    Failed,
}

fn verdict(kind: StoreErrorKind) -> DeleteResult {
    match kind {
        StoreErrorKind::NotFound => DeleteResult::AlreadyGone,
        StoreErrorKind::Transient | StoreErrorKind::Unreadable | StoreErrorKind::Corrupt => {
            DeleteResult::RetryAlone
        }
        StoreErrorKind::NoBucket
        | StoreErrorKind::NoLifecycleRules
        | StoreErrorKind::NoUpload
        | StoreErrorKind::ExpiredCredentials
        | StoreErrorKind::Quota
        | StoreErrorKind::BadCredentials
        | StoreErrorKind::NoCredentials
        | StoreErrorKind::Denied
        | StoreErrorKind::WrongRegion
        | StoreErrorKind::ClockSkew
        | StoreErrorKind::Precondition
        | StoreErrorKind::Archived
        | StoreErrorKind::TooLong
        | StoreErrorKind::NotImplemented
        | StoreErrorKind::Permanent => DeleteResult::Failed,
    }
}

impl Store {
    /// Deletes an object. A missing object is not an error.
    pub async fn delete(&self, key: &Key, retry_for: Duration) -> Result<(), StoreError> {
        let outcome = self.retry(retry_for, || {
            let delete = self.client.delete_object().bucket(self.bucket()).key(key.as_str());
            self.call(Operation::Delete, key, delete.send())
        });
        match outcome.await {
            Ok(_) => Ok(()),
            Err(err) if err.kind == StoreErrorKind::NotFound => Ok(()),
            Err(err) => Err(err),
        }
    }

    /// Deletes many objects and returns those that were not deleted. A missing
    /// object is not an error.
    ///
    /// # Errors
    ///
    /// S3 could not be reached or refused the call. Some objects may be deleted.
    pub async fn delete_many(
        &self,
        keys: &[Key],
        retry_for: Duration,
    ) -> Result<Vec<NotDeleted>, StoreError> {
        let mut failed = Vec::new();
        let mut supports_batches = true;
        for batch in keys.chunks(BATCH_KEYS_MAX) {
            let answer = match supports_batches {
                true => self.delete_batch(batch, retry_for).await,
                false => Ok(None),
            };
            match answer? {
                Some(answers) => failed.extend(self.retry_alone(answers, retry_for).await),
                None => {
                    supports_batches = false;
                    failed.extend(self.delete_each(batch, retry_for).await);
                }
            }
        }
        Ok(failed)
    }

    /// Returns the keys that were not deleted, or `None` if the server does not
    /// support the call.
    async fn delete_batch(
        &self,
        batch: &[Key],
        retry_for: Duration,
    ) -> Result<Option<Vec<NotDeleted>>, StoreError> {
        const OP: Operation = Operation::Delete;
        let subject = format!("{} objects", batch.len());
        let identifier = |key: &Key| ObjectIdentifier::builder().key(key.as_str()).build();
        let invalid =
            |err| StoreError::new(OP, &subject, StoreErrorKind::Permanent).with_cause(err);
        let objects: Result<Vec<_>, _> = batch.iter().map(identifier).collect();
        let objects = objects.map_err(invalid)?;
        let delete = Delete::builder().set_objects(Some(objects)).quiet(true).build();
        let delete = delete.map_err(invalid)?;
        let answer = self.retry(retry_for, || {
            // S3 requires a checksum here; the SDK adds one where it must.
            let call = self.client.delete_objects().bucket(self.bucket()).delete(delete.clone());
            self.call(OP, &subject, call.send())
        });
        match answer.await {
            Ok(answer) => Ok(Some(not_deleted(batch, answer.errors()))),
            Err(err)
                if matches!(
                    err.kind,
                    StoreErrorKind::Permanent
                        | StoreErrorKind::NotImplemented
                        | StoreErrorKind::Unreadable
                ) =>
            {
                tracing::info!(
                    event = "batch_delete_unsupported",
                    objects = batch.len(),
                    "this server does not delete several objects in one request, deleting them \
                     one by one: {}",
                    error_chain(&err)
                );
                Ok(None)
            }
            Err(err) => Err(err),
        }
    }

    async fn retry_alone(&self, answers: Vec<NotDeleted>, retry_for: Duration) -> Vec<NotDeleted> {
        let of = |answer: &NotDeleted| verdict(answer.error.kind);
        let alone: Vec<_> = answers
            .iter()
            .filter(|answer| of(answer) == DeleteResult::RetryAlone)
            .map(|answer| answer.key.clone())
            .collect();
        let mut failed = self.delete_each(&alone, retry_for).await;
        failed.extend(answers.into_iter().filter(|answer| of(answer) == DeleteResult::Failed));
        failed
    }

    async fn delete_each(&self, keys: &[Key], retry_for: Duration) -> Vec<NotDeleted> {
        // With borrowed keys the future would not be `Send`.
        let each = keys.iter().cloned().map(|key| async move {
            let outcome = self.delete(&key, retry_for).await;
            outcome.err().map(|error| NotDeleted { key, error })
        });
        let outcomes = futures::stream::iter(each).buffer_unordered(SINGLES_IN_FLIGHT);
        outcomes.filter_map(futures::future::ready).collect().await
    }
}

fn not_deleted(batch: &[Key], errors: &[PerKey]) -> Vec<NotDeleted> {
    let named = |error: &PerKey| {
        let key = batch.iter().find(|key| Some(key.as_str()) == error.key())?;
        let code = error.code().unwrap_or("no code");
        let cause = format!("{code}: {}", error.message().unwrap_or("no message"));
        let error = StoreError::new(Operation::Delete, key, kind_of_code(code)).with_cause(cause);
        Some(NotDeleted { key: key.clone(), error })
    };
    errors.iter().filter_map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_of_a_batch_has_its_own_verdict() {
        let batch = ["a", "b", "c", "d"].map(|key| Key::parse(key).unwrap());
        let error = |key: &str, code: &str| PerKey::builder().key(key).code(code).build();
        let errors = [
            error("b", "AccessDenied"),
            error("c", "InternalError"),
            error("d", "NoSuchKey"),
            error("no key of ours", "AccessDenied"),
        ];

        let answers = not_deleted(&batch, &errors);

        let verdicts = answers.iter().map(|it| (it.key.as_str(), verdict(it.error.kind)));
        let want = [
            ("b", DeleteResult::Failed),
            ("c", DeleteResult::RetryAlone),
            ("d", DeleteResult::AlreadyGone),
        ];
        assert_eq!(Vec::from_iter(verdicts), want);
        assert!(answers[0].error.to_string().starts_with("delete b: access denied"));
    }
}
