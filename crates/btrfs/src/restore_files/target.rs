//! The directory that a restore of files writes into.
//!
//! Each directory below it is opened by its name in the one above, without following a symlink, at
//! whatever moment it was created. So nothing outside of the directory is read or written.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, RawMode, RenameFlags, ResolveFlags, fstat, linkat,
    mkdirat, openat, readlinkat, renameat, renameat_with, statat, unlinkat,
};
use rustix::io::Errno;
use s3up_cli::open_confined;

use super::existing::Existing;

/// Mode of a directory until its own is set.
const PRIVATE_DIR: Mode = Mode::RWXU;
const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY);

/// The target of a restore.
pub struct OpenTarget {
    pub fd: OwnedFd,
    /// True if the restore has created it.
    pub is_new: bool,
    /// True if an earlier restore into it was killed.
    pub is_resumed: bool,
}

/// Opens the target, and creates it if it is missing. Returns true with it if it was created.
/// Symlinks in its own path are followed.
pub fn open_target(path: &Path) -> io::Result<(OwnedFd, bool)> {
    if let Some(found) = find_target(path)? {
        return Ok((found, false));
    }
    std::fs::create_dir_all(path)?;
    let opened = find_target(path)?.ok_or(io::ErrorKind::NotFound)?;
    Ok((opened, true))
}

/// Opens the target if it exists.
pub fn find_target(path: &Path) -> io::Result<Option<OwnedFd>> {
    match openat(CWD, path, DIRECTORY | OFlags::CLOEXEC, Mode::empty()) {
        Ok(found) => Ok(Some(found)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

fn as_path(name: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(name))
}

/// Opens a directory by its name. `None` means that there is nothing. A symlink is an error.
pub fn find_directory(parent: impl AsFd, name: &[u8]) -> io::Result<Option<OwnedFd>> {
    match open_confined(parent, as_path(name), DIRECTORY, ResolveFlags::empty()) {
        Ok(found) => Ok(Some(found)),
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(err) => Err(err),
    }
}

/// Opens a directory by its name. Returns true with it if it was created.
pub fn make_directory(parent: impl AsFd, name: &[u8]) -> io::Result<(OwnedFd, bool)> {
    let parent = parent.as_fd();
    let is_new = match mkdirat(parent, as_path(name), PRIVATE_DIR) {
        Ok(()) => true,
        Err(Errno::EXIST) => false,
        Err(errno) => return Err(errno.into()),
    };
    let opened = open_confined(parent, as_path(name), DIRECTORY, ResolveFlags::empty())?;
    Ok((opened, is_new))
}

/// Returns what has this name in a directory.
pub fn existing(directory: impl AsFd, name: &[u8]) -> io::Result<Existing> {
    let directory = directory.as_fd();
    let found = match statat(directory, as_path(name), AtFlags::SYMLINK_NOFOLLOW) {
        Ok(found) => found,
        Err(Errno::NOENT) => return Ok(Existing::Nothing),
        Err(errno) => return Err(errno.into()),
    };
    Ok(match FileType::from_raw_mode(found.st_mode as RawMode) {
        FileType::RegularFile => Existing::File {
            bytes: found.st_size as u64,
            modified: (found.st_mtime, found.st_mtime_nsec as u32),
        },
        FileType::Directory => Existing::Directory,
        FileType::Symlink => {
            let target = readlinkat(directory, as_path(name), Vec::new())?;
            Existing::Symlink { target: target.into_bytes() }
        }
        FileType::CharacterDevice
        | FileType::BlockDevice
        | FileType::Fifo
        | FileType::Socket
        | FileType::Unknown => Existing::Special,
    })
}

/// Returns true if a directory is as [`make_directory`] makes it.
pub fn is_unfinished(directory: impl AsFd) -> io::Result<bool> {
    let found = fstat(directory)?;
    let is_private = Mode::from_raw_mode(found.st_mode as RawMode) == PRIVATE_DIR;
    Ok(is_private && found.st_uid == rustix::process::geteuid().as_raw())
}

/// Gives a directory another name, which must be free.
pub fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // A filesystem without this call, such as NFS. A directory replaces an empty directory at most.
        Err(Errno::INVAL | Errno::NOSYS) => {
            if to.symlink_metadata().is_ok() {
                return Err(Errno::EXIST.into());
            }
            renameat(CWD, from, CWD, to)?;
        }
        renamed => renamed?,
    }
    let parent = to.parent().unwrap_or(Path::new("/"));
    std::fs::File::open(parent)?.sync_all()
}

/// Renames a staged file to its own name, which must be free unless `replaces`.
pub fn place(
    (from, staged): (impl AsFd, &[u8]),
    (to, name): (impl AsFd, &[u8]),
    replaces: bool,
) -> io::Result<()> {
    let (from, to) = (from.as_fd(), to.as_fd());
    let (staged, name) = (as_path(staged), as_path(name));
    if replaces {
        return Ok(renameat(from, staged, to, name)?);
    }
    match renameat_with(from, staged, to, name, RenameFlags::NOREPLACE) {
        // A filesystem without this call, such as NFS. A link fails if the name is taken.
        Err(Errno::INVAL | Errno::NOSYS) => {
            linkat(from, staged, to, name, AtFlags::empty())?;
            Ok(unlinkat(from, staged, AtFlags::empty())?)
        }
        renamed => Ok(renamed?),
    }
}
