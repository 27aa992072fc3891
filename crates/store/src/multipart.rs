//! One multipart upload, from its start to its end or its removal.
//!
//! A part is acknowledged when S3 echoed its checksum (or took its signed
//! payload). Before the upload is completed, S3's own list of parts is compared
//! with what was sent, and the completion carries size and checksum of the
//! whole, so that S3 compares them too.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;
use s3up_core::{Crc64Nvme, Key};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::attributes::Attributes;
use crate::connect::Store;
use crate::dialect::Profile;
use crate::error::{Kind, StoreError};
use crate::hashing;
use crate::orphans::Lost;
use crate::parts::{PartListed, PartSent, compare};
use crate::put::{Facts, Put, Stored};

/// For how long removing an upload is tried; what is left then is for a sweep.
const ABORT_RETRY_FOR: Duration = Duration::from_secs(30);
/// S3 answers in a tenth of a second; a process that is to end waits no longer
/// for the id of an upload that nobody wants.
const ABANDONED_WAIT: Duration = Duration::from_secs(3);
/// S3 may take minutes to put ten thousand parts together.
const COMPLETE_BYTES_ALLOWANCE: u64 = 32 << 20;

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
    /// Unfinished, it stays: its caller has noted how to go on with it.
    is_kept: AtomicBool,
    /// It may have parts that are not of this stream: a completion, which names
    /// those that are, drops them.
    is_resumed: bool,
}

impl Multipart {
    pub(crate) async fn begin(store: &Store, put: &Put) -> Result<Multipart, StoreError> {
        let beginning = store.begun.beginning(&put.key);
        let failed = Failed::default();
        let upload =
            store.retry(put.retry_for, || failed.note(create_detached(store, put))).await?;
        drop(beginning);
        let lost = failed.lost();
        if !lost.is_empty() {
            let Handle { store, key, upload_id } = &upload.handle;
            store.remove_orphans(key, upload_id, &lost).await;
        }
        Ok(upload)
    }

    fn of(handle: Handle) -> Multipart {
        handle.store.begun.add(&handle.key, &handle.upload_id);
        let (armed, is_kept) = (AtomicBool::new(true), AtomicBool::new(false));
        Multipart { handle, armed, is_kept, is_resumed: false }
    }

    /// One that was begun before, and is kept. Whether it is still there, its
    /// [list](Multipart::listed) says.
    pub(crate) fn again(store: &Store, key: Key, upload_id: String) -> Multipart {
        let mut upload = Multipart::of(Handle { store: store.clone(), key, upload_id });
        upload.is_resumed = true;
        upload.keep();
        upload
    }

    pub(crate) fn id(&self) -> &str {
        &self.handle.upload_id
    }

    /// From now on it stays where it is not completed.
    pub(crate) fn keep(&self) {
        self.disarm();
        self.is_kept.store(true, Ordering::Relaxed);
    }

    /// What S3 has of it; `None` where that is not understood.
    pub(crate) async fn listed(
        &self,
        retry_for: Duration,
    ) -> Result<Option<Vec<PartListed>>, StoreError> {
        self.handle.store.retry(retry_for, || self.handle.list_or_shrug()).await
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
        let store = &self.handle.store;
        match self.listed(put.retry_for).await? {
            Some(listed) => self.compare(parts, listed).map_err(|what| {
                StoreError::new("complete", &put.key, Kind::Corrupt).because(what)
            })?,
            None => tracing::warn!(
                event = "store_lists_no_parts",
                "the store's list of parts is not understood; its checks at completion have to do"
            ),
        }
        let mut tries = 0;
        let outcome = store.retry(put.retry_for, || {
            tries += 1;
            self.handle.complete_once(put, facts, parts)
        });
        let err = match outcome.await {
            Ok(stored) => return Ok(stored),
            Err(err) => err,
        };
        let stored = store.recognise(put, facts, tries, err).await?;
        // The same bytes may have been there before; then the parts still are.
        self.abort().await;
        Ok(stored)
    }

    fn compare(&self, parts: &[PartSent], mut listed: Vec<PartListed>) -> Result<(), String> {
        if self.is_resumed {
            listed.retain(|listed| parts.iter().any(|part| part.number == listed.number));
        }
        compare(parts, &listed)
    }

    /// Says that there is nothing left to abort.
    pub(crate) fn disarm(&self) {
        self.armed.store(false, Ordering::Relaxed);
    }

    /// It will not be completed now: removes it and waits for that, unless it is
    /// kept.
    pub(crate) async fn give_up(&self) {
        if !self.is_kept.load(Ordering::Relaxed) {
            self.abort().await;
        }
    }

    /// Removes the upload and its parts, and waits for that.
    pub(crate) async fn abort(&self) {
        self.disarm();
        self.handle.abort().await;
    }
}

impl Drop for Multipart {
    fn drop(&mut self) {
        self.handle.store.begun.remove(&self.handle.key, &self.handle.upload_id);
        if !self.armed.load(Ordering::Relaxed) {
            return;
        }
        let handle = self.handle.clone();
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => {
                let cleanups = handle.store.cleanups.clone();
                cleanups.spawn_on(async move { handle.abort().await }, &runtime);
            }
            Err(_) => left_behind(&handle.key, &"the upload was dropped"),
        }
    }
}

/// When each failed try began and ended.
#[derive(Default)]
struct Failed(Mutex<Vec<(Instant, Instant)>>);

impl Failed {
    async fn note<T>(
        &self,
        attempt: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let began = Instant::now();
        let outcome = attempt.await;
        if outcome.is_err() {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push((began, Instant::now()));
        }
        outcome
    }

    /// Seen from now, when a try has succeeded.
    fn lost(self) -> Vec<Lost> {
        let tries = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        let lost = |(began, ended): (Instant, Instant)| Lost {
            began_before: began.elapsed(),
            ended_before: ended.elapsed(),
        };
        tries.into_iter().map(lost).collect()
    }
}

/// Whoever asks may be dropped while the store answers. Then the id that comes
/// is the only way to remove the upload, so a task of its own waits for it.
async fn create_detached(store: &Store, put: &Put) -> Result<Multipart, StoreError> {
    let (mut tell, told) = oneshot::channel();
    let (of_task, put_of_task) = (store.clone(), put.clone());
    store.cleanups.spawn(async move {
        let abandoned = async {
            tell.closed().await;
            tokio::time::sleep(ABANDONED_WAIT).await;
        };
        tokio::select! {
            // Where nobody listens any more, the upload is dropped here, and aborted.
            outcome = create_once(&of_task, &put_of_task) => drop(tell.send(outcome)),
            () = abandoned => left_behind(&put_of_task.key, &"the beginning of an upload is not answered"),
        }
    });
    let lost = |err| StoreError::new("begin upload", &put.key, Kind::Permanent).because(err);
    told.await.map_err(lost)?
}

async fn create_once(store: &Store, put: &Put) -> Result<Multipart, StoreError> {
    const OP: &str = "begin upload";
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
    let answer = store.call(OP, &put.key, call.send()).await;
    let answer = answer.map_err(|err| store.blame_checksum(err))?;
    let upload_id = answer.upload_id.ok_or_else(|| {
        StoreError::new(OP, &put.key, Kind::Unreadable).because("no upload id came")
    })?;
    Ok(Multipart::of(Handle { store: store.clone(), key: put.key.clone(), upload_id }))
}

impl Handle {
    pub(crate) async fn send_part(
        self,
        number: i32,
        bytes: Bytes,
        retry_for: Duration,
    ) -> Result<PartSent, StoreError> {
        let crc64nvme = hashing::crc64(bytes.clone()).await;
        let etag =
            self.store.retry(retry_for, || self.send_once(number, &bytes, crc64nvme)).await?;
        Ok(PartSent { number, len: bytes.len() as u64, crc64nvme, etag })
    }

    async fn send_once(
        &self,
        number: i32,
        bytes: &Bytes,
        crc64nvme: Crc64Nvme,
    ) -> Result<String, StoreError> {
        const OP: &str = "put part of";
        let store = &self.store;
        let _leave = store.throttle.enter().await;
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
        let pace = store.pace(bytes);
        let call = match &pace {
            Some(pace) => call.interceptor(pace.clone()),
            None => call,
        };
        let answer = store.call_paced(pace, len, OP, &self.key, call.send()).await;
        let answer = answer.map_err(|err| store.blame_checksum(err))?;
        store.learn(OP, &self.key, crc64nvme, answer.checksum_crc64_nvme())?;
        answer
            .e_tag
            .ok_or_else(|| StoreError::new(OP, &self.key, Kind::Permanent).because("no ETag came"))
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
            let page = self.store.call("list parts of", &self.key, call.send()).await?;
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
        let limit = store.settings.patience.limit(COMPLETE_BYTES_ALLOWANCE);
        let answer = store.call_within(limit, "complete", &self.key, call.send()).await?;
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
        let key = self.key.as_str();
        let outcome = self.store.abort_upload(key, &self.upload_id, ABORT_RETRY_FOR).await;
        if let Err(err) = outcome {
            left_behind(&self.key, &err);
        }
    }
}

fn left_behind(key: &Key, why: &dyn std::fmt::Display) {
    tracing::warn!(event = "upload_left_behind", %key, "{why}; its parts are left for a sweep");
}
