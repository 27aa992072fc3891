//! One bucket in memory: its record, versions and multipart uploads.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::record::{BucketRecord, Part, UploadRecord, Version, Versioning};

pub(crate) struct Bucket {
    pub(crate) record: BucketRecord,
    /// Versions by key, newest first. Each key has at least one.
    pub(crate) versions: BTreeMap<String, Vec<Arc<Version>>>,
    /// Uploads by key and id.
    pub(crate) uploads: BTreeMap<String, BTreeMap<String, Upload>>,
}

#[derive(Clone)]
pub(crate) struct Upload {
    pub(crate) record: UploadRecord,
    pub(crate) parts: BTreeMap<i32, Part>,
    /// Parts that were sent again, if the server lists each sending. Their blobs are
    /// gone.
    pub(crate) replaced: Vec<Part>,
}

impl Bucket {
    pub(crate) fn new(record: BucketRecord) -> Bucket {
        Bucket { record, versions: BTreeMap::new(), uploads: BTreeMap::new() }
    }

    pub(crate) fn newest(&self, key: &str) -> Option<&Arc<Version>> {
        self.versions.get(key)?.first()
    }

    /// Returns the version id that S3 shows: none while a bucket keeps no versions.
    pub(crate) fn shown_id(&self, version: &Version) -> Option<String> {
        match self.record.versioning {
            Versioning::Off => None,
            Versioning::Enabled | Versioning::Suspended => Some(version.id.clone()),
        }
    }
}
