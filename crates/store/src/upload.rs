//! The one streaming upload path.
//!
//! Two steps, so that whoever uploads can look before it counts:
//! [`Store::stage`] takes the whole stream and leaves nothing visible;
//! [`Staged::commit`] publishes it in one call. A stream that fits into one part
//! stays in its buffer until then and becomes one PUT; a longer one is a
//! multipart upload whose parts S3 has acknowledged. A [`Staged`] or a running
//! `stage` that is dropped aborts its multipart upload in a detached task;
//! should the process die before that ran, a sweep or a lifecycle rule of the
//! bucket removes the parts.

use bytes::Bytes;
use s3up_core::{Crc64Nvme, Key};
use tokio::io::AsyncRead;

use crate::attributes::Attributes;
use crate::connect::Store;
use crate::cut::{Cut, CutError, Ends, Part, Waiting};
use crate::error::{Kind, StoreError, UploadError};
use crate::hashing::{self, Digests};
use crate::multipart::Multipart;
use crate::parts::PartSent;
use crate::put::{Facts, Put, Stored};
use crate::sending::{Sending, Sent, Slots};

/// A stream that was taken whole, and is not visible yet.
#[must_use = "nothing is visible before `commit`"]
pub struct Staged {
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
    /// Takes `source` to its end and commits it.
    pub async fn upload<R>(&self, put: Put, source: R) -> Result<Stored, UploadError>
    where
        R: AsyncRead + Unpin + Send,
    {
        Ok(self.stage(put, source).await?.commit().await?)
    }

    /// Takes `source` to its end. On failure nothing is left in the bucket.
    pub async fn stage<R>(&self, put: Put, source: R) -> Result<Staged, UploadError>
    where
        R: AsyncRead + Unpin + Send,
    {
        let pool = self.pool.clone();
        let waiting = Waiting { share: put.share.clone(), limit: put.buffer_wait };
        let mut cut = Cut::new(source, pool, put.part_bytes, put.length, waiting);
        let first = cut.next().await.map_err(|err| cut_error(&put.key, err))?;
        if first.ends != Ends::Part {
            return self.stage_whole(put, first.buffer.into_bytes()).await;
        }
        let upload = Multipart::begin(self, &put).await?;
        let mut sending = Sending::new(upload.clone_handle(), put.retry_for, Digests::OfWhole);
        let outcome = match send_parts(&mut sending, &put, cut, first).await {
            Ok(()) => finish_parts(&put, sending).await,
            Err(err) => {
                // No part may arrive after the upload was removed.
                sending.stop().await;
                Err(err)
            }
        };
        match outcome {
            Ok((facts, parts)) => {
                let store = self.clone();
                Ok(Staged { store, put, facts, body: Body::Parts(upload, parts) })
            }
            Err(err) => {
                upload.abort().await;
                Err(err)
            }
        }
    }

    pub(crate) async fn stage_whole(&self, put: Put, bytes: Bytes) -> Result<Staged, UploadError> {
        let (sha256, crc64nvme) =
            tokio::join!(hashing::sha256(bytes.clone()), hashing::crc64(bytes.clone()));
        let facts = Facts { len: bytes.len() as u64, sha256, crc64nvme };
        check_digest(&put, &facts)?;
        Ok(Staged { store: self.clone(), put, facts, body: Body::Whole(bytes) })
    }

    async fn put_whole(
        &self,
        put: &Put,
        facts: &Facts,
        bytes: &Bytes,
    ) -> Result<Stored, StoreError> {
        let mut tries = 0;
        let outcome = self.retry(put.retry_for, || {
            tries += 1;
            self.put_once(put, facts, bytes)
        });
        match outcome.await {
            Ok(stored) => Ok(stored),
            Err(err) => self.recognise(put, facts, tries, err).await,
        }
    }

    async fn put_once(
        &self,
        put: &Put,
        facts: &Facts,
        bytes: &Bytes,
    ) -> Result<Stored, StoreError> {
        let _leave = self.throttle.enter().await;
        let checksum = self.checksums.get();
        let attributes = Attributes::of(self, put, Some(facts.sha256));
        let call = self
            .client
            .put_object()
            .bucket(self.bucket())
            .key(put.key.as_str())
            .content_length(facts.len as i64)
            .set_checksum_crc64_nvme(checksum.is_sent().then(|| facts.crc64nvme.to_string()))
            .set_if_none_match(put.overwrite.if_none_match())
            .set_if_match(put.overwrite.if_match())
            .set_content_type(attributes.content_type)
            .set_metadata(Some(attributes.metadata))
            .set_storage_class(attributes.storage_class)
            .set_server_side_encryption(attributes.sse)
            .set_ssekms_key_id(attributes.kms_key_id)
            .body(bytes.clone().into())
            .customize();
        let call = if checksum.signs_payload() { call } else { call.disable_payload_signing() };
        let pace = self.pace(bytes);
        let call = match &pace {
            Some(pace) => call.interceptor(pace.clone()),
            None => call,
        };
        let answer = self.call_paced(pace, facts.len, "put", &put.key, call.send()).await;
        let answer = answer.map_err(|err| self.blame_checksum(err))?;
        self.learn("put", &put.key, facts.crc64nvme, answer.checksum_crc64_nvme())?;
        Ok(Stored {
            facts: *facts,
            etag: answer.e_tag.unwrap_or_default(),
            version_id: answer.version_id.filter(|id| id != "null"),
        })
    }

    /// A server that does not take our checksum is asked again without it.
    pub(crate) fn blame_checksum(&self, mut err: StoreError) -> StoreError {
        if self.checksums.refused(&err) {
            err.kind = Kind::Transient;
        }
        err
    }

    /// Compares the checksum that S3 echoes with ours.
    pub(crate) fn learn(
        &self,
        op: &'static str,
        key: &Key,
        sent: Crc64Nvme,
        echoed: Option<&str>,
    ) -> Result<(), StoreError> {
        self.checksums.answered(echoed.is_some());
        match echoed {
            Some(echoed) if echoed != sent.to_string() => {
                let what = format!("CRC64NVME sent {sent}, the store answers {echoed}");
                Err(StoreError::new(op, key, Kind::Corrupt).because(what))
            }
            _ => Ok(()),
        }
    }
}

impl Staged {
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Makes the object visible. On failure nothing is left in the bucket, but
    /// an object that was under the key before.
    pub async fn commit(self) -> Result<Stored, StoreError> {
        let Staged { store, put, facts, body } = self;
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
                        upload.give_up().await;
                        Err(err)
                    }
                }
            }
        }
    }

    /// Removes what was sent, and waits until that is done.
    pub async fn abort(self) {
        if let Body::Parts(upload, _) = self.body {
            upload.abort().await;
        }
    }
}

async fn send_parts<R: AsyncRead + Unpin + Send>(
    sending: &mut Sending,
    put: &Put,
    mut cut: Cut<R>,
    first: Part,
) -> Result<(), UploadError> {
    let slots = Slots::new(put.in_flight);
    let mut part = first;
    loop {
        let slot = sending.meanwhile(slots.take()).await?;
        sending.start(part.buffer.into_bytes(), slot);
        if part.ends != Ends::Part {
            return Ok(());
        }
        part = sending.meanwhile(cut.next()).await?.map_err(|err| cut_error(&put.key, err))?;
    }
}

async fn finish_parts(put: &Put, sending: Sending) -> Result<(Facts, Vec<PartSent>), UploadError> {
    let Sent { facts, parts, .. } = sending.finish().await?;
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

pub(crate) fn cut_error(key: &Key, err: CutError) -> UploadError {
    let key = key.clone();
    match err {
        CutError::Source(source) => UploadError::Source { key, source },
        CutError::Pool(source) => UploadError::Buffers { key, source },
        CutError::TooLong { limit } => UploadError::TooLong { key, limit },
        CutError::TooShort { expected, found } => UploadError::TooShort { key, expected, found },
    }
}
