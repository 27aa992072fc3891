//! Finds out what a restore would do: the backups of the chain, their size, and what has to be
//! thawed first.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use s3up_core::Key;
use s3up_repository::documents::Bucket;
use s3up_repository::fetch::{FetchEntry, FetchPlan};
use s3up_repository::layout::STANDARD;
use s3up_repository::names::BackupKind;
use s3up_repository::stamp::Stamp;
use s3up_store::{ArchiveState, ObjectFacts};

use super::error::RestoreError;
use super::thaw_estimate::{ArchivedChunks, archived_chunks};

const REQUESTS_IN_FLIGHT: usize = 16;

/// The plan of a restore.
#[derive(Debug)]
pub struct Preview {
    pub subvolume: String,
    pub target: PathBuf,
    /// The backups of the chain, from the full on.
    pub backups: Vec<ChainedBackup>,
    /// Number of backups, from the full on, that an interrupted restore has received. They
    /// are not downloaded again.
    pub backups_received: usize,
    pub chunks: usize,
    pub total_bytes: u64,
    /// Bytes that are still to be downloaded, by storage class.
    pub download: BTreeMap<String, u64>,
    /// Free space on the filesystem of the target.
    pub free_bytes: u64,
    /// The chunks, and the documents of an archive class, that have to be thawed first, by
    /// storage class.
    pub thaw: Vec<ArchivedChunks>,
}

/// One backup of the chain.
#[derive(Debug)]
pub struct ChainedBackup {
    pub manifest: Key,
    pub kind: BackupKind,
    pub created_at: Stamp,
    pub bytes: u64,
    pub chunks: usize,
    pub storage_classes: BTreeSet<String>,
}

/// The target and the free space there.
pub struct TargetSpace<'a> {
    pub target: &'a Path,
    pub free_bytes: u64,
}

impl Preview {
    pub async fn of(
        bucket: &Bucket,
        fetch_plan: &FetchPlan<'_>,
        here: usize,
        TargetSpace { target, free_bytes }: TargetSpace<'_>,
        now: SystemTime,
    ) -> Result<Preview, RestoreError> {
        let chunks = || fetch_plan.entries.iter().skip(here).flat_map(|entry| &entry.chunks);
        let mut keys: Vec<Key> = chunks().map(|(chunk, _)| chunk.key.clone()).collect();
        keys.extend(fetch_plan.entries.iter().filter_map(parts_key));
        let states = bucket.store.archive_states(&keys, REQUESTS_IN_FLIGHT, bucket.retry_for, now);
        let states = states.await?;
        let state_of = |key: &Key| states.get(key).copied().unwrap_or(ArchiveState::NotArchived);
        let documents = archived_documents(bucket, fetch_plan, &states).await?;
        let documents =
            documents.iter().map(|(class, bytes, state)| (class.as_str(), *bytes, *state));
        let archived = archived_chunks(
            chunks()
                .map(|(chunk, object)| (class_of(object), chunk.size, state_of(&chunk.key)))
                .chain(documents),
        );
        let mut download: BTreeMap<String, u64> = BTreeMap::new();
        for (chunk, object) in chunks() {
            *download.entry(class_of(object).to_owned()).or_default() += chunk.size;
        }
        let newest = fetch_plan.entries.last().ok_or(RestoreError::EmptyChain)?;
        Ok(Preview {
            subvolume: newest.entry.manifest.subvolume.clone(),
            target: target.to_owned(),
            backups: fetch_plan.entries.iter().map(ChainedBackup::of).collect(),
            backups_received: here,
            chunks: fetch_plan.entries.iter().map(|entry| entry.chunks.len()).sum(),
            total_bytes: fetch_plan.total_bytes(),
            download,
            free_bytes,
            thaw: archived,
        })
    }
}

impl ChainedBackup {
    fn of(planned: &FetchEntry<'_>) -> ChainedBackup {
        let manifest = &planned.entry.manifest;
        let classes = planned.chunks.iter().map(|(_, object)| class_of(object).to_owned());
        ChainedBackup {
            manifest: planned.entry.key.clone(),
            kind: manifest.kind,
            created_at: manifest.created_at,
            bytes: manifest.total_bytes,
            chunks: manifest.chunks.len(),
            storage_classes: classes.collect(),
        }
    }
}

fn parts_key(planned: &FetchEntry<'_>) -> Option<Key> {
    planned.entry.manifest.parts_key()?.ok()
}

/// Returns class, length and state of each part index that is archived.
async fn archived_documents(
    bucket: &Bucket,
    fetch_plan: &FetchPlan<'_>,
    states: &BTreeMap<Key, ArchiveState>,
) -> Result<Vec<(String, u64, ArchiveState)>, RestoreError> {
    let mut archived = Vec::new();
    for key in fetch_plan.entries.iter().filter_map(parts_key) {
        let state = states.get(&key).copied().unwrap_or(ArchiveState::NotArchived);
        if state == ArchiveState::NotArchived {
            continue;
        }
        if let Some(found) = bucket.store.head(&key, None, bucket.retry_for).await? {
            archived.push((class_of(&found).to_owned(), found.size, state));
        }
    }
    Ok(archived)
}

/// Returns the storage class of an object.
pub fn class_of(object: &ObjectFacts) -> &str {
    object.storage_class.as_deref().unwrap_or(STANDARD)
}
