//! Publishes a backup: writes part index, manifest and pointer, in this order.
//!
//! The chunks are in the bucket already. Until the pointer is written, a reader sees
//! the backup before this one. The pointer replaces only the version that was read when
//! this backup was planned. If the server ignores conditional writes, the pointer is
//! read again right before.

use std::time::Duration;

use btrfs_sendstream::StreamSummary;
use s3up_core::{Key, Sha256Digest};
use s3up_store::{Chunk, ObjectFacts, Overwrite, UploadError, is_etag_reported};
use serde::Serialize;

use crate::documents::{Bucket, is_conflict, is_refusal};
use crate::layout::Layout;
use crate::manifest::{
    ChunkParts, MANIFEST_BYTES_MAX, Manifest, ManifestChunk, ManifestS3, ManifestSnapshot,
    PART_INDEX_BYTES_MAX, PartIndex, PartIndexRef, Pointer, VERSION, needed_btrfs_progs, to_json,
};
use crate::names::SnapshotName;
use crate::origin::Lineage;
use crate::stamp::Stamp;

/// The facts of a manifest besides its chunks.
pub struct StreamDescription<'a> {
    pub backup: &'a SnapshotName,
    pub snapshot_path: String,
    pub parent_manifest: Option<&'a Key>,
    pub parent_received: bool,
    pub facts: &'a StreamSummary,
    /// Size of the metadata blocks of the filesystem that was sent, if it is known.
    pub node_bytes: Option<u64>,
    pub chunk_bytes: u64,
    pub storage_class: &'a str,
    pub started_at: Stamp,
    pub elapsed: Duration,
    pub host: &'a Host,
    pub lineage: &'a Lineage,
    /// The reason for a full that the schedule did not ask for.
    pub unplanned_full: Option<String>,
}

/// The host that made the backup.
#[derive(Clone, Debug)]
pub struct Host {
    pub name: String,
    pub kernel: String,
    pub btrfs_progs: String,
}

#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    #[error(transparent)]
    Upload(UploadError),
    #[error(
        "write the {what}: expected at most {limit} bytes, found {bytes}; use longer chunks or parts"
    )]
    TooLong { what: &'static str, bytes: u64, limit: u64 },
    #[error(
        "pointer {key}: another host or run has published since this backup was planned; \
         give each host its own prefix"
    )]
    Conflict { key: Key, source: Option<UploadError> },
    /// The pointer may have been written all the same.
    #[error("pointer {key}: S3 did not say whether it was written; the next run finds out")]
    Unknown { key: Key, source: UploadError },
}

/// Returns manifest and part index of a backup.
pub fn documents(
    layout: &Layout,
    described: &StreamDescription<'_>,
    chunks: &[Chunk],
) -> (Manifest, PartIndex) {
    let StreamDescription { backup, facts, .. } = described;
    let parts = PartIndex { version: VERSION, chunks: chunks.iter().map(chunk_parts).collect() };
    let parts_key = layout.parts(backup).as_str().to_owned();
    let snapshot = ManifestSnapshot {
        name: backup.to_string(),
        path: described.snapshot_path.clone(),
        uuid: Some(facts.snapshot.uuid.to_string()),
        parent_uuid: facts.snapshot.parent.map(|parent| parent.uuid.to_string()),
        ctransid: Some(facts.snapshot.ctransid),
        parent_ctransid: facts.snapshot.parent.map(|parent| parent.ctransid),
    };
    let manifest = Manifest {
        version: VERSION,
        subvolume: backup.subvolume.as_str().to_owned(),
        kind: backup.kind,
        created_at: backup.stamp,
        snapshot,
        parent_manifest: described.parent_manifest.map(|key| key.as_str().to_owned()),
        chunks: chunks.iter().map(chunk_record).collect(),
        total_bytes: facts.total_bytes,
        chunk_size: described.chunk_bytes,
        s3: ManifestS3 { storage_class: Some(described.storage_class.to_owned()) },
        parts: Some(PartIndexRef { key: parts_key, sha256: Sha256Digest::of(&to_json(&parts)) }),
        started_at: Some(described.started_at),
        elapsed_seconds: Some((described.elapsed.as_secs_f64() * 1000.0).round() / 1000.0),
        host: Some(described.host.name.clone()),
        tool: Some(concat!("btrfs-to-s3 ", env!("CARGO_PKG_VERSION")).to_owned()),
        kernel: Some(described.host.kernel.clone()),
        btrfs_progs: Some(described.host.btrfs_progs.clone()),
        node_bytes: described.node_bytes,
        largest_xattr_bytes: facts.unreceivable.xattr.as_ref().map(|largest| largest.bytes),
        stream_protocol: Some(facts.protocol.version()),
        needs_btrfs_progs: needed_btrfs_progs(facts.protocol.version()).map(str::to_owned),
        parent_received: described.parent_received,
        unplanned_full: described.unplanned_full.clone(),
        origin: Some(described.lineage.origin.clone()),
        earlier_origins: described.lineage.earlier.clone(),
    };
    (manifest, parts)
}

fn chunk_record(chunk: &Chunk) -> ManifestChunk {
    let facts = &chunk.stored.facts;
    ManifestChunk {
        key: chunk.key.as_str().to_owned(),
        size: facts.len,
        sha256: facts.sha256,
        etag: Some(chunk.stored.etag.clone()).filter(|etag| is_etag_reported(etag)),
        crc64nvme: Some(facts.crc64nvme.to_string()),
        part_size: Some(chunk.part_bytes),
        form: None,
    }
}

fn chunk_parts(chunk: &Chunk) -> ChunkParts {
    ChunkParts { key: chunk.key.as_str().to_owned(), sha256: chunk.part_sha256.clone() }
}

/// Says if documents of this backup may exist already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Documents {
    New,
    /// Documents of the same run are replaced.
    BegunBefore,
}

/// Writes part index and manifest; no pointer leads to them yet.
pub async fn write_documents(
    bucket: &Bucket,
    layout: &Layout,
    backup: &SnapshotName,
    (manifest, parts): &(Manifest, PartIndex),
    documents: Documents,
) -> Result<(), PublishError> {
    check_length("manifest", manifest, MANIFEST_BYTES_MAX)?;
    check_length("part index", parts, PART_INDEX_BYTES_MAX)?;
    let key = layout.parts(backup);
    let overwrite = overwrite(bucket, &key, documents).await?;
    bucket.write(&key, parts, overwrite).await.map_err(PublishError::Upload)?;
    let key = layout.manifest(backup);
    let overwrite = self::overwrite(bucket, &key, documents).await?;
    bucket.write(&key, manifest, overwrite).await.map_err(PublishError::Upload)?;
    Ok(())
}

async fn overwrite(
    bucket: &Bucket,
    key: &Key,
    documents: Documents,
) -> Result<Overwrite, PublishError> {
    if documents == Documents::New {
        return Ok(Overwrite::Never);
    }
    let found = bucket.store.head(key, None, bucket.retry_for).await;
    let found = found.map_err(|err| PublishError::Upload(err.into()))?;
    let is_ours = |found: &ObjectFacts| {
        bucket.metadata.iter().all(|(name, value)| found.metadata.get(name) == Some(value))
    };
    Ok(match found.filter(is_ours) {
        Some(found) => Overwrite::Only { etag: found.etag },
        None => Overwrite::Never,
    })
}

/// Writes the pointer over the version with `pointer_etag`.
pub async fn point(
    bucket: &Bucket,
    layout: &Layout,
    (backup, lineage): (&SnapshotName, &Lineage),
    pointer_etag: Option<&str>,
) -> Result<(), PublishError> {
    let pointer = Pointer {
        manifest_key: layout.manifest(backup).as_str().to_owned(),
        kind: backup.kind,
        created_at: backup.stamp,
        origin: Some(lineage.origin.clone()),
        earlier_origins: lineage.earlier.clone(),
    };
    let overwrite = match pointer_etag {
        None => Overwrite::Never,
        Some(etag) => Overwrite::Only { etag: etag.to_owned() },
    };
    let key = layout.pointer(&backup.subvolume);
    if !bucket.store.conditions().put_if_match.is_enforced() {
        check_unchanged(bucket, &key, pointer_etag).await?;
    }
    match bucket.write(&key, &pointer, overwrite).await {
        Ok(_) => Ok(()),
        Err(source) if is_conflict(&source) => {
            Err(PublishError::Conflict { key, source: Some(source) })
        }
        Err(source) if is_refusal(&source) => Err(PublishError::Upload(source)),
        Err(source) => Err(PublishError::Unknown { key, source }),
    }
}

/// Refuses to replace a pointer that has changed. A server that ignores conditions
/// would otherwise drop what another host published in the last hours. The moment
/// between the two calls remains.
async fn check_unchanged(
    bucket: &Bucket,
    key: &Key,
    etag: Option<&str>,
) -> Result<(), PublishError> {
    let found = bucket.store.head(key, None, bucket.retry_for).await;
    let found = found.map_err(|err| PublishError::Upload(err.into()))?;
    match found.as_ref().map(|found| found.etag.as_str()) == etag {
        true => Ok(()),
        false => Err(PublishError::Conflict { key: key.clone(), source: None }),
    }
}

/// Refuses a document that no reader would accept.
fn check_length(
    what: &'static str,
    document: &impl Serialize,
    limit: u64,
) -> Result<(), PublishError> {
    let bytes = to_json(document).len() as u64;
    if bytes > limit { Err(PublishError::TooLong { what, bytes, limit }) } else { Ok(()) }
}
