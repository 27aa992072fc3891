//! One multipart upload, from its start to its end or its removal.
//!
//! A part is acknowledged when S3 echoed its checksum (or took its signed
//! payload). Before the upload is completed, S3's own list of parts is compared
//! with what was sent, and the completion carries size and checksum of the
//! whole, so that S3 compares them too.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;
use s3up_core::{Crc64Nvme, Key, Sha256Digest};

use crate::call::{Attributes, in_time};
use crate::connect::Store;
use crate::dialect::Profile;
use crate::error::{Kind, StoreError};
use crate::hashing;
use crate::put::{Facts, Put, Stored};
use crate::retry::retry;
use crate::sending::Digests;

/// For how long removing an upload is tried; what is left then is for a sweep.
const ABORT_RETRY_FOR: Duration = Duration::from_secs(30);
/// S3 may take minutes to put ten thousand parts together.
const COMPLETE_BYTES_ALLOWANCE: u64 = 32 << 20;

/// A part that S3 acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PartSent {
    pub number: i32,
    pub len: u64,
    pub crc64nvme: Crc64Nvme,
    /// Where it was asked for.
    pub sha256: Option<Sha256Digest>,
    pub etag: String,
}

/// A part as S3 lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct PartListed {
    number: i32,
    len: u64,
    etag: String,
    /// Where the server reports it.
    crc64nvme: Option<String>,
}

#[derive(Clone)]
pub(crate) struct Handle {
    store: Store,
    pub(crate) key: Key,
    upload_id: String,
}

/// The upload itself. Dropped while armed, it is aborted in a detached task.
pub(crate) struct Multipart {
    handle: Handle,
    armed: AtomicBool,
}

impl Multipart {
    pub(crate) async fn begin(store: &Store, put: &Put) -> Result<Multipart, StoreError> {
        let upload_id = retry(put.retry_for, || create_once(store, put)).await?;
        let handle = Handle { store: store.clone(), key: put.key.clone(), upload_id };
        Ok(Multipart { handle, armed: AtomicBool::new(true) })
    }

    pub(crate) fn clone_handle(&self) -> Handle {
        self.handle.clone()
    }

    pub(crate) async fn complete(
        &self,
        put: &Put,
        facts: &Facts,
        parts: &[PartSent],
    ) -> Result<Stored, StoreError> {
        match retry(put.retry_for, || self.handle.list_or_shrug()).await? {
            Some(listed) => compare(parts, &listed).map_err(|what| {
                StoreError::new("complete", &put.key, Kind::Corrupt).because(what)
            })?,
            None => tracing::warn!(
                event = "store_lists_no_parts",
                "the store's list of parts is not understood; its checks at completion have to do"
            ),
        }
        let mut tries = 0;
        let outcome = retry(put.retry_for, || {
            tries += 1;
            self.handle.complete_once(put, facts, parts)
        })
        .await;
        match outcome {
            // An earlier try may have succeeded and lost its answer.
            Err(err) if tries > 1 && matches!(err.kind, Kind::NotFound | Kind::Precondition) => {
                self.handle.store.recognise(put, facts, err).await
            }
            outcome => outcome,
        }
    }

    /// Says that there is nothing left to abort.
    pub(crate) fn disarm(&self) {
        self.armed.store(false, Ordering::Relaxed);
    }

    /// Removes the upload and its parts, and waits for that.
    pub(crate) async fn abort(&self) {
        self.disarm();
        self.handle.abort().await;
    }
}

impl Drop for Multipart {
    fn drop(&mut self) {
        if !self.armed.load(Ordering::Relaxed) {
            return;
        }
        let handle = self.handle.clone();
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => {
                let cleanups = handle.store.cleanups.clone();
                cleanups.spawn_on(async move { handle.abort().await }, &runtime);
            }
            Err(_) => tracing::warn!(
                event = "upload_left_behind",
                key = %handle.key,
                "the upload is left for a sweep"
            ),
        }
    }
}

async fn create_once(store: &Store, put: &Put) -> Result<String, StoreError> {
    let attributes = Attributes::of(store, put, put.expect_sha256);
    let is_sent = store.checksums.get().is_sent();
    let call = store
        .client
        .create_multipart_upload()
        .bucket(store.bucket())
        .key(put.key.as_str())
        .set_checksum_algorithm(is_sent.then_some(ChecksumAlgorithm::Crc64Nvme))
        .set_checksum_type(is_sent.then_some(ChecksumType::FullObject))
        .set_content_type(attributes.content_type)
        .set_metadata(Some(attributes.metadata))
        .set_storage_class(attributes.storage_class)
        .set_server_side_encryption(attributes.sse)
        .set_ssekms_key_id(attributes.kms_key_id);
    let answer = in_time("begin upload", &put.key, 0, call.send()).await?;
    let answer = answer.map_err(|err| StoreError::of_sdk("begin upload", &put.key, &err));
    let answer = answer.map_err(|err| store.blame_checksum(err))?;
    answer.upload_id.ok_or_else(|| {
        StoreError::new("begin upload", &put.key, Kind::Permanent).because("no upload id came")
    })
}

impl Handle {
    pub(crate) async fn send_part(
        self,
        number: i32,
        bytes: Bytes,
        retry_for: Duration,
        digests: Digests,
    ) -> Result<PartSent, StoreError> {
        let crc64nvme = hashing::crc64(bytes.clone()).await;
        let sha256 = async {
            match digests {
                Digests::OfWhole => None,
                Digests::OfWholeAndParts => Some(hashing::sha256(bytes.clone()).await),
            }
        };
        let etag = retry(retry_for, || self.send_once(number, &bytes, crc64nvme));
        let (etag, sha256) = tokio::join!(etag, sha256);
        Ok(PartSent { number, len: bytes.len() as u64, crc64nvme, sha256, etag: etag? })
    }

    async fn send_once(
        &self,
        number: i32,
        bytes: &Bytes,
        crc64nvme: Crc64Nvme,
    ) -> Result<String, StoreError> {
        let store = &self.store;
        let checksum = store.checksums.get();
        let len = bytes.len() as u64;
        let call = store
            .client
            .upload_part()
            .bucket(store.bucket())
            .key(self.key.as_str())
            .upload_id(&self.upload_id)
            .part_number(number)
            .content_length(len as i64)
            .set_checksum_crc64_nvme(checksum.is_sent().then(|| crc64nvme.to_string()))
            .body(bytes.clone().into())
            .customize();
        let call = if checksum.signs_payload() { call } else { call.disable_payload_signing() };
        let answer = in_time("put part of", &self.key, len, call.send()).await?;
        let answer = answer.map_err(|err| StoreError::of_sdk("put part of", &self.key, &err));
        let answer = answer.map_err(|err| store.blame_checksum(err))?;
        store.learn("put part of", &self.key, crc64nvme, answer.checksum_crc64_nvme())?;
        answer.e_tag.ok_or_else(|| {
            StoreError::new("put part of", &self.key, Kind::Permanent).because("no ETag came")
        })
    }

    /// `None` where the server is none of AWS's and its list makes no sense:
    /// some (moto is one) name the answer differently.
    async fn list_or_shrug(&self) -> Result<Option<Vec<PartListed>>, StoreError> {
        match self.list_once().await {
            Ok(listed) => Ok(Some(listed)),
            Err(err)
                if err.kind == Kind::Unreadable
                    && self.store.settings.profile == Profile::Generic =>
            {
                Ok(None)
            }
            Err(err) => Err(err),
        }
    }

    async fn list_once(&self) -> Result<Vec<PartListed>, StoreError> {
        let mut listed = Vec::new();
        let mut marker = None;
        loop {
            let call = self
                .store
                .client
                .list_parts()
                .bucket(self.store.bucket())
                .key(self.key.as_str())
                .upload_id(&self.upload_id)
                .set_part_number_marker(marker);
            let answer = in_time("list parts of", &self.key, 0, call.send()).await?;
            let page =
                answer.map_err(|err| StoreError::of_sdk("list parts of", &self.key, &err))?;
            listed.extend(page.parts().iter().map(|part| PartListed {
                number: part.part_number().unwrap_or_default(),
                len: part.size().and_then(|len| u64::try_from(len).ok()).unwrap_or_default(),
                etag: part.e_tag().unwrap_or_default().to_owned(),
                crc64nvme: part.checksum_crc64_nvme().map(str::to_owned),
            }));
            marker = page.next_part_number_marker;
            if page.is_truncated != Some(true) || marker.is_none() {
                return Ok(listed);
            }
        }
    }

    async fn complete_once(
        &self,
        put: &Put,
        facts: &Facts,
        parts: &[PartSent],
    ) -> Result<Stored, StoreError> {
        let store = &self.store;
        let is_honoured = !store.checksums.get().signs_payload();
        let completed = parts.iter().map(|part| {
            CompletedPart::builder()
                .part_number(part.number)
                .e_tag(&part.etag)
                .set_checksum_crc64_nvme(is_honoured.then(|| part.crc64nvme.to_string()))
                .build()
        });
        let completed = CompletedMultipartUpload::builder().set_parts(Some(completed.collect()));
        let call = store
            .client
            .complete_multipart_upload()
            .bucket(store.bucket())
            .key(self.key.as_str())
            .upload_id(&self.upload_id)
            .multipart_upload(completed.build())
            .set_checksum_crc64_nvme(is_honoured.then(|| facts.crc64nvme.to_string()))
            .set_checksum_type(is_honoured.then_some(ChecksumType::FullObject))
            .set_mpu_object_size(is_honoured.then_some(facts.len as i64))
            .set_if_none_match(put.overwrite.if_none_match())
            .set_if_match(put.overwrite.if_match());
        let answer = in_time("complete", &self.key, COMPLETE_BYTES_ALLOWANCE, call.send()).await?;
        let answer = answer.map_err(|err| StoreError::of_sdk("complete", &self.key, &err))?;
        if let Some(echoed) = answer.checksum_crc64_nvme() {
            store.learn("complete", &self.key, facts.crc64nvme, Some(echoed))?;
        }
        Ok(Stored {
            facts: *facts,
            etag: answer.e_tag.unwrap_or_default(),
            version_id: answer.version_id.filter(|id| id != "null"),
        })
    }

    async fn abort(&self) {
        let outcome = retry(ABORT_RETRY_FOR, || async {
            let call = self.store.client.abort_multipart_upload();
            let call = call.bucket(self.store.bucket()).key(self.key.as_str());
            let call = call.upload_id(&self.upload_id);
            match in_time("abort", &self.key, 0, call.send()).await? {
                Ok(_) => Ok(()),
                Err(err) => Err(StoreError::of_sdk("abort", &self.key, &err)),
            }
        })
        .await;
        match outcome {
            Ok(()) => {}
            Err(err) if err.kind == Kind::NotFound => {}
            Err(err) => tracing::warn!(
                event = "upload_left_behind",
                key = %self.key,
                "{err}; its parts are left for a sweep"
            ),
        }
    }
}

/// What S3 lists must be what was sent: no part more, none less, none other.
fn compare(sent: &[PartSent], listed: &[PartListed]) -> Result<(), String> {
    if sent.len() != listed.len() {
        return Err(format!("{} parts were sent, the store lists {}", sent.len(), listed.len()));
    }
    for (sent, listed) in sent.iter().zip(listed) {
        let number = sent.number;
        let crc64nvme = sent.crc64nvme.to_string();
        let differs = |what: &str, sent: &dyn std::fmt::Display, found: &dyn std::fmt::Display| {
            Err(format!("part {number}: {what} sent {sent}, the store lists {found}"))
        };
        if listed.number != number {
            return differs("number", &number, &listed.number);
        }
        if listed.len != sent.len {
            return differs("bytes", &sent.len, &listed.len);
        }
        if bare(&listed.etag) != bare(&sent.etag) {
            return differs("ETag", &sent.etag, &listed.etag);
        }
        match &listed.crc64nvme {
            Some(found) if *found != crc64nvme => return differs("CRC64NVME", &crc64nvme, found),
            _ => {}
        }
    }
    Ok(())
}

/// Some servers leave out the quotes of an ETag in listings.
fn bare(etag: &str) -> &str {
    etag.trim_matches('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(number: i32) -> PartSent {
        PartSent {
            number,
            len: 5,
            crc64nvme: Crc64Nvme(7),
            sha256: None,
            etag: format!("\"e{number}\""),
        }
    }

    fn listed(number: i32) -> PartListed {
        let crc64nvme = Some(Crc64Nvme(7).to_string());
        PartListed { number, len: 5, etag: format!("e{number}"), crc64nvme }
    }

    #[test]
    fn what_the_store_lists_must_be_what_was_sent() {
        let both = [sent(1), sent(2)];
        let short = PartListed { len: 4, ..listed(2) };
        let other = PartListed { etag: "x".to_owned(), ..listed(2) };
        let flipped = PartListed { crc64nvme: Some("AAAA".to_owned()), ..listed(2) };
        let silent = PartListed { crc64nvme: None, ..listed(2) };
        #[rustfmt::skip]
        let cases = [
            (vec![listed(1), listed(2)],            Ok(())),
            (vec![listed(1), silent],               Ok(())),
            (vec![listed(1)],                       Err("2 parts were sent, the store lists 1")),
            (vec![listed(1), listed(2), listed(3)], Err("2 parts were sent, the store lists 3")),
            (vec![listed(2), listed(1)],            Err("part 1: number sent 1, the store lists 2")),
            (vec![listed(1), short],                Err("part 2: bytes sent 5, the store lists 4")),
            (vec![listed(1), other],                Err("part 2: ETag sent \"e2\", the store lists x")),
            (vec![listed(1), flipped],              Err("part 2: CRC64NVME sent AAAAAAAAAAc=, the store lists AAAA")),
        ];
        for (listed, want) in cases {
            assert_eq!(compare(&both, &listed), want.map_err(str::to_owned));
        }
    }
}
