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

use std::time::Duration;

use bytes::Bytes;
use s3up_core::{Crc64Nvme, Key};
use tokio::io::AsyncRead;

use crate::buffers::hashing::{self, Digests};
use crate::error::{Kind, StoreError, UploadError};
use crate::objects::etag::is_told;
use crate::transport::capabilities::ConditionalCall;
use crate::transport::connect::Store;
use crate::upload::attributes::Attributes;
use crate::upload::multipart::Multipart;
use crate::upload::part_sender::{PartSender, SentParts, Slots};
use crate::upload::part_splitter::{Boundary, BufferWait, Part, PartSplitter, SplitError};
use crate::upload::parts::PartSent;
use crate::upload::put::{Facts, Put, Stored};

/// The version ID that means that there is none.
const NULL: &str = "null";

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

    /// Uploads `source` to its end without making it visible. On failure nothing is
    /// left in the bucket.
    pub async fn stage<R>(&self, put: Put, source: R) -> Result<StagedUpload, UploadError>
    where
        R: AsyncRead + Unpin + Send,
    {
        let pool = self.pool.clone();
        let wait = BufferWait { share: put.share.clone(), limit: put.buffer_wait };
        let mut splitter = PartSplitter::new(source, pool, put.part_bytes, put.length, wait);
        let first = splitter.next().await.map_err(|err| split_error(&put.key, err))?;
        if first.boundary != Boundary::Part {
            return self.stage_whole(put, first.buffer.into_bytes()).await;
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

    pub(crate) async fn stage_whole(
        &self,
        put: Put,
        bytes: Bytes,
    ) -> Result<StagedUpload, UploadError> {
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
            Ok(stored) => Ok(stored),
            Err(err) => self.find_already_stored(put, facts, attempts, err).await,
        }
    }

    async fn put_once(
        &self,
        put: &Put,
        facts: &Facts,
        bytes: &Bytes,
    ) -> Result<Stored, StoreError> {
        let headers = self.condition_headers(ConditionalCall::Put, put).await?;
        let _permit = self.throttle.acquire().await;
        let checksum = self.checksums.get();
        let attributes = Attributes::of(self, put, Some(facts.sha256));
        let call = self
            .client
            .put_object()
            .bucket(self.bucket())
            .key(put.key.as_str())
            .content_length(facts.len as i64)
            .set_checksum_crc64_nvme(checksum.is_sent().then(|| facts.crc64nvme.to_string()))
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
        let answer = self.call_paced(pacer, facts.len, "put", &put.key, call.send()).await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(err) => {
                let err = self.learn_from_condition(ConditionalCall::Put, put, &headers, err).await;
                return Err(self.retry_without_checksum(self.with_attributes(put, err)));
            }
        };
        self.check_echo("put", &put.key, facts.crc64nvme, answer.checksum_crc64_nvme())?;
        let version_id = answer.version_id.filter(|id| id != NULL);
        self.stored(&put.key, facts, answer.e_tag, version_id).await
    }

    /// Returns what an answer tells about the new object. HEAD is asked for what the
    /// answer lacks, so that no empty ETag is recorded as a fact.
    pub(crate) async fn stored(
        &self,
        key: &Key,
        facts: &Facts,
        etag: Option<String>,
        version_id: Option<String>,
    ) -> Result<Stored, StoreError> {
        let is_whole = etag.as_deref().is_some_and(is_told) && version_id.as_deref() != Some(NULL);
        if let (true, Some(etag)) = (is_whole, etag) {
            return Ok(Stored { facts: *facts, etag, version_id });
        }
        let Some(found) = self.head(key, None, Duration::ZERO).await? else {
            return Err(StoreError::new("head", key, Kind::Transient)
                .with_cause("the object is not there right after it was stored"));
        };
        Ok(Stored { facts: *facts, etag: found.etag, version_id: found.version_id })
    }

    /// Turns the error of a server that refuses our checksum into one that is
    /// retried, without the checksum.
    pub(crate) fn retry_without_checksum(&self, mut err: StoreError) -> StoreError {
        if self.checksums.refused(&err) {
            err.kind = Kind::Transient;
        }
        err
    }

    /// Checks the checksum that S3 echoes, if it does, against ours.
    pub(crate) fn check_echo(
        &self,
        op: &'static str,
        key: &Key,
        sent: Crc64Nvme,
        echoed: Option<&str>,
    ) -> Result<(), StoreError> {
        self.checksums.answered(echoed.is_some());
        match echoed {
            Some(echoed) if echoed != sent.to_string() => {
                let what = format!("CRC64NVME mismatch: sent {sent}, S3 answered {echoed}");
                Err(StoreError::new(op, key, Kind::Corrupt).with_cause(what))
            }
            _ => Ok(()),
        }
    }
}

impl StagedUpload {
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Makes the object visible. On failure the bucket is as before.
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
