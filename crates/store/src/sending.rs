//! The parts of one upload on their way, and the digests of what went by.
//!
//! A part is hashed and sent at once; its buffer is free when both are done.
//! Parts are acknowledged in any order and put into order at the end. How many
//! are on their way is limited by [`Slots`], which several uploads may share.
//! A part that S3 has already is hashed like any other, and not sent.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use s3up_core::Sha256Digest;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::JoinSet;

use crate::error::{Kind, StoreError};
use crate::hashing::{self, CRC64_OF_NOTHING, Digests, Sha256Chain};
use crate::multipart::Handle;
use crate::parts::PartSent;
use crate::put::Facts;
use crate::replay::{KnownPart, Note};

/// Parts that may be on their way at once.
#[derive(Clone)]
pub(crate) struct Slots(Arc<Semaphore>);

/// One of them. Held until its part is acknowledged.
pub(crate) struct Slot {
    _permit: OwnedSemaphorePermit,
}

impl Slots {
    /// At least one.
    pub(crate) fn new(count: usize) -> Slots {
        Slots(Arc::new(Semaphore::new(count.max(1))))
    }

    pub(crate) async fn take(&self) -> Slot {
        let permit = Arc::clone(&self.0).acquire_owned().await;
        Slot { _permit: permit.expect("nobody closes the semaphore") }
    }
}

/// What was acknowledged, all of it.
pub(crate) struct Sent {
    pub facts: Facts,
    pub parts: Vec<PartSent>,
    /// Of each part, in order, where that was wanted.
    pub part_sha256: Vec<Sha256Digest>,
}

pub(crate) struct Sending {
    handle: Handle,
    retry_for: Duration,
    tasks: JoinSet<Result<PartSent, StoreError>>,
    sent: Vec<PartSent>,
    sha256: Sha256Chain,
    count: i32,
}

impl Sending {
    pub(crate) fn new(handle: Handle, retry_for: Duration, digests: Digests) -> Sending {
        Sending {
            handle,
            retry_for,
            tasks: JoinSet::new(),
            sent: Vec::new(),
            sha256: Sha256Chain::new(digests),
            count: 0,
        }
    }

    /// Sends the next part. The slot is free when it is acknowledged.
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

    /// Hashes the next part: [`Sending::keep`] or [`Sending::start_noted`] follows.
    pub(crate) fn hash(&mut self, bytes: Bytes) -> (i32, oneshot::Receiver<Sha256Digest>) {
        self.count += 1;
        (self.count, self.sha256.add_told(bytes))
    }

    /// The part that was hashed last is in S3 already.
    pub(crate) fn keep(&mut self, bytes: Bytes, etag: String) {
        let number = self.count;
        self.tasks.spawn(async move {
            let len = bytes.len() as u64;
            Ok(PartSent { number, len, crc64nvme: hashing::crc64(bytes).await, etag })
        });
    }

    /// Sends the part that was hashed last. The slot is free when it is
    /// acknowledged and that is noted.
    pub(crate) fn start_noted(
        &mut self,
        bytes: Bytes,
        slot: Slot,
        digest: oneshot::Receiver<Sha256Digest>,
        note: Note,
    ) {
        let part = self.handle.clone().send_part(self.count, bytes, self.retry_for);
        self.tasks.spawn(async move {
            let sent = part.await?;
            if let Ok(sha256) = digest.await {
                let part = KnownPart { len: sent.len, sha256, etag: sent.etag.clone() };
                note.part(sent.number, part).await;
            }
            drop(slot);
            Ok(sent)
        });
    }

    /// Waits for `work`, unless a part fails before it is done.
    pub(crate) async fn meanwhile<T>(
        &mut self,
        work: impl Future<Output = T>,
    ) -> Result<T, StoreError> {
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Ok(done),
                part = self.any_done() => part?,
            }
        }
    }

    /// Waits until a part is acknowledged; for ever where none is on its way.
    /// May be dropped at any await.
    async fn any_done(&mut self) -> Result<(), StoreError> {
        match self.tasks.join_next().await {
            None => std::future::pending().await,
            Some(Ok(outcome)) => {
                self.sent.push(outcome?);
                Ok(())
            }
            Some(Err(err)) => {
                Err(StoreError::new("put part of", &self.handle.key, Kind::Permanent).because(err))
            }
        }
    }

    /// Gives up what is on its way, and waits until it is given up.
    pub(crate) async fn stop(mut self) {
        self.tasks.shutdown().await;
    }

    pub(crate) async fn finish(mut self) -> Result<Sent, StoreError> {
        while !self.tasks.is_empty() {
            self.any_done().await?;
        }
        self.sent.sort_unstable_by_key(|part| part.number);
        let whole = self.sent.iter().fold((CRC64_OF_NOTHING, 0), |(crc, len), part| {
            (hashing::crc64_join(crc, part.crc64nvme, part.len), len + part.len)
        });
        let (crc64nvme, len) = whole;
        let (sha256, part_sha256) = self.sha256.finish().await;
        Ok(Sent { facts: Facts { len, sha256, crc64nvme }, parts: self.sent, part_sha256 })
    }
}
