//! A row of chunks that is sent again, and what it finds of the earlier sends.

use std::collections::BTreeMap;

use bytes::Bytes;
use s3up_core::{Crc64Nvme, Sha256Digest};
use tokio::io::AsyncRead;
use tokio::sync::{mpsc, oneshot};

use super::{Chunk, Row};
use crate::cut::{Cut, Ends, Part};
use crate::error::{Kind, StoreError, UploadError};
use crate::facts::ObjectFacts;
use crate::hashing::{self, CRC64_OF_NOTHING, Digests, Sha256Chain};
use crate::multipart::Multipart;
use crate::put::{Facts, Stored, carries};
use crate::replay::{Acknowledged, Known, KnownChunk, KnownPart, Note, Noted, stands, still_there};
use crate::sending::Sending;

pub(super) type KnownParts = BTreeMap<i32, KnownPart>;

/// What is known of the earlier sends.
pub(super) struct Replaying {
    tell: mpsc::Sender<Acknowledged>,
    /// `None`: there were none.
    known: Option<Known>,
    /// This is not the stream that was sent before: nothing known counts.
    differs: bool,
}

/// What there is of the next chunk.
pub(super) enum Place {
    New,
    /// An upload, and what it has of the parts that are known.
    Begun(Multipart, KnownParts),
    /// An object of an earlier send.
    Stands(ObjectFacts, KnownChunk),
}

impl Replaying {
    pub(super) fn of(noted: Noted) -> Replaying {
        Replaying { tell: noted.tell, known: noted.known, differs: false }
    }
}

impl Row<'_> {
    pub(super) fn note(&self, chunk: u64) -> Option<Note> {
        let tell = self.replaying.as_ref()?.tell.clone();
        Some(Note { chunk, tell })
    }

    /// Looks for what earlier sends left of the next chunk.
    pub(super) async fn place(&mut self) -> Result<Place, UploadError> {
        let Some(known) = self.known_of_next() else { return Ok(Place::New) };
        let (store, key, retry_for) =
            (self.store.clone(), (self.put.key_of)(self.begun), self.put.retry_for);
        let found = self.meanwhile(store.head(&key, None, retry_for)).await??;
        if let Some(found) = found.filter(|found| carries(found, &self.put.metadata)) {
            if self.differs() {
                return Err(UploadError::Differs { key, chunk: self.begun });
            }
            return Ok(Place::Stands(found, known));
        }
        let Some(upload_id) = known.upload_id.filter(|_| !self.differs()) else {
            return Ok(Place::New);
        };
        let upload = Multipart::again(&store, key, upload_id);
        match self.meanwhile(upload.listed(retry_for)).await? {
            Ok(Some(listed)) => Ok(Place::Begun(upload, still_there(known.parts, &listed))),
            // It can be begun anew, but not be relied on.
            Ok(None) => {
                upload.abort().await;
                Ok(Place::New)
            }
            Err(err) if err.kind == Kind::NotFound => Ok(Place::New),
            Err(err) => Err(err.into()),
        }
    }

    /// `None` where there were no earlier sends.
    fn known_of_next(&mut self) -> Option<KnownChunk> {
        let known = self.replaying.as_mut()?.known.as_mut()?;
        Some(known.remove(&self.begun).unwrap_or_default())
    }

    fn differs(&self) -> bool {
        self.replaying.as_ref().is_some_and(|replaying| replaying.differs)
    }

    pub(super) fn found_different(&mut self, chunk: u64, number: i32) {
        if let Some(replaying) = &mut self.replaying {
            replaying.differs = true;
        }
        tracing::warn!(
            event = "stream_differs",
            chunk,
            part = number,
            "this is not the stream that was sent before; from here on it is sent anew"
        );
    }

    /// Reads, hashes and sends the parts of one chunk to its end, but those that
    /// S3 has.
    pub(super) async fn fill_noted<R>(
        &mut self,
        sending: &mut Sending,
        mut known: KnownParts,
        note: &Note,
        first: Part,
        cut: &mut Cut<R>,
    ) -> Result<Ends, UploadError>
    where
        R: AsyncRead + Unpin + Send,
    {
        let mut part = first;
        loop {
            let bytes = part.buffer.into_bytes();
            let (number, mut digest) = sending.hash(bytes.clone());
            let mut etag = None;
            if let Some(expected) = known.remove(&number) {
                let sha256 = sending.meanwhile(self.meanwhile(digest)).await??;
                let sha256 = sha256.map_err(|err| self.not_hashed(err))?;
                if expected.sha256 == sha256 && expected.len == bytes.len() as u64 {
                    etag = Some(expected.etag);
                } else {
                    known.clear();
                    self.found_different(note.chunk, number);
                }
                digest = known_already(sha256);
            }
            match etag {
                Some(etag) => sending.keep(bytes, etag),
                None => self.send_noted(sending, bytes, digest, note).await?,
            }
            if part.ends != Ends::Part {
                if !known.is_empty() {
                    self.found_different(note.chunk, number + 1);
                }
                return Ok(part.ends);
            }
            part = sending.meanwhile(self.next_part(cut)).await??;
        }
    }

    async fn send_noted(
        &mut self,
        sending: &mut Sending,
        bytes: Bytes,
        digest: oneshot::Receiver<Sha256Digest>,
        note: &Note,
    ) -> Result<(), UploadError> {
        let slots = self.slots.clone();
        let slot = sending.meanwhile(self.meanwhile(slots.take())).await??;
        sending.start_noted(bytes, slot, digest, note.clone());
        Ok(())
    }

    /// Reads the next chunk, and compares it with the object that stands there.
    pub(super) async fn compare_with<R>(
        &mut self,
        found: &ObjectFacts,
        known: &KnownChunk,
        first: Part,
        cut: &mut Cut<R>,
    ) -> Result<Ends, UploadError>
    where
        R: AsyncRead + Unpin + Send,
    {
        let (chunk, put) = self.begin();
        let differs = || UploadError::Differs { key: put.key.clone(), chunk };
        let mut passed = Passed::default();
        let mut part = first;
        let ends = loop {
            let sha256 = self.meanwhile(passed.add(part.buffer.into_bytes())).await?;
            let sha256 = sha256.map_err(|err| self.not_hashed(err))?;
            let is_other = |known: &KnownPart| known.sha256 != sha256;
            if passed.len > found.size || known.parts.get(&passed.parts).is_some_and(is_other) {
                return Err(differs());
            }
            if part.ends != Ends::Part {
                break part.ends;
            }
            part = self.next_part(cut).await?;
        };
        let (facts, part_sha256) = passed.finish().await;
        if !stands(found, known, &facts, part_sha256.len()) {
            return Err(differs());
        }
        if let (None, Some(note)) = (&known.etag, self.note(chunk)) {
            note.completed(&found.etag, facts.len).await;
        }
        let (etag, version_id) = (found.etag.clone(), found.version_id.clone());
        let stored = Stored { facts, etag, version_id };
        let (key, part_bytes) = (put.key, put.part_bytes);
        self.done.insert(chunk, Chunk { key, stored, part_bytes, part_sha256 });
        Ok(ends)
    }

    fn not_hashed(&self, err: oneshot::error::RecvError) -> UploadError {
        let subject = (self.put.key_of)(self.begun.saturating_sub(1));
        StoreError::new("hash", &subject, Kind::Permanent).because(err).into()
    }
}

fn known_already(sha256: Sha256Digest) -> oneshot::Receiver<Sha256Digest> {
    let (tell, told) = oneshot::channel();
    // Nobody can have dropped the other end yet.
    tell.send(sha256).ok();
    told
}

/// What went by of a chunk that is not sent.
struct Passed {
    sha256: Sha256Chain,
    crc64nvme: Crc64Nvme,
    len: u64,
    parts: i32,
}

impl Default for Passed {
    fn default() -> Passed {
        let sha256 = Sha256Chain::new(Digests::OfWholeAndParts);
        Passed { sha256, crc64nvme: CRC64_OF_NOTHING, len: 0, parts: 0 }
    }
}

impl Passed {
    /// The digest of this part.
    async fn add(&mut self, bytes: Bytes) -> Result<Sha256Digest, oneshot::error::RecvError> {
        let len = bytes.len() as u64;
        let sha256 = self.sha256.add_told(bytes.clone());
        let crc64nvme = hashing::crc64(bytes).await;
        self.crc64nvme = hashing::crc64_join(self.crc64nvme, crc64nvme, len);
        self.len += len;
        self.parts += 1;
        sha256.await
    }

    async fn finish(self) -> (Facts, Vec<Sha256Digest>) {
        let (sha256, parts) = self.sha256.finish().await;
        (Facts { len: self.len, sha256, crc64nvme: self.crc64nvme }, parts)
    }
}
