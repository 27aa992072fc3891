//! Plans the downloads of a restore: every chunk of every backup, checked beforehand.

pub mod parts;

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use btrfs_sendstream::StreamError;
use s3up_core::part::MIB;
use s3up_core::{Crc64Nvme, Key, Sha256Digest};
use s3up_store::{
    ArchiveState, Download, DownloadSequence, Get, ObjectFacts, Store, StoreError, StoreErrorKind,
};

use crate::chain::{Chain, ChainEntry};
use crate::documents::{Bucket, BucketError};
use crate::manifest::{ChunkFacts, DocumentError, ManifestChunk, PartIndex};

/// Number of concurrent requests for the state of chunks.
const ASKED_AT_ONCE: usize = 16;
/// Length of the ranges to download if a manifest does not name its part size.
const RANGE_BYTES: u64 = 8 * MIB;
/// Maximum size of all buffers. If parts are long, fewer are downloaded at the same time.
const BUFFERS_BYTES_MAX: u64 = 1 << 30;
/// Minimum size of all buffers.
const BUFFERS_BYTES_MIN: u64 = 16 * MIB;

#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("read manifest {key}")]
    Document { key: Key, source: DocumentError },
    #[error("chunk {chunk} of {manifest} is missing in the bucket")]
    ChunkMissing { chunk: Key, manifest: Key },
    #[error("chunk {chunk} of {manifest}: expected {expected} bytes, found {found}")]
    ChunkSize { chunk: Key, manifest: Key, expected: u64, found: u64 },
    #[error("chunk {chunk} of {manifest}: expected CRC64NVME {expected}, found {found}")]
    ChunkChecksum { chunk: Key, manifest: Key, expected: Crc64Nvme, found: Crc64Nvme },
    #[error("download a chunk of {manifest}")]
    Download { manifest: Key, source: StoreError },
    #[error("chunk {chunk} of {manifest} is not part of the stream that was sent")]
    Stream { manifest: Key, chunk: Key, source: StreamError },
    #[error("the chunks of {manifest} are not a complete stream")]
    Truncated { manifest: Key, source: StreamError },
    #[error(transparent)]
    Bucket(#[from] BucketError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl FetchError {
    /// Returns the error of the store, if it is one.
    pub fn of_store(&self) -> Option<&StoreError> {
        match self {
            FetchError::Download { source, .. }
            | FetchError::Bucket(BucketError::Store(source))
            | FetchError::Store(source) => Some(source),
            FetchError::Document { .. }
            | FetchError::ChunkMissing { .. }
            | FetchError::ChunkSize { .. }
            | FetchError::ChunkChecksum { .. }
            | FetchError::Stream { .. }
            | FetchError::Truncated { .. }
            | FetchError::Bucket(_) => None,
        }
    }
}

/// The entries of a chain, from its full on, and the buffers to download them with.
pub struct FetchPlan<'c> {
    pub entries: Vec<FetchEntry<'c>>,
    store: Store,
    retry_for: Duration,
    concurrency: usize,
}

/// The treatment of a part index that is archived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PartIndexes {
    Needed,
    IfReadable,
}

/// A chain entry with everything that is needed to download it.
pub struct FetchEntry<'c> {
    pub entry: &'c ChainEntry,
    /// The digests of the parts of each chunk; `None` if there is no part index.
    part_sha256: Option<Vec<Arc<[Sha256Digest]>>>,
    pub chunks: Vec<(ChunkFacts, ObjectFacts)>,
}

impl<'c> FetchEntry<'c> {
    async fn check(
        bucket: &Bucket,
        entry: &'c ChainEntry,
        indexes: PartIndexes,
    ) -> Result<FetchEntry<'c>, FetchError> {
        let document = |source| FetchError::Document { key: entry.key.clone(), source };
        let part_sha256 = part_digests(bucket, entry, indexes).await?;
        let mut chunks = Vec::new();
        for chunk in entry.manifest.chunk_facts().map_err(document)? {
            let object = check_chunk(bucket, entry, &chunk).await?;
            chunks.push((chunk, object));
        }
        Ok(FetchEntry { entry, part_sha256, chunks })
    }

    /// Returns the length of the parts of chunk `n`.
    fn part_bytes(&self, n: usize) -> u64 {
        part_bytes(&self.entry.manifest.chunks[n])
    }
}

/// Returns the length of the ranges to download a chunk in: those of its parts.
fn part_bytes(chunk: &ManifestChunk) -> u64 {
    chunk.part_size.unwrap_or(RANGE_BYTES).min(chunk.size).max(1)
}

impl<'c> FetchPlan<'c> {
    /// Checks every chunk of a chain, before any is downloaded.
    pub async fn check(
        bucket: &Bucket,
        chain: &'c Chain,
        concurrency: usize,
    ) -> Result<FetchPlan<'c>, FetchError> {
        FetchPlan::check_entries(bucket, chain.entries(), concurrency).await
    }

    /// Checks the chain like [`FetchPlan::check`], and tolerates archived part indexes. It serves to
    /// describe a restore: downloads by it would be verified less closely.
    pub async fn survey(
        bucket: &Bucket,
        chain: &'c Chain,
        concurrency: usize,
    ) -> Result<FetchPlan<'c>, FetchError> {
        FetchPlan::read(bucket, chain.entries(), concurrency, PartIndexes::IfReadable).await
    }

    /// Does the same as [`FetchPlan::check`] for entries that need not be a whole chain.
    pub async fn check_entries(
        bucket: &Bucket,
        wanted: &'c [ChainEntry],
        concurrency: usize,
    ) -> Result<FetchPlan<'c>, FetchError> {
        FetchPlan::read(bucket, wanted, concurrency, PartIndexes::Needed).await
    }

    async fn read(
        bucket: &Bucket,
        wanted: &'c [ChainEntry],
        concurrency: usize,
        indexes: PartIndexes,
    ) -> Result<FetchPlan<'c>, FetchError> {
        let mut entries = Vec::new();
        for entry in wanted {
            entries.push(FetchEntry::check(bucket, entry, indexes).await?);
        }
        let lengths =
            entries.iter().flat_map(|entry| (0..entry.chunks.len()).map(|n| entry.part_bytes(n)));
        let buffers = buffers_bytes(lengths.max(), concurrency);
        let store = bucket.store.with_buffer_budget(buffers);
        Ok(FetchPlan { entries, store, retry_for: bucket.retry_for, concurrency })
    }

    /// Returns the length of all streams.
    pub fn total_bytes(&self) -> u64 {
        let each = self.entries.iter().map(|planned| planned.entry.manifest.total_bytes);
        each.fold(0, u64::saturating_add)
    }

    /// Downloads all chunks of the entries from number `from` on, one after the other. Every
    /// part is verified before it is returned.
    pub fn sequence(&self, from: usize) -> DownloadSequence {
        let gets = self
            .entries
            .iter()
            .skip(from)
            .flat_map(|planned| (0..planned.chunks.len()).map(move |n| self.get(planned, n)));
        self.store.download_sequence(gets.collect())
    }

    /// Returns the chunk that is object number `object` of that sequence.
    pub fn chunk_of_object(&self, from: usize, object: usize) -> Option<&Key> {
        let mut chunks = self.entries.iter().skip(from).flat_map(|planned| &planned.chunks);
        chunks.nth(object).map(|(chunk, _)| &chunk.key)
    }

    /// Downloads chunk `n` of an entry. Every part is verified before it is returned.
    pub fn download(&self, planned: &FetchEntry<'_>, n: usize) -> Download {
        self.store.download(self.get(planned, n))
    }

    fn get(&self, planned: &FetchEntry<'_>, n: usize) -> Get {
        let (chunk, object) = &planned.chunks[n];
        let part_sha256 = planned.part_sha256.as_ref().map(|chunks| Arc::clone(&chunks[n]));
        let wanted =
            WantedRange { range: 0..chunk.size, part_bytes: planned.part_bytes(n), part_sha256 };
        get(chunk, object, wanted, self.concurrency, self.retry_for)
    }
}

/// Parts of a chunk that are downloaded one after the other.
struct WantedRange {
    range: Range<u64>,
    part_bytes: u64,
    /// Their digests; `None` if only that of the whole chunk is known.
    part_sha256: Option<Arc<[Sha256Digest]>>,
}

/// Returns the request for parts of a chunk. Each is verified before it is returned; without digests
/// of the parts, the last range is returned only after the whole chunk agreed with its own.
fn get(
    chunk: &ChunkFacts,
    object: &ObjectFacts,
    wanted: WantedRange,
    concurrency: usize,
    retry_for: Duration,
) -> Get {
    let WantedRange { range, part_bytes, part_sha256 } = wanted;
    let facts = match part_sha256 {
        Some(_) => object.clone(),
        None => ObjectFacts { sha256: Some(chunk.sha256), crc64nvme: None, ..object.clone() },
    };
    Get {
        key: chunk.key.clone(),
        range,
        facts,
        part_bytes,
        part_sha256,
        in_flight: in_flight(concurrency, part_bytes),
        retry_for,
        buffer_wait: None,
        share: None,
    }
}

/// Returns the digests of the parts of each chunk, if there is a part index.
async fn part_digests(
    bucket: &Bucket,
    entry: &ChainEntry,
    indexes: PartIndexes,
) -> Result<Option<Vec<Arc<[Sha256Digest]>>>, FetchError> {
    let parts = match bucket.parts(entry).await {
        Err(BucketError::Store(err))
            if err.kind == StoreErrorKind::Archived && indexes == PartIndexes::IfReadable =>
        {
            None
        }
        parts => parts?,
    };
    let of_chunks = |parts: PartIndex| parts.chunks.into_iter().map(|chunk| chunk.sha256.into());
    Ok(parts.map(|parts| of_chunks(parts).collect()))
}

/// Returns the chunks of a backup that must be thawed before they can be read.
pub async fn archived_chunks(
    bucket: &Bucket,
    entry: &ChainEntry,
    now: SystemTime,
) -> Result<Vec<Key>, FetchError> {
    let document = |source| FetchError::Document { key: entry.key.clone(), source };
    let chunks = entry.manifest.chunk_facts().map_err(document)?;
    let keys: Vec<Key> = chunks.into_iter().map(|chunk| chunk.key).collect();
    let states = bucket.store.archive_states(&keys, ASKED_AT_ONCE, bucket.retry_for, now).await?;
    let is_archived = |key: &Key| {
        matches!(states.get(key), Some(ArchiveState::Archived | ArchiveState::InProgress))
    };
    Ok(keys.into_iter().filter(is_archived).collect())
}

/// Checks that a chunk exists and has the length and checksum of its manifest.
async fn check_chunk(
    bucket: &Bucket,
    entry: &ChainEntry,
    chunk: &ChunkFacts,
) -> Result<ObjectFacts, FetchError> {
    let names = || (chunk.key.clone(), entry.key.clone());
    let Some(object) = bucket.store.head(&chunk.key, None, bucket.retry_for).await? else {
        let (chunk, manifest) = names();
        return Err(FetchError::ChunkMissing { chunk, manifest });
    };
    if object.size != chunk.size {
        let ((key, manifest), expected, found) = (names(), chunk.size, object.size);
        return Err(FetchError::ChunkSize { chunk: key, manifest, expected, found });
    }
    match (chunk.crc64nvme, object.crc64nvme) {
        (Some(expected), Some(found)) if expected != found => {
            let (chunk, manifest) = names();
            Err(FetchError::ChunkChecksum { chunk, manifest, expected, found })
        }
        (Some(_) | None, _) => Ok(object),
    }
}

/// Returns the size of the buffers for parts of which this is the longest.
fn buffers_bytes(longest: Option<u64>, concurrency: usize) -> u64 {
    let part_bytes = longest.unwrap_or(RANGE_BYTES);
    let buffers = in_flight(concurrency, part_bytes) as u64 + 1;
    part_bytes.saturating_mul(buffers).max(BUFFERS_BYTES_MIN)
}

/// Returns `concurrency`, or less if the buffers would exceed the limit.
fn in_flight(concurrency: usize, part_bytes: u64) -> usize {
    let fit = usize::try_from(BUFFERS_BYTES_MAX / part_bytes).unwrap_or(usize::MAX);
    concurrency.min(fit).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_parts_are_fetched_fewer_at_once() {
        let gib = 1 << 30;
        for (concurrency, part_bytes, want) in
            [(4, 32 * MIB, 4), (4, gib, 1), (4, 5 * gib, 1), (64, 32 * MIB, 32), (1, 1, 1)]
        {
            assert_eq!(in_flight(concurrency, part_bytes), want, "{concurrency} {part_bytes}");
        }
    }
}
