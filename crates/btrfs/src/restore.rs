//! From the bucket back to a subvolume.
//!
//! Pointer, chain, a look at every chunk; then link by link from the full: each
//! part is verified, the stream is proven once more as it goes by, and only then
//! `btrfs receive` gets it, in a staging folder. What it made must be read-only
//! and carry the UUID of the snapshot that was sent. At the very end a writable
//! snapshot appears at the target. Whatever fails before leaves nothing.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use btrfs_sendstream::{Facts, Verifier};
use s3up_cli::progress;
use s3up_core::part::MIB;
use s3up_core::{Key, Sha256Digest};
use s3up_store::{Download, Get, ObjectFacts, Store};

use crate::bucket::Bucket;
use crate::chain::{Chain, Link};
use crate::filesystem;
use crate::layout::Layout;
use crate::look::with_cause;
use crate::manifest::{ChunkFacts, Parts};
use crate::receive::Receiver;
use crate::restore_error::RestoreError;
use crate::snapshot::SubvolumeName;
use crate::staging::Staging;
use crate::stopping::Stopping;
use crate::subvolume;
use crate::tool::Btrfs;

/// Where a manifest does not say how long its parts are, ranges of this length
/// are fetched.
const RANGE_BYTES: u64 = 8 * MIB;
/// Longer parts are fetched fewer at once.
const BUFFERS_BYTES_MAX: u64 = 1 << 30;
/// Buffers have a least size, whatever the length of a part.
const BUFFERS_BYTES_MIN: u64 = 16 * MIB;
/// Bytes are proven and handed on in slices that take far under a millisecond.
const SLICE_BYTES: usize = 256 << 10;

pub struct Restore<'a> {
    pub bucket: &'a Bucket,
    pub layout: &'a Layout,
    pub btrfs: &'a Btrfs,
    /// Ranges on their way at once.
    pub concurrency: usize,
    pub stopping: Stopping,
}

pub struct Request {
    pub subvolume: SubvolumeName,
    pub target: PathBuf,
    /// `None`: the newest.
    pub manifest: Option<Key>,
}

/// What was restored.
#[derive(Debug)]
pub struct Restored {
    pub manifest: Key,
    pub links: usize,
    pub total_bytes: u64,
    pub elapsed: Duration,
}

/// A link, and everything that is needed to fetch it.
struct Planned<'c> {
    link: &'c Link,
    parts: Option<Parts>,
    chunks: Vec<(ChunkFacts, ObjectFacts)>,
}

impl Planned<'_> {
    /// Length of the ranges that chunk `n` is fetched in: those of its parts.
    fn part_bytes(&self, n: usize) -> u64 {
        let record = &self.link.manifest.chunks[n];
        record.part_size.unwrap_or(RANGE_BYTES).min(record.size).max(1)
    }
}

/// What was received last: the parent of the next link.
struct Received {
    path: PathBuf,
    uuid: String,
}

impl Restore<'_> {
    pub async fn run(&self, request: &Request) -> Result<Restored, RestoreError> {
        let began = Instant::now();
        check_target(&request.target)?;
        let chain = self.chain(request).await?;
        let planned = self.look(&chain).await?;
        let staging = Staging::make(self.btrfs, &request.target).await?;
        let store = self.store_for(&planned);
        let outcome = tokio::select! {
            outcome = self.receive_all(&store, &planned, &staging, &request.target) => outcome,
            stop = self.stopping.wait() => Err(RestoreError::Stopped(stop)),
        };
        let removed = staging.remove(self.btrfs).await;
        match (outcome, removed) {
            (Ok(()), Ok(())) => {}
            (Ok(()), Err(err)) => {
                tracing::warn!(event = "leftover_kept", "{}", with_cause(&err));
            }
            (Err(err), Ok(())) => return Err(err),
            (Err(err), Err(left)) => {
                tracing::warn!(event = "leftover_kept", "{}", with_cause(&left));
                return Err(err);
            }
        }
        Ok(Restored {
            manifest: chain.newest().key.clone(),
            links: chain.links().len(),
            total_bytes: chain.total_bytes(),
            elapsed: began.elapsed(),
        })
    }

    async fn chain(&self, request: &Request) -> Result<Chain, RestoreError> {
        let subvolume = &request.subvolume;
        let key = match &request.manifest {
            Some(key) => key.clone(),
            None => {
                let key = self.layout.pointer(subvolume);
                let read = self.bucket.pointer(&key).await?;
                let read = read.ok_or_else(|| RestoreError::NothingPublished {
                    subvolume: subvolume.clone(),
                    pointer: key.clone(),
                })?;
                let pointer = |source| RestoreError::Pointer { key: key.clone(), source };
                read.pointer.map_err(pointer)?.key().map_err(pointer)?
            }
        };
        let chain = self.bucket.chain(key).await?;
        let found = &chain.newest().manifest.subvolume;
        if found != subvolume.as_str() {
            let (key, found) = (chain.newest().key.clone(), found.clone());
            return Err(RestoreError::OtherSubvolume { key, found, asked: subvolume.clone() });
        }
        Ok(chain)
    }

    /// Looks at everything that will be fetched, before anything is.
    async fn look<'c>(&self, chain: &'c Chain) -> Result<Vec<Planned<'c>>, RestoreError> {
        let mut planned = Vec::new();
        for link in chain.links() {
            let parts = self.bucket.parts(link).await?;
            let facts = link.manifest.chunk_facts();
            let facts =
                facts.map_err(|source| RestoreError::Document { key: link.key.clone(), source })?;
            let mut chunks = Vec::new();
            for chunk in facts {
                let object = self.look_at(link, &chunk).await?;
                chunks.push((chunk, object));
            }
            planned.push(Planned { link, parts, chunks });
        }
        Ok(planned)
    }

    async fn look_at(&self, link: &Link, chunk: &ChunkFacts) -> Result<ObjectFacts, RestoreError> {
        let Bucket { store, retry_for, .. } = self.bucket;
        let manifest = || link.key.clone();
        let Some(object) = store.head(&chunk.key, None, *retry_for).await? else {
            return Err(RestoreError::ChunkMissing {
                chunk: chunk.key.clone(),
                manifest: manifest(),
            });
        };
        if object.size != chunk.size {
            return Err(RestoreError::ChunkSize {
                chunk: chunk.key.clone(),
                manifest: manifest(),
                expected: chunk.size,
                found: object.size,
            });
        }
        match (object.crc64nvme, chunk.crc64nvme) {
            (Some(found), Some(expected)) if found != expected => {
                Err(RestoreError::ChunkChecksum {
                    chunk: chunk.key.clone(),
                    manifest: manifest(),
                    expected,
                    found,
                })
            }
            _ => Ok(object),
        }
    }

    /// The bucket with buffers for the longest parts of the chain.
    fn store_for(&self, planned: &[Planned<'_>]) -> Store {
        let lengths =
            planned.iter().flat_map(|link| (0..link.chunks.len()).map(|n| link.part_bytes(n)));
        let part_bytes = lengths.max().unwrap_or(RANGE_BYTES);
        let buffers = in_flight(self.concurrency, part_bytes) as u64 + 1;
        let bytes = part_bytes.saturating_mul(buffers).max(BUFFERS_BYTES_MIN);
        self.bucket.store.with_buffer_budget(bytes)
    }

    async fn receive_all(
        &self,
        store: &Store,
        planned: &[Planned<'_>],
        staging: &Staging,
        target: &Path,
    ) -> Result<(), RestoreError> {
        let mut last: Option<Received> = None;
        for (n, link) in planned.iter().enumerate() {
            let label = format!("restore link {} of {}", n + 1, planned.len());
            let facts = self.receive(store, link, staging.folder(), &label).await?;
            let received = self.check_received(link, &facts, staging, last.as_ref()).await?;
            // Only the next link needs its parent.
            if let Some(parent) = last.replace(received) {
                subvolume::delete(self.btrfs, &parent.path).await?;
            }
            let manifest = &link.link.key;
            tracing::info!(event = "link_received", %manifest, bytes = facts.total_bytes, "{label}");
        }
        let last = last.ok_or(RestoreError::NoLinks)?;
        subvolume::snapshot_writable(self.btrfs, &last.path, target).await?;
        Ok(())
    }

    /// Streams one link into `btrfs receive`.
    async fn receive(
        &self,
        store: &Store,
        planned: &Planned<'_>,
        folder: &Path,
        label: &str,
    ) -> Result<Facts, RestoreError> {
        let mut receiver = Receiver::start(self.btrfs, folder)?;
        match self.feed(store, planned, &mut receiver, label).await {
            Ok(facts) => {
                receiver.finish().await?;
                Ok(facts)
            }
            Err(err) => {
                receiver.stop().await;
                Err(err)
            }
        }
    }

    async fn feed(
        &self,
        store: &Store,
        planned: &Planned<'_>,
        receiver: &mut Receiver,
        label: &str,
    ) -> Result<Facts, RestoreError> {
        let progress = progress::bytes(label, Some(planned.link.manifest.total_bytes));
        let mut verifier = Verifier::new();
        let manifest = || planned.link.key.clone();
        for n in 0..planned.chunks.len() {
            let mut download = self.download(store, planned, n);
            let next = |source| RestoreError::Fetch { manifest: manifest(), source };
            while let Some(bytes) = download.next().await.map_err(next)? {
                for slice in bytes.chunks(SLICE_BYTES) {
                    verifier.feed(slice).map_err(|source| RestoreError::Stream {
                        manifest: manifest(),
                        chunk: planned.chunks[n].0.key.clone(),
                        source,
                    })?;
                    receiver.write(slice).await?;
                }
                progress.inc(bytes.len() as u64);
            }
        }
        let chunk = || planned.chunks.last().map(|(chunk, _)| chunk.key.clone());
        verifier.finish().map_err(|source| match chunk() {
            Some(chunk) => RestoreError::Stream { manifest: manifest(), chunk, source },
            None => RestoreError::NoLinks,
        })
    }

    fn download(&self, store: &Store, planned: &Planned<'_>, n: usize) -> Download {
        let (chunk, object) = &planned.chunks[n];
        let part_sha256: Option<Arc<[Sha256Digest]>> =
            planned.parts.as_ref().map(|parts| parts.chunks[n].sha256.clone().into());
        let part_bytes = planned.part_bytes(n);
        let facts = match part_sha256 {
            Some(_) => object.clone(),
            // The last range is handed on only after the whole agreed with this.
            None => ObjectFacts { sha256: Some(chunk.sha256), crc64nvme: None, ..object.clone() },
        };
        store.download(Get {
            key: chunk.key.clone(),
            range: 0..chunk.size,
            facts,
            part_bytes,
            part_sha256,
            in_flight: in_flight(self.concurrency, part_bytes),
            retry_for: self.bucket.retry_for,
            buffer_wait: None,
            share: None,
        })
    }

    /// An exit code of 0 is not enough: a stream that was cut leaves a writable
    /// subvolume without a received UUID.
    async fn check_received(
        &self,
        planned: &Planned<'_>,
        facts: &Facts,
        staging: &Staging,
        parent: Option<&Received>,
    ) -> Result<Received, RestoreError> {
        let record = &planned.link.manifest.snapshot;
        let wrong = |what: &'static str, expected: String, found: String| {
            let manifest = planned.link.key.clone();
            Err(RestoreError::Received { manifest, what, expected, found })
        };
        let uuid = facts.snapshot.uuid.to_string();
        match &record.uuid {
            Some(expected) if *expected != uuid => {
                return wrong("the UUID in the stream", expected.clone(), uuid);
            }
            Some(_) | None => {}
        }
        let name = OsStr::from_bytes(&facts.snapshot.name);
        let path = staging.folder().join(name);
        let shown = subvolume::show(self.btrfs, &path).await?;
        if !shown.is_read_only {
            return wrong("the flag", "read-only".to_owned(), "writable".to_owned());
        }
        if shown.received_uuid.as_ref() != Some(&uuid) {
            return wrong("the received UUID", uuid, or_none(shown.received_uuid));
        }
        let based_on = parent.map(|parent| parent.uuid.clone());
        if shown.parent_uuid != based_on {
            let (expected, found) = (or_none(based_on), or_none(shown.parent_uuid));
            return wrong("the UUID of the parent", expected, found);
        }
        Ok(Received { path, uuid: shown.uuid })
    }
}

fn or_none(uuid: Option<String>) -> String {
    uuid.unwrap_or_else(|| "none".to_owned())
}

/// As many as asked for, while their buffers stay within the limit.
fn in_flight(concurrency: usize, part_bytes: u64) -> usize {
    let fit = usize::try_from(BUFFERS_BYTES_MAX / part_bytes).unwrap_or(usize::MAX);
    concurrency.min(fit).max(1)
}

/// The target must not exist, in a folder on btrfs that does.
fn check_target(target: &Path) -> Result<(), RestoreError> {
    let path = || target.to_owned();
    let is_plain = target.is_absolute()
        && target.file_name().is_some()
        && !target.components().any(|part| part == std::path::Component::ParentDir);
    if !is_plain {
        return Err(RestoreError::TargetPath { path: path() });
    }
    if target.symlink_metadata().is_ok() {
        return Err(RestoreError::TargetExists { path: path() });
    }
    let folder = target.parent().unwrap_or(Path::new("/"));
    filesystem::on_btrfs(folder).map_err(RestoreError::TargetFolder)?;
    Ok(())
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

    #[test]
    fn a_target_is_refused_before_anything_is_fetched() {
        let folder = tempfile::tempdir().unwrap();
        let text = |target: &Path| check_target(target).unwrap_err().to_string();
        assert!(text(Path::new("data")).contains("expected an absolute path"));
        assert!(text(Path::new("/srv/../data")).contains("expected an absolute path"));
        assert!(text(Path::new("/")).contains("expected an absolute path"));
        assert!(text(folder.path()).contains("exists"));
        assert!(text(&folder.path().join("no/such")).contains("folder of the target"));
    }
}
