//! Finds out what a restore of files would read and thaw.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use s3up_core::Key;
use s3up_repository::chain::Chain;
use s3up_repository::documents::Bucket;
use s3up_repository::fetch::parts::PartPlan;
use s3up_repository::names::BackupKind;
use s3up_repository::stamp::Stamp;
use s3up_repository::thaw::RequiredObjects;
use s3up_store::ArchiveState;

use super::error::FileRestoreError;
use super::gather::Gathered;
use super::summary::{RestoredFiles, Tally};
use crate::restore::error::RestoreError;
use crate::restore::preview::class_of;
use crate::restore::thaw_estimate::{ArchivedChunks, archived_chunks};

const REQUESTS_IN_FLIGHT: usize = 16;

/// The plan of a restore of files.
#[derive(Debug)]
pub struct FilesPreview {
    pub manifest: Key,
    /// Files to restore.
    pub wanted: Tally,
    pub directories: u64,
    /// Files that are skipped or cannot be restored.
    pub result: RestoredFiles,
    /// The backups that hold bytes of these files, from the oldest on.
    pub backups: Vec<ReadBackup>,
    /// Number of backups of the chain.
    pub chain: usize,
    pub chunks: usize,
    pub fetched_bytes: u64,
    /// Bytes to download, by storage class.
    pub download: BTreeMap<String, u64>,
    /// The chunks, and the documents of an archive class, that have to be thawed first, by
    /// storage class.
    pub thaw: Vec<ArchivedChunks>,
    /// Keys of these objects.
    pub to_thaw: Vec<Key>,
}

/// A backup of which parts are read.
#[derive(Debug)]
pub struct ReadBackup {
    pub manifest: Key,
    pub kind: BackupKind,
    pub created_at: Stamp,
    /// Bytes to download.
    pub bytes: u64,
    /// Keys of the chunks that are read.
    pub chunks: Vec<Key>,
    pub storage_classes: BTreeSet<String>,
}

impl FilesPreview {
    pub async fn of(
        bucket: &Bucket,
        chain: &Chain,
        gathered: Gathered,
        plan: &PartPlan,
        now: SystemTime,
    ) -> Result<FilesPreview, FileRestoreError> {
        let objects = gathered.required.objects();
        let (thaw, to_thaw) = thaws(bucket, &objects, plan, now).await?;
        Ok(FilesPreview {
            manifest: chain.newest().key.clone(),
            wanted: gathered.wanted,
            directories: gathered.directories,
            result: gathered.result,
            backups: backups(chain, plan),
            chain: chain.entries().len(),
            chunks: plan.chunks.len(),
            fetched_bytes: plan.bytes(),
            download: downloads(plan),
            thaw,
            to_thaw,
        })
    }
}

fn backups(chain: &Chain, plan: &PartPlan) -> Vec<ReadBackup> {
    let mut backups: BTreeMap<usize, ReadBackup> = BTreeMap::new();
    for chunk in &plan.chunks {
        let entry = &chain.entries()[chunk.level];
        let backup = backups.entry(chunk.level).or_insert_with(|| ReadBackup {
            manifest: entry.key.clone(),
            kind: entry.manifest.kind,
            created_at: entry.manifest.created_at,
            bytes: 0,
            chunks: Vec::new(),
            storage_classes: BTreeSet::new(),
        });
        backup.bytes += chunk.bytes;
        backup.chunks.push(chunk.facts.key.clone());
        backup.storage_classes.insert(class_of(&chunk.object).to_owned());
    }
    backups.into_values().collect()
}

fn downloads(plan: &PartPlan) -> BTreeMap<String, u64> {
    let mut download = BTreeMap::new();
    for chunk in &plan.chunks {
        *download.entry(class_of(&chunk.object).to_owned()).or_default() += chunk.bytes;
    }
    download
}

async fn thaws(
    bucket: &Bucket,
    objects: &RequiredObjects,
    plan: &PartPlan,
    now: SystemTime,
) -> Result<(Vec<ArchivedChunks>, Vec<Key>), FileRestoreError> {
    let keys = objects.keys();
    let states = bucket.store.archive_states(&keys, REQUESTS_IN_FLIGHT, bucket.retry_for, now);
    let states = states.await.map_err(RestoreError::from)?;
    let state_of = |key: &Key| states.get(key).copied().unwrap_or(ArchiveState::NotArchived);
    let mut documents = Vec::new();
    for key in objects.documents.iter().filter(|key| state_of(key) != ArchiveState::NotArchived) {
        let found = bucket.store.head(key, None, bucket.retry_for).await;
        if let Some(found) = found.map_err(RestoreError::from)? {
            documents.push((class_of(&found).to_owned(), found.size, state_of(key)));
        }
    }
    // S3 thaws whole objects.
    let chunks = plan
        .chunks
        .iter()
        .map(|chunk| (class_of(&chunk.object), chunk.facts.size, state_of(&chunk.facts.key)));
    let documents = documents.iter().map(|(class, bytes, state)| (class.as_str(), *bytes, *state));
    let is_archived =
        |key: &&Key| matches!(state_of(key), ArchiveState::Archived | ArchiveState::InProgress);
    let to_thaw = keys.iter().filter(is_archived).cloned().collect();
    Ok((archived_chunks(chunks.chain(documents)), to_thaw))
}
