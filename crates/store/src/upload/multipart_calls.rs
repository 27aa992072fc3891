//! The calls of one multipart upload.
//!
//! Not here: when they are made, and who aborts the upload (`multipart`).

use std::time::Duration;

use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;
use s3up_core::{Crc64Nvme, Key};

use crate::buffers::hashing;
use crate::error::{Operation, StoreError, StoreErrorKind};
use crate::settings::Profile;
use crate::transport::capabilities::ConditionalCall;
use crate::transport::checksums::Header;
use crate::transport::connect::Store;
use crate::upload::attributes::ObjectAttributes;
use crate::upload::parts::{PartListed, PartSent, limit_met};
use crate::upload::put::{Facts, Put, WriteAnswer};

/// Time for which aborting an upload is retried; after that a sweep aborts it.
const ABORT_RETRY_FOR: Duration = Duration::from_secs(30);
/// S3 may take minutes to assemble ten thousand parts.
const COMPLETE_BYTES_ALLOWANCE: u64 = 32 << 20;

/// Identifies an upload and makes the calls for it.
#[derive(Clone)]
pub(crate) struct UploadHandle {
    pub store: Store,
    pub key: Key,
    pub upload_id: String,
}

impl UploadHandle {
    pub(super) async fn create(store: &Store, put: &Put) -> Result<UploadHandle, StoreError> {
        let attributes = ObjectAttributes::of(store, put, put.expect_sha256);
        let header = store.checksums.get().header();
        let is_sent = header == Header::Sent;
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
        let answer = store.call(Operation::StartUpload, &put.key, call.send()).await;
        let answer = answer
            .map_err(|err| store.retry_without_checksum(header, store.with_attributes(put, err)))?;
        let upload_id = answer.upload_id.ok_or_else(|| {
            StoreError::new(Operation::StartUpload, &put.key, StoreErrorKind::Unreadable)
                .with_cause("the answer has no upload ID")
        })?;
        Ok(UploadHandle { store: store.clone(), key: put.key.clone(), upload_id })
    }

    pub(super) async fn send_part(
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
        let store = &self.store;
        let _permit = store.throttle.acquire().await;
        let checksum = store.checksums.get();
        let header = checksum.header();
        let len = bytes.len() as u64;
        let call = store
            .client
            .upload_part()
            .bucket(store.bucket())
            .key(self.key.as_str())
            .upload_id(&self.upload_id)
            .part_number(number)
            .content_length(len as i64)
            .set_checksum_crc64_nvme((header == Header::Sent).then(|| crc64nvme.to_string()))
            .body(bytes.clone().into())
            .customize();
        let call = if checksum.signs_payload() { call } else { call.disable_payload_signing() };
        let pacer = store.pacer(bytes);
        let call = match &pacer {
            Some(pacer) => call.interceptor(pacer.clone()),
            None => call,
        };
        let answer = store.call_paced(pacer, len, Operation::PutPart, &self.key, call.send()).await;
        let answer = answer.map_err(|err| {
            let err = store.retry_without_checksum(header, err);
            self.learn_from_refused_part(number, err)
        })?;
        let echoed = answer.checksum_crc64_nvme();
        store.check_echo((Operation::PutPart, &self.key), header, crc64nvme, echoed)?;
        answer.e_tag.ok_or_else(|| {
            StoreError::new(Operation::PutPart, &self.key, StoreErrorKind::Permanent)
                .with_cause("the answer has no ETag")
        })
    }

    /// Learns the maximum number of parts from a refusal, and says which key to set.
    fn learn_from_refused_part(&self, number: i32, err: StoreError) -> StoreError {
        let Some(limit) = limit_met(number, err.kind) else { return err };
        self.store.learned.learn(|known| known.parts_max = Some(limit));
        let said = err.source.as_ref().map(ToString::to_string).unwrap_or_default();
        err.with_cause(format!(
            "this server seems to accept at most {limit} parts in one upload: set `parts_max` to \
             {limit} ({said})"
        ))
    }

    /// Returns `None` if the server is not AWS and its answer cannot be parsed:
    /// some servers (moto is one) use other names in it.
    pub(super) async fn list_unless_unreadable(
        &self,
    ) -> Result<Option<Vec<PartListed>>, StoreError> {
        match self.list_once().await {
            Ok(listed) => Ok(Some(listed)),
            Err(err)
                if err.kind == StoreErrorKind::Unreadable
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
            let page = self.store.call(Operation::ListParts, &self.key, call.send()).await?;
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

    pub(super) async fn complete_once(
        &self,
        put: &Put,
        facts: &Facts,
        parts: &[PartSent],
    ) -> Result<WriteAnswer, StoreError> {
        let store = &self.store;
        let headers = store.condition_headers(ConditionalCall::Complete, put).await?;
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
            .set_if_none_match(headers.if_none_match.clone())
            .set_if_match(headers.if_match.clone());
        let limit = store.settings.timeouts.limit(COMPLETE_BYTES_ALLOWANCE);
        let answer =
            match store.call_within(limit, Operation::CompleteUpload, &self.key, call.send()).await
            {
                Ok(answer) => answer,
                Err(err) => {
                    let call = ConditionalCall::Complete;
                    return Err(store.learn_from_condition(call, put, &headers, err).await);
                }
            };
        if let Some(echoed) = answer.checksum_crc64_nvme() {
            let header = if is_honoured { Header::Sent } else { Header::Omitted };
            store.check_echo(
                (Operation::CompleteUpload, &self.key),
                header,
                facts.crc64nvme,
                Some(echoed),
            )?;
        }
        // A server that is no S3 may answer with an ETag that HEAD does not return.
        let etag = answer.e_tag.filter(|_| is_honoured);
        Ok(WriteAnswer { etag, version_id: answer.version_id })
    }

    pub(super) async fn abort(&self) {
        let key = self.key.as_str();
        let outcome = self.store.abort_upload(key, &self.upload_id, ABORT_RETRY_FOR).await;
        let Err(err) = outcome else { return };
        if err.kind == StoreErrorKind::Transient {
            self.store.not_aborted.add(&self.key, &self.upload_id);
        }
        warn_not_aborted(&self.key, &err);
    }
}

pub(super) fn warn_not_aborted(key: &Key, why: &dyn std::fmt::Display) {
    tracing::warn!(event = "upload_not_aborted", %key, "cannot abort a multipart upload, which a later sweep does: {why}");
}
