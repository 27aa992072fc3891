//! The documents that describe a backup in the bucket: manifest, part index and
//! pointer.
//!
//! A reader ignores unknown fields and refuses an unknown version. Some fields may be
//! null or missing, because other tools write this format, too. Each document is
//! checked once, when it is read.

use btrfs_sendstream::PROTOCOL_2_FROM;
use jiff::Timestamp;
use s3up_core::part::PART_BYTES_MAX;
use s3up_core::{Crc64Nvme, Key, Sha256Digest};
use serde::{Deserialize, Serialize};

use crate::names::{BackupKind, SnapshotName};
use crate::origin::Origin;
use crate::stamp::Stamp;

pub const VERSION: u64 = 1;
/// At 200 GiB per chunk this is two petabytes. A larger subvolume with shorter chunks
/// needs longer ones.
pub const CHUNK_COUNT_MAX: u64 = 10_000;
/// Ten thousand chunks take under 6 MiB; a longer document is not a manifest.
pub const MANIFEST_BYTES_MAX: u64 = 16 << 20;
/// Enough for two million parts at 67 bytes each.
pub const PART_INDEX_BYTES_MAX: u64 = 160 << 20;
/// A pointer has a dozen short fields; a longer document is not a pointer.
pub const POINTER_BYTES_MAX: u64 = 64 << 10;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    pub version: u64,
    pub subvolume: String,
    pub kind: BackupKind,
    pub created_at: Stamp,
    pub snapshot: ManifestSnapshot,
    /// Key of the parent's manifest; null for a full.
    pub parent_manifest: Option<String>,
    /// In order.
    pub chunks: Vec<ManifestChunk>,
    pub total_bytes: u64,
    /// Length of each chunk but the last.
    pub chunk_size: u64,
    pub s3: ManifestS3,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<PartIndexRef>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Stamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elapsed_seconds: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub btrfs_progs: Option<String>,
    /// Size of the metadata blocks of the filesystem that was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_bytes: Option<u64>,
    /// Length of name and value of the largest extended attribute, if it does not fit into
    /// metadata blocks of 16 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub largest_xattr_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream_protocol: Option<u32>,
    /// First release of btrfs-progs whose `btrfs receive` handles the stream, if not every
    /// release does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs_btrfs_progs: Option<String>,
    /// True if the parent was received by a restore. Then `snapshot.parent_ctransid`
    /// comes from the filesystem that received it, and differs from the parent's own
    /// manifest.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub parent_received: bool,
    /// The reason for a full that the schedule did not ask for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unplanned_full: Option<String>,
    /// Host, filesystem and subvolume that the backup was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// Origins of older backups that belong to the same chain, because it was restored
    /// and continued elsewhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier_origins: Vec<Origin>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestSnapshot {
    pub name: String,
    pub path: String,
    /// UUID as the send stream names it.
    pub uuid: Option<String>,
    pub parent_uuid: Option<String>,
    /// Ctransid of the snapshot when it was sent, from the stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ctransid: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_ctransid: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestChunk {
    pub key: String,
    /// Bytes.
    pub size: u64,
    pub sha256: Sha256Digest,
    #[serde(default)]
    pub etag: Option<String>,
    /// Base64, as S3 writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crc64nvme: Option<String>,
    /// Length of each part but the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part_size: Option<u64>,
    /// Form of the parts, if they are not the bytes of the stream as they are. No version writes one
    /// so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestS3 {
    pub storage_class: Option<String>,
}

/// Names the part index of a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartIndexRef {
    pub key: String,
    pub sha256: Sha256Digest,
}

/// The part index: the SHA-256 of every part of every chunk, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartIndex {
    pub version: u64,
    pub chunks: Vec<ChunkParts>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkParts {
    pub key: String,
    pub sha256: Vec<Sha256Digest>,
}

/// The pointer, `current.json`: names the newest published backup of a subvolume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pointer {
    pub manifest_key: String,
    pub kind: BackupKind,
    pub created_at: Stamp,
    /// Copy of the field of the manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// Copy of the field of the manifest, for the case that the manifest is lost.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier_origins: Vec<Origin>,
}

/// A problem of a document. The caller adds which document it is.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    #[error("expected the JSON of this document, found something else")]
    Json(#[from] serde_json::Error),
    #[error("expected a document of at most {limit} bytes, found a longer one")]
    TooLong { limit: u64 },
    #[error("expected version {VERSION}, found {found}; use a newer version of btrfs-to-s3")]
    Version { found: u64 },
    #[error(
        "`{field}`: expected no form, for parts that are the bytes of the stream, found {found:?}; \
         use a newer version of btrfs-to-s3"
    )]
    Form { field: String, found: String },
    #[error("`{field}`: {what}")]
    Field { field: String, what: String },
}

/// A chunk with everything that a restore needs to fetch and verify it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkFacts {
    pub key: Key,
    pub size: u64,
    pub sha256: Sha256Digest,
    pub crc64nvme: Option<Crc64Nvme>,
}

#[derive(Deserialize)]
struct VersionOnly {
    version: Option<u64>,
}

impl Manifest {
    /// Returns the part of a manifest that is known before the backup is made.
    pub(crate) fn planned(backup: &SnapshotName, parent_manifest: Option<String>) -> Manifest {
        Manifest {
            version: VERSION,
            subvolume: backup.subvolume.as_str().to_owned(),
            kind: backup.kind,
            created_at: backup.stamp,
            snapshot: ManifestSnapshot {
                name: backup.to_string(),
                path: String::new(),
                uuid: None,
                parent_uuid: None,
                ctransid: None,
                parent_ctransid: None,
            },
            parent_manifest,
            chunks: Vec::new(),
            total_bytes: 0,
            chunk_size: 0,
            s3: ManifestS3 { storage_class: None },
            parts: None,
            started_at: None,
            elapsed_seconds: None,
            host: None,
            tool: None,
            kernel: None,
            btrfs_progs: None,
            node_bytes: None,
            largest_xattr_bytes: None,
            stream_protocol: None,
            needs_btrfs_progs: None,
            parent_received: false,
            unplanned_full: None,
            origin: None,
            earlier_origins: Vec::new(),
        }
    }

    /// Returns the key of the part index, if there is one.
    pub fn parts_key(&self) -> Option<Result<Key, DocumentError>> {
        let parts = self.parts.as_ref()?;
        Some(key("parts.key", &parts.key))
    }

    /// Returns true if the stream names the snapshot and its parent by the same UUID: that of a
    /// subvolume that was received and then made writable.
    pub fn has_uuid_of_parent(&self) -> bool {
        let ManifestSnapshot { uuid, parent_uuid, .. } = &self.snapshot;
        uuid.is_some() && uuid == parent_uuid
    }

    /// Returns the first release of btrfs-progs that receives the stream without damage; `None` if
    /// every release does, or if nothing is known.
    pub fn needed_btrfs_progs(&self) -> Option<&str> {
        self.needs_btrfs_progs.as_deref().or_else(|| needed_btrfs_progs(self.stream_protocol?))
    }

    pub fn parse(bytes: &[u8]) -> Result<Manifest, DocumentError> {
        check_version(bytes)?;
        let manifest: Manifest = serde_json::from_slice(bytes)?;
        manifest.check()?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), DocumentError> {
        if self.chunks.is_empty() {
            return Err(field("chunks", "expected at least one, found none"));
        }
        let sum: u128 = self.chunks.iter().map(|chunk| u128::from(chunk.size)).sum();
        if sum != u128::from(self.total_bytes) {
            let what = format!("expected {sum}, the sum of the chunks, found {}", self.total_bytes);
            return Err(field("total_bytes", what));
        }
        match (self.kind, &self.parent_manifest) {
            (BackupKind::Full, None) | (BackupKind::Incremental, Some(_)) => {}
            (BackupKind::Full, Some(_)) => {
                return Err(field("parent_manifest", "a full must not have a parent"));
            }
            (BackupKind::Incremental, None) => {
                return Err(field("parent_manifest", "an incremental must have a parent"));
            }
        }
        self.parent_key()?;
        self.chunk_facts()?;
        Ok(())
    }

    /// Returns when the backup was made, as far as is known. `created_at` is part of
    /// the backup's name, which always sorts after the previous one, even if a clock
    /// went back in between.
    pub fn made_at(&self) -> Timestamp {
        let started_at = self.started_at.unwrap_or(self.created_at);
        self.created_at.min(started_at).time()
    }

    pub fn parent_key(&self) -> Result<Option<Key>, DocumentError> {
        self.parent_manifest.as_deref().map(|text| key("parent_manifest", text)).transpose()
    }

    pub fn chunk_facts(&self) -> Result<Vec<ChunkFacts>, DocumentError> {
        let facts = |(n, chunk): (usize, &ManifestChunk)| {
            if let Some(found) = &chunk.form {
                let (field, found) = (format!("chunks[{n}].form"), found.clone());
                return Err(DocumentError::Form { field, found });
            }
            if let Some(bytes) = chunk.part_size
                && !(1..=PART_BYTES_MAX).contains(&bytes)
            {
                let what = format!("expected 1 to {PART_BYTES_MAX}, found {bytes}");
                return Err(field(&format!("chunks[{n}].part_size"), what));
            }
            let crc64nvme = chunk.crc64nvme.as_deref().map(Crc64Nvme::parse).transpose();
            Ok(ChunkFacts {
                key: key(&format!("chunks[{n}].key"), &chunk.key)?,
                size: chunk.size,
                sha256: chunk.sha256,
                crc64nvme: crc64nvme
                    .map_err(|err| field(&format!("chunks[{n}].crc64nvme"), err))?,
            })
        };
        self.chunks.iter().enumerate().map(facts).collect()
    }
}

impl PartIndex {
    /// Parses a part index and checks that it belongs to this manifest.
    pub fn parse(bytes: &[u8], manifest: &Manifest) -> Result<PartIndex, DocumentError> {
        check_version(bytes)?;
        let parts: PartIndex = serde_json::from_slice(bytes)?;
        if parts.chunks.len() != manifest.chunks.len() {
            let what = format!("expected {}, found {}", manifest.chunks.len(), parts.chunks.len());
            return Err(field("chunks", what));
        }
        for (n, (parts, chunk)) in parts.chunks.iter().zip(&manifest.chunks).enumerate() {
            let part_bytes = chunk.part_size.unwrap_or_default().max(1);
            let count = chunk.size.div_ceil(part_bytes).max(1);
            if parts.key != chunk.key {
                let what = format!("expected {:?}, found {:?}", chunk.key, parts.key);
                return Err(field(&format!("chunks[{n}].key"), what));
            }
            if parts.sha256.len() as u64 != count {
                let what = format!("expected {count} parts, found {}", parts.sha256.len());
                return Err(field(&format!("chunks[{n}].sha256"), what));
            }
        }
        Ok(parts)
    }
}

impl Pointer {
    pub fn parse(bytes: &[u8]) -> Result<Pointer, DocumentError> {
        let pointer: Pointer = serde_json::from_slice(bytes)?;
        pointer.key()?;
        Ok(pointer)
    }

    pub fn key(&self) -> Result<Key, DocumentError> {
        key("manifest_key", &self.manifest_key)
    }
}

/// Returns the first release of btrfs-progs whose `btrfs receive` handles a protocol; `None` if
/// every release does.
pub fn needed_btrfs_progs(protocol: u32) -> Option<&'static str> {
    (protocol >= 2).then_some(PROTOCOL_2_FROM)
}

/// Formats a document as it is stored: indented, so that people can read it.
pub fn to_json(document: &impl Serialize) -> Vec<u8> {
    let mut json = serde_json::to_vec_pretty(document).expect("plain data is always JSON");
    json.push(b'\n');
    json
}

fn check_version(bytes: &[u8]) -> Result<(), DocumentError> {
    match serde_json::from_slice(bytes)? {
        VersionOnly { version: Some(VERSION) } => Ok(()),
        VersionOnly { version: Some(found) } => Err(DocumentError::Version { found }),
        VersionOnly { version: None } => Err(field("version", "is missing")),
    }
}

fn key(name: &str, text: &str) -> Result<Key, DocumentError> {
    Key::parse(text).map_err(|err| field(name, err))
}

fn field(field: &str, what: impl std::fmt::Display) -> DocumentError {
    DocumentError::Field { field: field.to_owned(), what: what.to_string() }
}

#[cfg(test)]
mod format_page;
#[cfg(test)]
mod tests;
