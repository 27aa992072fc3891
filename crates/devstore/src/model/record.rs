//! The records of buckets, objects and uploads, in memory and as JSON files.
//!
//! A record lists its blobs and never contains their bytes. A record on disk is
//! always complete, because it is written to a temporary file and renamed.

use std::collections::BTreeMap;

use s3s::dto::{BucketLifecycleConfiguration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::model::archive::Restore;
use crate::model::digest::{Algorithm, Checksum, ChecksumKind};

/// Version id of objects that are written while a bucket keeps no versions.
pub(crate) const NULL_VERSION: &str = "null";

/// Says if a bucket keeps overwritten and deleted objects as versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Versioning {
    #[default]
    Off,
    Enabled,
    /// Old versions stay; new ones have the id `null` and replace each other.
    Suspended,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct BucketRecord {
    pub(crate) created_at: Timestamp,
    pub(crate) versioning: Versioning,
    /// Stored and returned, but never applied.
    #[serde(default)]
    pub(crate) lifecycle: Option<BucketLifecycleConfiguration>,
}

/// Properties that a client sets on an object. They are returned unchanged.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Attributes {
    pub(crate) cache_control: Option<String>,
    pub(crate) content_disposition: Option<String>,
    pub(crate) content_encoding: Option<String>,
    pub(crate) content_language: Option<String>,
    pub(crate) content_type: Option<String>,
    pub(crate) metadata: BTreeMap<String, String>,
    /// `None` for STANDARD.
    pub(crate) storage_class: Option<String>,
    pub(crate) sse: Option<String>,
    pub(crate) sse_kms_key_id: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Version {
    pub(crate) key: String,
    pub(crate) id: String,
    /// Increases with every write to the store. Of two versions of a key, the one
    /// with the higher number is newer, even if the clock went back.
    pub(crate) order: u64,
    pub(crate) written_at: Timestamp,
    pub(crate) content: Content,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Content {
    DeleteMarker,
    Object(Box<Object>),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Object {
    pub(crate) attributes: Attributes,
    pub(crate) etag: String,
    pub(crate) len: u64,
    pub(crate) checksum: Checksum,
    /// False on a server that keeps no checksums.
    #[serde(default = "yes")]
    pub(crate) tells_checksum: bool,
    /// All parts in order. An object of a single PUT has one part.
    pub(crate) parts: Vec<Part>,
    /// Multipart upload that this object was made of. If the record of that upload
    /// still exists at start, the server crashed before removing it.
    pub(crate) upload_id: Option<String>,
    /// Last restore that was requested.
    #[serde(default)]
    pub(crate) restore: Option<Restore>,
}

/// A part of an object or an upload.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) number: i32,
    pub(crate) blob: String,
    pub(crate) len: u64,
    /// MD5 in hexadecimal.
    pub(crate) etag: String,
    /// Checksum with the algorithm of the client or of the upload.
    pub(crate) checksum: Checksum,
    pub(crate) crc64nvme: u64,
    pub(crate) written_at: Timestamp,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct UploadRecord {
    pub(crate) id: String,
    pub(crate) key: String,
    /// Number from the same sequence as [`Version::order`].
    pub(crate) order: u64,
    pub(crate) started_at: Timestamp,
    pub(crate) attributes: Attributes,
    /// `None` if the client chose none.
    pub(crate) algorithm: Option<Algorithm>,
    pub(crate) kind: ChecksumKind,
}

fn yes() -> bool {
    true
}

impl Object {
    /// Returns the checksum that answers contain.
    pub(crate) fn reported_checksum(&self) -> Option<&Checksum> {
        Some(&self.checksum).filter(|_| self.tells_checksum)
    }
}

impl Version {
    pub(crate) fn object(&self) -> Option<&Object> {
        match &self.content {
            Content::Object(object) => Some(object),
            Content::DeleteMarker => None,
        }
    }

    pub(crate) fn blobs(&self) -> impl Iterator<Item = &str> {
        self.object().into_iter().flat_map(|object| &object.parts).map(|part| part.blob.as_str())
    }
}
