//! Objects that go, one or many.
//!
//! Many go in batches; where the server does not know those, one by one. An
//! object that cannot be deleted does not keep the others: it is reported.

use std::time::Duration;

use aws_sdk_s3::types::{Delete, Error as PerKey, ObjectIdentifier};
use futures::StreamExt;
use s3up_core::Key;

use crate::connect::Store;
use crate::error::{Kind, StoreError, kind_of_code};

/// S3 takes no more:
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html>
const BATCH_KEYS_MAX: usize = 1000;
/// Where each key is a call, a few at once hide the time they take.
const SINGLES_IN_FLIGHT: usize = 8;

/// An object that is still there, and why.
#[derive(Debug)]
pub struct NotDeleted {
    pub key: Key,
    pub error: StoreError,
}

/// What a batch tells of one key that it did not delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Gone,
    TryAlone,
    Failed,
}

fn verdict(kind: Kind) -> Verdict {
    match kind {
        Kind::NotFound => Verdict::Gone,
        Kind::Transient | Kind::Unreadable | Kind::Corrupt => Verdict::TryAlone,
        Kind::NoBucket
        | Kind::BadCredentials
        | Kind::NoCredentials
        | Kind::Denied
        | Kind::WrongRegion
        | Kind::ClockSkew
        | Kind::Precondition
        | Kind::Archived
        | Kind::TooLong
        | Kind::Permanent => Verdict::Failed,
    }
}

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

    /// Deletes many objects; those that are not there are no error. Returns the
    /// ones that are still there.
    ///
    /// # Errors
    ///
    /// The store could not be asked at all. Objects may be gone then.
    pub async fn delete_many(
        &self,
        keys: &[Key],
        retry_for: Duration,
    ) -> Result<Vec<NotDeleted>, StoreError> {
        let mut left = Vec::new();
        let mut knows_batches = true;
        for batch in keys.chunks(BATCH_KEYS_MAX) {
            let answer = match knows_batches {
                true => self.delete_batch(batch, retry_for).await,
                false => Ok(None),
            };
            match answer? {
                Some(answers) => left.extend(self.see_to(answers, retry_for).await),
                None => {
                    knows_batches = false;
                    left.extend(self.delete_each(batch, retry_for).await);
                }
            }
        }
        Ok(left)
    }

    /// What was not deleted; `None` where the server does not know the call.
    async fn delete_batch(
        &self,
        batch: &[Key],
        retry_for: Duration,
    ) -> Result<Option<Vec<NotDeleted>>, StoreError> {
        const OP: &str = "delete";
        let subject = format!("{} objects", batch.len());
        let identifier = |key: &Key| ObjectIdentifier::builder().key(key.as_str()).build();
        let unsaid = |err| StoreError::new(OP, &subject, Kind::Permanent).because(err);
        let objects: Result<Vec<_>, _> = batch.iter().map(identifier).collect();
        let objects = objects.map_err(unsaid)?;
        let delete = Delete::builder().set_objects(Some(objects)).quiet(true).build();
        let delete = delete.map_err(unsaid)?;
        let answer = self.retry(retry_for, || {
            // S3 insists on a checksum here; the SDK adds one where it must.
            let call = self.client.delete_objects().bucket(self.bucket()).delete(delete.clone());
            self.call(OP, &subject, call.send())
        });
        match answer.await {
            Ok(answer) => Ok(Some(not_deleted(batch, answer.errors()))),
            Err(err) if matches!(err.kind, Kind::Permanent | Kind::Unreadable) => {
                tracing::debug!(event = "store_knows_no_batches", "{err}; one by one");
                Ok(None)
            }
            Err(err) => Err(err),
        }
    }

    async fn see_to(&self, answers: Vec<NotDeleted>, retry_for: Duration) -> Vec<NotDeleted> {
        let of = |answer: &NotDeleted| verdict(answer.error.kind);
        let again: Vec<_> = answers
            .iter()
            .filter(|answer| of(answer) == Verdict::TryAlone)
            .map(|answer| answer.key.clone())
            .collect();
        let mut left = self.delete_each(&again, retry_for).await;
        left.extend(answers.into_iter().filter(|answer| of(answer) == Verdict::Failed));
        left
    }

    async fn delete_each(&self, keys: &[Key], retry_for: Duration) -> Vec<NotDeleted> {
        // Owned keys, or the future could not be sent to another thread.
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
        let error = StoreError::new("delete", key, kind_of_code(code)).because(cause);
        Some(NotDeleted { key: key.clone(), error })
    };
    errors.iter().filter_map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_of_a_batch_has_its_own_answer() {
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
        let want = [("b", Verdict::Failed), ("c", Verdict::TryAlone), ("d", Verdict::Gone)];
        assert_eq!(Vec::from_iter(verdicts), want);
        assert!(answers[0].error.to_string().starts_with("delete b: access denied"));
    }
}
