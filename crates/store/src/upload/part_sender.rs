//! Sends the parts of one upload and computes the digests of the stream.
//!
//! A part is hashed and sent at the same time; its buffer is free when both are
//! done. Parts are acknowledged in any order and sorted at the end. [`Slots`],
//! which several uploads may share, limit how many are in flight. A part that S3
//! already has is hashed like any other and not sent.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use s3up_core::Sha256Digest;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::JoinSet;

use crate::buffers::hashing::{self, CRC64_OF_NOTHING, Digests, Sha256Chain};
use crate::error::{Operation, StoreError, StoreErrorKind};
use crate::upload::multipart_calls::UploadHandle;
use crate::upload::parts::PartSent;
use crate::upload::put::Facts;
use crate::upload::resume_log::{ProgressSender, UploadedPart};

/// Limits the number of parts in flight.
#[derive(Clone)]
pub(crate) struct Slots(Arc<Semaphore>);

/// One slot, held until its part is acknowledged.
pub(crate) struct Slot {
    _permit: OwnedSemaphorePermit,
}

impl Slots {
    /// Creates `count` slots, at least one.
    pub(crate) fn new(count: usize) -> Slots {
        Slots(Arc::new(Semaphore::new(count.max(1))))
    }

    pub(crate) async fn take(&self) -> Slot {
        let permit = Arc::clone(&self.0).acquire_owned().await;
        Slot { _permit: permit.expect("the semaphore is never closed") }
    }
}

/// A stream all of whose parts were acknowledged.
pub(crate) struct SentParts {
    pub facts: Facts,
    pub parts: Vec<PartSent>,
    /// SHA-256 of each part in order, if requested.
    pub part_sha256: Vec<Sha256Digest>,
}

pub(crate) struct PartSender {
    handle: UploadHandle,
    retry_for: Duration,
    tasks: JoinSet<Result<PartSent, StoreError>>,
    sent: Vec<PartSent>,
    sha256: Sha256Chain,
    count: i32,
}

impl PartSender {
    pub(crate) fn new(handle: UploadHandle, retry_for: Duration, digests: Digests) -> PartSender {
        PartSender {
            handle,
            retry_for,
            tasks: JoinSet::new(),
            sent: Vec::new(),
            sha256: Sha256Chain::new(digests),
            count: 0,
        }
    }

    /// Sends the next part. The slot is released when the part is acknowledged.
    pub(crate) fn start(&mut self, bytes: Bytes, slot: Slot) {
        self.count += 1;
        self.sha256.add(bytes.clone());
        let part = self.handle.clone().send_part(self.count, bytes, self.retry_for);
        self.tasks.spawn(async move {
            let outcome = part.await;
            drop(slot);
            outcome
        });
    }

    /// Hashes the next part. [`PartSender::keep`] or
    /// [`PartSender::start_resumable`] must follow.
    pub(crate) fn hash(&mut self, bytes: Bytes) -> (i32, oneshot::Receiver<Sha256Digest>) {
        self.count += 1;
        (self.count, self.sha256.add_with_digest(bytes))
    }

    /// Keeps the part that was hashed last: S3 already has it.
    pub(crate) fn keep(&mut self, bytes: Bytes, etag: String) {
        let number = self.count;
        self.tasks.spawn(async move {
            let len = bytes.len() as u64;
            Ok(PartSent { number, len, crc64nvme: hashing::crc64(bytes).await, etag })
        });
    }

    /// Sends the part that was hashed last. The slot is released when the part is
    /// acknowledged and `progress` has reported it.
    pub(crate) fn start_resumable(
        &mut self,
        bytes: Bytes,
        slot: Slot,
        digest: oneshot::Receiver<Sha256Digest>,
        progress: ProgressSender,
    ) {
        let part = self.handle.clone().send_part(self.count, bytes, self.retry_for);
        self.tasks.spawn(async move {
            let sent = part.await?;
            if let Ok(sha256) = digest.await {
                let part = UploadedPart { len: sent.len, sha256, etag: sent.etag.clone() };
                progress.part_uploaded(sent.number, part).await;
            }
            drop(slot);
            Ok(sent)
        });
    }

    /// Waits for `work`, but fails as soon as a part fails.
    pub(crate) async fn while_sending<T>(
        &mut self,
        work: impl Future<Output = T>,
    ) -> Result<T, StoreError> {
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Ok(done),
                part = self.any_part_done() => part?,
            }
        }
    }

    /// Waits until a part is acknowledged, or forever if none is in flight.
    /// Cancel-safe.
    async fn any_part_done(&mut self) -> Result<(), StoreError> {
        match self.tasks.join_next().await {
            None => std::future::pending().await,
            Some(Ok(outcome)) => {
                self.sent.push(outcome?);
                Ok(())
            }
            Some(Err(err)) => Err(StoreError::new(
                Operation::PutPart,
                &self.handle.key,
                StoreErrorKind::Permanent,
            )
            .with_cause(err)),
        }
    }

    /// Cancels the parts in flight and waits for that.
    pub(crate) async fn stop(mut self) {
        self.tasks.shutdown().await;
    }

    pub(crate) async fn finish(mut self) -> Result<SentParts, StoreError> {
        while !self.tasks.is_empty() {
            self.any_part_done().await?;
        }
        self.sent.sort_unstable_by_key(|part| part.number);
        let whole = self.sent.iter().fold((CRC64_OF_NOTHING, 0), |(crc, len), part| {
            (hashing::crc64_combine(crc, part.crc64nvme, part.len), len + part.len)
        });
        let (crc64nvme, len) = whole;
        let (sha256, part_sha256) = self.sha256.finish().await;
        Ok(SentParts { facts: Facts { len, sha256, crc64nvme }, parts: self.sent, part_sha256 })
    }
}
