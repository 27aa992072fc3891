//! The directory that a restore writes into, and the files in it.
//!
//! The directory itself is reached through no symlink of another user. Every path is resolved beneath
//! it by the kernel, and no symlink on the way is followed, at whatever moment it was created. A directory is created where it is missing.
//!
//! A file is written without a name (`O_TMPFILE`), and gets its own only when it is whole: after a crash
//! nothing is left of it. Where the filesystem cannot do that, or the file replaces another one, it is
//! written under a temporary name beside its own. That name follows from the name, so the run that
//! restores the file after a crash removes the leftover. The lock on the directory keeps a second
//! restore away.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{
    AtFlags, CWD, FlockOperation, Mode, OFlags, RenameFlags, ResolveFlags, Stat, flock, fstat,
    linkat, mkdirat, openat, renameat, renameat_with, syncfs, unlinkat,
};
use rustix::io::Errno;
use s3up_cli::open_confined;
use s3up_core::Sha256Digest;

use crate::files::confined_fs::is_regular;
use crate::files::trusted_path::{MissingDirs, open_dir};
use crate::remote_files::file_metadata::FileMetadata;

/// Mode of a new file until its own is set.
const PRIVATE: Mode = Mode::RUSR.union(Mode::WUSR);
/// Mode of a file whose own is not known, and of directories; the umask takes bits away.
const DEFAULT_FILE: Mode = Mode::from_raw_mode(0o666);
const DEFAULT_DIR: Mode = Mode::from_raw_mode(0o777);
/// Maximum number of open directories that a thread keeps.
const OPEN_DIRS_MAX: usize = 64;

#[derive(Debug)]
pub struct TargetDir {
    fd: OwnedFd,
}

impl TargetDir {
    /// Opens the directory, and creates it if it is missing.
    pub fn create(path: &Path) -> io::Result<TargetDir> {
        Ok(TargetDir { fd: open_dir(path, MissingDirs::Create)? })
    }

    pub fn open(path: &Path) -> io::Result<TargetDir> {
        Ok(TargetDir { fd: open_dir(path, MissingDirs::Fail)? })
    }

    /// Locks the directory until it is closed. Returns false if another process has locked it. A
    /// filesystem without locks has no second restore to fear but that of its user.
    pub fn lock(&self) -> io::Result<bool> {
        match flock(&self.fd, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) | Err(Errno::NOLCK | Errno::OPNOTSUPP | Errno::INVAL | Errno::BADF) => Ok(true),
            Err(Errno::WOULDBLOCK) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Returns the metadata of `path`. A symlink is not followed.
    pub fn stat(&self, path: &Path) -> io::Result<Stat> {
        let fd = open_confined(&self.fd, path, OFlags::PATH, ResolveFlags::empty())?;
        Ok(fstat(&fd)?)
    }

    /// Opens a file to read it. The caller has checked that it is a regular one.
    pub fn open_file(&self, path: &Path) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK;
        Ok(open_confined(&self.fd, path, flags, ResolveFlags::empty())?.into())
    }

    /// Gives a regular file its mode and its time.
    pub fn set_metadata(&self, path: &Path, metadata: &FileMetadata) -> io::Result<()> {
        let file = self.open_file(path)?;
        if !is_regular(&fstat(&file)?) {
            return Err(io::Error::other("expected a regular file, found something else"));
        }
        metadata.set(&file)
    }

    /// Writes everything to the disk that was written to the filesystem of the directory.
    pub fn sync(&self) -> io::Result<()> {
        Ok(syncfs(&self.fd)?)
    }

    /// Opens the directory `path`, and creates it if it is missing.
    fn directory(&self, path: &Path) -> io::Result<OwnedFd> {
        let open = |path: &Path| {
            let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
            let flags = OFlags::PATH | OFlags::DIRECTORY;
            open_confined(&self.fd, path, flags, ResolveFlags::empty())
        };
        match open(path) {
            Err(err) if err.kind() == io::ErrorKind::NotFound => {}
            opened => return opened,
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return open(path);
        };
        let parent = self.directory(parent)?;
        match mkdirat(&parent, name, DEFAULT_DIR) {
            // Another thread has created it.
            Ok(()) | Err(Errno::EXIST) => open(path),
            Err(errno) => Err(errno.into()),
        }
    }
}

/// The directories that one thread has open. Files are restored in the order of their paths, so few
/// are in use at a time.
#[derive(Debug)]
pub struct OpenDirs<'t> {
    target: &'t TargetDir,
    open: Vec<(PathBuf, Arc<OwnedFd>)>,
}

impl<'t> OpenDirs<'t> {
    pub fn new(target: &'t TargetDir) -> OpenDirs<'t> {
        OpenDirs { target, open: Vec::new() }
    }

    /// Creates a new file that becomes `path`, with the directories above it.
    pub fn new_file(
        &mut self,
        path: &Path,
        metadata: &FileMetadata,
        placement: Placement,
    ) -> io::Result<NewFile> {
        let (dir, name) = split(path)?;
        NewFile::create(self.directory(dir)?, name, metadata, placement)
    }

    fn directory(&mut self, path: &Path) -> io::Result<Arc<OwnedFd>> {
        let index = match self.open.iter().rposition(|(open, _)| open == path) {
            Some(index) => index,
            None => {
                if self.open.len() == OPEN_DIRS_MAX {
                    self.open.clear();
                }
                let fd = Arc::new(self.target.directory(path)?);
                self.open.push((path.to_owned(), fd));
                self.open.len() - 1
            }
        };
        Ok(self.open[index].1.clone())
    }
}

/// Creates a new file that becomes `path`, for a file that is written for longer.
pub fn new_file(
    target: &TargetDir,
    path: &Path,
    metadata: &FileMetadata,
    placement: Placement,
) -> io::Result<NewFile> {
    OpenDirs::new(target).new_file(path, metadata, placement)
}

fn split(path: &Path) -> io::Result<(&Path, &OsStr)> {
    match (path.parent(), path.file_name()) {
        (Some(dir), Some(name)) => Ok((dir, name)),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}

/// Says what happens to a file that has the name already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Fails if the name is taken.
    Free,
    Replace,
}

/// A file without its name. What there is of it is removed unless it gets that.
#[derive(Debug)]
pub struct NewFile {
    pub file: File,
    dir: Arc<OwnedFd>,
    /// `None` for a file without any name.
    temporary: Option<String>,
    name: PathBuf,
    metadata: FileMetadata,
    placement: Placement,
}

impl NewFile {
    fn create(
        dir: Arc<OwnedFd>,
        name: &OsStr,
        metadata: &FileMetadata,
        placement: Placement,
    ) -> io::Result<NewFile> {
        let unnamed = match placement {
            Placement::Free => create_unnamed(&dir, metadata)?,
            // A link never replaces a file.
            Placement::Replace => None,
        };
        let (file, temporary) = match unnamed {
            Some(file) => (file, None),
            None => {
                let temporary = temporary_name(name);
                (create_named(&dir, &temporary, metadata)?, Some(temporary))
            }
        };
        Ok(NewFile { file, dir, temporary, name: name.into(), metadata: *metadata, placement })
    }

    /// Gives the file its metadata and its name. Returns the error of its filesystem if that refuses
    /// the metadata.
    pub fn place(mut self) -> io::Result<Option<io::Error>> {
        let refused = self.metadata.set_on_new(&self.file).err();
        match (&self.temporary, self.placement) {
            (None, _) => {
                let file = format!("/proc/self/fd/{}", self.file.as_raw_fd());
                linkat(CWD, file, &self.dir, &self.name, AtFlags::SYMLINK_FOLLOW)?;
            }
            (Some(temporary), Placement::Replace) => {
                renameat(&self.dir, temporary, &self.dir, &self.name)?;
            }
            (Some(temporary), Placement::Free) => self.rename_to_free_name(temporary)?,
        }
        self.temporary = None;
        Ok(refused)
    }

    fn rename_to_free_name(&self, temporary: &str) -> io::Result<()> {
        let (dir, name) = (&self.dir, &self.name);
        match renameat_with(dir, temporary, dir, name, RenameFlags::NOREPLACE) {
            // A filesystem without this call, such as NFS. A link fails if the name is taken.
            Err(Errno::INVAL | Errno::NOSYS) => {
                linkat(dir, temporary, dir, name, AtFlags::empty())?;
                Ok(unlinkat(dir, temporary, AtFlags::empty())?)
            }
            renamed => Ok(renamed?),
        }
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            // The next restore of the file removes a leftover.
            unlinkat(&self.dir, temporary.as_str(), AtFlags::empty()).ok();
        }
    }
}

/// Creates a file without a name and with its mode; `None` where that is not possible.
fn create_unnamed(dir: &OwnedFd, metadata: &FileMetadata) -> io::Result<Option<File>> {
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    match openat(dir, ".", flags, metadata.mode().unwrap_or(DEFAULT_FILE)) {
        Ok(fd) => Ok(Some(fd.into())),
        // Filesystems without it, such as NFS, answer in different ways.
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOSYS | Errno::NOENT) => {
            Ok(None)
        }
        Err(errno) => Err(errno.into()),
    }
}

fn create_named(dir: &OwnedFd, temporary: &str, metadata: &FileMetadata) -> io::Result<File> {
    let mode = if metadata.mode.is_some() { PRIVATE } else { DEFAULT_FILE };
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    let create = || openat(dir, temporary, flags, mode);
    let fd = match create() {
        // A leftover of a restore that was killed: no other one has the lock.
        Err(Errno::EXIST) => {
            unlinkat(dir, temporary, AtFlags::empty())?;
            create()?
        }
        created => created?,
    };
    Ok(fd.into())
}

/// Returns a short name, which fits wherever the name fits.
fn temporary_name(name: &OsStr) -> String {
    let digest = Sha256Digest::of(name.as_bytes()).to_string();
    format!(".s3up-{}", &digest[..16])
}

#[cfg(test)]
mod tests;
