//! Streams one file into S3 and makes it visible, whether it arrived in a form or
//! as a raw body.
//!
//! The order of steps: cancel an older upload of the same key, check whether the
//! same content is already stored, stream, verify, commit. If the request is
//! dropped before the commit, nothing becomes visible. The commit itself runs as
//! a task of its own, so that a client that disconnects cannot interrupt it.

use std::sync::Arc;

use bytes::Bytes;
use s3up_core::wire::UploadResponse;
use s3up_core::{Code, Key, Sha256, Sha256Digest, Stopwatch};
use s3up_store::{
    ObjectFacts, Put, StagedUpload, Store, StoreError, StoreErrorKind, Stored, UploadError,
};
use tokio::io::{AsyncRead, AsyncReadExt, Empty};

use super::admission::Admission;
use super::existing::Decision;
use super::in_flight::{KeyLock, Superseded};
use super::metadata::FileMetadata;
use super::quota::QuotaClaim;
use super::record::OpenUpload;
use super::turn::UploadTurn;
use super::{RETRY_FOR, Uploads};
use crate::buffer_wait::BUFFER_WAIT;
use crate::clients::{Client, Slot};
use crate::clock::CLOCK;
use crate::refusal::store::require_s3;
use crate::refusal::{Refusal, SUPERSEDED};

/// Number of parts of one upload that are sent at the same time.
const PARTS_IN_FLIGHT: usize = 4;

/// An admitted file, without its bytes.
pub(crate) struct IncomingFile {
    pub client: Arc<Client>,
    pub key: Key,
    pub admission: Admission,
    pub metadata: FileMetadata,
    pub content_type: String,
    /// The slot, if the request has taken one already.
    pub slot: Option<Slot>,
}

/// The bytes of a file.
enum FileBody<R> {
    Stream(R),
    /// A short file.
    InMemory(Bytes),
}

/// An upload after its last byte.
pub(crate) enum StageResult {
    /// The same content is already stored; nothing was written.
    Unchanged(UploadResponse),
    Staged(Box<StagedFile>),
}

/// A file whose bytes are all in S3, but which is not visible yet.
pub(crate) struct StagedFile {
    uploads: Uploads,
    client: Arc<Client>,
    key: Key,
    metadata: FileMetadata,
    began: Stopwatch,
    record: OpenUpload,
    staged: StagedUpload,
    claim: Option<QuotaClaim>,
    // Freed before the lock, so that the next upload of the key finds it free.
    slot: Slot,
    turn: UploadTurn,
    lock: KeyLock,
}

/// An upload after its last byte, with the resources that it still holds.
enum BeginResult {
    Unchanged {
        found: Box<ObjectFacts>,
        sha256: Sha256Digest,
    },
    Staged {
        staged: Box<StagedUpload>,
        claim: Option<QuotaClaim>,
        slot: Slot,
        lock: KeyLock,
        turn: UploadTurn,
    },
}

impl Uploads {
    /// Streams `body` into S3.
    pub(crate) async fn stage<R: AsyncRead + Unpin + Send>(
        &self,
        file: IncomingFile,
        body: R,
    ) -> Result<StageResult, Refusal> {
        self.stage_body(file, FileBody::Stream(body)).await
    }

    /// Stages a short file whose bytes are all in memory.
    pub(crate) async fn stage_bytes(
        &self,
        file: IncomingFile,
        bytes: Bytes,
    ) -> Result<StageResult, Refusal> {
        self.stage_body(file, FileBody::<Empty>::InMemory(bytes)).await
    }

    async fn stage_body<R: AsyncRead + Unpin + Send>(
        &self,
        mut file: IncomingFile,
        body: FileBody<R>,
    ) -> Result<StageResult, Refusal> {
        let began = CLOCK.start();
        let mut record = self.recorder.begin(&file.client.policy.name, &file.key, began);
        let begun =
            self.begin(&mut file, body).await.inspect_err(|refusal| record.refused(refusal))?;
        let IncomingFile { client, key, metadata, .. } = file;
        match begun {
            BeginResult::Unchanged { found, sha256 } => {
                record.unchanged(&found, sha256);
                let response = unchanged_response(&key, &found, sha256);
                log_upload(&client, &response, began);
                Ok(StageResult::Unchanged(response))
            }
            BeginResult::Staged { staged, claim, slot, lock, turn } => {
                let staged = *staged;
                let uploads = self.clone();
                let file = StagedFile {
                    uploads,
                    client,
                    key,
                    metadata,
                    began,
                    record,
                    staged,
                    claim,
                    slot,
                    lock,
                    turn,
                };
                Ok(StageResult::Staged(Box::new(file)))
            }
        }
    }

    async fn begin<R: AsyncRead + Unpin + Send>(
        &self,
        file: &mut IncomingFile,
        body: FileBody<R>,
    ) -> Result<BeginResult, Refusal> {
        // This comes first, for two reasons. From here on no older upload of the
        // key can become visible after this one. And an older one that hangs
        // frees its slot for this one.
        let lock = self.in_flight.lock(&file.key).await?;
        let turn = self.take_turn(&file.client.policy.name, &file.key).await;
        let slot = match file.slot.take() {
            Some(slot) => slot,
            None => lock.run(file.client.upload_slot()).await??,
        };
        let stored = self.find(file).await?;
        let overwrite = match stored.decide(file)? {
            (Decision::Unchanged, Some((found, sha256))) => {
                lock.run(body.verify_unstored(sha256)).await??;
                return Ok(BeginResult::Unchanged { found: Box::new(found), sha256 });
            }
            (Decision::Unchanged, None) => s3up_store::Overwrite::Never,
            (Decision::Write(overwrite), _) => overwrite,
        };
        let (client, name) = (&file.client, &file.client.policy.name);
        let mut length = file.admission.length;
        let mut claim = match client.policy.quota_bytes {
            Some(quota_bytes) => {
                let replaced = self.replaced_bytes(file, &stored).await;
                let claim =
                    QuotaClaim::start(&self.database, name, quota_bytes, replaced, &mut length);
                Some(claim.await?)
            }
            None => None,
        };
        // S3 may have gone away during the calls so far.
        require_s3(&self.store())?;
        let put = Put {
            key: file.key.clone(),
            length,
            part_bytes: file.admission.part_bytes,
            content_type: Some(std::mem::take(&mut file.content_type)),
            metadata: file.metadata.user_metadata(),
            expect_sha256: file.metadata.sha256,
            overwrite,
            storage_class: None,
            in_flight: PARTS_IN_FLIGHT,
            retry_for: RETRY_FOR,
            buffer_wait: Some(BUFFER_WAIT),
            share: Some(client.buffer_share()),
        };
        let staged = lock.run(body.stage(&self.store(), put)).await?;
        let staged = staged.map_err(|err| match &claim {
            Some(claim) => claim.failed(err),
            None => err.into(),
        })?;
        if let Some(claim) = &mut claim
            && let Err(refusal) = claim.reserve_rest(&self.database, name, staged.facts().len).await
        {
            staged.abort().await;
            return Err(refusal);
        }
        Ok(BeginResult::Staged { staged: Box::new(staged), claim, slot, lock, turn })
    }

    /// Returns the stored file if a commit failed because another upload stored the same content
    /// first.
    async fn found_instead(
        &self,
        key: &Key,
        sha256: Sha256Digest,
        err: StoreError,
    ) -> Result<ObjectFacts, Refusal> {
        if err.kind != StoreErrorKind::Precondition {
            return Err(err.into());
        }
        match self.store().head(key, None, RETRY_FOR).await? {
            Some(found) if found.sha256 == Some(sha256) => Ok(found),
            _ => Err(err.into()),
        }
    }
}

impl StagedFile {
    pub(crate) fn sha256(&self) -> Sha256Digest {
        self.staged.facts().sha256
    }

    /// Removes the file, because its content differs from its announced SHA-256.
    pub(crate) async fn abort(mut self) {
        self.record.refused_with(Code::DigestMismatch);
        self.staged.abort().await;
    }

    /// Makes the file visible.
    pub(crate) async fn commit(mut self) -> Result<UploadResponse, Refusal> {
        let superseded = self.lock.check().map_err(Refusal::from);
        let may_commit = superseded.and_then(|()| self.uploads.check_key(&self.client));
        if let Err(refusal) = may_commit {
            self.record.refused(&refusal);
            self.staged.abort().await;
            return Err(refusal);
        }
        let commits = self.uploads.commits.clone();
        let task = commits.spawn(self.commit_now());
        task.await.unwrap_or_else(|err| Err(Refusal::new(Code::Internal, err)))
    }

    async fn commit_now(self) -> Result<UploadResponse, Refusal> {
        let StagedFile {
            uploads,
            client,
            key,
            metadata,
            began,
            mut record,
            staged,
            claim,
            slot,
            lock,
            turn,
        } = self;
        let sha256 = staged.facts().sha256;
        // The key may be removed and the client frozen during a long wait for the turn.
        let held = turn.hold().await.map_err(Refusal::from);
        if let Err(refusal) = held.and_then(|()| uploads.check_key(&client)) {
            record.refused(&refusal);
            staged.abort().await;
            return Err(refusal);
        }
        let outcome = turn.run(staged.commit()).await;
        // Recorded before the next upload of the key may begin, so that the records of one file
        // are in the order of its versions.
        if let Ok(stored) = &outcome {
            let change = claim.as_ref().map_or(0, |claim| claim.change(stored.facts.len));
            record.stored(stored, &metadata, change);
        }
        drop((turn, claim, slot, lock));
        let response = match outcome {
            Ok(stored) => stored_response(&key, stored),
            Err(err) => {
                let found = uploads.found_instead(&key, sha256, err).await;
                let found = found.inspect_err(|refusal| record.refused(refusal))?;
                record.unchanged(&found, sha256);
                unchanged_response(&key, &found, sha256)
            }
        };
        log_upload(&client, &response, began);
        Ok(response)
    }
}

impl<R: AsyncRead + Unpin + Send> FileBody<R> {
    async fn stage(self, store: &Store, put: Put) -> Result<StagedUpload, UploadError> {
        match self {
            FileBody::Stream(mut body) => store.stage(put, &mut body).await,
            FileBody::InMemory(bytes) => store.stage_bytes(put, bytes).await,
        }
    }

    /// Reads a body that is not stored, because the same content already is, and
    /// checks it against the announced SHA-256.
    async fn verify_unstored(self, announced: Sha256Digest) -> Result<(), Refusal> {
        let found = match self {
            FileBody::Stream(body) => sha256_of(body).await?,
            FileBody::InMemory(bytes) => Sha256Digest::of(&bytes),
        };
        if found == announced { Ok(()) } else { Err(Refusal::digest_mismatch(announced, found)) }
    }
}

async fn sha256_of<R: AsyncRead + Unpin>(mut body: R) -> Result<Sha256Digest, Refusal> {
    let mut hasher = Sha256::default();
    let mut buffer = vec![0; 64 << 10];
    loop {
        match body.read(&mut buffer).await.map_err(|err| Refusal::from_body(&err))? {
            0 => return Ok(hasher.finish()),
            count => hasher.update(&buffer[..count]),
        }
    }
}

pub(super) fn log_upload(client: &Client, response: &UploadResponse, began: Stopwatch) {
    tracing::info!(
        event = "upload_done",
        client = client.policy.name.as_str(),
        key = response.s3_key,
        bytes = response.size,
        unchanged = response.unchanged,
        elapsed_seconds = began.elapsed().as_secs_f64()
    );
}

impl From<Superseded> for Refusal {
    fn from(_: Superseded) -> Refusal {
        Refusal::new(Code::Superseded, SUPERSEDED)
    }
}

fn stored_response(key: &Key, stored: Stored) -> UploadResponse {
    UploadResponse {
        success: true,
        s3_key: key.to_string(),
        size: stored.facts.len,
        sha256: stored.facts.sha256,
        version_id: stored.version_id,
        unchanged: false,
    }
}

pub(super) fn unchanged_response(
    key: &Key,
    found: &ObjectFacts,
    sha256: Sha256Digest,
) -> UploadResponse {
    UploadResponse {
        success: true,
        s3_key: key.to_string(),
        size: found.size,
        sha256,
        version_id: found.version_id.clone(),
        unchanged: true,
    }
}
