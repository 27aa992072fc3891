//! A restore that nobody needs, so that the one that somebody needs works.
//!
//! The newest backup of a subvolume is restored into a btrfs filesystem in a
//! sparse file ([`Scratch`]), compared with its source where that is here, and
//! all of it is removed again, however that went. What was proven is remembered
//! on this host ([`Drills`]), for `status`.

pub mod scratch;

use std::time::{Duration, Instant};

use s3up_core::Size;
use s3up_repository::names::SubvolumeName;

use crate::compare::Proof;
use crate::drill::scratch::{Scratch, ScratchError};
use crate::restore::Restore;
use crate::restore::error::RestoreError;
use crate::restore::request::{Keep, Request};
use crate::restore::select_backup::{BackupSelector, Chooser};

/// Below the root of the filesystem of a drill.
const TARGET: &str = "restored";

pub struct Drill<'a> {
    pub restore: Restore<'a>,
    pub scratch: &'a Scratch,
}

/// A restore that went well.
#[derive(Debug)]
pub struct Drilled {
    pub manifest: String,
    pub links: usize,
    pub total_bytes: u64,
    /// With making the filesystem, and removing it.
    pub elapsed: Duration,
    pub proof: Proof,
}

#[derive(Debug, thiserror::Error)]
pub enum DrillError {
    #[error(transparent)]
    Scratch(#[from] ScratchError),
    #[error(
        "the drill of this backup needs up to {needed} in {folder:?}, where {free} are free; set \
         `drill.scratch_dir` to a folder with more"
    )]
    NoSpace { needed: Size, free: Size, folder: std::path::PathBuf },
    #[error(transparent)]
    Restore(#[from] RestoreError),
}

impl Drill<'_> {
    /// Nothing of it is left when this returns.
    pub async fn run(&self, subvolume: &SubvolumeName) -> Result<Drilled, DrillError> {
        let began = Instant::now();
        self.scratch.clear().await?;
        let outcome = self.restore(subvolume, began).await;
        let cleared = self.scratch.clear().await;
        let drilled = outcome?;
        cleared?;
        Ok(Drilled { elapsed: began.elapsed(), ..drilled })
    }

    async fn restore(
        &self,
        subvolume: &SubvolumeName,
        began: Instant,
    ) -> Result<Drilled, DrillError> {
        let (bucket, layout) = (self.restore.bucket, self.restore.layout);
        let chooser = Chooser { bucket, layout, subvolume };
        let chain = tokio::select! {
            chain = chooser.chain(&BackupSelector::Newest) => chain?,
            stop = self.restore.shutdown.wait() => return Err(RestoreError::Stopped(stop).into()),
        };
        let total_bytes = chain.total_bytes();
        self.check_space(total_bytes)?;
        let mount = self.scratch.make(total_bytes).await?;
        let request = Request {
            subvolume: subvolume.clone(),
            target: mount.join(TARGET),
            wanted: BackupSelector::Manifest(chain.newest().key.clone()),
            keep: Keep::No,
        };
        let restored = self.restore.run(&request).await?;
        Ok(Drilled {
            manifest: restored.manifest.as_str().to_owned(),
            links: restored.links,
            total_bytes,
            elapsed: began.elapsed(),
            proof: restored.proof,
        })
    }

    /// A sparse file that finds no room breaks the filesystem in it, and fills
    /// the one that it is on.
    fn check_space(&self, needed: u64) -> Result<(), DrillError> {
        let free = self.scratch.free_bytes()?;
        if needed <= free {
            return Ok(());
        }
        let folder = self.scratch.folder().to_owned();
        Err(DrillError::NoSpace { needed: Size(needed), free: Size(free), folder })
    }
}
