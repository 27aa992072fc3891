//! Uploads one object from a stream, in two steps.
//!
//! [`Store::stage`] takes the whole stream and leaves nothing visible;
//! [`StagedUpload::commit`] publishes it with one call, so that the caller can
//! check it in between. A stream that fits into one part stays in its buffer until
//! then and becomes one PUT. A longer one is a multipart upload whose parts S3 has
//! acknowledged.
//!
//! Dropping a [`StagedUpload`] or a running `stage` aborts its multipart upload in
//! a detached task. If the process dies before that, a sweep or a lifecycle rule of
//! the bucket removes the parts.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use s3up_core::{Crc64Nvme, Key, error_chain};
use tokio::io::AsyncRead;

use crate::buffers::hashing::{self, Digests};
use crate::error::{Operation, StoreError, StoreErrorKind, UploadError};
use crate::objects::etag::{is_reported, substitute};
use crate::objects::facts::ObjectFacts;
use crate::transport::capabilities::ConditionalCall;
use crate::transport::checksums::Header;
use crate::transport::connect::Store;
use crate::upload::attributes::ObjectAttributes;
use crate::upload::form_put::FormPut;
use crate::upload::multipart::Multipart;
use crate::upload::part_sender::{PartSender, SentParts, Slots};
use crate::upload::part_splitter::{Boundary, BufferWait, Part, PartSplitter, SplitError};
use crate::upload::parts::PartSent;
use crate::upload::put::{Facts, NULL, Put, Stored, WriteAnswer};

/// Maximum time for which HEAD is retried after a write that has succeeded.
const HEAD_RETRY_FOR_MAX: Duration = Duration::from_secs(10);

/// A stream that was uploaded completely and is not visible yet.
#[must_use = "the object is visible only after `commit`"]
pub struct StagedUpload {
    pub(crate) store: Store,
    pub(crate) put: Put,
    pub(crate) facts: Facts,
    pub(crate) body: Body,
}

pub(crate) enum Body {
    Whole(Bytes),
    Parts(Multipart, Vec<PartSent>),
}

impl Store {
    /// Uploads `source` to its end and commits it.
    pub async fn upload<R>(&self, put: Put, source: R) -> Result<Stored, UploadError>
    where
        R: AsyncRead + Unpin + Send,
    {
        Ok(self.stage(put, source).await?.commit().await?)
    }

    /// Uploads `source` to its end without making it visible. On failure the multipart
    /// upload is aborted; if that fails too, a sweep or a lifecycle rule removes it.
    pub async fn stage<R>(&self, put: Put, source: R) -> Result<StagedUpload, UploadError>
    where
        R: AsyncRead + Unpin + Send,
    {
        let pool = self.pool.clone();
        let wait = BufferWait { share: put.share.clone(), limit: put.buffer_wait };
        let mut splitter = PartSplitter::new(source, pool, put.part_bytes, put.length, wait);
        let first = splitter.next().await.map_err(|err| split_error(&put.key, err))?;
        if first.boundary != Boundary::Part {
            return self.stage_bytes(put, first.buffer.into_bytes()).await;
        }
        let upload = Multipart::start(self, &put).await?;
        let mut sender = PartSender::new(upload.clone_handle(), put.retry_for, Digests::OfWhole);
        let outcome = match send_parts(&mut sender, &put, splitter, first).await {
            Ok(()) => finish_parts(&put, sender).await,
            Err(err) => {
                // No part may arrive after the upload was aborted.
                sender.stop().await;
                Err(err)
            }
        };
        match outcome {
            Ok((facts, parts)) => {
                let store = self.clone();
                Ok(StagedUpload { store, put, facts, body: Body::Parts(upload, parts) })
            }
            Err(err) => {
                upload.abort().await;
                Err(err)
            }
        }
    }

    /// Stages an object whose bytes are all in memory, which one part can hold.
    pub async fn stage_bytes(&self, put: Put, bytes: Bytes) -> Result<StagedUpload, UploadError> {
        let (sha256, crc64nvme) =
            tokio::join!(hashing::sha256(bytes.clone()), hashing::crc64(bytes.clone()));
        let facts = Facts { len: bytes.len() as u64, sha256, crc64nvme };
        check_digest(&put, &facts)?;
        Ok(StagedUpload { store: self.clone(), put, facts, body: Body::Whole(bytes) })
    }

    async fn put_whole(
        &self,
        put: &Put,
        facts: &Facts,
        bytes: &Bytes,
    ) -> Result<Stored, StoreError> {
        let mut attempts = 0;
        let outcome = self.retry(put.retry_for, || {
            attempts += 1;
            self.put_once(put, facts, bytes)
        });
        match outcome.await {
            Ok(answer) => Ok(self.stored(put, facts, answer).await),
            Err(err) => self.find_already_stored(put, facts, attempts, err).await,
        }
    }

    async fn put_once(
        &self,
        put: &Put,
        facts: &Facts,
        bytes: &Bytes,
    ) -> Result<WriteAnswer, StoreError> {
        let headers = self.condition_headers(ConditionalCall::Put, put).await?;
        let _permit = self.throttle.acquire().await;
        let failure = match self.put_by_form(put, facts, bytes).await? {
            FormPut::Stored(answer) => return Ok(answer),
            FormPut::NotStored { failure } => failure,
        };
        let checksum = self.checksums.get();
        let attributes = ObjectAttributes::of(self, put, Some(facts.sha256));
        let call = self
            .client
            .put_object()
            .bucket(self.bucket())
            .key(put.key.as_str())
            .content_length(facts.len as i64)
            .set_checksum_crc64_nvme(
                (checksum.header() == Header::Sent).then(|| facts.crc64nvme.to_string()),
            )
            .set_if_none_match(headers.if_none_match.clone())
            .set_if_match(headers.if_match.clone())
            .set_content_type(attributes.content_type)
            .set_metadata(Some(attributes.metadata))
            .set_storage_class(attributes.storage_class)
            .set_server_side_encryption(attributes.sse)
            .set_ssekms_key_id(attributes.kms_key_id)
            .body(bytes.clone().into())
            .customize();
        let call = if checksum.signs_payload() { call } else { call.disable_payload_signing() };
        let pacer = self.pacer(bytes);
        let call = match &pacer {
            Some(pacer) => call.interceptor(pacer.clone()),
            None => call,
        };
        let answer = self.call_paced(pacer, facts.len, Operation::Put, &put.key, call.send()).await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(err) => {
                let err = self.learn_from_condition(ConditionalCall::Put, put, &headers, err).await;
                let err = self.with_attributes(put, err);
                return Err(self.retry_without_checksum(checksum.header(), err));
            }
        };
        let echoed = answer.checksum_crc64_nvme();
        self.check_echo((Operation::Put, &put.key), checksum.header(), facts.crc64nvme, echoed)?;
        self.sdk_succeeded(&put.key, failure);
        let version_id = answer.version_id.filter(|id| id != NULL);
        Ok(WriteAnswer { etag: answer.e_tag, version_id })
    }

    /// Returns the facts about the new object: those in the answer to the write, and the others from
    /// HEAD, so that no empty ETag is recorded as a fact. The write has succeeded, so a HEAD that fails
    /// or shows another object leaves the ETag unknown.
    pub(crate) async fn stored(&self, put: &Put, facts: &Facts, answer: WriteAnswer) -> Stored {
        let WriteAnswer { etag, version_id } = answer;
        let is_whole =
            etag.as_deref().is_some_and(is_reported) && version_id.as_deref() != Some(NULL);
        if let (true, Some(etag)) = (is_whole, etag) {
            return Stored { facts: *facts, etag, version_id };
        }
        let version_id = version_id.filter(|id| id != NULL);
        let retry_for = put.retry_for.min(HEAD_RETRY_FOR_MAX);
        let unseen = match self.head(&put.key, None, retry_for).await {
            Ok(Some(found)) if is_consistent(&found, facts, version_id.as_deref()) => {
                let version_id = found.version_id.or(version_id);
                return Stored { facts: *facts, etag: found.etag, version_id };
            }
            Ok(Some(_)) => "another object is under this key".to_owned(),
            Ok(None) => "no object is under this key".to_owned(),
            Err(err) => error_chain(&err),
        };
        tracing::debug!(
            event = "stored_etag_unknown",
            key = %put.key,
            "stored, but the ETag is not known: {unseen}"
        );
        let (crc64nvme, sha256) = (Some(facts.crc64nvme), Some(facts.sha256));
        let etag = substitute(facts.len, SystemTime::UNIX_EPOCH, crc64nvme, sha256);
        Stored { facts: *facts, etag, version_id }
    }

    /// Turns the error of a server that refuses our checksum into one that is
    /// retried, without the checksum.
    pub(crate) fn retry_without_checksum(&self, header: Header, mut err: StoreError) -> StoreError {
        if self.checksums.refused(header, &err) {
            err.kind = StoreErrorKind::Transient;
        }
        err
    }

    /// Checks the checksum that S3 echoes, if it does, against ours.
    pub(crate) fn check_echo(
        &self,
        (op, key): (Operation, &Key),
        header: Header,
        sent: Crc64Nvme,
        echoed: Option<&str>,
    ) -> Result<(), StoreError> {
        self.checksums.answered(header, echoed.is_some());
        match echoed {
            Some(echoed) if echoed != sent.to_string() => {
                let what = format!("CRC64NVME: expected {sent}, found {echoed}");
                Err(StoreError::new(op, key, StoreErrorKind::Corrupt).with_cause(what))
            }
            _ => Ok(()),
        }
    }
}

impl StagedUpload {
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Makes the object visible. After an error of kind `Transient` or `Unreadable` it may be visible all the
    /// same, because S3 may have done the work and the answer was lost. After any other error the bucket is as
    /// before.
    pub async fn commit(self) -> Result<Stored, StoreError> {
        let StagedUpload { store, put, facts, body } = self;
        match body {
            Body::Whole(bytes) => store.put_whole(&put, &facts, &bytes).await,
            Body::Parts(upload, parts) => {
                let outcome = upload.complete(&put, &facts, &parts).await;
                match outcome {
                    Ok(stored) => {
                        upload.disarm();
                        Ok(stored)
                    }
                    Err(err) => {
                        upload.abort_unless_kept().await;
                        Err(err)
                    }
                }
            }
        }
    }

    /// Removes what was sent and waits for that.
    pub async fn abort(self) {
        if let Body::Parts(upload, _) = self.body {
            upload.abort().await;
        }
    }
}

/// Returns false if an object that was found after a write is that of another writer.
fn is_consistent(found: &ObjectFacts, facts: &Facts, version_id: Option<&str>) -> bool {
    let same_version = match (version_id, found.version_id.as_deref()) {
        (Some(written), Some(found)) => written == found,
        (None, _) | (_, None) => true,
    };
    same_version
        && found.size == facts.len
        && found.sha256.is_none_or(|sha256| sha256 == facts.sha256)
        && found.crc64nvme.is_none_or(|crc| crc == facts.crc64nvme)
}

async fn send_parts<R: AsyncRead + Unpin + Send>(
    sender: &mut PartSender,
    put: &Put,
    mut splitter: PartSplitter<R>,
    first: Part,
) -> Result<(), UploadError> {
    let slots = Slots::new(put.in_flight);
    let mut part = first;
    loop {
        let slot = sender.while_sending(slots.take()).await?;
        sender.start(part.buffer.into_bytes(), slot);
        if part.boundary != Boundary::Part {
            return Ok(());
        }
        part = sender
            .while_sending(splitter.next())
            .await?
            .map_err(|err| split_error(&put.key, err))?;
    }
}

async fn finish_parts(
    put: &Put,
    sender: PartSender,
) -> Result<(Facts, Vec<PartSent>), UploadError> {
    let SentParts { facts, parts, .. } = sender.finish().await?;
    check_digest(put, &facts)?;
    Ok((facts, parts))
}

fn check_digest(put: &Put, facts: &Facts) -> Result<(), UploadError> {
    match put.expect_sha256 {
        Some(expected) if expected != facts.sha256 => {
            Err(UploadError::Digest { key: put.key.clone(), expected, found: facts.sha256 })
        }
        _ => Ok(()),
    }
}

pub(crate) fn split_error(key: &Key, err: SplitError) -> UploadError {
    let key = key.clone();
    match err {
        SplitError::Source(source) => UploadError::Source { key, source },
        SplitError::Pool(source) => UploadError::Buffers { key, source },
        SplitError::TooLong { limit } => UploadError::TooLong { key, limit },
        SplitError::TooShort { expected, found } => UploadError::TooShort { key, expected, found },
    }
}
