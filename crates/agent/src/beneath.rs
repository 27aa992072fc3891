//! The only way to reach a file of a watch: beneath its root, through no link.
//!
//! Every path is resolved by `openat2` from a descriptor of the root, so that a
//! symlink in any place of it, put there at any moment (`uploads/x ->
//! /etc/passwd`), ends in an error and not in a read. The root itself may be
//! reached through symlinks: `current -> release-7` is how sites are deployed.

use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::ffi::CStr;
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, RawDir, ResolveFlags, Stat, fstat, openat, openat2,
    statat,
};
use rustix::io::Errno;

const BENEATH: ResolveFlags =
    ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS);

/// One `getdents` call returns some hundred entries.
const LISTING_BYTES: usize = 32 * 1024;

/// An open root.
#[derive(Debug)]
pub struct Root {
    fd: OwnedFd,
    pub device: u64,
    pub inode: u64,
}

/// What an entry of a folder may be, before anyone looks closer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint {
    Folder,
    Other,
    /// The filesystem does not say.
    Unknown,
}

impl Root {
    pub fn open(path: &Path) -> io::Result<Root> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = openat(CWD, path, flags, Mode::empty())?;
        let stat = fstat(&fd)?;
        Ok(Root { fd, device: stat.st_dev, inode: stat.st_ino })
    }

    /// A folder, to list it. `EXDEV` where a filesystem is mounted on the way,
    /// also by a bind mount, which could lead in circles.
    pub fn folder(&self, path: &Path) -> io::Result<Folder> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let fd = openat2(&self.fd, path, flags, Mode::empty(), BENEATH | ResolveFlags::NO_XDEV)?;
        Ok(Folder { fd })
    }

    /// A file, to read it. The caller checks that it is a regular one:
    /// non-blocking, so that opening a FIFO returns at once.
    pub fn file(&self, path: &Path) -> io::Result<(File, Stat)> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // Nothing that is not a regular file is opened at all: opening a
        // device may have effects.
        if !is_regular(&self.stat(path)?) {
            return Err(Errno::LOOP.into());
        }
        let fd = openat2(&self.fd, path, flags, Mode::empty(), BENEATH)?;
        let stat = fstat(&fd)?;
        Ok((File::from(fd), stat))
    }

    /// What stands at `path`, symlinks included as themselves.
    pub fn stat(&self, path: &Path) -> io::Result<Stat> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = openat2(&self.fd, path, flags, Mode::empty(), BENEATH)?;
        Ok(fstat(&fd)?)
    }
}

/// An open folder of a watch.
#[derive(Debug)]
pub struct Folder {
    fd: OwnedFd,
}

impl Folder {
    pub fn fd(&self) -> impl AsFd + '_ {
        self.fd.as_fd()
    }

    pub fn stat(&self) -> io::Result<Stat> {
        Ok(fstat(&self.fd)?)
    }

    /// An entry, symlinks included as themselves.
    pub fn stat_entry(&self, name: &CStr) -> io::Result<Stat> {
        Ok(statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// Hands each entry but `.` and `..` to `each`, until that says stop.
    pub fn list(
        &self,
        mut each: impl FnMut(&CStr, Hint) -> ControlFlow<()>,
    ) -> io::Result<ControlFlow<()>> {
        let mut buffer = [MaybeUninit::uninit(); LISTING_BYTES];
        let mut listing = RawDir::new(&self.fd, &mut buffer);
        while let Some(entry) = listing.next() {
            let entry = entry?;
            let name = entry.file_name();
            if name.to_bytes() == b"." || name.to_bytes() == b".." {
                continue;
            }
            if each(name, hint(entry.file_type())).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

pub fn is_regular(stat: &Stat) -> bool {
    file_type(stat) == FileType::RegularFile
}

pub fn is_folder(stat: &Stat) -> bool {
    file_type(stat) == FileType::Directory
}

pub fn file_type(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// True where the error says that the path does not exist (any more).
pub fn is_gone(err: &io::Error) -> bool {
    matches!(Errno::from_io_error(err), Some(Errno::NOENT | Errno::NOTDIR))
}

/// True where a symlink or a special file stands in the way.
pub fn is_detour(err: &io::Error) -> bool {
    Errno::from_io_error(err) == Some(Errno::LOOP)
}

/// True where a filesystem is mounted in the way.
pub fn is_mount_point(err: &io::Error) -> bool {
    Errno::from_io_error(err) == Some(Errno::XDEV)
}

fn hint(file_type: FileType) -> Hint {
    match file_type {
        FileType::Directory => Hint::Folder,
        FileType::Unknown => Hint::Unknown,
        FileType::RegularFile
        | FileType::Symlink
        | FileType::Fifo
        | FileType::Socket
        | FileType::CharacterDevice
        | FileType::BlockDevice => Hint::Other,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use rustix::fs::mknodat;

    use super::*;

    #[test]
    fn nothing_is_read_but_regular_files_beneath_the_root() {
        let dir = tempfile::tempdir().unwrap();
        let (outside, top) = (dir.path().join("outside"), dir.path().join("root"));
        fs::create_dir_all(top.join("sub")).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("secret"), "secret").unwrap();
        fs::write(top.join("sub/file"), "file").unwrap();
        symlink(outside.join("secret"), top.join("link")).unwrap();
        symlink("sub/file", top.join("inner-link")).unwrap();
        symlink(&outside, top.join("folder-link")).unwrap();
        mknodat(CWD, top.join("fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        let root = Root::open(&top).unwrap();

        #[rustfmt::skip]
        let cases = [
            ("sub/file",           None),
            ("link",               Some(Errno::LOOP)),
            ("inner-link",         Some(Errno::LOOP)),
            ("folder-link/secret", Some(Errno::LOOP)),
            ("fifo",               Some(Errno::LOOP)),
            ("sub",                Some(Errno::LOOP)),
            ("../outside/secret",  Some(Errno::XDEV)),
            ("/etc/passwd",        Some(Errno::XDEV)),
            ("none",               Some(Errno::NOENT)),
            ("sub/file/none",      Some(Errno::NOTDIR)),
        ];
        for (path, want) in cases {
            let err = root.file(Path::new(path)).err();
            let errno = err.as_ref().map(|err| Errno::from_io_error(err).unwrap());
            assert_eq!(errno, want, "{path}");
        }
    }

    #[test]
    fn a_link_is_looked_at_as_itself_and_never_entered() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("sub")).unwrap();
        symlink("sub", dir.path().join("link")).unwrap();
        let root = Root::open(dir.path()).unwrap();

        let stat = root.stat(Path::new("link")).unwrap();
        let err = root.folder(Path::new("link")).unwrap_err();

        assert_eq!(file_type(&stat), FileType::Symlink);
        assert!(is_detour(&err) || is_gone(&err), "{err}");
        assert!(root.folder(Path::new("sub")).is_ok() && root.folder(Path::new("")).is_ok());
    }
}
