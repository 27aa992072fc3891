//! The directory that a restore of files writes into.
//!
//! Each directory below it is opened by its name in the one above, without following a symlink, at
//! whatever moment it was created. So nothing outside of the directory is read or written.

use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, RawMode, RenameFlags, ResolveFlags, fstat, linkat,
    mkdirat, openat, readlinkat, renameat, renameat_with, statat, unlinkat,
};
use rustix::io::Errno;
use s3up_cli::open_confined;

use super::existing::Existing;

/// Name of the directory in the target in which files lie until they are placed.
pub const STAGING_NAME: &[u8] = b".btrfs-to-s3-restore-files";
/// Mode of a directory until its own is set.
const PRIVATE_DIR: Mode = Mode::RWXU;
/// Name of a directory that shows whether the filesystem has modes.
const MODES_PROBE: &[u8] = b".btrfs-to-s3-restore-modes";
const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY);

/// The target of a restore.
pub struct OpenTarget {
    pub fd: OwnedFd,
    /// True if the restore has created it, or found it empty.
    pub is_new: bool,
    /// True if an earlier restore into it was killed.
    pub is_resumed: bool,
}

/// Opens the target, and creates it if it is missing. Returns true with it if it was created, or is
/// empty as after a restore that was killed then. Symlinks in its own path are followed.
pub fn open_target(path: &Path) -> io::Result<(OwnedFd, bool)> {
    if let Some(found) = find_target(path)? {
        let is_new = is_empty(&found)?;
        return Ok((found, is_new));
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

/// Returns the name of a file in its directory.
pub fn last_name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
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

/// Returns the names in a directory.
pub fn names_in(directory: impl AsFd) -> io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let name = entry?.file_name().to_owned();
        if !matches!(name.as_bytes(), b"." | b"..") {
            names.push(name);
        }
    }
    Ok(names)
}

/// Returns true if there is nothing in a directory but a staging directory. Reads no further than
/// the first file.
fn is_empty(directory: impl AsFd) -> io::Result<bool> {
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b".." | STAGING_NAME) {
            return Ok(false);
        }
    }
    Ok(true)
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
        Err(Errno::INVAL | Errno::NOSYS) => {}
        renamed => return Ok(renamed?),
    }
    match linkat(from, staged, to, name, AtFlags::empty()) {
        Ok(()) => Ok(unlinkat(from, staged, AtFlags::empty())?),
        // Nor has it links, such as exFAT in user space.
        Err(errno) if has_no_links(errno) => match statat(to, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Err(Errno::EXIST.into()),
            Err(Errno::NOENT) => Ok(renameat(from, staged, to, name)?),
            Err(errno) => Err(errno.into()),
        },
        Err(errno) => Err(errno.into()),
    }
}

/// Returns true if a link was refused because the filesystem makes no hard link of this file: it has
/// none, or the file has as many as it can have.
pub fn has_no_links(errno: Errno) -> bool {
    matches!(errno, Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS | Errno::MLINK)
}

/// Returns true if a new directory at the target does not have the mode that it is made with: the
/// filesystem has no modes.
pub fn has_no_modes(parent: impl AsFd) -> io::Result<bool> {
    let parent = parent.as_fd();
    let probe = as_path(MODES_PROBE);
    match mkdirat(parent, probe, PRIVATE_DIR) {
        // One that a killed restore left.
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno.into()),
    }
    let found = statat(parent, probe, AtFlags::SYMLINK_NOFOLLOW)?;
    unlinkat(parent, probe, AtFlags::REMOVEDIR)?;
    Ok(found.st_mode & 0o077 != 0)
}
