//! Builds the index of a backup while its stream is sent.
//!
//! It is stored before the manifest, so a backup that is published has its index. Without one the
//! backup is as good: `index --build` makes it later. So a failure here is a warning.

use btrfs_host::command_tap::CommandTap;
use s3up_core::error_chain;
use s3up_repository::stream_index::{self, IndexBuilding, IndexError};

use super::context::{BackupJob, BackupRun};

impl BackupRun {
    /// Starts an index. Its temporary files lie beside the snapshots, on a disk and not in memory.
    pub(super) fn start_index(&self) -> (CommandTap, IndexBuilding) {
        let (sender, building) = IndexBuilding::start(&self.options.base_dir);
        (CommandTap::new(sender), building)
    }

    /// Completes the index after the stream has ended, and stores it.
    pub(super) async fn store_index(&self, job: &BackupJob<'_>, index: IndexBuilding) {
        let manifest = self.layout().manifest(&job.backup);
        let storing = async {
            let built = index.finish(&manifest).await?;
            stream_index::store(&self.bucket_of(job), &manifest, built).await?;
            Ok::<_, IndexError>(())
        };
        if let Err(err) = storing.await {
            tracing::warn!(
                event = "index_not_built",
                subvolume = %job.subvolume.name,
                error = error_chain(&err),
                "the backup has no index: {}; `index --build` builds it later",
                error_chain(&err)
            );
        }
    }
}
