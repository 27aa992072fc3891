//! The directory in the target in which files lie until all of their content is there.
//!
//! A file has a number as its name. Nothing but its owner can read the directory. It is removed when
//! the restore ends; one that a killed restore left is emptied by the next one into this target.

use std::collections::{HashMap, VecDeque};
use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;

use rustix::fs::{
    AtFlags, FileType, FlockOperation, Mode, OFlags, RawMode, flock, fstat, openat, statat, syncfs,
    unlinkat,
};
use rustix::io::Errno;

use super::piece::FileNumber;
use super::target::{self, STAGING_NAME};

/// Name of a directory that is there if the target was created by a restore.
const NEW_TARGET: &[u8] = b"new-target";
/// Number of files in one directory.
const FILES_PER_DIR: u64 = 4096;
/// Number of files that are kept open: those that lie near each other in the streams.
const OPEN_FILES_MAX: usize = 256;
/// Length of the pieces in which a file is copied.
const COPY_BYTES: usize = 1 << 20;
const PRIVATE_FILE: Mode = Mode::RUSR.union(Mode::WUSR);

pub struct FileStaging {
    fd: OwnedFd,
    open: HashMap<FileNumber, File>,
    /// The order in which they were opened.
    order: VecDeque<FileNumber>,
    directory: Option<(u64, OwnedFd)>,
}

/// A restore that ended without removing its staging directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KilledRestore {
    /// True if it has created the target.
    pub had_new_target: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum FileStagingError {
    #[error("another restore into this directory is running; wait for it to end")]
    InUse,
    #[error(
        "check the staging directory: expected a directory of this user that others cannot enter, \
         found another one; find out whose it is, then move it away and run the same command again"
    )]
    NotOurs,
    #[error("use the staging directory")]
    Io(#[from] io::Error),
}

impl From<Errno> for FileStagingError {
    fn from(errno: Errno) -> FileStagingError {
        FileStagingError::Io(errno.into())
    }
}

/// Returns the directory and the name of a staged file.
fn place_of(file: FileNumber) -> (u64, Vec<u8>) {
    (file / FILES_PER_DIR, file.to_string().into_bytes())
}

impl FileStaging {
    /// Creates the directory and locks it. Returns with it what a killed restore has left, if one
    /// did. `is_new_target` is noted for a restore that resumes this one.
    pub fn create(
        target: impl AsFd,
        is_new_target: bool,
    ) -> Result<(FileStaging, Option<KilledRestore>), FileStagingError> {
        let (fd, is_new) = target::make_directory(&target, STAGING_NAME)?;
        if !is_new {
            let found = fstat(&fd)?;
            let is_private = found.st_mode & 0o077 == 0 || target::has_no_modes(&target)?;
            if found.st_uid != rustix::process::geteuid().as_raw() || !is_private {
                return Err(FileStagingError::NotOurs);
            }
        }
        match flock(&fd, FlockOperation::NonBlockingLockExclusive) {
            // A filesystem without locks has no second restore to fear but that of its user.
            Ok(()) | Err(Errno::NOLCK | Errno::OPNOTSUPP | Errno::INVAL | Errno::BADF) => {}
            Err(Errno::WOULDBLOCK) => return Err(FileStagingError::InUse),
            Err(errno) => return Err(errno.into()),
        }
        let mut killed = None;
        if !is_new {
            let had_new_target = target::find_directory(&fd, NEW_TARGET)?.is_some();
            killed = Some(KilledRestore { had_new_target });
            empty(&fd, 1)?;
        }
        if is_new_target || killed.is_some_and(|killed| killed.had_new_target) {
            target::make_directory(&fd, NEW_TARGET)?;
        }
        let (open, order) = (HashMap::new(), VecDeque::new());
        Ok((FileStaging { fd, open, order, directory: None }, killed))
    }

    pub fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    /// Returns the directory and the name of a file.
    pub fn place_of(&mut self, file: FileNumber) -> io::Result<(&OwnedFd, Vec<u8>)> {
        let (number, name) = place_of(file);
        let is_open = self.directory.as_ref().is_some_and(|(open, _)| *open == number);
        if !is_open {
            let (opened, _) = target::make_directory(&self.fd, number.to_string().as_bytes())?;
            self.directory = Some((number, opened));
        }
        let (_, directory) = self.directory.as_ref().ok_or(io::ErrorKind::NotFound)?;
        Ok((directory, name))
    }

    /// Opens a file, and creates it when it is opened for the first time.
    pub fn file(&mut self, file: FileNumber) -> io::Result<&File> {
        if !self.open.contains_key(&file) {
            if self.order.len() == OPEN_FILES_MAX
                && let Some(oldest) = self.order.pop_front()
            {
                self.open.remove(&oldest);
            }
            let (directory, name) = self.place_of(file)?;
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let opened = openat(directory, &name[..], flags, PRIVATE_FILE)?;
            self.order.push_back(file);
            self.open.insert(file, opened.into());
        }
        self.open.get(&file).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Copies a file to another one in the staging directory.
    pub fn copy(&mut self, file: FileNumber, name: &[u8]) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let copy = File::from(openat(&self.fd, name, flags | OFlags::CLOEXEC, PRIVATE_FILE)?);
        let bytes = self.file(file)?.metadata()?.len();
        let mut at = 0;
        let mut buffer = vec![0; COPY_BYTES];
        // A range that no byte was written to stays a hole where the filesystem has some.
        while at < bytes {
            let count = (bytes - at).min(COPY_BYTES as u64) as usize;
            self.file(file)?.read_exact_at(&mut buffer[..count], at)?;
            if buffer[..count].iter().any(|byte| *byte != 0) {
                copy.write_all_at(&buffer[..count], at)?;
            }
            at += count as u64;
        }
        copy.set_len(bytes)?;
        copy.sync_all()?;
        Ok(copy)
    }

    pub fn write(&mut self, file: FileNumber, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file(file)?.write_all_at(bytes, offset)
    }

    /// Writes everything to the disk that was written to the filesystem, and closes all files.
    pub fn sync(&mut self) -> io::Result<()> {
        self.open.clear();
        self.order.clear();
        Ok(syncfs(&self.fd)?)
    }

    /// Removes the directory with all that is left in it.
    pub fn remove(self, target: impl AsFd) -> io::Result<()> {
        let FileStaging { fd, open, directory, .. } = self;
        // A file that is open when it is removed keeps a name on NFS and in user space.
        drop((open, directory));
        empty(&fd, 1)?;
        drop(fd);
        Ok(unlinkat(target, STAGING_NAME, AtFlags::REMOVEDIR)?)
    }
}

/// Removes the entries of a directory, and of the directories in it down to `depth`.
fn empty(directory: &OwnedFd, depth: usize) -> io::Result<()> {
    // All names are read first: a filesystem in user space may leave some out while others are removed.
    for name in target::names_in(directory)? {
        let name: &CStr = &name;
        let found = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(found.st_mode as RawMode) != FileType::Directory {
            unlinkat(directory, name, AtFlags::empty())?;
            continue;
        }
        if depth > 0
            && let Some(below) = target::find_directory(directory, name.to_bytes())?
        {
            empty(&below, depth - 1)?;
        }
        unlinkat(directory, name, AtFlags::REMOVEDIR)?;
    }
    Ok(())
}
