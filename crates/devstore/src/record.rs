//! What is remembered of buckets, objects and uploads: the JSON files on disk,
//! and the same values in memory.
//!
//! A record names its blobs and never holds their bytes. A record that can be
//! read is complete: it is written to a temporary file and renamed.

use std::collections::BTreeMap;

use s3s::dto::{BucketLifecycleConfiguration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::archive::Restore;
use crate::digest::{Algorithm, Checksum, Kind};

/// The version id of what is written while a bucket keeps no versions.
pub(crate) const NULL_VERSION: &str = "null";

/// Whether a bucket keeps what is overwritten or deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Versioning {
    #[default]
    Off,
    Enabled,
    /// Was enabled once: old versions stay, new ones are called `null`.
    Suspended,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct BucketRecord {
    pub(crate) created_at: Timestamp,
    pub(crate) versioning: Versioning,
    /// Kept and told; nothing is done by it.
    #[serde(default)]
    pub(crate) lifecycle: Option<BucketLifecycleConfiguration>,
}

/// What a client says about an object beside its bytes; given back unchanged.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Attributes {
    pub(crate) cache_control: Option<String>,
    pub(crate) content_disposition: Option<String>,
    pub(crate) content_encoding: Option<String>,
    pub(crate) content_language: Option<String>,
    pub(crate) content_type: Option<String>,
    pub(crate) metadata: BTreeMap<String, String>,
    /// `None` is STANDARD.
    pub(crate) storage_class: Option<String>,
    pub(crate) sse: Option<String>,
    pub(crate) sse_kms_key_id: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Version {
    pub(crate) key: String,
    pub(crate) id: String,
    /// Grows with every write to the store: of two versions of a key the one
    /// with the higher number is newer, whatever the clock did.
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
    /// In order; a single PUT is one part.
    pub(crate) parts: Vec<Part>,
    /// The multipart upload that this object came from. A record of an upload
    /// that has become an object is what a crash left behind.
    pub(crate) upload_id: Option<String>,
    /// The last copy that was asked for out of the archive.
    #[serde(default)]
    pub(crate) restore: Option<Restore>,
}

/// Some bytes of an object or an upload.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) number: i32,
    pub(crate) blob: String,
    pub(crate) len: u64,
    /// Hex of the MD5.
    pub(crate) etag: String,
    /// What the client or the upload asked for.
    pub(crate) checksum: Checksum,
    pub(crate) crc64nvme: u64,
    pub(crate) written_at: Timestamp,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct UploadRecord {
    pub(crate) id: String,
    pub(crate) key: String,
    /// Of the same sequence as [`Version::order`].
    pub(crate) order: u64,
    pub(crate) started_at: Timestamp,
    pub(crate) attributes: Attributes,
    /// `None`: the client did not choose one.
    pub(crate) algorithm: Option<Algorithm>,
    pub(crate) kind: Kind,
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
