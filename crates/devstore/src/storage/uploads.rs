//! Multipart uploads: start, add a part, complete, abort.
//!
//! A part is a blob with a record beside the record of its upload, so an upload
//! survives a restart. Completion writes the record of the object, which lists
//! the blobs of the parts; no bytes are copied. After a crash right then, the
//! next start removes the completed upload.

use std::collections::{BTreeMap, HashSet};

use s3s::{S3Error, S3ErrorCode, S3Result};

use crate::behaviours::{Checksums, CompletionETag, ListedParts};
use crate::model::assemble::{ExpectedObject, ListedPart, assemble};
use crate::model::digest::{Algorithm, ChecksumKind};
use crate::model::precondition::Precondition;
use crate::model::record::{Attributes, Content, Object, Part, UploadRecord};
use crate::storage::blob::random_id;
use crate::storage::bucket::{Bucket, Upload};
use crate::storage::objects::{FoundVersion, current_etag};
use crate::storage::receive::Received;
use crate::storage::store::{State, Store};

/// Identifies an upload in all calls on it.
#[derive(Clone, Debug)]
pub(crate) struct UploadName {
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) id: String,
}

pub(crate) struct NewUpload {
    pub(crate) key: String,
    pub(crate) attributes: Attributes,
    pub(crate) algorithm: Option<Algorithm>,
    pub(crate) kind: ChecksumKind,
}

impl Store {
    /// Starts an upload and returns its id. Ids sort by the time of their start.
    pub(crate) fn start_upload(&self, bucket_name: &str, new: NewUpload) -> S3Result<String> {
        let mut state = self.state()?;
        let order = state.next_order();
        let bucket = state.bucket_mut(bucket_name)?;
        let id = format!("{order:016x}{}", random_id().map_err(S3Error::internal_error)?);
        let record = UploadRecord {
            id: id.clone(),
            key: new.key,
            order,
            started_at: self.clock.now(),
            attributes: new.attributes,
            algorithm: new.algorithm,
            kind: new.kind,
        };
        self.disk
            .write(&self.disk.upload_record(bucket_name, &id), &record)
            .map_err(S3Error::internal_error)?;
        let uploads = bucket.uploads.entry(record.key.clone()).or_default();
        uploads.insert(id.clone(), Upload { record, parts: BTreeMap::new(), replaced: Vec::new() });
        Ok(id)
    }

    pub(crate) fn upload(&self, name: &UploadName) -> S3Result<Upload> {
        Ok(self.state()?.bucket(&name.bucket)?.upload(name)?.clone())
    }

    pub(crate) fn put_part(
        &self,
        name: &UploadName,
        number: i32,
        received: Received,
    ) -> S3Result<Part> {
        let mut state = self.state()?;
        // Fails if the upload was completed or aborted while the part arrived.
        let upload = state.bucket_mut(&name.bucket)?.upload_mut(name)?;
        let part = self.store_part(number, received)?;
        let record = self.disk.part_record(&name.bucket, &name.id, number);
        if let Err(error) = self.disk.write(&record, &part) {
            self.blobs.remove(&part.blob);
            return Err(S3Error::internal_error(error));
        }
        if let Some(replaced) = upload.parts.insert(number, part.clone()) {
            self.blobs.remove(&replaced.blob);
            if self.behaviours.listed_parts == ListedParts::EachSending {
                upload.replaced.push(replaced);
            }
        }
        Ok(part)
    }

    pub(crate) fn complete_upload(
        &self,
        name: &UploadName,
        listed: &[ListedPart],
        expected: &ExpectedObject,
        precondition: &Precondition,
    ) -> S3Result<FoundVersion> {
        let mut state = self.state()?;
        let bucket = state.bucket(&name.bucket)?;
        let upload = bucket.upload(name)?;
        let assembled =
            assemble(&upload.record, &upload.parts, listed, expected, self.part_bytes_min)?;
        precondition.check(current_etag(bucket, &name.key))?;
        let etag = match self.behaviours.completion_etag {
            CompletionETag::Same | CompletionETag::Empty => assembled.etag,
            CompletionETag::Other => without_count(&assembled.etag),
        };
        let object = Object {
            attributes: upload.record.attributes.clone(),
            etag,
            len: assembled.len,
            checksum: assembled.checksum,
            tells_checksum: self.behaviours.checksums == Checksums::Verified,
            parts: assembled.parts,
            upload_id: Some(name.id.clone()),
            restore: None,
        };
        let content = Content::Object(Box::new(object));
        let found = self.publish(&mut state, &name.bucket, &name.key, content)?;
        self.remove_upload_records(&mut state, name, &found.object().parts)?;
        Ok(found)
    }

    pub(crate) fn abort_upload(&self, name: &UploadName) -> S3Result<()> {
        let mut state = self.state()?;
        state.bucket(&name.bucket)?.upload(name)?;
        self.remove_upload_records(&mut state, name, &[])
    }

    /// Removes an upload and its parts, except for the blobs of `kept`.
    fn remove_upload_records(
        &self,
        state: &mut State,
        name: &UploadName,
        kept: &[Part],
    ) -> S3Result<()> {
        let directory = self.disk.upload(&name.bucket, &name.id);
        self.disk.remove_directory(&directory).map_err(S3Error::internal_error)?;
        let bucket = state.bucket_mut(&name.bucket)?;
        let kept: HashSet<&str> = kept.iter().map(|part| part.blob.as_str()).collect();
        for part in bucket.remove_upload(name).parts.into_values() {
            if !kept.contains(part.blob.as_str()) {
                self.blobs.remove(&part.blob);
            }
        }
        Ok(())
    }
}

impl Bucket {
    fn upload(&self, name: &UploadName) -> S3Result<&Upload> {
        let uploads = self.uploads.get(&name.key);
        uploads.and_then(|uploads| uploads.get(&name.id)).ok_or_else(no_such_upload)
    }

    fn upload_mut(&mut self, name: &UploadName) -> S3Result<&mut Upload> {
        let uploads = self.uploads.get_mut(&name.key);
        uploads.and_then(|uploads| uploads.get_mut(&name.id)).ok_or_else(no_such_upload)
    }

    fn remove_upload(&mut self, name: &UploadName) -> Upload {
        let uploads = self.uploads.get_mut(&name.key).expect("the upload was found before");
        let upload = uploads.remove(&name.id).expect("the upload was found before");
        if uploads.is_empty() {
            self.uploads.remove(&name.key);
        }
        upload
    }
}

/// Removes the number of parts from the ETag of an upload.
fn without_count(etag: &str) -> String {
    etag.split('-').next().unwrap_or_default().to_owned()
}

fn no_such_upload() -> S3Error {
    let message = "The specified upload does not exist. It may have been aborted or completed.";
    S3Error::with_message(S3ErrorCode::NoSuchUpload, message)
}
