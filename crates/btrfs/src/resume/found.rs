//! Observes what an earlier run left of a backup: on disk, in its journal and in the
//! bucket. It changes nothing and decides nothing.

use std::path::Path;

use s3up_core::Key;
use s3up_store::StoreError;

use super::journal::{Journal, Unusable};
use crate::audit::{self, AuditError, Expected};
use crate::bucket::{Bucket, BucketError};
use crate::cause::error_chain;
use crate::chain::{Chain, ChainEntry};
use crate::config::BucketConfig;
use crate::look;
use crate::plan::{Identity, ParentOnDisk};
use crate::record::{RUN_METADATA, Record, Records, RunId, State};
use crate::snapshot::SnapshotName;
use crate::tool::Btrfs;

/// A backup that was started and is not published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterruptedBackup {
    pub backup: SnapshotName,
    pub run: RunId,
    pub journal: Result<Journal, Unusable>,
    pub on_disk: ParentOnDisk,
    /// Set if everything but the pointer is in the bucket and correct.
    pub complete: Option<CompleteBackup>,
}

/// Content of a manifest that no pointer leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompleteBackup {
    pub identity: Identity,
    pub parent: Option<Key>,
}

/// Everything that an interrupted backup is read from.
pub struct Places<'a> {
    pub bucket: &'a Bucket,
    pub config: &'a BucketConfig,
    pub btrfs: &'a Btrfs,
    pub base_dir: &'a Path,
    pub records: &'a Records,
}

/// Returns the newest backup that was started and is not in the chain.
pub fn newest_begun<'r>(
    records: &'r [(SnapshotName, Record)],
    chain: Option<&Chain>,
) -> Option<&'r (SnapshotName, Record)> {
    let is_published = |name: &SnapshotName| {
        let mut entries = chain.into_iter().flat_map(Chain::entries);
        entries.any(|entry| entry.manifest.snapshot.name == name.to_string())
    };
    let begun = records.iter().filter(|(_, record)| record.state == State::Begun);
    begun.filter(|(name, _)| !is_published(name)).max_by_key(|(name, _)| name.stamp)
}

impl Places<'_> {
    pub async fn look(
        &self,
        backup: &SnapshotName,
        run: &RunId,
    ) -> Result<InterruptedBackup, StoreError> {
        let complete = self.complete(backup, run).await?;
        let journal = self.records.journal(backup);
        let journal = Journal::read(&journal, self.config, backup, run).await;
        let path = self.base_dir.join(backup.to_string());
        let on_disk = look::on_disk(self.btrfs, &path).await;
        Ok(InterruptedBackup {
            backup: backup.clone(),
            run: run.clone(),
            journal,
            on_disk,
            complete,
        })
    }

    /// Audits every object that the manifest of this run names.
    async fn complete(
        &self,
        backup: &SnapshotName,
        run: &RunId,
    ) -> Result<Option<CompleteBackup>, StoreError> {
        let Bucket { store, retry_for, .. } = self.bucket;
        let key = self.config.layout.manifest(backup);
        let Some(found) = store.head(&key, None, *retry_for).await? else { return Ok(None) };
        if found.metadata.get(RUN_METADATA).map(String::as_str) != Some(run.as_str()) {
            return Ok(None);
        }
        let incomplete = |reason: &dyn std::fmt::Display| {
            tracing::warn!(
                event = "manifest_not_published",
                %key,
                "not publishing the complete backup of an earlier run: {reason}"
            );
            Ok(None)
        };
        let checked = match audit::check(self.bucket, key.clone(), &Expected::Nothing).await {
            Ok(checked) => checked,
            Err(AuditError::Store(err)) => return Err(err),
        };
        if let Some(finding) = checked.findings.first() {
            return incomplete(finding);
        }
        let Some(entry) = checked.link else { return incomplete(&"the manifest cannot be read") };
        match self.bucket.parts(&entry).await {
            Ok(Some(_)) => {}
            Ok(None) => return incomplete(&"the manifest names no part index"),
            Err(BucketError::Store(err)) => return Err(err),
            Err(err) => return incomplete(&error_chain(&err)),
        }
        match described(&entry, backup) {
            Ok(complete) => Ok(Some(complete)),
            Err(reason) => incomplete(&reason),
        }
    }
}

fn described(entry: &ChainEntry, backup: &SnapshotName) -> Result<CompleteBackup, String> {
    let manifest = &entry.manifest;
    let snapshot = &manifest.snapshot;
    if snapshot.name != backup.to_string()
        || manifest.subvolume != backup.subvolume.as_str()
        || manifest.kind != backup.kind
    {
        return Err(format!(
            "the manifest describes the snapshot {:?}, expected {backup}",
            snapshot.name
        ));
    }
    let parent = manifest.parent_key().map_err(|err| error_chain(&err))?;
    match (&snapshot.uuid, snapshot.ctransid) {
        (Some(uuid), Some(ctransid)) => {
            Ok(CompleteBackup { identity: Identity { uuid: uuid.clone(), ctransid }, parent })
        }
        _ => Err("the manifest does not identify its snapshot (no UUID or ctransid)".to_owned()),
    }
}
