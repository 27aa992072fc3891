//! Reads a backup to its last byte: checks every part against its SHA-256, and the
//! whole as a send stream.

use std::time::SystemTime;

use btrfs_sendstream::Verifier;
use s3up_core::progress::ProgressSink;
use s3up_core::{Key, error_chain};
use s3up_store::{ArchiveState, StoreErrorKind};

use crate::chain::ChainEntry;
use crate::documents::Bucket;
use crate::fetch::{FetchError, FetchPlan};

/// Bytes are checked in slices that take far under a millisecond.
const SLICE_BYTES: usize = 256 << 10;
const ASKED_AT_ONCE: usize = 16;

/// Result of reading a backup.
#[derive(Debug, Default)]
pub struct Read {
    pub bytes: u64,
    /// Chunks that must be thawed first. If there are any, nothing of the backup is
    /// read.
    pub archived: Vec<Key>,
    /// Difference between the content and what was sent.
    pub damage: Option<String>,
}

/// The backup could not be read, which says nothing about its content.
#[derive(Debug, thiserror::Error)]
#[error("read the backup {manifest}")]
pub struct Unread {
    manifest: Key,
    source: FetchError,
}

pub async fn read(
    bucket: &Bucket,
    entry: &ChainEntry,
    concurrency: usize,
    now: SystemTime,
    progress: &ProgressSink,
) -> Result<Read, Unread> {
    let outcome = read_or_fail(bucket, entry, concurrency, now, progress).await;
    match outcome {
        Ok(read) => Ok(read),
        Err(err) if is_damage(&err) => {
            Ok(Read { damage: Some(error_chain(&err)), ..Read::default() })
        }
        Err(source) => Err(Unread { manifest: entry.key.clone(), source }),
    }
}

async fn read_or_fail(
    bucket: &Bucket,
    entry: &ChainEntry,
    concurrency: usize,
    now: SystemTime,
    progress: &ProgressSink,
) -> Result<Read, FetchError> {
    let document = |source| FetchError::Document { key: entry.key.clone(), source };
    let chunks = entry.manifest.chunk_facts().map_err(document)?;
    let keys: Vec<Key> = chunks.into_iter().map(|chunk| chunk.key).collect();
    let states = bucket.store.archive_states(&keys, ASKED_AT_ONCE, bucket.retry_for, now).await?;
    let is_archived = |key: &Key| {
        matches!(states.get(key), Some(ArchiveState::Archived | ArchiveState::InProgress))
    };
    let archived: Vec<_> = keys.into_iter().filter(is_archived).collect();
    if !archived.is_empty() {
        return Ok(Read { archived, ..Read::default() });
    }
    let fetch_plan =
        FetchPlan::check_entries(bucket, std::slice::from_ref(entry), concurrency).await?;
    Ok(Read { bytes: prove(&fetch_plan, progress).await?, ..Read::default() })
}

/// Reads and checks everything, like a restore without `btrfs receive`.
async fn prove(fetch_plan: &FetchPlan<'_>, progress: &ProgressSink) -> Result<u64, FetchError> {
    let mut bytes_read = 0;
    for planned in &fetch_plan.entries {
        let manifest = || planned.entry.key.clone();
        let total = planned.entry.manifest.total_bytes;
        let progress = progress.bytes(&format!("read {}", planned.entry.key), Some(total));
        let mut verifier = Verifier::new();
        for (n, (chunk, _)) in planned.chunks.iter().enumerate() {
            let mut download = fetch_plan.download(planned, n);
            let fetch = |source| FetchError::Download { manifest: manifest(), source };
            while let Some(bytes) = download.next().await.map_err(fetch)? {
                for slice in bytes.chunks(SLICE_BYTES) {
                    verifier.feed(slice).map_err(|source| FetchError::Stream {
                        manifest: manifest(),
                        chunk: chunk.key.clone(),
                        source,
                    })?;
                    tokio::task::yield_now().await;
                }
                bytes_read += bytes.len() as u64;
                progress.inc(bytes.len() as u64);
            }
        }
        let truncated = |source| FetchError::Truncated { manifest: manifest(), source };
        verifier.finish().map_err(truncated)?;
    }
    Ok(bytes_read)
}

/// True if the error shows damage, and not only that reading failed.
fn is_damage(err: &FetchError) -> bool {
    match (err, err.of_store()) {
        // The request for its facts failed, so nothing was read.
        (FetchError::Store(_), _) => false,
        (_, Some(err)) => err.kind == StoreErrorKind::Corrupt,
        (_, None) => true,
    }
}
