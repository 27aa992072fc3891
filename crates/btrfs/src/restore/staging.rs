//! The private folder, beside the target, that a restore works in.
//!
//! Its name is made from the target's, so that a restore that is started again
//! finds what an interrupted one left: it goes on from the last link that is
//! [whole](Progress) and still is what was received, and removes all else. Only a
//! folder that a restore made is taken: not a symlink, ours, closed to others,
//! with a mark of ours in it unless it is empty. It is locked while a restore
//! uses it; the kernel drops that lock with the process.

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

pub use self::progress::{Progress, ReceivedBackup};
use crate::restore::uuid_rewrite::UuidSalt;
use crate::sibling_dir::folder_for;

const SUFFIX: &str = ".btrfs-to-s3-restore";
const MARK: &str = "made-by-btrfs-to-s3";
/// What a mark is called while it is written.
const NEW_MARK: &str = "made-by-btrfs-to-s3.new";
const RECEIVED: &str = "received";
const RESTORED: &str = "restored";

#[derive(Debug)]
pub struct Staging {
    folder: PathBuf,
    progress: Progress,
    lock: File,
}

#[derive(Debug, thiserror::Error)]
pub enum StagingError {
    #[error("make the folder {path:?}, which a restore receives into")]
    Make { path: PathBuf, source: io::Error },
    #[error("another restore into the same target is running: it holds {path:?}")]
    Held { path: PathBuf },
    #[error("{path:?} is needed as a folder of this restore, and somebody else made it; remove it")]
    Foreign { path: PathBuf },
    #[error("note in {path:?} how far the restore came")]
    Note { path: PathBuf, source: io::Error },
    #[error("remove what a restore left in {path:?}")]
    Clear { path: PathBuf, source: io::Error },
    #[error("choose names for what is received")]
    Random(#[from] getrandom::Error),
    #[error(transparent)]
    Delete(#[from] ToolError),
}

impl Staging {
    /// Makes it, or takes over what an interrupted restore left.
    pub fn open(target: &Path) -> Result<Staging, StagingError> {
        let folder = folder_for(target, SUFFIX);
        match DirBuilder::new().mode(0o700).create(&folder) {
            Ok(()) => {}
            Err(err) if err.kind() == io::ErrorKind::AlreadyExists => {}
            Err(source) => return Err(StagingError::Make { path: folder, source }),
        }
        Staging::take(folder)
    }

    /// What an interrupted restore left, if it left anything.
    pub fn left(target: &Path) -> Result<Option<Staging>, StagingError> {
        let folder = folder_for(target, SUFFIX);
        match folder.symlink_metadata() {
            Ok(_) => Staging::take(folder).map(Some),
            Err(_) => Ok(None),
        }
    }

    /// How many links of this chain an earlier restore left whole. Takes no lock,
    /// and changes nothing: a restore may be at work there.
    pub async fn whole_left(
        btrfs: &Btrfs,
        target: &Path,
        chain: &[Sha256Digest],
    ) -> Result<usize, StagingError> {
        let folder = folder_for(target, SUFFIX);
        if folder.symlink_metadata().is_err() {
            return Ok(0);
        }
        let lock = open_ours(&folder)?;
        let noted = fs::read(folder.join(MARK)).map(|noted| serde_json::from_slice(&noted));
        let Ok(Ok(progress)) = noted else { return Ok(0) };
        let left = Staging { folder, progress, lock };
        Ok(left.whole(btrfs, chain).await.map_or(0, |(count, _)| count))
    }

    fn take(folder: PathBuf) -> Result<Staging, StagingError> {
        let fail = |source| StagingError::Make { path: folder.clone(), source };
        let lock = open_ours(&folder)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(StagingError::Held { path: folder }),
            Err(errno) => return Err(fail(errno.into())),
        }
        let mark = folder.join(MARK);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).open(&mark).map_err(fail)?;
        let noted = serde_json::from_slice(&fs::read(&mark).map_err(fail)?);
        let progress = match noted {
            Ok(progress) => progress,
            // Nothing was noted yet, or by another program: of no use.
            Err(_) => Progress::none(UuidSalt::random()?),
        };
        Ok(Staging { folder, progress, lock })
    }

    /// Keeps what is whole of this chain, and removes all else; says how many
    /// links that is, and which is the newest.
    pub async fn go_on(
        &mut self,
        btrfs: &Btrfs,
        chain: &[Sha256Digest],
    ) -> Result<Option<(usize, ReceivedBackup)>, StagingError> {
        let whole = self.whole(btrfs, chain).await;
        let keep = whole.as_ref().map(|(_, last)| self.path_of(last));
        let removed = self.clear(btrfs, keep.as_deref()).await?;
        if removed > 0 {
            let path = self.folder.display();
            tracing::info!(event = "leftover_removed", %path, "of a restore that was interrupted");
        }
        if whole.is_none() {
            self.progress = Progress::none(UuidSalt::random()?);
            self.note()?;
        }
        let made = DirBuilder::new().mode(0o700).recursive(true).create(self.received());
        made.map_err(|source| StagingError::Make { path: self.received(), source })?;
        Ok(whole)
    }

    /// How many links of this chain are whole here, and which is the newest.
    pub async fn whole(
        &self,
        btrfs: &Btrfs,
        chain: &[Sha256Digest],
    ) -> Option<(usize, ReceivedBackup)> {
        let (count, last) = self.progress.begins(chain)?;
        self.is_still(btrfs, last).await.then(|| (count, last.clone()))
    }

    /// Read-only, received as what it was, and not changed since.
    async fn is_still(&self, btrfs: &Btrfs, whole: &ReceivedBackup) -> bool {
        let path = self.path_of(whole);
        let Ok(shown) = subvolume::show(btrfs, &path).await else { return false };
        let received = btrfs_sendstream::Uuid(whole.received_uuid).to_string();
        let is_named = shown.uuid == whole.uuid && shown.received_uuid == Some(received);
        let identity = send::identity(btrfs, &path).await;
        let is_unchanged = identity.is_ok_and(|found| found.ctransid == whole.ctransid);
        shown.is_read_only && is_named && is_unchanged
    }

    /// A link was received, and is on disk for good.
    pub fn add(&mut self, link: Sha256Digest, whole: ReceivedBackup) -> Result<(), StagingError> {
        self.progress.add(link, whole);
        self.note()
    }

    /// This subvolume is about to appear at the target.
    pub fn hands_over(&mut self, uuid: String) -> Result<(), StagingError> {
        self.progress.handed_over = Some(uuid);
        self.note()
    }

    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    fn note(&self) -> Result<(), StagingError> {
        let path = self.folder.join(MARK);
        let json = serde_json::to_vec(&self.progress).expect("plain data is always JSON");
        write_atomically(&path, &json).map_err(|source| StagingError::Note { path, source })
    }

    /// Writes all that was received to the disk.
    pub async fn sync(&self) -> Result<(), StagingError> {
        let fail = |source| StagingError::Note { path: self.folder.clone(), source };
        let folder = self.lock.try_clone().map_err(fail)?;
        let synced = tokio::task::spawn_blocking(move || syncfs(folder)).await;
        synced.map_err(|err| fail(io::Error::other(err)))?.map_err(|errno| fail(errno.into()))
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where `btrfs receive` works.
    pub fn received(&self) -> PathBuf {
        self.folder.join(RECEIVED)
    }

    pub fn path_of(&self, whole: &ReceivedBackup) -> PathBuf {
        self.received().join(OsStr::from_bytes(&whole.name))
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

    /// Deletes every subvolume in it but one, and says how many there were.
    async fn clear(&self, btrfs: &Btrfs, keep: Option<&Path>) -> Result<u64, StagingError> {
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
        subvolumes.retain(|path| Some(path.as_path()) != keep);
        for path in &subvolumes {
            subvolume::delete(btrfs, path).await?;
        }
        Ok(subvolumes.len() as u64)
    }

    /// Leaves what is whole for another restore, and nothing else.
    pub async fn keep(self, btrfs: &Btrfs) {
        let keep = self.progress.last.as_ref().map(|last| self.path_of(last));
        if let Err(err) = self.clear(btrfs, keep.as_deref()).await {
            tracing::warn!(event = "cleanup_failed", "{}", error_chain(&err));
        }
    }

    /// Empties and removes it.
    pub async fn remove(self, btrfs: &Btrfs) {
        if let Err(err) = self.try_remove(btrfs).await {
            tracing::warn!(event = "cleanup_failed", "{}", error_chain(&err));
        }
    }

    async fn try_remove(&self, btrfs: &Btrfs) -> Result<(), StagingError> {
        self.clear(btrfs, None).await?;
        let removed = gone(fs::remove_dir(self.received()))
            .and_then(|()| gone(fs::remove_file(self.folder.join(NEW_MARK))))
            .and_then(|()| fs::remove_file(self.folder.join(MARK)))
            .and_then(|()| fs::remove_dir(&self.folder));
        removed.map_err(|source| self.uncleared(source))
    }

    fn uncleared(&self, source: io::Error) -> StagingError {
        StagingError::Clear { path: self.folder.clone(), source }
    }
}

fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(err) if err.kind() != io::ErrorKind::NotFound => Err(err),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn open_ours(path: &Path) -> Result<File, StagingError> {
    let fail = |source| StagingError::Make { path: path.to_owned(), source };
    let flags = OFlags::NOFOLLOW.union(OFlags::DIRECTORY).bits() as i32;
    let folder = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(fail)?;
    if is_ours(&folder, path).map_err(fail)? {
        return Ok(folder);
    }
    Err(StagingError::Foreign { path: path.to_owned() })
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
