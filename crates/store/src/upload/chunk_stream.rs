//! A stream of chunks that is being uploaded: which chunks are being completed,
//! and which are stored.
//!
//! Not here: how a chunk is sent (`chunks`), and what is skipped when a stream is
//! uploaded again (`resuming`).

use std::collections::BTreeMap;
use std::time::Duration;

use s3up_core::Sha256Digest;
use tokio::io::AsyncRead;
use tokio::task::JoinSet;

use crate::error::{Operation, StoreError, StoreErrorKind, UploadError};
use crate::transport::connect::Store;
use crate::upload::chunk::{Chunk, PutChunks};
use crate::upload::part_sender::{Slot, Slots};
use crate::upload::part_splitter::{Part, PartSplitter};
use crate::upload::put::Put;
use crate::upload::resume_log::{ProgressSender, ResumeState};
use crate::upload::staged::{StagedUpload, split_error};

/// Time to wait, when the stream fails, for chunks all of whose parts were
/// acknowledged. A completion takes seconds, and a cancelled one may still take
/// effect later.
const COMPLETION_WAIT: Duration = Duration::from_secs(30);

pub(super) struct ChunkStream<'a> {
    pub store: &'a Store,
    pub put: &'a PutChunks<'a>,
    pub slots: Slots,
    /// `None` if the upload is not resumable.
    pub resume: Option<ResumeState>,
    /// Number of chunks that were started.
    pub started: u64,
    /// Chunks that were read to their end and are being completed.
    completing: JoinSet<Result<(u64, Chunk), UploadError>>,
    stored: BTreeMap<u64, Chunk>,
}

impl<'a> ChunkStream<'a> {
    pub fn new(
        store: &'a Store,
        put: &'a PutChunks<'a>,
        resume: Option<ResumeState>,
    ) -> ChunkStream<'a> {
        ChunkStream {
            store,
            put,
            slots: Slots::new(put.in_flight),
            resume,
            started: 0,
            completing: JoinSet::new(),
            stored: BTreeMap::new(),
        }
    }

    /// Starts the next chunk; returns its number and how to store it.
    pub fn start_next(&mut self) -> (u64, Put) {
        let chunk = self.started;
        self.started += 1;
        (chunk, self.put.put_of(chunk))
    }

    /// Returns the sender for progress events about a chunk.
    pub fn progress_of(&self, chunk: u64) -> Option<ProgressSender> {
        Some(self.resume.as_ref()?.progress_of(chunk))
    }

    pub async fn next_part<R>(
        &mut self,
        splitter: &mut PartSplitter<R>,
    ) -> Result<Part, UploadError>
    where
        R: AsyncRead + Unpin + Send,
    {
        let key = (self.put.key_of)(self.started);
        self.while_completing(splitter.next()).await?.map_err(|err| split_error(&key, err))
    }

    /// Completes a chunk while the next ones are read. If it is cancelled, the
    /// store waits until the abort of its upload has started.
    pub fn complete_in_background(
        &mut self,
        chunk: impl Future<Output = Result<(u64, Chunk), UploadError>> + Send + 'static,
    ) {
        self.completing.spawn(self.store.aborts.track_future(chunk));
    }

    /// Waits for `work`, but fails as soon as an earlier chunk fails. Cancel-safe.
    pub async fn while_completing<T>(
        &mut self,
        work: impl Future<Output = T>,
    ) -> Result<T, UploadError> {
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Ok(done),
                completed = self.any_completed(), if !self.completing.is_empty() => completed?,
            }
        }
    }

    pub fn add_stored(&mut self, number: u64, chunk: Chunk) {
        self.stored.insert(number, chunk);
    }

    /// Waits until all chunks are stored, and returns them in order.
    pub async fn finish(&mut self) -> Result<Vec<Chunk>, UploadError> {
        while !self.completing.is_empty() {
            self.any_completed().await?;
        }
        Ok(std::mem::take(&mut self.stored).into_values().collect())
    }

    /// Gives completions some time, then cancels them.
    pub async fn stop(mut self) {
        let all_completed = async { while self.completing.join_next().await.is_some() {} };
        if tokio::time::timeout(COMPLETION_WAIT, all_completed).await.is_err() {
            // Detached tasks abort their uploads.
            self.completing.shutdown().await;
        }
    }

    async fn any_completed(&mut self) -> Result<(), UploadError> {
        match self.completing.join_next().await {
            None => Ok(()),
            Some(Ok(outcome)) => {
                let (number, chunk) = outcome?;
                self.add_stored(number, chunk);
                Ok(())
            }
            Some(Err(err)) => {
                let subject = &(self.put.key_of)(0);
                let error =
                    StoreError::new(Operation::CompleteUpload, subject, StoreErrorKind::Permanent);
                Err(error.with_cause(err).into())
            }
        }
    }
}

/// Makes a chunk visible. The slot, if any, is released after that.
pub(super) async fn complete_chunk(
    number: u64,
    staged: StagedUpload,
    part_sha256: Vec<Sha256Digest>,
    progress: Option<ProgressSender>,
    slot: Option<Slot>,
) -> Result<(u64, Chunk), UploadError> {
    let (key, part_bytes) = (staged.put.key.clone(), staged.put.part_bytes);
    let stored = staged.commit().await?;
    if let Some(progress) = progress {
        progress.chunk_completed(&stored.etag, stored.facts.len).await;
    }
    drop(slot);
    Ok((number, Chunk { key, stored, part_bytes, part_sha256 }))
}
