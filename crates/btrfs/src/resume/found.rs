//! Looks at what an earlier run left of a backup: on disk, in its journal, in the
//! bucket. Changes nothing, decides nothing.

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

/// A backup that was begun and is not published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterruptedBackup {
    pub backup: SnapshotName,
    pub run: RunId,
    pub journal: Result<Journal, Unusable>,
    pub on_disk: ParentOnDisk,
    /// Where everything but the pointer is in the bucket, and is right.
    pub complete: Option<CompleteBackup>,
}

/// What a manifest that no pointer leads to says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompleteBackup {
    pub identity: Identity,
    pub parent: Option<Key>,
}

/// Where to look.
pub struct Places<'a> {
    pub bucket: &'a Bucket,
    pub config: &'a BucketConfig,
    pub btrfs: &'a Btrfs,
    pub base_dir: &'a Path,
    pub records: &'a Records,
}

/// The newest that was begun and is not in the chain.
pub fn newest_begun<'r>(
    records: &'r [(SnapshotName, Record)],
    chain: Option<&Chain>,
) -> Option<&'r (SnapshotName, Record)> {
    let is_published = |name: &SnapshotName| {
        let mut links = chain.into_iter().flat_map(Chain::entries);
        links.any(|link| link.manifest.snapshot.name == name.to_string())
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

    /// Everything that the manifest of this run names is looked at.
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
            tracing::warn!(event = "manifest_not_published", %key, "{reason}");
            Ok(None)
        };
        let checked = match audit::check(self.bucket, key.clone(), &Expected::Nothing).await {
            Ok(checked) => checked,
            Err(AuditError::Store(err)) => return Err(err),
        };
        if let Some(finding) = checked.findings.first() {
            return incomplete(finding);
        }
        let Some(link) = checked.link else { return incomplete(&"it cannot be read") };
        match self.bucket.parts(&link).await {
            Ok(Some(_)) => {}
            Ok(None) => return incomplete(&"it has no parts file"),
            Err(BucketError::Store(err)) => return Err(err),
            Err(err) => return incomplete(&error_chain(&err)),
        }
        match described(&link, backup) {
            Ok(complete) => Ok(Some(complete)),
            Err(reason) => incomplete(&reason),
        }
    }
}

fn described(link: &ChainEntry, backup: &SnapshotName) -> Result<CompleteBackup, String> {
    let manifest = &link.manifest;
    let snapshot = &manifest.snapshot;
    if snapshot.name != backup.to_string()
        || manifest.subvolume != backup.subvolume.as_str()
        || manifest.kind != backup.kind
    {
        return Err(format!("it is of the snapshot {:?}, expected {backup}", snapshot.name));
    }
    let parent = manifest.parent_key().map_err(|err| error_chain(&err))?;
    match (&snapshot.uuid, snapshot.ctransid) {
        (Some(uuid), Some(ctransid)) => {
            Ok(CompleteBackup { identity: Identity { uuid: uuid.clone(), ctransid }, parent })
        }
        _ => Err("it does not say which state of its snapshot was sent".to_owned()),
    }
}
