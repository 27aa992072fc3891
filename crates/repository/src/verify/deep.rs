//! Reads a backup to its last byte: checks every part against its SHA-256, and the
//! whole as a send stream.

use std::time::SystemTime;

use btrfs_sendstream::{CommandBatch, Verifier};
use s3up_core::progress::ProgressSink;
use s3up_core::{Key, error_chain};
use s3up_store::StoreErrorKind;
use tokio::sync::mpsc;

use crate::chain::ChainEntry;
use crate::documents::Bucket;
use crate::fetch::{FetchError, FetchPlan, archived_chunks};
use crate::verify::index_check::IndexCheck;

/// Bytes are checked in slices that take far under a millisecond.
const SLICE_BYTES: usize = 256 << 10;

/// Result of reading a backup.
#[derive(Debug, Default)]
pub struct Read {
    pub bytes: u64,
    /// Chunks that must be thawed first. If there are any, nothing of the backup is
    /// read.
    pub archived: Vec<Key>,
    /// Difference between the content and what was sent.
    pub damage: Option<String>,
    /// Difference between the index and the stream.
    pub index: Option<String>,
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
    let archived = archived_chunks(bucket, entry, now).await?;
    if !archived.is_empty() {
        return Ok(Read { archived, ..Read::default() });
    }
    let fetch_plan =
        FetchPlan::check_entries(bucket, std::slice::from_ref(entry), concurrency).await?;
    let (check, commands) = IndexCheck::start(bucket, entry).await?;
    let bytes = prove(&fetch_plan, progress, commands).await?;
    Ok(Read { bytes, index: check.finish(entry).await?, ..Read::default() })
}

/// Reads and checks everything, like a restore without `btrfs receive`. The verified commands go to
/// `commands` as well.
async fn prove(
    fetch_plan: &FetchPlan<'_>,
    progress: &ProgressSink,
    commands: Option<mpsc::Sender<CommandBatch>>,
) -> Result<u64, FetchError> {
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
                    let mut batch = CommandBatch::default();
                    let fed = match &commands {
                        Some(_) => verifier.feed_to(slice, |command| batch.push(&command)),
                        None => verifier.feed(slice),
                    };
                    fed.map_err(|source| FetchError::Stream {
                        manifest: manifest(),
                        chunk: chunk.key.clone(),
                        source,
                    })?;
                    if let Some(commands) = commands.as_ref().filter(|_| !batch.is_empty()) {
                        // A builder that has failed says so at the end.
                        commands.send(batch).await.ok();
                    }
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

/// Returns true if the error shows damage, and not only that reading failed.
fn is_damage(err: &FetchError) -> bool {
    match (err, err.of_store()) {
        // The request for its facts failed, so nothing was read.
        (FetchError::Store(_), _) => false,
        (_, Some(err)) => err.kind == StoreErrorKind::Corrupt,
        (_, None) => true,
    }
}
