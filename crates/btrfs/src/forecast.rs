//! Forecasts what a backup would send now, without an upload.
//!
//! A send needs a read-only snapshot. Where none exists yet, a temporary one is made in
//! the snapshot directory and deleted again. Its name says which process made it, so that
//! a later forecast deletes what a killed one left.

use std::fs;
use std::io;
use std::path::Path;

use btrfs_host::compressed::Form;
use btrfs_host::forecast::forecast;
use btrfs_host::send::SendError;
use btrfs_host::subvolume;
use btrfs_host::tool::{Btrfs, ToolError};
use btrfs_sendstream::Forecast;
use jiff::Timestamp;
use s3up_cli::{ShutdownSignal, Signal};
use s3up_repository::names::{BackupKind, SnapshotName, Subvolume};
use s3up_repository::stamp::Stamp;

use crate::snapshots::dir::delete_read_only;

/// Begins the name of a temporary snapshot; the id of its process and the name of the
/// subvolume follow.
const TEMPORARY: &str = ".btrfs-to-s3-forecast-";

/// Everything that a forecast needs.
pub struct Forecaster<'a> {
    pub btrfs: &'a Btrfs,
    pub base_dir: &'a Path,
    pub form: Form,
    pub shutdown: &'a ShutdownSignal,
}

#[derive(Debug, thiserror::Error)]
pub enum ForecastError {
    #[error("make a temporary snapshot for the forecast")]
    Snapshot(#[source] ToolError),
    #[error("forecast what would be sent")]
    Send(#[from] SendError),
    #[error("stopped by a signal")]
    Stopped(Signal),
}

impl Forecaster<'_> {
    /// Forecasts what a send of `subvolume` would write if its snapshot were made now.
    pub async fn of_now(
        &self,
        subvolume: &Subvolume,
        parent: Option<&Path>,
    ) -> Result<Forecast, ForecastError> {
        self.delete_leftovers().await;
        let name = format!("{TEMPORARY}{}-{}", std::process::id(), subvolume.name);
        let temporary_bytes = name.len() as u64;
        let snapshot = self.base_dir.join(name);
        let made = subvolume::snapshot_read_only(self.btrfs, &subvolume.path, &snapshot).await;
        made.map_err(ForecastError::Snapshot)?;
        let found = self.of_snapshot(&snapshot, parent).await;
        self.delete(&snapshot).await;
        let mut found = found?;
        // The stream names its snapshot once, and the temporary one has a longer name.
        let kind = if parent.is_some() { BackupKind::Incremental } else { BackupKind::Full };
        let stamp = Stamp::at(Timestamp::UNIX_EPOCH);
        let real = SnapshotName { subvolume: subvolume.name.clone(), stamp, kind }.to_string();
        found.stream_bytes = found.stream_bytes.saturating_sub(temporary_bytes) + real.len() as u64;
        Ok(found)
    }

    /// Forecasts what a send of this snapshot would write.
    pub async fn of_snapshot(
        &self,
        snapshot: &Path,
        parent: Option<&Path>,
    ) -> Result<Forecast, ForecastError> {
        tokio::select! {
            found = forecast(self.btrfs, snapshot, parent, self.form) => Ok(found?),
            stop = self.shutdown.wait() => Err(ForecastError::Stopped(stop)),
        }
    }

    /// Returns true if the forecast is an upper limit: the length of compressed data is
    /// known only when it is sent.
    pub fn is_limit(&self) -> bool {
        self.form == Form::Compressed
    }

    async fn delete_leftovers(&self) {
        // A directory that cannot be listed is reported where the snapshot is made.
        let entries = fs::read_dir(self.base_dir).into_iter().flatten().flatten();
        let names: Vec<_> = entries.map(|entry| entry.file_name()).collect();
        for name in names.iter().filter_map(|name| name.to_str()) {
            let process = name.strip_prefix(TEMPORARY).and_then(|rest| rest.split('-').next());
            let is_over = process.is_some_and(|id| !Path::new("/proc").join(id).exists());
            if is_over {
                self.delete(&self.base_dir.join(name)).await;
            }
        }
    }

    async fn delete(&self, snapshot: &Path) {
        if let Err(reason) = delete_read_only(self.btrfs, snapshot).await {
            tracing::warn!(
                event = "snapshot_not_deleted",
                snapshot = %snapshot.display(),
                "{reason}"
            );
        }
    }
}

/// Returns true for the name of a temporary snapshot.
pub fn is_temporary(name: &str) -> bool {
    name.starts_with(TEMPORARY)
}

/// Returns the bytes that are in use on the filesystem of `path`.
pub fn used_bytes(path: &Path) -> io::Result<u64> {
    let found = rustix::fs::statvfs(path)?;
    Ok(found.f_blocks.saturating_sub(found.f_bfree).saturating_mul(found.f_frsize))
}
