//! The index of the stream of a backup, beside its manifest.
//!
//! An index is derived from the stream. So a backup without one, or with one that cannot be read,
//! is as good as any other, and [`IndexBuild`] makes it. It is found by its key; its directory
//! names the stream that it describes, and its blocks are verified one by one.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, SystemTime};

use btrfs_sendstream::{CommandBatch, Verifier};
use btrfs_stream_index::{BuildError, IndexBuilder, IndexFacts, ReadAt, Table, TableError};
use futures::{StreamExt, TryStreamExt, stream};
use s3up_core::part::MIB;
use s3up_core::progress::ProgressSink;
use s3up_core::{Count, Key};
use s3up_store::{Get, Length, ObjectFacts, Overwrite, Put, Store, StoreError, UploadError};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle};

use crate::chain::ChainEntry;
use crate::documents::Bucket;
use crate::fetch::{FetchError, FetchPlan, archived_chunks};
use crate::layout::index_key;

/// Length of the parts of an index, in both directions.
const PART_BYTES: u64 = 8 * MIB;
/// Bytes are verified in slices that take far under a millisecond.
const SLICE_BYTES: usize = 256 << 10;
/// Number of indexes that are opened at the same time.
const OPENED_AT_ONCE: usize = 16;
/// Number of batches of commands that may wait for the builder.
const BATCHES_MAX: usize = 16;

#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    #[error(transparent)]
    Table(#[from] TableError),
    #[error(
        "the index {key} belongs to another stream than that of the manifest; build it again with \
         `index --build`"
    )]
    OtherStream { key: Key },
    #[error("build the index of {manifest}")]
    Build { manifest: Key, source: BuildError },
    #[error(
        "build the index of {manifest}: expected readable chunks, found {} archived; thaw them \
         with `thaw` first", Count::of(*count, "chunk")
    )]
    Archived { manifest: Key, count: usize },
    #[error("build the index of {manifest}: its thread ended early; this is a bug, report it")]
    Stopped { manifest: Key },
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Upload(#[from] UploadError),
}

/// An object of which ranges are read, from a thread that may wait.
struct ObjectReader {
    handle: Handle,
    store: Store,
    key: Key,
    facts: ObjectFacts,
    retry_for: Duration,
}

impl ReadAt for ObjectReader {
    fn bytes(&self) -> u64 {
        self.facts.size
    }

    fn read_at(&self, range: Range<u64>) -> io::Result<Vec<u8>> {
        let mut download = self.store.download(Get {
            key: self.key.clone(),
            facts: self.facts.clone(),
            range,
            part_bytes: PART_BYTES,
            part_sha256: None,
            in_flight: 1,
            retry_for: self.retry_for,
            buffer_wait: None,
            share: None,
        });
        self.handle.block_on(async {
            let mut bytes = Vec::new();
            while let Some(next) = download.next().await.map_err(io::Error::other)? {
                bytes.extend_from_slice(&next);
            }
            Ok(bytes)
        })
    }
}

/// Opens the index of a backup. `None` means that it has none. Reading from it waits for S3, so
/// that must happen on a thread that may.
pub async fn open(bucket: &Bucket, entry: &ChainEntry) -> Result<Option<Table>, IndexError> {
    let key = index_key(&entry.key);
    let Some(facts) = bucket.store.head(&key, None, bucket.retry_for).await? else {
        return Ok(None);
    };
    let reader = ObjectReader {
        handle: Handle::current(),
        store: bucket.store.clone(),
        key: key.clone(),
        facts,
        retry_for: bucket.retry_for,
    };
    let name = key.as_str().to_owned();
    let opened = tokio::task::spawn_blocking(|| Table::open(name, Box::new(reader), None)).await;
    let table = opened.unwrap_or_else(|err| Err(ended_early(&key, err)))?;
    match describes(&table, entry) {
        true => Ok(Some(table)),
        false => Err(IndexError::OtherStream { key }),
    }
}

/// Opens the indexes of backups as [`open`] does, several at a time.
pub async fn open_all(
    bucket: &Bucket,
    entries: &[ChainEntry],
) -> Result<Vec<Option<Table>>, IndexError> {
    let opening = stream::iter(entries).map(|entry| open(bucket, entry));
    opening.buffered(OPENED_AT_ONCE).try_collect().await
}

/// Opens the index of a backup as [`open`] does, and verifies each of its blocks.
pub async fn open_verified(
    bucket: &Bucket,
    entry: &ChainEntry,
) -> Result<Option<Table>, IndexError> {
    let Some(table) = open(bucket, entry).await? else { return Ok(None) };
    let verified = tokio::task::spawn_blocking(move || {
        table.scan::<TableError>(b"", |_, _| Ok(true))?;
        Ok(table)
    });
    let key = index_key(&entry.key);
    let table: Table = verified.await.unwrap_or_else(|err| Err(ended_early(&key, err)))?;
    Ok(Some(table))
}

fn ended_early(key: &Key, err: JoinError) -> TableError {
    TableError::Unreadable { name: key.as_str().to_owned(), source: io::Error::other(err) }
}

impl IndexError {
    /// Returns true if the index was read and has to be built again. One that could not be read, or
    /// that a newer version wrote, must not be replaced.
    pub fn is_damage(&self) -> bool {
        match self {
            IndexError::Table(err) => err.is_damage(),
            IndexError::OtherStream { .. } => true,
            IndexError::Build { .. }
            | IndexError::Archived { .. }
            | IndexError::Stopped { .. }
            | IndexError::Fetch(_)
            | IndexError::Store(_)
            | IndexError::Upload(_) => false,
        }
    }
}

/// Returns true if an index describes the stream of a backup, as far as its manifest tells.
fn describes(table: &Table, entry: &ChainEntry) -> bool {
    let (stream, manifest) = (table.stream(), &entry.manifest);
    let snapshot = &manifest.snapshot;
    let uuid = btrfs_sendstream::Uuid(stream.uuid).to_string();
    stream.bytes == manifest.total_bytes
        && stream.is_incremental == manifest.parent_manifest.is_some()
        && snapshot.uuid.as_ref().is_none_or(|known| *known == uuid)
        && snapshot.ctransid.is_none_or(|known| known == stream.ctransid)
}

/// Builds the index of a backup from its chunks.
pub struct IndexBuild<'a> {
    pub bucket: &'a Bucket,
    /// Directory of temporary files.
    pub directory: &'a Path,
    pub concurrency: usize,
    pub progress: &'a ProgressSink,
}

impl IndexBuild<'_> {
    /// Reads the stream once, verifies it, and stores its index.
    pub async fn run(&self, entry: &ChainEntry, now: SystemTime) -> Result<IndexFacts, IndexError> {
        let archived = archived_chunks(self.bucket, entry, now).await?;
        if !archived.is_empty() {
            let (manifest, count) = (entry.key.clone(), archived.len());
            return Err(IndexError::Archived { manifest, count });
        }
        let (tx, building) = IndexBuilding::start(self.directory);
        let sent = self.send_commands(entry, tx).await;
        let built = building.finish(&entry.key).await;
        // An error of the builder explains why it takes no more commands.
        let built = match (sent, built) {
            (Err(err @ (IndexError::Fetch(_) | IndexError::Store(_))), _) => return Err(err),
            (_, Err(err)) | (Err(err), Ok(_)) => return Err(err),
            (Ok(()), Ok(built)) => built,
        };
        store(self.bucket, &entry.key, built).await
    }

    async fn send_commands(
        &self,
        entry: &ChainEntry,
        tx: mpsc::Sender<CommandBatch>,
    ) -> Result<(), IndexError> {
        let manifest = || entry.key.clone();
        let entries = std::slice::from_ref(entry);
        let plan = FetchPlan::check_entries(self.bucket, entries, self.concurrency).await?;
        let total = Some(entry.manifest.total_bytes);
        let progress = self.progress.bytes(&format!("read {}", entry.key), total);
        let mut verifier = Verifier::new();
        for planned in &plan.entries {
            for (n, (chunk, _)) in planned.chunks.iter().enumerate() {
                let mut download = plan.download(planned, n);
                let fetch = |source| FetchError::Download { manifest: manifest(), source };
                while let Some(bytes) = download.next().await.map_err(fetch)? {
                    for slice in bytes.chunks(SLICE_BYTES) {
                        let mut batch = CommandBatch::default();
                        let fed = verifier.feed_to(slice, |command| batch.push(&command));
                        fed.map_err(|source| FetchError::Stream {
                            manifest: manifest(),
                            chunk: chunk.key.clone(),
                            source,
                        })?;
                        let sent = tx.send(batch).await;
                        sent.map_err(|_| IndexError::Stopped { manifest: manifest() })?;
                    }
                    progress.inc(bytes.len() as u64);
                }
            }
        }
        let truncated = |source| FetchError::Truncated { manifest: manifest(), source };
        verifier.finish().map_err(truncated)?;
        Ok(())
    }
}

/// An index that is being built on a thread of its own.
pub struct IndexBuilding(JoinHandle<Result<BuiltIndex, BuildError>>);

/// An index that is complete, in a temporary file.
pub struct BuiltIndex {
    file: File,
    facts: IndexFacts,
}

impl IndexBuilding {
    /// Starts to build. The commands of a verified stream go to the sender, which is dropped after
    /// the last one. Temporary files are made in `directory` and have no name there.
    pub fn start(directory: &Path) -> (mpsc::Sender<CommandBatch>, IndexBuilding) {
        let (tx, rx) = mpsc::channel(BATCHES_MAX);
        let directory = directory.to_owned();
        (tx, IndexBuilding(tokio::task::spawn_blocking(move || build(rx, &directory))))
    }

    /// Waits until the index is complete.
    pub async fn finish(self, manifest: &Key) -> Result<BuiltIndex, IndexError> {
        let built = self.0.await;
        let built = built.unwrap_or_else(|err| Err(BuildError::Write(io::Error::other(err))));
        built.map_err(|source| IndexError::Build { manifest: manifest.clone(), source })
    }
}

impl BuiltIndex {
    /// Returns true if a stored index has the same records. Reads both.
    pub fn has_records_of(self, stored: &Table) -> Result<bool, TableError> {
        let name = "built from the stream".to_owned();
        let directory_sha256 = Some(self.facts.directory_sha256);
        let built = Table::open(name, Box::new(self.file), directory_sha256)?;
        Ok(built.records_sha256()? == stored.records_sha256()?)
    }
}

/// Stores an index beside the manifest of its backup.
pub async fn store(
    bucket: &Bucket,
    manifest: &Key,
    BuiltIndex { file, facts }: BuiltIndex,
) -> Result<IndexFacts, IndexError> {
    let put = Put {
        key: index_key(manifest),
        length: Length::Exactly(facts.bytes),
        part_bytes: PART_BYTES,
        content_type: Some("application/octet-stream".to_owned()),
        metadata: bucket.metadata.clone(),
        expect_sha256: Some(facts.sha256),
        // An index replaces one that cannot be read.
        overwrite: Overwrite::Allowed,
        storage_class: bucket.storage_class.clone(),
        in_flight: 2,
        retry_for: bucket.retry_for,
        buffer_wait: None,
        share: None,
    };
    bucket.store.upload(put, tokio::fs::File::from_std(file)).await?;
    Ok(facts)
}

fn build(
    mut batches: mpsc::Receiver<CommandBatch>,
    directory: &Path,
) -> Result<BuiltIndex, BuildError> {
    let mut builder = IndexBuilder::new(directory);
    while let Some(batch) = batches.blocking_recv() {
        for command in batch.iter() {
            builder.add(&command)?;
        }
    }
    let (file, facts) = builder.finish()?;
    Ok(BuiltIndex { file, facts })
}
