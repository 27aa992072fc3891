//! Objects of a bucket: publish, find, open, delete.
//!
//! A write stores the blob, then the record, then the entry in memory, and only
//! then removes the object that it replaces. Wherever it stops, readers find the
//! complete old object or the complete new one.

use std::fs;
use std::ops::Range;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue};
use s3s::{S3Error, S3ErrorCode, S3Result};

use crate::model::digest;
use crate::model::precondition::Precondition;
use crate::model::record::{Attributes, Content, NULL_VERSION, Object, Part, Version, Versioning};
use crate::storage::blob::{Reader, random_id};
use crate::storage::bucket::Bucket;
use crate::storage::receive::Received;
use crate::storage::store::{State, Store};

/// A version of an object, and the version id that S3 shows to clients.
pub(crate) struct FoundVersion {
    pub(crate) version: Arc<Version>,
    pub(crate) shown_id: Option<String>,
}

/// The result of a deletion: a new delete marker, or a removed version.
#[derive(Debug, Default)]
pub(crate) struct Deleted {
    pub(crate) shown_id: Option<String>,
    pub(crate) is_delete_marker: bool,
}

impl FoundVersion {
    pub(crate) fn object(&self) -> &Object {
        self.version.object().expect("a delete marker is never found")
    }
}

impl Store {
    pub(crate) fn put(
        &self,
        bucket: &str,
        key: &str,
        attributes: Attributes,
        received: Received,
        precondition: &Precondition,
    ) -> S3Result<FoundVersion> {
        let mut state = self.state()?;
        precondition.check(current_etag(state.bucket(bucket)?, key))?;
        let received_tells = received.tells_checksum;
        let part = self.store_part(1, received)?;
        let object = Object {
            attributes,
            etag: part.etag.clone(),
            len: part.len,
            checksum: part.checksum.clone(),
            tells_checksum: received_tells,
            parts: vec![part],
            upload_id: None,
            restore: None,
        };
        let blob = object.parts[0].blob.clone();
        self.publish(&mut state, bucket, key, Content::Object(Box::new(object)))
            .inspect_err(|_| self.blobs.remove(&blob))
    }

    pub(crate) fn store_part(&self, number: i32, received: Received) -> S3Result<Part> {
        let blob = self.blobs.store(received.file).map_err(S3Error::internal_error)?;
        Ok(Part {
            number,
            blob,
            len: received.len,
            etag: digest::hex(&received.digests.md5),
            checksum: received.digests.checksum,
            crc64nvme: received.digests.crc64nvme,
            written_at: self.clock.now(),
        })
    }

    /// Writes a version and makes it the newest of its key.
    pub(crate) fn publish(
        &self,
        state: &mut State,
        bucket: &str,
        key: &str,
        content: Content,
    ) -> S3Result<FoundVersion> {
        let order = state.next_order();
        let bucket_name = bucket;
        let bucket = state.bucket_mut(bucket)?;
        let id = match bucket.record.versioning {
            Versioning::Enabled => random_id().map_err(S3Error::internal_error)?,
            Versioning::Off | Versioning::Suspended => NULL_VERSION.to_owned(),
        };
        let version = Arc::new(Version {
            key: key.to_owned(),
            id,
            order,
            written_at: self.clock.now(),
            content,
        });
        let record = self.disk.version_record(bucket_name, key, &version.id);
        self.disk.write(&record, &*version).map_err(S3Error::internal_error)?;
        if let Some(replaced) = bucket.insert(Arc::clone(&version)) {
            self.remove_blobs(&replaced);
        }
        Ok(FoundVersion { shown_id: bucket.shown_id(&version), version })
    }

    fn remove_blobs(&self, version: &Version) {
        version.blobs().for_each(|blob| self.blobs.remove(blob));
    }

    pub(crate) fn find(
        &self,
        bucket: &str,
        key: &str,
        version_id: Option<&str>,
    ) -> S3Result<FoundVersion> {
        find(self.state()?.bucket(bucket)?, key, version_id)
    }

    /// Finds an object and opens the range that `choose` returns.
    pub(crate) fn open_object(
        &self,
        bucket: &str,
        key: &str,
        version_id: Option<&str>,
        choose: impl FnOnce(&Object) -> S3Result<Range<u64>>,
    ) -> S3Result<(FoundVersion, Range<u64>, Reader)> {
        let state = self.state()?;
        let found = find(state.bucket(bucket)?, key, version_id)?;
        self.archive_state_of(found.object()).check_readable()?;
        let range = choose(found.object())?;
        let reader = Reader::new(&self.blobs, &found.object().parts, range.clone());
        Ok((found, range, reader))
    }

    pub(crate) fn delete(
        &self,
        bucket: &str,
        key: &str,
        version_id: Option<&str>,
        precondition: &Precondition,
    ) -> S3Result<Deleted> {
        let mut state = self.state()?;
        let found = state.bucket(bucket)?;
        precondition.check(current_etag(found, key))?;
        match (version_id, found.record.versioning) {
            (Some(id), _) => self.delete_version(&mut state, bucket, key, id),
            (None, Versioning::Off) => self.delete_version(&mut state, bucket, key, NULL_VERSION),
            (None, Versioning::Enabled | Versioning::Suspended) => {
                let marker = self.publish(&mut state, bucket, key, Content::DeleteMarker)?;
                Ok(Deleted { shown_id: marker.shown_id, is_delete_marker: true })
            }
        }
    }

    /// Deletes one version. A version that does not exist is no error, as in S3.
    fn delete_version(
        &self,
        state: &mut State,
        bucket_name: &str,
        key: &str,
        id: &str,
    ) -> S3Result<Deleted> {
        let bucket = state.bucket_mut(bucket_name)?;
        let versions = bucket.versions.get(key).map(Vec::as_slice).unwrap_or_default();
        let Some(version) = versions.iter().find(|version| version.id == id).cloned() else {
            return Ok(Deleted::default());
        };
        let record = self.disk.version_record(bucket_name, key, id);
        fs::remove_file(record).map_err(S3Error::internal_error)?;
        bucket.remove(&version);
        self.remove_blobs(&version);
        let is_delete_marker = version.object().is_none();
        Ok(Deleted { shown_id: bucket.shown_id(&version), is_delete_marker })
    }
}

impl Bucket {
    /// Inserts the newest version, and returns the one with the same id that it
    /// replaces.
    fn insert(&mut self, version: Arc<Version>) -> Option<Arc<Version>> {
        let versions = self.versions.entry(version.key.clone()).or_default();
        let same = versions.iter().position(|old| old.id == version.id);
        let replaced = same.map(|at| versions.remove(at));
        versions.insert(0, version);
        replaced
    }

    /// Replaces the version that has the same key and id.
    pub(crate) fn replace(&mut self, version: Arc<Version>) {
        let versions = self.versions.get_mut(&version.key).into_iter().flatten();
        versions.filter(|old| old.id == version.id).for_each(|old| *old = Arc::clone(&version));
    }

    fn remove(&mut self, version: &Version) {
        if let Some(versions) = self.versions.get_mut(&version.key) {
            versions.retain(|other| other.id != version.id);
            if versions.is_empty() {
                self.versions.remove(&version.key);
            }
        }
    }
}

pub(crate) fn current_etag<'a>(bucket: &'a Bucket, key: &str) -> Option<&'a str> {
    bucket.newest(key)?.object().map(|object| object.etag.as_str())
}

pub(crate) fn find(bucket: &Bucket, key: &str, version_id: Option<&str>) -> S3Result<FoundVersion> {
    let version = match version_id {
        None => bucket.newest(key).ok_or_else(|| S3Error::new(S3ErrorCode::NoSuchKey)),
        Some(id) => {
            let versions = bucket.versions.get(key).map(Vec::as_slice).unwrap_or_default();
            let found = versions.iter().find(|version| version.id == id);
            found.ok_or_else(|| S3Error::new(S3ErrorCode::NoSuchVersion))
        }
    }?;
    if version.object().is_none() {
        return Err(delete_marker_refusal(version_id));
    }
    Ok(FoundVersion { version: Arc::clone(version), shown_id: bucket.shown_id(version) })
}

/// Returns the refusal for a delete marker, which S3 marks with a header:
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/DeleteMarker.html>
fn delete_marker_refusal(version_id: Option<&str>) -> S3Error {
    let mut refusal = S3Error::new(match version_id {
        None => S3ErrorCode::NoSuchKey,
        Some(_) => S3ErrorCode::MethodNotAllowed,
    });
    let mut headers = HeaderMap::new();
    headers.insert("x-amz-delete-marker", HeaderValue::from_static("true"));
    headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    refusal.set_headers(headers);
    refusal
}
