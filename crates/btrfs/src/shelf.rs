//! The snapshot directory: makes snapshots, each with its record, and removes them.

use std::path::{Path, PathBuf};

use crate::cause::error_chain;
use crate::config::Subvolume;
use crate::failure::Failure;
use crate::record::{Records, RunId, State};
use crate::snapshot::SnapshotName;
use crate::subvolume;
use crate::tool::Btrfs;

#[derive(Clone, Copy)]
pub struct SnapshotDir<'a> {
    pub btrfs: &'a Btrfs,
    pub base_dir: &'a Path,
    pub records: &'a Records,
}

impl SnapshotDir<'_> {
    pub fn path_of(&self, snapshot: &SnapshotName) -> PathBuf {
        self.base_dir.join(snapshot.to_string())
    }

    pub async fn make(
        &self,
        subvolume: &Subvolume,
        snapshot: &SnapshotName,
        run: &RunId,
        state: State,
    ) -> Result<(), Failure> {
        self.snapshot(&subvolume.path, snapshot, run, state).await?;
        let path = self.path_of(snapshot);
        tracing::info!(event = "snapshot_created", %snapshot, path = %path.display());
        Ok(())
    }

    /// Takes over a published snapshot that a restore received, by making a snapshot of
    /// it. Does nothing if it is already there.
    pub async fn adopt(
        &self,
        received: &Path,
        snapshot: &SnapshotName,
        run: &RunId,
    ) -> Result<(), Failure> {
        let path = self.path_of(snapshot);
        if path.symlink_metadata().is_ok() {
            return Ok(());
        }
        self.snapshot(received, snapshot, run, State::Published).await?;
        tracing::info!(event = "snapshot_adopted", %snapshot, path = %path.display());
        Ok(())
    }

    /// Writes the record first: a snapshot without a record would never be removed.
    async fn snapshot(
        &self,
        of: &Path,
        snapshot: &SnapshotName,
        run: &RunId,
        state: State,
    ) -> Result<(), Failure> {
        self.records.write(snapshot, run, state)?;
        let made = subvolume::snapshot_read_only(self.btrfs, of, &self.path_of(snapshot)).await;
        if let Err(err) = made {
            self.records.forget(snapshot)?;
            return Err(err.into());
        }
        Ok(())
    }

    /// Removes a snapshot and its record. A snapshot that somebody made writable may be
    /// in use and stays.
    pub async fn remove(&self, snapshot: &SnapshotName) {
        if let Err(reason) = self.try_remove(snapshot).await {
            tracing::warn!(event = "snapshot_not_deleted", %snapshot, "{reason}");
        }
    }

    async fn try_remove(&self, snapshot: &SnapshotName) -> Result<(), String> {
        let path = self.path_of(snapshot);
        if path.symlink_metadata().is_ok() {
            let shown = subvolume::show(self.btrfs, &path).await;
            if !shown.map_err(|err| error_chain(&err))?.is_read_only {
                return Err(
                    "it is writable, so somebody may be using it; check what it is".to_owned()
                );
            }
            subvolume::delete(self.btrfs, &path).await.map_err(|err| error_chain(&err))?;
            tracing::info!(event = "snapshot_deleted", %snapshot);
        }
        self.records.forget(snapshot).map_err(|err| error_chain(&err))
    }
}
