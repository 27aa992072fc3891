//! A multipart upload, from its start to its completion or abort.
//!
//! A part is acknowledged when S3 echoed its checksum, or accepted its signed
//! payload. Before the upload is completed, the parts that S3 lists are compared
//! with those that were sent, and the completion carries size and checksum of the
//! whole object, so that S3 compares them too.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use s3up_core::Key;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::clock;
use crate::error::{Operation, StoreError, StoreErrorKind};
use crate::transport::connect::Store;
use crate::upload::duplicates::FailedAttempt;
use crate::upload::multipart_calls::{UploadHandle, warn_not_aborted};
use crate::upload::parts::{PartListed, PartSent, compare};
use crate::upload::put::{Facts, Put, Stored};

/// Time that an ending process waits for the ID of an upload that it will abort. S3
/// answers within a tenth of a second.
const DROPPED_WAIT: Duration = Duration::from_secs(3);

/// Owns an upload. Dropping it while it is armed aborts the upload in a detached
/// task.
pub(crate) struct Multipart {
    handle: UploadHandle,
    armed: AtomicBool,
    /// The upload stays if it fails, because its caller can resume it.
    is_kept: AtomicBool,
    /// The upload may have parts of another stream. The completion names only ours,
    /// so S3 drops the others.
    is_resumed: bool,
}

impl Multipart {
    pub(crate) async fn start(store: &Store, put: &Put) -> Result<Multipart, StoreError> {
        let starting = store.open_uploads.start(&put.key);
        let failed = FailedAttempts::default();
        let upload =
            store.retry(put.retry_for, || failed.record(create_detached(store, put))).await?;
        drop(starting);
        let failed = failed.before_now();
        if !failed.is_empty() {
            let UploadHandle { store, key, upload_id } = &upload.handle;
            store.remove_duplicates(key, upload_id, &failed).await;
        }
        Ok(upload)
    }

    fn of(handle: UploadHandle) -> Multipart {
        handle.store.open_uploads.add(&handle.key, &handle.upload_id);
        let (armed, is_kept) = (AtomicBool::new(true), AtomicBool::new(false));
        Multipart { handle, armed, is_kept, is_resumed: false }
    }

    /// Returns an upload that an earlier attempt started; it is kept on failure.
    /// [`Multipart::list_parts`] shows whether it still exists.
    pub(crate) fn resume(store: &Store, key: Key, upload_id: String) -> Multipart {
        let mut upload = Multipart::of(UploadHandle { store: store.clone(), key, upload_id });
        upload.is_resumed = true;
        upload.keep_on_failure();
        upload
    }

    pub(crate) fn id(&self) -> &str {
        &self.handle.upload_id
    }

    /// Makes the upload stay if it is not completed.
    pub(crate) fn keep_on_failure(&self) {
        self.disarm();
        self.is_kept.store(true, Ordering::Relaxed);
    }

    /// Returns the parts that S3 has, or `None` if the answer cannot be parsed.
    pub(crate) async fn list_parts(
        &self,
        retry_for: Duration,
    ) -> Result<Option<Vec<PartListed>>, StoreError> {
        self.handle.store.retry(retry_for, || self.handle.list_unless_unreadable()).await
    }

    pub(crate) fn clone_handle(&self) -> UploadHandle {
        self.handle.clone()
    }

    pub(crate) async fn complete(
        &self,
        put: &Put,
        facts: &Facts,
        parts: &[PartSent],
    ) -> Result<Stored, StoreError> {
        let store = &self.handle.store;
        match self.list_parts(put.retry_for).await? {
            Some(listed) => self.compare(parts, listed).map_err(|what| {
                StoreError::new(Operation::CompleteUpload, &put.key, StoreErrorKind::Corrupt)
                    .with_cause(what)
            })?,
            None => tracing::warn!(
                event = "parts_not_listed",
                key = %put.key,
                "cannot parse this server's ListParts response; relying on its own checks in \
                 CompleteMultipartUpload"
            ),
        }
        let mut attempts = 0;
        let outcome = store.retry(put.retry_for, || {
            attempts += 1;
            self.handle.complete_once(put, facts, parts)
        });
        let err = match outcome.await {
            Ok(answer) => {
                self.disarm();
                return Ok(store.stored(put, facts, answer).await);
            }
            Err(err) => err,
        };
        let stored = store.find_already_stored(put, facts, attempts, err).await?;
        // If the same bytes were stored before, the parts still exist.
        self.abort().await;
        Ok(stored)
    }

    fn compare(&self, parts: &[PartSent], mut listed: Vec<PartListed>) -> Result<(), String> {
        if self.is_resumed {
            listed.retain(|listed| parts.iter().any(|part| part.number == listed.number));
        }
        compare(parts, &listed)
    }

    /// Marks that there is nothing left to abort.
    pub(crate) fn disarm(&self) {
        self.armed.store(false, Ordering::Relaxed);
    }

    /// Aborts the upload and waits for that, unless it is kept on failure.
    pub(crate) async fn abort_unless_kept(&self) {
        if !self.is_kept.load(Ordering::Relaxed) {
            self.abort().await;
        }
    }

    /// Aborts the upload and waits for that.
    pub(crate) async fn abort(&self) {
        self.disarm();
        self.handle.abort().await;
    }
}

impl Drop for Multipart {
    fn drop(&mut self) {
        self.handle.store.open_uploads.remove(&self.handle.key, &self.handle.upload_id);
        if !self.armed.load(Ordering::Relaxed) {
            return;
        }
        let handle = self.handle.clone();
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => {
                let aborts = handle.store.aborts.clone();
                aborts.spawn_on(async move { handle.abort().await }, &runtime);
            }
            Err(_) => {
                warn_not_aborted(&handle.key, &"the upload was dropped after the runtime ended")
            }
        }
    }
}

/// Start and end of each failed attempt.
#[derive(Default)]
struct FailedAttempts(Mutex<Vec<(Instant, Instant)>>);

impl FailedAttempts {
    async fn record<T>(
        &self,
        attempt: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let started = clock::now();
        let outcome = attempt.await;
        if outcome.is_err() {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push((started, clock::now()));
        }
        outcome
    }

    /// Converts the times to intervals before now, when an attempt has succeeded.
    fn before_now(self) -> Vec<FailedAttempt> {
        let now = clock::now();
        let attempts = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        let before_now = |(started, ended): (Instant, Instant)| FailedAttempt {
            started_before: now - started,
            ended_before: now - ended,
        };
        attempts.into_iter().map(before_now).collect()
    }
}

/// The caller may be dropped while S3 answers. Then the ID in the answer is the
/// only way to abort the upload, so a task of its own waits for it.
async fn create_detached(store: &Store, put: &Put) -> Result<Multipart, StoreError> {
    let (mut tx, rx) = oneshot::channel();
    let (task_store, task_put) = (store.clone(), put.clone());
    store.aborts.spawn(async move {
        let dropped = async {
            tx.closed().await;
            tokio::time::sleep(DROPPED_WAIT).await;
        };
        tokio::select! {
            // If the receiver is gone, the upload is dropped here, which aborts it.
            outcome = UploadHandle::create(&task_store, &task_put) => drop(tx.send(outcome.map(Multipart::of))),
            () = dropped => warn_not_aborted(&task_put.key, &"no answer to CreateMultipartUpload"),
        }
    });
    let task_ended = |err| {
        StoreError::new(Operation::StartUpload, &put.key, StoreErrorKind::Permanent).with_cause(err)
    };
    rx.await.map_err(task_ended)?
}
