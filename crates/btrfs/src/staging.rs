//! The private folder, beside the target, that a restore receives into.
//!
//! Its name is made from the target's, so that a restore that is started again
//! finds what a killed one left, and removes it. It is locked while a restore
//! uses it; the kernel drops that lock with the process.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::subvolume;
use crate::tool::{Btrfs, ToolError};

const SUFFIX: &str = ".btrfs-to-s3-restore";

#[derive(Debug)]
pub struct Staging {
    folder: PathBuf,
    _lock: File,
}

#[derive(Debug, thiserror::Error)]
pub enum StagingError {
    #[error("make the folder {path:?}, which a restore receives into")]
    Make { path: PathBuf, source: io::Error },
    #[error("another restore into the same target is running: it holds {path:?}")]
    Held { path: PathBuf },
    #[error("remove what a restore left in {path:?}")]
    Clear { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Delete(#[from] ToolError),
}

impl Staging {
    /// Makes it, or takes over what a killed restore left, and empties it.
    pub async fn make(btrfs: &Btrfs, target: &Path) -> Result<Staging, StagingError> {
        let mut name = std::ffi::OsString::from(".");
        name.push(target.file_name().unwrap_or_default());
        name.push(SUFFIX);
        let folder = target.with_file_name(name);
        let fail = |source| StagingError::Make { path: folder.clone(), source };
        match DirBuilder::new().mode(0o700).create(&folder) {
            Ok(()) => {}
            Err(err) if err.kind() == io::ErrorKind::AlreadyExists => {}
            Err(err) => return Err(fail(err)),
        }
        let lock = File::open(&folder).map_err(fail)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(StagingError::Held { path: folder }),
            Err(errno) => return Err(fail(errno.into())),
        }
        let staging = Staging { folder, _lock: lock };
        if staging.clear(btrfs).await? > 0 {
            let path = staging.folder.display();
            tracing::info!(event = "leftover_removed", %path, "of a restore that was killed");
        }
        Ok(staging)
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Deletes every subvolume in it, and says how many there were.
    async fn clear(&self, btrfs: &Btrfs) -> Result<u64, StagingError> {
        let fail = |source| StagingError::Clear { path: self.folder.clone(), source };
        let mut count = 0;
        for entry in fs::read_dir(&self.folder).map_err(fail)? {
            subvolume::delete(btrfs, &entry.map_err(fail)?.path()).await?;
            count += 1;
        }
        Ok(count)
    }

    /// Empties and removes it.
    pub async fn remove(self, btrfs: &Btrfs) -> Result<(), StagingError> {
        self.clear(btrfs).await?;
        let fail = |source| StagingError::Clear { path: self.folder.clone(), source };
        fs::remove_dir(&self.folder).map_err(fail)
    }
}
