//! Observes what an earlier run left of a backup: on disk, in its journal and in the
//! bucket. It changes nothing and decides nothing.

use btrfs_host::identity::SnapshotIdentity;
use s3up_core::error_chain;
use s3up_repository::audit::{self, AuditError, ExpectedSettings};
use s3up_repository::chain::ChainEntry;
use s3up_repository::documents::{Bucket, BucketError};
use s3up_repository::names::SnapshotName;
use s3up_store::StoreError;

use super::journal::Journal;
use crate::backup::observe;
use crate::backup::planner::Planner;
use crate::plan::observed::{CompleteBackup, InterruptedBackup};
use crate::snapshots::record::{RUN_METADATA, RunId};

impl Planner<'_> {
    pub(super) async fn observe_interrupted(
        &self,
        backup: &SnapshotName,
        run: &RunId,
    ) -> Result<InterruptedBackup, StoreError> {
        let complete = self.complete(backup, run).await?;
        let journal = self.records.journal(backup);
        let journal = Journal::read(&journal, self.location, backup, run).await;
        let path = self.base_dir.join(backup.to_string());
        let on_disk = observe::on_disk(self.btrfs, &path).await;
        Ok(InterruptedBackup {
            backup: backup.clone(),
            run: run.clone(),
            journal: journal.map(|journal| journal.facts()),
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
        let key = self.layout.manifest(backup);
        let Some(found) = store.head(&key, None, *retry_for).await? else { return Ok(None) };
        if found.metadata.get(RUN_METADATA).map(String::as_str) != Some(run.as_str()) {
            return Ok(None);
        }
        let incomplete = |reason: &dyn std::fmt::Display| {
            tracing::warn!(
                event = "backup_not_published",
                manifest = %key,
                "not publishing the complete backup of an earlier run: {reason}"
            );
            Ok(None)
        };
        let checked = match audit::check(self.bucket, key.clone(), &ExpectedSettings::Nothing).await
        {
            Ok(checked) => checked,
            Err(AuditError::Store(err)) => return Err(err),
        };
        if let Some(finding) = checked.damage() {
            return incomplete(finding);
        }
        let Some(entry) = checked.entry else { return incomplete(&"the manifest cannot be read") };
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
            "the manifest: expected the snapshot {backup}, found {:?}",
            snapshot.name
        ));
    }
    let parent = manifest.parent_key().map_err(|err| error_chain(&err))?;
    match (&snapshot.uuid, snapshot.ctransid) {
        (Some(uuid), Some(ctransid)) => Ok(CompleteBackup {
            identity: SnapshotIdentity { uuid: uuid.clone(), ctransid },
            parent,
        }),
        _ => Err("the manifest does not identify its snapshot (no UUID or ctransid)".to_owned()),
    }
}
