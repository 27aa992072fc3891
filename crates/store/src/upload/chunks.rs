//! Uploads one stream as several objects, its *chunks*.
//!
//! Parts are in flight across the boundary of two chunks: while the last parts of
//! a chunk are acknowledged and the chunk is completed, the first parts of the
//! next one are read and sent. A chunk becomes visible as soon as it is complete,
//! so that no multipart upload lives longer than its chunk takes; the last one
//! only after the source ended without an error. So a failing stream that fits
//! into one chunk leaves nothing, and a longer one leaves complete chunks, which
//! the caller may keep or delete.
//!
//! Not here: what is skipped when a stream is uploaded again (`resuming`).

use tokio::io::AsyncRead;

use crate::buffers::hashing::Digests;
use crate::error::UploadError;
use crate::transport::connect::Store;
use crate::upload::chunk::{Chunk, PutChunks};
use crate::upload::chunk_stream::{ChunkStream, complete_chunk};
use crate::upload::multipart::Multipart;
use crate::upload::part_sender::{PartSender, SentParts};
use crate::upload::part_splitter::{Boundary, BufferWait, Length, Part, PartSplitter};
use crate::upload::put::Put;
use crate::upload::resume_log::{ProgressSender, ResumeLog, ResumeState};
use crate::upload::resuming::{ExistingChunk, UploadedParts};
use crate::upload::staged::{Body, StagedUpload};

impl Store {
    /// Uploads `source` to its end and returns its chunks in order. An empty
    /// stream is one empty chunk.
    pub async fn upload_chunks<R>(
        &self,
        put: &PutChunks<'_>,
        source: R,
    ) -> Result<Vec<Chunk>, UploadError>
    where
        R: AsyncRead + Unpin + Send,
    {
        self.upload_chunk_stream(put, None, source).await
    }

    /// Uploads a stream like [`Store::upload_chunks`], so that it can be resumed: reports the parts that
    /// S3 acknowledges, and skips those that an earlier attempt uploaded. If an existing chunk is of
    /// another stream, it fails with [`UploadError::ForeignChunk`], and the caller has to start over.
    pub async fn upload_chunks_resumable<R>(
        &self,
        put: &PutChunks<'_>,
        log: ResumeLog,
        source: R,
    ) -> Result<Vec<Chunk>, UploadError>
    where
        R: AsyncRead + Unpin + Send,
    {
        self.upload_chunk_stream(put, Some(ResumeState::new(log)), source).await
    }

    async fn upload_chunk_stream<R>(
        &self,
        put: &PutChunks<'_>,
        resume: Option<ResumeState>,
        source: R,
    ) -> Result<Vec<Chunk>, UploadError>
    where
        R: AsyncRead + Unpin + Send,
    {
        let (length, wait) = (Length::AtMost(u64::MAX), BufferWait::default());
        let splitter = PartSplitter::new(source, self.pool.clone(), put.part_bytes, length, wait);
        let mut stream = ChunkStream::new(self, put, resume);
        match stream.send(splitter.into_objects_of(put.chunk_bytes.max(1))).await {
            Ok(chunks) => Ok(chunks),
            Err(err) => {
                stream.stop().await;
                Err(err)
            }
        }
    }
}

impl ChunkStream<'_> {
    async fn send<R>(&mut self, mut splitter: PartSplitter<R>) -> Result<Vec<Chunk>, UploadError>
    where
        R: AsyncRead + Unpin + Send,
    {
        loop {
            let first = self.next_part(&mut splitter).await?;
            let limit = self.put.chunk_count_max;
            if self.started == limit {
                return Err(UploadError::TooManyChunks { limit });
            }
            let boundary = match (self.find_existing().await?, first.boundary) {
                (ExistingChunk::Object(found, known), _) => {
                    self.compare_with(&found, &known, first, &mut splitter).await?
                }
                (ExistingChunk::Upload(upload, uploaded), Boundary::Part) => {
                    self.send_parts(Some((upload, uploaded)), first, &mut splitter).await?
                }
                (ExistingChunk::None, Boundary::Part) => {
                    self.send_parts(None, first, &mut splitter).await?
                }
                (existing, boundary @ (Boundary::Object | Boundary::Stream)) => {
                    if let ExistingChunk::Upload(..) = existing {
                        self.note_mismatch(self.started, 1);
                    }
                    self.send_whole(first).await?;
                    boundary
                }
            };
            if boundary == Boundary::Stream {
                break;
            }
        }
        self.finish().await
    }

    async fn send_whole(&mut self, part: Part) -> Result<(), UploadError> {
        let slots = self.slots.clone();
        let slot = self.while_completing(slots.take()).await?;
        let (number, put) = self.start_next();
        let store = self.store.clone();
        let progress = self.progress_of(number);
        let bytes = part.buffer.into_bytes();
        self.complete_in_background(async move {
            let staged = store.stage_bytes(put, bytes).await?;
            let part_sha256 = vec![staged.facts.sha256];
            complete_chunk(number, staged, part_sha256, progress, Some(slot)).await
        });
        Ok(())
    }

    /// Sends a chunk in parts. `resumed` is an upload that an earlier attempt
    /// started, and its parts.
    async fn send_parts<R>(
        &mut self,
        resumed: Option<(Multipart, UploadedParts)>,
        first: Part,
        splitter: &mut PartSplitter<R>,
    ) -> Result<Boundary, UploadError>
    where
        R: AsyncRead + Unpin + Send,
    {
        let (number, put) = self.start_next();
        let store = self.store.clone();
        let progress = self.progress_of(number);
        let (upload, uploaded) = match resumed {
            Some(resumed) => resumed,
            None => (self.start_upload(&put, progress.as_ref()).await?, UploadedParts::new()),
        };
        let digests = Digests::OfWholeAndParts;
        let mut sender = PartSender::new(upload.clone_handle(), put.retry_for, digests);
        let filled = match &progress {
            None => self.fill(&mut sender, first, splitter).await,
            Some(progress) => {
                self.fill_resumable(&mut sender, uploaded, progress, first, splitter).await
            }
        };
        let boundary = match filled {
            Ok(boundary) => boundary,
            Err(err) => {
                // No part may arrive after the upload was aborted.
                sender.stop().await;
                upload.abort_unless_kept().await;
                return Err(err);
            }
        };
        self.complete_in_background(async move {
            let SentParts { facts, parts, part_sha256 } = sender.finish().await?;
            let staged = StagedUpload { store, put, facts, body: Body::Parts(upload, parts) };
            complete_chunk(number, staged, part_sha256, progress, None).await
        });
        Ok(boundary)
    }

    async fn start_upload(
        &mut self,
        put: &Put,
        progress: Option<&ProgressSender>,
    ) -> Result<Multipart, UploadError> {
        let store = self.store.clone();
        let upload = self.while_completing(Multipart::start(&store, put)).await??;
        if let Some(progress) = progress {
            progress.upload_started(upload.id()).await;
            upload.keep_on_failure();
        }
        Ok(upload)
    }

    /// Reads and sends the parts of one chunk to its end.
    async fn fill<R>(
        &mut self,
        sender: &mut PartSender,
        first: Part,
        splitter: &mut PartSplitter<R>,
    ) -> Result<Boundary, UploadError>
    where
        R: AsyncRead + Unpin + Send,
    {
        let slots = self.slots.clone();
        let mut part = first;
        loop {
            let slot = sender.while_sending(self.while_completing(slots.take())).await??;
            sender.start(part.buffer.into_bytes(), slot);
            if part.boundary != Boundary::Part {
                return Ok(part.boundary);
            }
            part = sender.while_sending(self.next_part(splitter)).await??;
        }
    }
}
