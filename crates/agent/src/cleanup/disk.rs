//! Work of a cleanup on a thread that may wait for the disk.

use std::sync::Arc;

use super::error::CleanupError;
use super::judge::NotDeleted;
use super::remove::ProvenFile;
use crate::files::confined_fs::Root;
use crate::files::watch::Watch;

/// Returns the free space of the filesystem of a watch.
pub(super) async fn free_bytes(watch: Arc<Watch>) -> Result<u64, CleanupError> {
    let root = watch.root.clone();
    let stat = blocking(move || rustix::fs::statvfs(&root)).await?;
    let failed = |reason: String| CleanupError::Watch { root: watch.root.clone(), reason };
    let stat = stat.map_err(|err| failed(err.to_string()))?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Runs `work` on files of a watch, with its root as it is now.
pub(super) async fn on_files(
    watch: &Arc<Watch>,
    files: Vec<ProvenFile>,
    work: impl FnOnce(&Root, &[ProvenFile]) -> Vec<Result<(), NotDeleted>> + Send + 'static,
) -> Result<Vec<Result<(), NotDeleted>>, CleanupError> {
    let path = watch.root.clone();
    let done = blocking(move || Root::open(&path).map(|root| work(&root, &files))).await?;
    let failed = |reason: String| CleanupError::Watch { root: watch.root.clone(), reason };
    done.map_err(|err| failed(err.to_string()))
}

/// Runs `work` on a thread that may wait for the disk.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, CleanupError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| CleanupError::Panicked)
}
