//! One stream as a row of objects, its *chunks*.
//!
//! Parts are on their way across the border of two chunks: while the last ones
//! of a chunk are acknowledged and the chunk is completed, the first ones of
//! the next are read and sent. A chunk becomes visible as soon as it is whole,
//! so that no multipart upload lives longer than its chunk takes; the last one
//! only after the source ended without an error. So a stream that fits into one
//! chunk leaves nothing when it breaks, and a longer one leaves whole chunks:
//! what becomes of them is the caller's decision.
//!
//! A stream may be sent again: see [`Noted`], and `replaying` for what is done then.

mod replaying;

use std::collections::BTreeMap;
use std::time::Duration;

use s3up_core::{Key, Sha256Digest};
use tokio::io::AsyncRead;
use tokio::task::JoinSet;

use crate::connect::Store;
use crate::cut::{Cut, Ends, Length, Part, Waiting};
use crate::error::{Kind, StoreError, UploadError};
use crate::hashing::Digests;
use crate::multipart::Multipart;
use crate::put::{Overwrite, Put, Stored};
use crate::replay::{Note, Noted};
use crate::sending::{Sending, Sent, Slot, Slots};
use crate::upload::{Body, Staged, cut_error};

use self::replaying::{KnownParts, Place, Replaying};

/// Chunks whose parts are all acknowledged are given this long to be completed
/// when the stream breaks; a completion takes seconds, and one that is given up
/// may still take effect later.
const COMPLETION_WAIT: Duration = Duration::from_secs(30);

/// What to store, and how.
pub struct PutChunks<'a> {
    /// The key of chunk 0, 1, 2…
    pub key_of: &'a (dyn Fn(u64) -> Key + Send + Sync),
    /// Length of each chunk but the last, at least 1.
    pub chunk_bytes: u64,
    /// As [`s3up_core::part::part_bytes`] computes it for `chunk_bytes`.
    pub part_bytes: u64,
    /// More chunks are an error.
    pub chunk_count_max: u64,
    pub content_type: Option<String>,
    /// User metadata, ASCII only.
    pub metadata: BTreeMap<String, String>,
    pub overwrite: Overwrite,
    /// `None`: that of the settings.
    pub storage_class: Option<String>,
    /// Parts on their way at once, of all chunks together, at least 1.
    pub in_flight: usize,
    /// How long a failing call is repeated.
    pub retry_for: Duration,
}

/// A chunk that is in S3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    pub key: Key,
    pub stored: Stored,
    /// Length of each part but the last.
    pub part_bytes: u64,
    /// Of each part, in order.
    pub part_sha256: Vec<Sha256Digest>,
}

impl Store {
    /// Takes `source` to its end. The chunks are returned in order; an empty
    /// stream is one empty chunk.
    pub async fn upload_chunks<R>(
        &self,
        put: &PutChunks<'_>,
        source: R,
    ) -> Result<Vec<Chunk>, UploadError>
    where
        R: AsyncRead + Unpin + Send,
    {
        self.upload_row(put, None, source).await
    }

    /// The same for a stream that may have to be sent again: tells what S3
    /// acknowledges, and does not send what it acknowledged before. Where a chunk
    /// stands in the bucket that is not of this stream, the source has to be
    /// sent once more: [`UploadError::Differs`].
    pub async fn upload_chunks_noted<R>(
        &self,
        put: &PutChunks<'_>,
        noted: Noted,
        source: R,
    ) -> Result<Vec<Chunk>, UploadError>
    where
        R: AsyncRead + Unpin + Send,
    {
        self.upload_row(put, Some(Replaying::of(noted)), source).await
    }

    async fn upload_row<R>(
        &self,
        put: &PutChunks<'_>,
        replaying: Option<Replaying>,
        source: R,
    ) -> Result<Vec<Chunk>, UploadError>
    where
        R: AsyncRead + Unpin + Send,
    {
        let waiting = Waiting::default();
        let length = Length::AtMost(u64::MAX);
        let cut = Cut::new(source, self.pool.clone(), put.part_bytes, length, waiting);
        let mut row = Row {
            store: self,
            put,
            slots: Slots::new(put.in_flight),
            replaying,
            begun: 0,
            ending: JoinSet::new(),
            done: BTreeMap::new(),
        };
        match row.send(cut.into_objects_of(put.chunk_bytes.max(1))).await {
            Ok(()) => Ok(row.done.into_values().collect()),
            Err(err) => {
                row.stop().await;
                Err(err)
            }
        }
    }
}

/// The chunks of one stream on their way.
struct Row<'a> {
    store: &'a Store,
    put: &'a PutChunks<'a>,
    slots: Slots,
    /// `None`: nobody takes notes.
    replaying: Option<Replaying>,
    begun: u64,
    /// Chunks that were read to their end.
    ending: JoinSet<Result<(u64, Chunk), UploadError>>,
    done: BTreeMap<u64, Chunk>,
}

impl Row<'_> {
    async fn send<R>(&mut self, mut cut: Cut<R>) -> Result<(), UploadError>
    where
        R: AsyncRead + Unpin + Send,
    {
        loop {
            let first = self.next_part(&mut cut).await?;
            let limit = self.put.chunk_count_max;
            if self.begun == limit {
                return Err(UploadError::TooManyChunks { limit });
            }
            let ends = match (self.place().await?, first.ends) {
                (Place::Stands(found, known), _) => {
                    self.compare_with(&found, &known, first, &mut cut).await?
                }
                (Place::Begun(upload, known), Ends::Part) => {
                    self.send_parts(Some((upload, known)), first, &mut cut).await?
                }
                (Place::New, Ends::Part) => self.send_parts(None, first, &mut cut).await?,
                (place, ends @ (Ends::Object | Ends::Stream)) => {
                    if let Place::Begun(..) = place {
                        self.found_different(self.begun, 1);
                    }
                    self.send_whole(first).await?;
                    ends
                }
            };
            if ends == Ends::Stream {
                break;
            }
        }
        while !self.ending.is_empty() {
            self.any_ended().await?;
        }
        Ok(())
    }

    async fn send_whole(&mut self, part: Part) -> Result<(), UploadError> {
        let slots = self.slots.clone();
        let slot = self.meanwhile(slots.take()).await?;
        let (number, put) = self.begin();
        let store = self.store.clone();
        let note = self.note(number);
        let bytes = part.buffer.into_bytes();
        self.end(async move {
            let staged = store.stage_whole(put, bytes).await?;
            let part_sha256 = vec![staged.facts.sha256];
            end_chunk(number, staged, part_sha256, note, Some(slot)).await
        });
        Ok(())
    }

    /// `begun` is an upload that an earlier send has begun, and its parts.
    async fn send_parts<R>(
        &mut self,
        begun: Option<(Multipart, KnownParts)>,
        first: Part,
        cut: &mut Cut<R>,
    ) -> Result<Ends, UploadError>
    where
        R: AsyncRead + Unpin + Send,
    {
        let (number, put) = self.begin();
        let store = self.store.clone();
        let note = self.note(number);
        let (upload, known) = match begun {
            Some(begun) => begun,
            None => (self.begin_upload(&put, note.as_ref()).await?, KnownParts::new()),
        };
        let digests = Digests::OfWholeAndParts;
        let mut sending = Sending::new(upload.clone_handle(), put.retry_for, digests);
        let filled = match &note {
            None => self.fill(&mut sending, first, cut).await,
            Some(note) => self.fill_noted(&mut sending, known, note, first, cut).await,
        };
        let ends = match filled {
            Ok(ends) => ends,
            Err(err) => {
                // No part may arrive after the upload was removed.
                sending.stop().await;
                upload.give_up().await;
                return Err(err);
            }
        };
        self.end(async move {
            let Sent { facts, parts, part_sha256 } = sending.finish().await?;
            let staged = Staged { store, put, facts, body: Body::Parts(upload, parts) };
            end_chunk(number, staged, part_sha256, note, None).await
        });
        Ok(ends)
    }

    async fn begin_upload(
        &mut self,
        put: &Put,
        note: Option<&Note>,
    ) -> Result<Multipart, UploadError> {
        let store = self.store.clone();
        let upload = self.meanwhile(Multipart::begin(&store, put)).await??;
        if let Some(note) = note {
            note.begun(upload.id()).await;
            upload.keep();
        }
        Ok(upload)
    }

    /// Lets a chunk come to its end beside the next ones. Where that is given up,
    /// the store knows until its upload is on the way to be aborted.
    fn end(
        &mut self,
        chunk: impl Future<Output = Result<(u64, Chunk), UploadError>> + Send + 'static,
    ) {
        self.ending.spawn(self.store.cleanups.track_future(chunk));
    }

    /// Reads and sends the parts of one chunk to its end.
    async fn fill<R>(
        &mut self,
        sending: &mut Sending,
        first: Part,
        cut: &mut Cut<R>,
    ) -> Result<Ends, UploadError>
    where
        R: AsyncRead + Unpin + Send,
    {
        let slots = self.slots.clone();
        let mut part = first;
        loop {
            let slot = sending.meanwhile(self.meanwhile(slots.take())).await??;
            sending.start(part.buffer.into_bytes(), slot);
            if part.ends != Ends::Part {
                return Ok(part.ends);
            }
            part = sending.meanwhile(self.next_part(cut)).await??;
        }
    }

    async fn next_part<R>(&mut self, cut: &mut Cut<R>) -> Result<Part, UploadError>
    where
        R: AsyncRead + Unpin + Send,
    {
        let key = (self.put.key_of)(self.begun);
        self.meanwhile(cut.next()).await?.map_err(|err| cut_error(&key, err))
    }

    /// Waits for `work`, unless an earlier chunk fails before it is done. May be
    /// dropped at any await.
    async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> Result<T, UploadError> {
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Ok(done),
                ended = self.any_ended(), if !self.ending.is_empty() => ended?,
            }
        }
    }

    async fn any_ended(&mut self) -> Result<(), UploadError> {
        match self.ending.join_next().await {
            None => Ok(()),
            Some(Ok(outcome)) => {
                let (number, chunk) = outcome?;
                self.done.insert(number, chunk);
                Ok(())
            }
            Some(Err(err)) => {
                let subject = &(self.put.key_of)(0);
                Err(StoreError::new("complete", subject, Kind::Permanent).because(err).into())
            }
        }
    }

    /// The number of the next chunk, and how it is stored.
    fn begin(&mut self) -> (u64, Put) {
        let number = self.begun;
        self.begun += 1;
        let put = self.put;
        let put = Put {
            key: (put.key_of)(number),
            length: Length::AtMost(put.chunk_bytes),
            part_bytes: put.part_bytes,
            content_type: put.content_type.clone(),
            metadata: put.metadata.clone(),
            expect_sha256: None,
            overwrite: put.overwrite.clone(),
            storage_class: put.storage_class.clone(),
            in_flight: put.in_flight,
            retry_for: put.retry_for,
            buffer_wait: None,
            share: None,
        };
        (number, put)
    }

    async fn stop(mut self) {
        let all_ended = async { while self.ending.join_next().await.is_some() {} };
        if tokio::time::timeout(COMPLETION_WAIT, all_ended).await.is_err() {
            // Their uploads are aborted in detached tasks.
            self.ending.shutdown().await;
        }
    }
}

async fn end_chunk(
    number: u64,
    staged: Staged,
    part_sha256: Vec<Sha256Digest>,
    note: Option<Note>,
    slot: Option<Slot>,
) -> Result<(u64, Chunk), UploadError> {
    let (key, part_bytes) = (staged.put.key.clone(), staged.put.part_bytes);
    let stored = staged.commit().await?;
    if let Some(note) = note {
        note.completed(&stored.etag, stored.facts.len).await;
    }
    drop(slot);
    Ok((number, Chunk { key, stored, part_bytes, part_sha256 }))
}
