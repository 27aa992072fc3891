//! The snapshot directory: makes snapshots, each with its record, and removes them.

use std::io;
use std::path::{Path, PathBuf};

use btrfs_host::subvolume;
use btrfs_host::tool::{Btrfs, ToolError};
use s3up_core::error_chain;
use s3up_repository::names::SnapshotName;

use crate::snapshots::record::{RecordError, Records, RunId, SnapshotState};

/// More configurations than ever share one directory.
const NAMES_TRIED_MAX: u32 = 60;

#[derive(Debug, thiserror::Error)]
#[error("list {path:?}")]
pub struct ListError {
    path: PathBuf,
    source: io::Error,
}

#[derive(Debug, thiserror::Error)]
pub enum SnapshotDirError {
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    Snapshot(#[from] ToolError),
    #[error(
        "make a snapshot in {directory:?}: the names of {NAMES_TRIED_MAX} seconds are taken, the last \
         is {last}; check the clock, and what other program makes snapshots there"
    )]
    NoFreeName { directory: PathBuf, last: SnapshotName },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MakeOutcome {
    Yes,
    NameIsTaken,
}

/// Returns our snapshots in a directory, ordered by subvolume and time. A directory that
/// does not exist yet has none.
pub fn snapshots_in(directory: &Path) -> Result<Vec<SnapshotName>, ListError> {
    let list = |source| ListError { path: directory.to_owned(), source };
    let mut names = Vec::new();
    let entries = match std::fs::read_dir(directory) {
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(names),
        entries => entries.map_err(list)?,
    };
    for entry in entries {
        let name = entry.map_err(list)?.file_name();
        names.extend(name.to_str().and_then(SnapshotName::parse));
    }
    names.sort_unstable();
    Ok(names)
}

#[derive(Clone, Copy)]
pub struct SnapshotDir<'a> {
    pub btrfs: &'a Btrfs,
    pub base_dir: &'a Path,
    pub records: &'a Records,
}

/// Deletes a snapshot of ours. One that a person made writable is that person's
/// now, and stays.
pub async fn delete_read_only(btrfs: &Btrfs, path: &Path) -> Result<(), String> {
    let shown = subvolume::show(btrfs, path).await.map_err(|err| error_chain(&err))?;
    if !shown.is_read_only {
        return Err("it is writable, so another program may be using it; check its use, then make it read-only".to_owned());
    }
    subvolume::delete(btrfs, path).await.map_err(|err| error_chain(&err))
}

impl SnapshotDir<'_> {
    pub fn path_of(&self, snapshot: &SnapshotName) -> PathBuf {
        self.base_dir.join(snapshot.to_string())
    }

    /// Returns true if the snapshot is on disk.
    pub fn has(&self, snapshot: &SnapshotName) -> bool {
        self.path_of(snapshot).symlink_metadata().is_ok()
    }

    /// Makes a snapshot of the subvolume at `of`, under this name or, if another
    /// configuration that shares the directory has taken it, at the next free second.
    /// Returns its name.
    pub async fn make(
        &self,
        of: &Path,
        snapshot: &SnapshotName,
        run: &RunId,
        state: SnapshotState,
    ) -> Result<SnapshotName, SnapshotDirError> {
        let mut snapshot = snapshot.clone();
        for _ in 0..NAMES_TRIED_MAX {
            if self.try_make(of, &snapshot, run, state).await? == MakeOutcome::Yes {
                let path = self.path_of(&snapshot);
                tracing::info!(event = "snapshot_created", %snapshot, path = %path.display());
                return Ok(snapshot);
            }
            snapshot.stamp = snapshot.stamp.after(Some(snapshot.stamp));
        }
        Err(SnapshotDirError::NoFreeName { directory: self.base_dir.to_owned(), last: snapshot })
    }

    /// Creates the record, which must be new, and then the snapshot.
    async fn try_make(
        &self,
        of: &Path,
        snapshot: &SnapshotName,
        run: &RunId,
        state: SnapshotState,
    ) -> Result<MakeOutcome, SnapshotDirError> {
        if self.has(snapshot) || !self.records.create(snapshot, run, state)? {
            return Ok(MakeOutcome::NameIsTaken);
        }
        let made = subvolume::snapshot_read_only(self.btrfs, of, &self.path_of(snapshot)).await;
        if let Err(err) = made {
            self.records.forget(snapshot)?;
            return Err(err.into());
        }
        Ok(MakeOutcome::Yes)
    }

    /// Takes over a published snapshot that a restore received, by making a snapshot of
    /// it. Does nothing if it is already there.
    pub async fn adopt(
        &self,
        received: &Path,
        snapshot: &SnapshotName,
        run: &RunId,
    ) -> Result<(), SnapshotDirError> {
        let path = self.path_of(snapshot);
        if path.symlink_metadata().is_ok() {
            return Ok(());
        }
        self.snapshot(received, snapshot, run, SnapshotState::Published).await?;
        tracing::info!(event = "snapshot_adopted", %snapshot, path = %path.display());
        Ok(())
    }

    /// Writes the record first: a snapshot without a record would never be removed.
    async fn snapshot(
        &self,
        of: &Path,
        snapshot: &SnapshotName,
        run: &RunId,
        state: SnapshotState,
    ) -> Result<(), SnapshotDirError> {
        self.records.write(snapshot, run, state)?;
        let made = subvolume::snapshot_read_only(self.btrfs, of, &self.path_of(snapshot)).await;
        if let Err(err) = made {
            self.records.forget(snapshot)?;
            return Err(err.into());
        }
        Ok(())
    }

    /// Removes a snapshot and its record. A snapshot that was made writable may be in use and
    /// stays.
    pub async fn remove(&self, snapshot: &SnapshotName) {
        if let Err(reason) = self.try_remove(snapshot).await {
            tracing::warn!(event = "snapshot_not_deleted", %snapshot, "{reason}");
        }
    }

    async fn try_remove(&self, snapshot: &SnapshotName) -> Result<(), String> {
        let path = self.path_of(snapshot);
        if path.symlink_metadata().is_ok() {
            delete_read_only(self.btrfs, &path).await?;
            tracing::info!(event = "snapshot_deleted", %snapshot);
        }
        self.records.forget(snapshot).map_err(|err| error_chain(&err))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_snapshots_are_listed() {
        let directory = tempfile::tempdir().unwrap();
        let ours = ["a__20260131T235959Z__full", "a__20260201T000000Z__inc"];
        for name in [ours[1], "other", ours[0], "a__x__full"] {
            std::fs::create_dir(directory.path().join(name)).unwrap();
        }
        let names: Vec<_> =
            snapshots_in(directory.path()).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(names, ours);
    }
}
