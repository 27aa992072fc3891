//! The staging directory: the hidden directory beside the target in which a restore works.
//!
//! Its name is derived from the target, so that a restore that is started again finds what an
//! interrupted one left. It resumes after the last [received](StagingProgress) backup, if that backup is
//! unchanged, and removes everything else.
//!
//! Only a directory that a restore created is used: not a symlink, owned by us, closed to others,
//! and either empty or with our marker file in it. It is locked while a restore uses it; the
//! kernel drops the lock when the process ends.

mod progress;

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use btrfs_host::tool::{Btrfs, ToolError};
use btrfs_host::{send, subvolume};
use rustix::fs::{CWD, FlockOperation, OFlags, RenameFlags, flock, renameat_with, syncfs};
use s3up_core::{Sha256Digest, error_chain};
use s3up_repository::atomic_write::write_atomically;

pub use self::progress::{ReceivedBackup, StagingProgress};
use crate::removal::ignore_missing;
use crate::restore::uuid_rewrite::UuidSalt;
use crate::sibling_dir::dir_for;

const SUFFIX: &str = ".btrfs-to-s3-restore";
const MARKER: &str = "made-by-btrfs-to-s3";
/// Name of the marker file while it is written.
const NEW_MARKER: &str = "made-by-btrfs-to-s3.new";
const RECEIVED: &str = "received";
const RESTORED: &str = "restored";
const TRIAL: &str = "trial";

#[derive(Debug)]
pub struct Staging {
    directory: PathBuf,
    progress: StagingProgress,
    lock: File,
}

#[derive(Debug, thiserror::Error)]
pub enum StagingError {
    #[error("create the staging directory {path:?}")]
    Make { path: PathBuf, source: io::Error },
    #[error("another restore to the same target is running: it holds {path:?}")]
    Held { path: PathBuf },
    #[error(
        "{path:?} was not created by btrfs-to-s3; check what it is, then move it away and retry"
    )]
    Foreign { path: PathBuf },
    #[error("write the progress of the restore to {path:?}")]
    Note { path: PathBuf, source: io::Error },
    #[error("remove leftovers of a restore in {path:?}")]
    Clear { path: PathBuf, source: io::Error },
    #[error("generate UUIDs for the received snapshots")]
    Random(#[from] getrandom::Error),
    #[error(transparent)]
    Delete(#[from] ToolError),
}

impl Staging {
    /// Creates the staging directory, or takes over that of an interrupted restore.
    pub fn open(target: &Path) -> Result<Staging, StagingError> {
        let directory = dir_for(target, SUFFIX);
        match DirBuilder::new().mode(0o700).create(&directory) {
            Ok(()) => {}
            Err(err) if err.kind() == io::ErrorKind::AlreadyExists => {}
            Err(source) => return Err(StagingError::Make { path: directory, source }),
        }
        Staging::take(directory)
    }

    /// Returns the staging directory of an interrupted restore, if there is one.
    pub fn find(target: &Path) -> Result<Option<Staging>, StagingError> {
        let directory = dir_for(target, SUFFIX);
        match directory.symlink_metadata() {
            Ok(_) => Staging::take(directory).map(Some),
            Err(_) => Ok(None),
        }
    }

    /// Returns how many backups of this chain an earlier restore has received. Takes no lock and
    /// changes nothing, since a restore may be running there.
    pub async fn count_received(
        btrfs: &Btrfs,
        target: &Path,
        chain: &[Sha256Digest],
    ) -> Result<usize, StagingError> {
        let directory = dir_for(target, SUFFIX);
        if directory.symlink_metadata().is_err() {
            return Ok(0);
        }
        let lock = open_ours(&directory)?;
        let noted = fs::read(directory.join(MARKER)).map(|noted| serde_json::from_slice(&noted));
        let Ok(Ok(progress)) = noted else { return Ok(0) };
        let left = Staging { directory, progress, lock };
        Ok(left.newest_received(btrfs, chain).await.map_or(0, |(count, _)| count))
    }

    fn take(directory: PathBuf) -> Result<Staging, StagingError> {
        let fail = |source| StagingError::Make { path: directory.clone(), source };
        let lock = open_ours(&directory)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(StagingError::Held { path: directory });
            }
            Err(errno) => return Err(fail(errno.into())),
        }
        let marker = directory.join(MARKER);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).open(&marker).map_err(fail)?;
        let recorded = serde_json::from_slice(&fs::read(&marker).map_err(fail)?);
        let progress = match recorded {
            Ok(progress) => progress,
            // Nothing was recorded yet, or another version of the program wrote it.
            Err(_) => StagingProgress::none(UuidSalt::random()?),
        };
        Ok(Staging { directory, progress, lock })
    }

    /// Keeps the received backups of this chain and removes everything else. Returns how many
    /// there are, and the newest.
    pub async fn resume(
        &mut self,
        btrfs: &Btrfs,
        chain: &[Sha256Digest],
    ) -> Result<Option<(usize, ReceivedBackup)>, StagingError> {
        let newest = self.newest_received(btrfs, chain).await;
        let keep = newest.as_ref().map(|(_, last)| self.path_of(last));
        let removed = self.clear(btrfs, keep.as_deref()).await?;
        if removed > 0 {
            let path = self.directory.display();
            tracing::info!(event = "leftover_removed", %path, "removed the remains of an interrupted restore");
        }
        if newest.is_none() {
            self.progress = StagingProgress::none(UuidSalt::random()?);
            self.note()?;
        }
        let made = DirBuilder::new().mode(0o700).recursive(true).create(self.received());
        made.map_err(|source| StagingError::Make { path: self.received(), source })?;
        Ok(newest)
    }

    /// Returns how many backups of this chain are received, and the newest.
    pub async fn newest_received(
        &self,
        btrfs: &Btrfs,
        chain: &[Sha256Digest],
    ) -> Option<(usize, ReceivedBackup)> {
        let (count, last) = self.progress.begins(chain)?;
        self.is_unchanged_since(btrfs, last).await.then(|| (count, last.clone()))
    }

    /// Returns true if a received snapshot is still read-only and unchanged.
    async fn is_unchanged_since(&self, btrfs: &Btrfs, backup: &ReceivedBackup) -> bool {
        let path = self.path_of(backup);
        let Ok(shown) = subvolume::show(btrfs, &path).await else { return false };
        let received = btrfs_sendstream::Uuid(backup.received_uuid).to_string();
        let is_named = shown.uuid == backup.uuid && shown.received_uuid == Some(received);
        let identity = send::identity(btrfs, &path).await;
        let is_unchanged = identity.is_ok_and(|found| found.ctransid == backup.ctransid);
        shown.is_read_only && is_named && is_unchanged
    }

    /// Records that a backup was received and synced.
    pub fn add(&mut self, entry: Sha256Digest, backup: ReceivedBackup) -> Result<(), StagingError> {
        self.progress.add(entry, backup);
        self.note()
    }

    /// Records that this subvolume is about to be renamed to the target.
    pub fn note_rename(&mut self, uuid: String) -> Result<(), StagingError> {
        self.progress.renamed_uuid = Some(uuid);
        self.note()
    }

    pub fn progress(&self) -> &StagingProgress {
        &self.progress
    }

    fn note(&self) -> Result<(), StagingError> {
        let path = self.directory.join(MARKER);
        let json = serde_json::to_vec(&self.progress).expect("plain data is always JSON");
        write_atomically(&path, &json).map_err(|source| StagingError::Note { path, source })
    }

    /// Syncs the filesystem.
    pub async fn sync(&self) -> Result<(), StagingError> {
        let fail = |source| StagingError::Note { path: self.directory.clone(), source };
        let directory = self.lock.try_clone().map_err(fail)?;
        let synced = tokio::task::spawn_blocking(move || syncfs(directory)).await;
        synced.map_err(|err| fail(io::Error::other(err)))?.map_err(|errno| fail(errno.into()))
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Returns the directory that `btrfs receive` works in.
    pub fn received(&self) -> PathBuf {
        self.directory.join(RECEIVED)
    }

    /// Returns the directory for backups that are received on trial.
    pub fn trial(&self) -> PathBuf {
        self.directory.join(TRIAL)
    }

    /// Creates that directory, empty. An interrupted restore may have left one.
    pub async fn make_trial(&self, btrfs: &Btrfs) -> Result<(), StagingError> {
        self.clear_trial(btrfs).await?;
        let made = DirBuilder::new().mode(0o700).create(self.trial());
        made.map_err(|source| StagingError::Make { path: self.trial(), source })
    }

    /// Removes that directory and the subvolumes in it.
    pub async fn clear_trial(&self, btrfs: &Btrfs) -> Result<(), StagingError> {
        for path in self.entries_of(&self.trial())? {
            subvolume::delete(btrfs, &path).await?;
        }
        ignore_missing(fs::remove_dir(self.trial())).map_err(|source| self.uncleared(source))
    }

    pub fn path_of(&self, backup: &ReceivedBackup) -> PathBuf {
        self.received().join(OsStr::from_bytes(&backup.name))
    }

    /// Returns the path of the writable snapshot.
    pub fn restored(&self) -> PathBuf {
        self.directory.join(RESTORED)
    }

    /// Renames the writable snapshot to the target. Fails if the target exists.
    pub fn rename_to_target(&self, target: &Path) -> io::Result<()> {
        renameat_with(CWD, self.restored(), CWD, target, RenameFlags::NOREPLACE)?;
        Ok(())
    }

    /// Deletes every subvolume in the staging directory except `keep`, and returns their
    /// number.
    async fn clear(&self, btrfs: &Btrfs, keep: Option<&Path>) -> Result<u64, StagingError> {
        let mut subvolumes = Vec::new();
        let restored = self.restored();
        subvolumes.extend(restored.symlink_metadata().is_ok().then_some(restored));
        subvolumes.extend(self.entries_of(&self.received())?);
        subvolumes.retain(|path| Some(path.as_path()) != keep);
        for path in &subvolumes {
            subvolume::delete(btrfs, path).await?;
        }
        Ok(subvolumes.len() as u64)
    }

    /// Returns the paths in one of our directories; none if it does not exist.
    fn entries_of(&self, directory: &Path) -> Result<Vec<PathBuf>, StagingError> {
        let path = |entry: io::Result<fs::DirEntry>| Ok(entry?.path());
        let listed = fs::read_dir(directory).and_then(|entries| entries.map(path).collect());
        match listed {
            Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            listed => listed.map_err(|source| self.uncleared(source)),
        }
    }

    /// Keeps the newest received snapshot for a later restore, and removes everything else.
    pub async fn keep(self, btrfs: &Btrfs) {
        let keep = self.progress.last.as_ref().map(|last| self.path_of(last));
        if let Err(err) = self.clear(btrfs, keep.as_deref()).await {
            tracing::warn!(event = "cleanup_failed", "{}", error_chain(&err));
        }
    }

    /// Removes the staging directory and everything in it.
    pub async fn remove(self, btrfs: &Btrfs) {
        if let Err(err) = self.try_remove(btrfs).await {
            tracing::warn!(event = "cleanup_failed", "{}", error_chain(&err));
        }
    }

    async fn try_remove(&self, btrfs: &Btrfs) -> Result<(), StagingError> {
        self.clear(btrfs, None).await?;
        self.clear_trial(btrfs).await?;
        let removed = ignore_missing(fs::remove_dir(self.received()))
            .and_then(|()| ignore_missing(fs::remove_file(self.directory.join(NEW_MARKER))))
            .and_then(|()| fs::remove_file(self.directory.join(MARKER)))
            .and_then(|()| fs::remove_dir(&self.directory));
        removed.map_err(|source| self.uncleared(source))
    }

    fn uncleared(&self, source: io::Error) -> StagingError {
        StagingError::Clear { path: self.directory.clone(), source }
    }
}

fn open_ours(path: &Path) -> Result<File, StagingError> {
    let fail = |source| StagingError::Make { path: path.to_owned(), source };
    let flags = OFlags::NOFOLLOW.union(OFlags::DIRECTORY).bits() as i32;
    let directory = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(fail)?;
    if is_ours(&directory, path).map_err(fail)? {
        return Ok(directory);
    }
    Err(StagingError::Foreign { path: path.to_owned() })
}

/// Returns true if a directory was created by a restore, earlier or just now.
fn is_ours(directory: &File, path: &Path) -> io::Result<bool> {
    let metadata = directory.metadata()?;
    let is_private = metadata.mode() & 0o077 == 0;
    let is_own = metadata.uid() == rustix::process::geteuid().as_raw();
    let has_marker = path.join(MARKER).symlink_metadata().is_ok();
    let is_empty = fs::read_dir(path)?.next().is_none();
    Ok(is_private && is_own && (has_marker || is_empty))
}
