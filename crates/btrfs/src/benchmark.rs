//! Measures how fast this host sends, hashes and uploads, apart and together, and
//! suggests a value for `s3.concurrency`.
//!
//! The uploads go below `<prefix>benchmark/` and are removed in any case: after each
//! measurement, at the end, and after a signal. The next benchmark removes what a
//! killed one left. The caller holds the lock, so no other run is affected.

mod measurement;
mod noise;
pub mod suggest;

use std::path::PathBuf;
use std::time::Duration;

use btrfs_host::compressed::Form;
use btrfs_host::send::{SendError, SendStream};
use btrfs_host::tool::Btrfs;
use s3up_cli::{ShutdownSignal, Signal};
use s3up_core::{Clock, Count, Key, Sha256, Stopwatch, Throughput, error_chain};
use s3up_repository::layout::Layout;
use s3up_repository::manifest::CHUNK_COUNT_MAX;
use s3up_store::{Overwrite, PutChunks, Store, StoreError, UploadError};
use tokio::io::{AsyncRead, AsyncReadExt};

pub use self::measurement::{Measurement, Phase};
use self::noise::Noise;
use self::suggest::{Suggestion, suggest};
use crate::snapshots::cleanup::CLOCK_SKEW;
use crate::snapshots::record::RunId;

/// A benchmark does not wait until a connection is restored.
const RETRY_MAX: Duration = Duration::from_secs(60);
/// Limits the cleanup after a signal.
const CLEAR_TIME_MAX: Duration = Duration::from_secs(20);
/// Length of the pieces that are hashed: they fit into the cache of a core.
const HASH_PIECE_BYTES: usize = 1 << 20;
/// Length of a read, as in a backup.
const READ_BYTES: usize = 256 << 10;

pub struct Benchmark<'a> {
    pub layout: &'a Layout,
    pub chunk_bytes: u64,
    pub part_bytes: u64,
    pub retry_for: Duration,
    pub store: Store,
    pub btrfs: &'a Btrfs,
    pub shutdown: ShutdownSignal,
    pub run: RunId,
    /// The snapshot to send. `None` means random data.
    pub snapshot: Option<PathBuf>,
    pub bytes: u64,
    pub concurrencies: Vec<usize>,
    pub storage_class: String,
    pub clock: Clock,
}

#[derive(Debug)]
pub struct BenchmarkReport {
    pub measured: Vec<Measurement>,
    pub suggestion: Suggestion,
}

#[derive(Debug, thiserror::Error)]
pub enum BenchmarkError {
    #[error(transparent)]
    Send(#[from] SendError),
    #[error("read the send stream")]
    Read(#[source] std::io::Error),
    #[error(transparent)]
    Upload(#[from] UploadError),
    #[error("measure hashing")]
    Hash(#[from] tokio::task::JoinError),
    #[error(
        "delete the objects of the benchmark below {directory}; the next benchmark tries again"
    )]
    Clear { directory: String, source: StoreError },
    #[error(
        "cannot delete {} of the benchmark, the first is {first}; the next benchmark tries again",
        Count::of(*count, "object")
    )]
    NotDeleted { count: usize, first: Key },
    #[error("stopped by a signal")]
    Stopped(Signal),
}

impl Benchmark<'_> {
    pub async fn run(&self) -> Result<BenchmarkReport, BenchmarkError> {
        self.clear().await?;
        let outcome = tokio::select! {
            outcome = self.measure() => outcome,
            stop = self.shutdown.wait() => Err(BenchmarkError::Stopped(stop)),
        };
        let cleared = match tokio::time::timeout(CLEAR_TIME_MAX, self.clear()).await {
            Ok(cleared) => cleared,
            Err(_) => {
                let prefix = self.directory();
                tracing::warn!(
                    event = "benchmark_cleanup_failed",
                    %prefix,
                    "gave up deleting the objects of the benchmark; the next one tries again"
                );
                Ok(())
            }
        };
        match (outcome, cleared) {
            (Ok(report), cleared) => cleared.map(|()| report),
            (Err(err), Ok(())) => Err(err),
            (Err(err), Err(left)) => {
                let left = error_chain(&left);
                tracing::warn!(event = "benchmark_cleanup_failed", "{left}");
                Err(err)
            }
        }
    }

    async fn measure(&self) -> Result<BenchmarkReport, BenchmarkError> {
        let mut measured = Vec::new();
        if let Some(snapshot) = &self.snapshot {
            measured.push(self.send(snapshot).await?);
        }
        measured.push(hash(self.bytes, self.clock).await?);
        for concurrency in &self.concurrencies {
            let source = Noise::of(self.bytes);
            measured.push(self.upload(Phase::Upload, *concurrency, source).await?);
        }
        let suggestion = suggest(&measured);
        if let Some(snapshot) = &self.snapshot {
            let mut stream = SendStream::start(self.btrfs, snapshot, None, Form::Plain)?;
            let source = (&mut stream).take(self.bytes);
            let together = self.upload(Phase::Together, suggestion.concurrency, source).await;
            stream.stop().await;
            measured.push(together?);
        }
        Ok(BenchmarkReport { measured, suggestion })
    }

    async fn send(&self, snapshot: &std::path::Path) -> Result<Measurement, BenchmarkError> {
        let began = self.clock.start();
        let mut stream = SendStream::start(self.btrfs, snapshot, None, Form::Plain)?;
        let counted = count(&mut stream, self.bytes).await;
        stream.stop().await;
        let bytes = counted.map_err(BenchmarkError::Read)?;
        Ok(measured(Phase::Send, None, bytes, began))
    }

    async fn upload(
        &self,
        phase: Phase,
        concurrency: usize,
        source: impl AsyncRead + Unpin + Send,
    ) -> Result<Measurement, BenchmarkError> {
        let began = self.clock.start();
        let directory = format!("{}{}/", self.directory(), self.run);
        let key_of = |number| {
            let key = Key::parse(&format!("{directory}{concurrency}-{number}.bin"));
            key.expect("checked segments below a prefix whose length was checked")
        };
        let put = PutChunks {
            key_of: &key_of,
            chunk_bytes: self.chunk_bytes,
            part_bytes: self.part_bytes,
            chunk_count_max: CHUNK_COUNT_MAX,
            metadata: Default::default(),
            overwrite: Overwrite::Allowed,
            content_type: Some("application/octet-stream".to_owned()),
            storage_class: Some(self.storage_class.clone()),
            in_flight: concurrency,
            retry_for: self.retry_for(),
        };
        let chunks = self.store.upload_chunks(&put, source).await?;
        let bytes = chunks.iter().map(|chunk| chunk.stored.facts.len).sum();
        let measured = measured(phase, Some(concurrency), bytes, began);
        self.clear().await?;
        Ok(measured)
    }

    /// Deletes everything below the benchmark's prefix.
    async fn clear(&self) -> Result<(), BenchmarkError> {
        let directory = self.directory();
        let fail = |source| BenchmarkError::Clear { directory: directory.clone(), source };
        // Abandoned uploads are aborted first, so that none appears later.
        self.store.wait_for_aborts().await;
        let ahead = self.clock.now() + CLOCK_SKEW;
        self.store.sweep(&directory, ahead, self.retry_for()).await.map_err(fail)?;
        let mut listing = self.store.list(&directory, self.retry_for());
        while let Some(page) = listing.next_page().await.map_err(fail)? {
            let keys: Vec<_> =
                page.iter().filter_map(|listed| Key::parse(&listed.key).ok()).collect();
            let left = self.store.delete_many(&keys, self.retry_for()).await.map_err(fail)?;
            if let Some(first) = left.first() {
                let (count, first) = (left.len(), first.key.clone());
                return Err(BenchmarkError::NotDeleted { count, first });
            }
        }
        Ok(())
    }

    fn retry_for(&self) -> Duration {
        self.retry_for.min(RETRY_MAX)
    }

    fn directory(&self) -> String {
        format!("{}benchmark/", self.layout.prefix())
    }
}

fn measured(phase: Phase, concurrency: Option<usize>, bytes: u64, began: Stopwatch) -> Measurement {
    let throughput = Throughput { bytes, elapsed: began.elapsed() };
    Measurement { phase, concurrency, throughput }
}

/// Counts the bytes of `source`, up to `bytes_max`.
async fn count(source: impl AsyncRead + Unpin, bytes_max: u64) -> std::io::Result<u64> {
    let mut source = source.take(bytes_max);
    let (mut piece, mut bytes) = (vec![0; READ_BYTES], 0);
    loop {
        match source.read(&mut piece).await? {
            0 => return Ok(bytes),
            count => bytes += count as u64,
        }
    }
}

async fn hash(bytes: u64, clock: Clock) -> Result<Measurement, BenchmarkError> {
    let hashing = move || {
        let piece = vec![0x5a; HASH_PIECE_BYTES];
        let began = clock.start();
        let mut hasher = Sha256::default();
        let mut left = bytes;
        while left > 0 {
            let count = left.min(HASH_PIECE_BYTES as u64);
            hasher.update(&piece[..count as usize]);
            left -= count;
        }
        hasher.finish();
        measured(Phase::Hash, None, bytes, began)
    };
    Ok(tokio::task::spawn_blocking(hashing).await?)
}
