//! The private folder, beside the target, that a restore works in.
//!
//! Its name is made from the target's, so that a restore that is started again
//! finds what a killed one left, and removes it. Only a folder that a restore
//! made is taken: not a symlink, ours, closed to others, with a mark of ours in
//! it unless it is empty. It is locked while a restore uses it; the kernel drops
//! that lock with the process.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FlockOperation, OFlags, RenameFlags, flock, renameat_with};
use s3up_core::Sha256Digest;

use crate::subvolume;
use crate::tool::{Btrfs, ToolError};

const SUFFIX: &str = ".btrfs-to-s3-restore";
/// With dot and suffix it fits into the 255 bytes of a file name.
const TARGET_NAME_BYTES_MAX: usize = 200;
const MARK: &str = "made-by-btrfs-to-s3";
const RECEIVED: &str = "received";
const RESTORED: &str = "restored";

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
    #[error("{path:?} is needed as a folder of this restore, and somebody else made it; remove it")]
    Foreign { path: PathBuf },
    #[error("remove what a restore left in {path:?}")]
    Clear { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Delete(#[from] ToolError),
}

impl Staging {
    /// Makes it, or takes over what a killed restore left, and empties it.
    pub async fn make(btrfs: &Btrfs, target: &Path) -> Result<Staging, StagingError> {
        let folder = target.with_file_name(name_for(target));
        let fail = |source| StagingError::Make { path: folder.clone(), source };
        match DirBuilder::new().mode(0o700).create(&folder) {
            Ok(()) => {}
            Err(err) if err.kind() == io::ErrorKind::AlreadyExists => {}
            Err(err) => return Err(fail(err)),
        }
        let flags = OFlags::NOFOLLOW.union(OFlags::DIRECTORY).bits() as i32;
        let lock = OpenOptions::new().read(true).custom_flags(flags).open(&folder).map_err(fail)?;
        if !is_ours(&lock, &folder).map_err(fail)? {
            return Err(StagingError::Foreign { path: folder });
        }
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(StagingError::Held { path: folder }),
            Err(errno) => return Err(fail(errno.into())),
        }
        File::create(folder.join(MARK)).map_err(fail)?;
        let staging = Staging { folder, _lock: lock };
        if staging.clear(btrfs).await? > 0 {
            let path = staging.folder.display();
            tracing::info!(event = "leftover_removed", %path, "of a restore that was killed");
        }
        let made = DirBuilder::new().mode(0o700).recursive(true).create(staging.received());
        made.map_err(|source| StagingError::Make { path: staging.received(), source })?;
        Ok(staging)
    }

    /// Where `btrfs receive` works.
    pub fn received(&self) -> PathBuf {
        self.folder.join(RECEIVED)
    }

    /// Where the writable snapshot is made.
    pub fn restored(&self) -> PathBuf {
        self.folder.join(RESTORED)
    }

    /// Gives the writable snapshot its final name, unless something has it now.
    pub fn hand_over(&self, target: &Path) -> io::Result<()> {
        renameat_with(CWD, self.restored(), CWD, target, RenameFlags::NOREPLACE)?;
        Ok(())
    }

    /// Deletes every subvolume in it, and says how many there were.
    async fn clear(&self, btrfs: &Btrfs) -> Result<u64, StagingError> {
        let mut subvolumes = Vec::new();
        let restored = self.restored();
        subvolumes.extend(restored.symlink_metadata().is_ok().then_some(restored));
        match fs::read_dir(self.received()) {
            Ok(entries) => {
                for entry in entries {
                    subvolumes.push(entry.map_err(|source| self.uncleared(source))?.path());
                }
            }
            Err(err) if err.kind() == io::ErrorKind::NotFound => {}
            Err(err) => return Err(self.uncleared(err)),
        }
        for path in &subvolumes {
            subvolume::delete(btrfs, path).await?;
        }
        Ok(subvolumes.len() as u64)
    }

    /// Empties and removes it.
    pub async fn remove(self, btrfs: &Btrfs) -> Result<(), StagingError> {
        self.clear(btrfs).await?;
        let removed = fs::remove_dir(self.received())
            .and_then(|()| fs::remove_file(self.folder.join(MARK)))
            .and_then(|()| fs::remove_dir(&self.folder));
        removed.map_err(|source| self.uncleared(source))
    }

    fn uncleared(&self, source: io::Error) -> StagingError {
        StagingError::Clear { path: self.folder.clone(), source }
    }
}

/// `.data.btrfs-to-s3-restore` for `data`; a long name is shortened by its digest.
fn name_for(target: &Path) -> std::ffi::OsString {
    let target = target.file_name().unwrap_or_default();
    let mut name = std::ffi::OsString::from(".");
    if target.len() <= TARGET_NAME_BYTES_MAX {
        name.push(target);
    } else {
        name.push(Sha256Digest::of(target.as_encoded_bytes()).to_string());
    }
    name.push(SUFFIX);
    name
}

/// Made by a restore, or just now.
fn is_ours(folder: &File, path: &Path) -> io::Result<bool> {
    let metadata = folder.metadata()?;
    let is_private = metadata.mode() & 0o077 == 0;
    let is_own = metadata.uid() == rustix::process::geteuid().as_raw();
    let is_marked = path.join(MARK).symlink_metadata().is_ok();
    let is_empty = fs::read_dir(path)?.next().is_none();
    Ok(is_private && is_own && (is_marked || is_empty))
}
