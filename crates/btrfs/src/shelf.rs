//! The folder of snapshots: they are made here, each with its record, and
//! removed.

use std::path::{Path, PathBuf};

use crate::cause::with_cause;
use crate::config::Subvolume;
use crate::failure::Failure;
use crate::record::{Records, RunId, State};
use crate::snapshot::SnapshotName;
use crate::subvolume;
use crate::tool::Btrfs;

#[derive(Clone, Copy)]
pub struct Shelf<'a> {
    pub btrfs: &'a Btrfs,
    pub base_dir: &'a Path,
    pub records: &'a Records,
}

impl Shelf<'_> {
    pub fn path_of(&self, snapshot: &SnapshotName) -> PathBuf {
        self.base_dir.join(snapshot.to_string())
    }

    /// The record comes first: a snapshot without one would never be cleared up.
    pub async fn make(
        &self,
        subvolume: &Subvolume,
        snapshot: &SnapshotName,
        run: &RunId,
        state: State,
    ) -> Result<(), Failure> {
        let at = self.path_of(snapshot);
        self.records.write(snapshot, run, state)?;
        if let Err(err) = subvolume::snapshot_read_only(self.btrfs, &subvolume.path, &at).await {
            self.records.forget(snapshot)?;
            return Err(err.into());
        }
        tracing::info!(event = "snapshot_created", %snapshot, path = %at.display());
        Ok(())
    }

    /// Removes a snapshot and its record. One that a person made writable is
    /// that person's now.
    pub async fn remove(&self, snapshot: &SnapshotName) {
        if let Err(reason) = self.try_remove(snapshot).await {
            tracing::warn!(event = "snapshot_kept", %snapshot, "{reason}");
        }
    }

    async fn try_remove(&self, snapshot: &SnapshotName) -> Result<(), String> {
        let path = self.path_of(snapshot);
        if path.symlink_metadata().is_ok() {
            let shown = subvolume::show(self.btrfs, &path).await;
            if !shown.map_err(|err| with_cause(&err))?.is_read_only {
                return Err("it is writable; delete it by hand if it is not needed".to_owned());
            }
            subvolume::delete(self.btrfs, &path).await.map_err(|err| with_cause(&err))?;
            tracing::info!(event = "snapshot_deleted", %snapshot);
        }
        self.records.forget(snapshot).map_err(|err| with_cause(&err))
    }
}
