//! Uploads a stream of chunks again, and skips what S3 already has of it.
//!
//! Not here: what is recorded of a stream, and which of it still counts
//! (`resume_log`).

use std::collections::BTreeMap;

use bytes::Bytes;
use s3up_core::{Crc64Nvme, Sha256Digest};
use tokio::io::AsyncRead;
use tokio::sync::oneshot;

use crate::buffers::hashing::{self, CRC64_OF_NOTHING, Digests, Sha256Chain};
use crate::error::{Operation, StoreError, StoreErrorKind, UploadError};
use crate::objects::facts::ObjectFacts;
use crate::upload::chunk::Chunk;
use crate::upload::chunk_stream::ChunkStream;
use crate::upload::multipart::Multipart;
use crate::upload::part_sender::PartSender;
use crate::upload::part_splitter::{Boundary, Part, PartSplitter};
use crate::upload::put::{Facts, Stored, has_metadata};
use crate::upload::resume_log::{
    ProgressSender, UploadedChunk, UploadedPart, confirmed_by_listing, is_same_content,
};

pub(super) type UploadedParts = BTreeMap<i32, UploadedPart>;

/// The state in which earlier attempts left the next chunk.
pub(super) enum ExistingChunk {
    None,
    /// A multipart upload, and those of the recorded parts that S3 still has.
    Upload(Multipart, UploadedParts),
    /// A complete object.
    Object(ObjectFacts, UploadedChunk),
}

impl ChunkStream<'_> {
    /// Looks for what earlier attempts left of the next chunk.
    pub async fn find_existing(&mut self) -> Result<ExistingChunk, UploadError> {
        let Some(recorded) = self.take_record_of_next() else { return Ok(ExistingChunk::None) };
        let (store, key, retry_for) =
            (self.store.clone(), (self.put.key_of)(self.started), self.put.retry_for);
        let found = self.while_completing(store.head(&key, None, retry_for)).await??;
        if let Some(found) = found.filter(|found| has_metadata(found, &self.put.metadata)) {
            if self.has_mismatch() {
                return Err(UploadError::ForeignChunk { key, chunk: self.started });
            }
            return Ok(ExistingChunk::Object(found, recorded));
        }
        let Some(upload_id) = recorded.upload_id.filter(|_| !self.has_mismatch()) else {
            return Ok(ExistingChunk::None);
        };
        let upload = Multipart::resume(&store, key, upload_id);
        match self.while_completing(upload.list_parts(retry_for)).await? {
            Ok(Some(listed)) => {
                Ok(ExistingChunk::Upload(upload, confirmed_by_listing(recorded.parts, &listed)))
            }
            // Without a list we cannot rely on its parts, so we start over.
            Ok(None) => {
                upload.abort().await;
                Ok(ExistingChunk::None)
            }
            Err(err) if matches!(err.kind, StoreErrorKind::NoUpload | StoreErrorKind::NotFound) => {
                Ok(ExistingChunk::None)
            }
            Err(err) => Err(err.into()),
        }
    }

    /// Returns `None` if there was no earlier attempt.
    fn take_record_of_next(&mut self) -> Option<UploadedChunk> {
        let recorded = self.resume.as_mut()?.already_uploaded.as_mut()?;
        Some(recorded.remove(&self.started).unwrap_or_default())
    }

    fn has_mismatch(&self) -> bool {
        self.resume.as_ref().is_some_and(|resume| resume.has_mismatch)
    }

    /// Records that this is not the stream that was uploaded before.
    pub fn note_mismatch(&mut self, chunk: u64, part: i32) {
        if let Some(resume) = &mut self.resume {
            resume.has_mismatch = true;
        }
        tracing::warn!(
            event = "stream_differs",
            chunk,
            part,
            "the stream differs from the one uploaded before; uploading the rest of it again"
        );
    }

    /// Reads and hashes the parts of one chunk to its end, and sends those that S3
    /// does not have.
    pub async fn fill_resumable<R>(
        &mut self,
        sender: &mut PartSender,
        mut uploaded: UploadedParts,
        progress: &ProgressSender,
        first: Part,
        splitter: &mut PartSplitter<R>,
    ) -> Result<Boundary, UploadError>
    where
        R: AsyncRead + Unpin + Send,
    {
        let mut part = first;
        loop {
            let bytes = part.buffer.into_bytes();
            let (number, mut digest) = sender.hash(bytes.clone());
            let mut etag = None;
            if let Some(expected) = uploaded.remove(&number) {
                let sha256 = sender.while_sending(self.while_completing(digest)).await??;
                let sha256 = sha256.map_err(|err| self.hashing_failed(err))?;
                if expected.sha256 == sha256 && expected.len == bytes.len() as u64 {
                    etag = Some(expected.etag);
                } else {
                    uploaded.clear();
                    self.note_mismatch(progress.chunk, number);
                }
                digest = ready(sha256);
            }
            match etag {
                Some(etag) => sender.keep(bytes, etag),
                None => self.send_resumable(sender, bytes, digest, progress).await?,
            }
            if part.boundary != Boundary::Part {
                if !uploaded.is_empty() {
                    self.note_mismatch(progress.chunk, number + 1);
                }
                return Ok(part.boundary);
            }
            part = sender.while_sending(self.next_part(splitter)).await??;
        }
    }

    async fn send_resumable(
        &mut self,
        sender: &mut PartSender,
        bytes: Bytes,
        digest: oneshot::Receiver<Sha256Digest>,
        progress: &ProgressSender,
    ) -> Result<(), UploadError> {
        let slots = self.slots.clone();
        let slot = sender.while_sending(self.while_completing(slots.take())).await??;
        sender.start_resumable(bytes, slot, digest, progress.clone());
        Ok(())
    }

    /// Reads the next chunk and compares it with the object that exists.
    pub async fn compare_with<R>(
        &mut self,
        found: &ObjectFacts,
        recorded: &UploadedChunk,
        first: Part,
        splitter: &mut PartSplitter<R>,
    ) -> Result<Boundary, UploadError>
    where
        R: AsyncRead + Unpin + Send,
    {
        let (chunk, put) = self.start_next();
        let foreign = || UploadError::ForeignChunk { key: put.key.clone(), chunk };
        let mut content = SkippedContent::default();
        let mut part = first;
        let boundary = loop {
            let sha256 = self.while_completing(content.add(part.buffer.into_bytes())).await?;
            let sha256 = sha256.map_err(|err| self.hashing_failed(err))?;
            let is_other = |recorded: &UploadedPart| recorded.sha256 != sha256;
            if content.len > found.size || recorded.parts.get(&content.parts).is_some_and(is_other)
            {
                return Err(foreign());
            }
            if part.boundary != Boundary::Part {
                break part.boundary;
            }
            part = self.next_part(splitter).await?;
        };
        let (facts, part_sha256) = content.finish().await;
        if !is_same_content(found, recorded, &facts, part_sha256.len()) {
            return Err(foreign());
        }
        if let (None, Some(progress)) = (&recorded.etag, self.progress_of(chunk)) {
            progress.chunk_completed(&found.etag, facts.len).await;
        }
        let (etag, version_id) = (found.etag.clone(), found.version_id.clone());
        let stored = Stored { facts, etag, version_id };
        let (key, part_bytes) = (put.key, put.part_bytes);
        self.add_stored(chunk, Chunk { key, stored, part_bytes, part_sha256 });
        Ok(boundary)
    }

    fn hashing_failed(&self, err: oneshot::error::RecvError) -> UploadError {
        let subject = (self.put.key_of)(self.started.saturating_sub(1));
        StoreError::new(Operation::PutPart, &subject, StoreErrorKind::Permanent)
            .with_cause(err)
            .into()
    }
}

/// Returns a receiver that has its digest already.
fn ready(sha256: Sha256Digest) -> oneshot::Receiver<Sha256Digest> {
    let (tx, rx) = oneshot::channel();
    // The receiver is still alive.
    tx.send(sha256).ok();
    rx
}

/// Length and digests of a chunk that is read and not sent.
struct SkippedContent {
    sha256: Sha256Chain,
    crc64nvme: Crc64Nvme,
    len: u64,
    parts: i32,
}

impl Default for SkippedContent {
    fn default() -> SkippedContent {
        let sha256 = Sha256Chain::new(Digests::OfWholeAndParts);
        SkippedContent { sha256, crc64nvme: CRC64_OF_NOTHING, len: 0, parts: 0 }
    }
}

impl SkippedContent {
    /// Adds a part and returns its digest.
    async fn add(&mut self, bytes: Bytes) -> Result<Sha256Digest, oneshot::error::RecvError> {
        let len = bytes.len() as u64;
        let sha256 = self.sha256.add_with_digest(bytes.clone());
        let crc64nvme = hashing::crc64(bytes).await;
        self.crc64nvme = hashing::crc64_combine(self.crc64nvme, crc64nvme, len);
        self.len += len;
        self.parts += 1;
        sha256.await
    }

    async fn finish(self) -> (Facts, Vec<Sha256Digest>) {
        let (sha256, parts) = self.sha256.finish().await;
        (Facts { len: self.len, sha256, crc64nvme: self.crc64nvme }, parts)
    }
}
