//! A drill: a restore that is compared and then removed, to prove that a backup can be restored.
//!
//! The newest backup of a subvolume is restored into a btrfs filesystem in a sparse file
//! ([`Scratch`]) and compared with its source snapshot if this host still has it. Then all of it is
//! removed, whatever the result. The last good drill is recorded on this host
//! ([`Drills`](crate::status::last_drills::Drills)) for `status`.

pub mod scratch;

use std::time::Duration;

use s3up_core::{Size, Stopwatch};
use s3up_repository::names::SubvolumeName;

use crate::compare::Proof;
use crate::drill::scratch::{Scratch, ScratchError};
use crate::restore::Restore;
use crate::restore::error::RestoreError;
use crate::restore::request::{KeepParent, RestoreRequest};
use crate::restore::select_backup::{BackupSelector, ChainReader};

/// Name of the target in the scratch filesystem.
const TARGET: &str = "restored";

pub struct Drill<'a> {
    pub restore: Restore<'a>,
    pub scratch: &'a Scratch,
}

/// The result of a good drill.
#[derive(Debug)]
pub struct DrillResult {
    pub manifest: String,
    pub backups: usize,
    pub total_bytes: u64,
    /// Includes making and removing the filesystem.
    pub elapsed: Duration,
    pub proof: Proof,
}

#[derive(Debug, thiserror::Error)]
pub enum DrillError {
    #[error(transparent)]
    Scratch(#[from] ScratchError),
    #[error(
        "restore into {directory:?}: expected {needed} of free space, found {free}; set \
         `drill.scratch_dir` to a directory with more"
    )]
    NoSpace { needed: Size, free: Size, directory: std::path::PathBuf },
    #[error(transparent)]
    Restore(#[from] RestoreError),
}

impl Drill<'_> {
    /// Runs a drill, and leaves nothing behind.
    pub async fn run(&self, subvolume: &SubvolumeName) -> Result<DrillResult, DrillError> {
        let began = self.restore.clock.start();
        self.scratch.clear().await?;
        let outcome = self.restore(subvolume, began).await;
        let cleared = self.scratch.clear().await;
        let drilled = outcome?;
        cleared?;
        Ok(DrillResult { elapsed: began.elapsed(), ..drilled })
    }

    async fn restore(
        &self,
        subvolume: &SubvolumeName,
        began: Stopwatch,
    ) -> Result<DrillResult, DrillError> {
        let (bucket, layout) = (self.restore.bucket, self.restore.layout);
        let chain_reader = ChainReader { bucket, layout, subvolume };
        let chain = tokio::select! {
            chain = chain_reader.chain(&BackupSelector::Newest) => chain?,
            stop = self.restore.shutdown.wait() => return Err(RestoreError::Stopped(stop).into()),
        };
        let total_bytes = chain.total_bytes();
        self.check_space(total_bytes)?;
        let node_bytes = chain.entries().iter().filter_map(|entry| entry.manifest.node_bytes).max();
        let mount = self.scratch.make(total_bytes, node_bytes).await?;
        let request = RestoreRequest {
            subvolume: subvolume.clone(),
            target: mount.join(TARGET),
            wanted: BackupSelector::Manifest(chain.newest().key.clone()),
            keep: KeepParent::No,
        };
        let restored = self.restore.run(&request).await?;
        Ok(DrillResult {
            manifest: restored.manifest.as_str().to_owned(),
            backups: restored.backups,
            total_bytes,
            elapsed: began.elapsed(),
            proof: restored.proof,
        })
    }

    /// Checks that the stream fits. A sparse file that runs out of space breaks the filesystem in
    /// it and fills the one around it.
    fn check_space(&self, needed: u64) -> Result<(), DrillError> {
        let free = self.scratch.free_bytes()?;
        if needed <= free {
            return Ok(());
        }
        let directory = self.scratch.directory().to_owned();
        Err(DrillError::NoSpace { needed: Size(needed), free: Size(free), directory })
    }
}
