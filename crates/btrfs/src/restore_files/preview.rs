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

use super::documents::{DocumentsPreview, StoredDocuments, is_archived};
use super::error::FileRestoreError;
use super::gather::Gathered;
use super::summary::{RestoredFiles, Tally};
use crate::restore::error::RestoreError;
use crate::restore::preview::class_of;
use crate::restore::thaw_estimate::{ArchivedChunks, archived_chunks};

const REQUESTS_IN_FLIGHT: usize = 16;

/// The plan of a restore of files, as far as it can be made.
#[derive(Debug)]
pub enum FilesPlan {
    Files(Box<FilesPreview>),
    /// The chunks that hold the files are known once these documents are readable.
    DocumentsFirst(DocumentsPreview),
}

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
    let keys: Vec<_> = objects.chunks.keys().cloned().collect();
    let states = bucket.store.archive_states(&keys, REQUESTS_IN_FLIGHT, bucket.retry_for, now);
    let states = states.await.map_err(RestoreError::from)?;
    let state_of = |key: &Key| states.get(key).copied().unwrap_or(ArchiveState::NotArchived);
    let documents = StoredDocuments::read(bucket, &objects.documents, now).await?;
    // S3 thaws whole objects.
    let chunks = plan
        .chunks
        .iter()
        .map(|chunk| (class_of(&chunk.object), chunk.facts.size, state_of(&chunk.facts.key)));
    let chunks_to_thaw = keys.iter().filter(|key| is_archived(state_of(key))).cloned();
    let to_thaw = chunks_to_thaw.chain(documents.to_thaw()).collect();
    Ok((archived_chunks(chunks.chain(documents.states())), to_thaw))
}
