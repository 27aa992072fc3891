//! Opens files of a watch, confined to its root: no path leads out of it, and
//! no symlink below it is followed.
//!
//! [`open_confined`] resolves every path from a descriptor of the root. A symlink
//! anywhere in the path (`uploads/x -> /etc/passwd`), created at any moment, is
//! an error and not a read. The root itself may be reached through symlinks,
//! because sites are deployed that way (`current -> release-7`).

use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::ffi::CStr;
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, RawDir, ResolveFlags, Stat, StatxFlags, fstat, openat,
    statat, statx,
};
use rustix::io::Errno;
use s3up_cli::open_confined;

use crate::files::filesystem::{Filesystem, Stamps};

/// Buffer of one `getdents` call: room for several hundred entries.
const LISTING_BYTES: usize = 32 * 1024;

/// The open root directory of a watch.
#[derive(Debug)]
pub struct Root {
    fd: OwnedFd,
    pub device: u64,
    pub inode: u64,
    pub filesystem: Filesystem,
}

/// Device and inode of the root of a watch.
pub type RootId = (u64, u64);

/// Type of a directory entry as the listing reports it (`d_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TypeHint {
    Dir,
    Other,
    /// The filesystem does not report types; a `stat` is needed.
    Unknown,
}

impl Root {
    pub fn open(path: &Path) -> io::Result<Root> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = openat(CWD, path, flags, Mode::empty())?;
        let stat = fstat(&fd)?;
        let filesystem = Filesystem::of(&fd)?;
        Ok(Root { fd, device: stat.st_dev, inode: stat.st_ino, filesystem })
    }

    /// Returns the name of the filesystem of the root.
    pub fn filesystem_id(&self) -> io::Result<String> {
        Filesystem::id(&self.fd)
    }

    /// Returns true if this filesystem may have no change times.
    pub fn may_lack_change_times(&self) -> io::Result<bool> {
        Filesystem::may_lack_change_times(&self.fd)
    }

    /// Returns the type of this filesystem if its files may change without an event.
    pub fn changed_elsewhere(&self) -> io::Result<Option<&'static str>> {
        Filesystem::changed_elsewhere(&self.fd)
    }

    pub fn id(&self) -> RootId {
        (self.device, self.inode)
    }

    /// Opens a directory to list it. Fails with `EXDEV` if the path crosses a mount
    /// point; a bind mount could otherwise lead in circles.
    pub fn directory(&self, path: &Path) -> io::Result<Dir> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let fd = open_confined(&self.fd, path, flags, ResolveFlags::NO_XDEV)?;
        Ok(Dir { fd, filesystem: self.filesystem })
    }

    /// Opens a file to read it. The caller checks the returned `Stat`: the file
    /// may have been replaced since it was checked here. `NONBLOCK` makes opening
    /// a FIFO return at once.
    pub fn file(&self, path: &Path) -> io::Result<(File, Stat)> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK;
        // Only regular files are opened: opening a device may have effects.
        if !is_regular(&self.stat(path)?) {
            return Err(Errno::LOOP.into());
        }
        let fd = open_confined(&self.fd, path, flags, ResolveFlags::empty())?;
        let stat = fstat_now(&fd, self.filesystem)?;
        Ok((File::from(fd), stat))
    }

    /// Returns the metadata of `path`. A symlink is not followed.
    pub fn stat(&self, path: &Path) -> io::Result<Stat> {
        let fd = open_confined(&self.fd, path, OFlags::PATH, ResolveFlags::empty())?;
        fstat_now(&fd, self.filesystem)
    }
}

/// Returns the metadata of an open file as they are now, and not as the kernel remembers them: a
/// filesystem in user space or on the network lets it do so for a second or more.
pub fn fstat_now(fd: impl AsFd, filesystem: Filesystem) -> io::Result<Stat> {
    refresh(&fd, c"", AtFlags::EMPTY_PATH, filesystem);
    Ok(fstat(&fd)?)
}

/// Makes the kernel ask the filesystem for the metadata of a file again. An error shows in the call
/// that follows.
fn refresh(dir: impl AsFd, name: &CStr, flags: AtFlags, filesystem: Filesystem) {
    if filesystem.stamps == Stamps::Unreliable {
        let flags = flags | AtFlags::SYMLINK_NOFOLLOW | AtFlags::STATX_FORCE_SYNC;
        statx(dir, name, flags, StatxFlags::BASIC_STATS).ok();
    }
}

/// An open directory below the root of a watch.
#[derive(Debug)]
pub struct Dir {
    fd: OwnedFd,
    filesystem: Filesystem,
}

impl Dir {
    pub fn fd(&self) -> impl AsFd + '_ {
        self.fd.as_fd()
    }

    pub fn filesystem(&self) -> Filesystem {
        self.filesystem
    }

    pub fn stat(&self) -> io::Result<Stat> {
        Ok(fstat(&self.fd)?)
    }

    /// Returns the metadata of an entry. A symlink is not followed.
    pub fn stat_entry(&self, name: &CStr) -> io::Result<Stat> {
        refresh(&self.fd, name, AtFlags::empty(), self.filesystem);
        Ok(statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// Calls `each` for every entry except `.` and `..`, until it returns `Break`.
    pub fn list(
        &self,
        mut each: impl FnMut(&CStr, TypeHint) -> ControlFlow<()>,
    ) -> io::Result<ControlFlow<()>> {
        let mut buffer = [MaybeUninit::uninit(); LISTING_BYTES];
        let mut listing = RawDir::new(&self.fd, &mut buffer);
        while let Some(entry) = listing.next() {
            let entry = entry?;
            let name = entry.file_name();
            if name.to_bytes() == b"." || name.to_bytes() == b".." {
                continue;
            }
            if each(name, type_hint(entry.file_type())).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

pub fn is_regular(stat: &Stat) -> bool {
    file_type(stat) == FileType::RegularFile
}

pub fn is_directory(stat: &Stat) -> bool {
    file_type(stat) == FileType::Directory
}

pub fn file_type(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// Returns true if the error means that the path does not exist.
pub fn is_gone(err: &io::Error) -> bool {
    matches!(Errno::from_io_error(err), Some(Errno::NOENT | Errno::NOTDIR))
}

/// Returns true if the error means that the path leads through a symlink, or ends at a
/// file that is not a regular one.
pub fn is_refused_type(err: &io::Error) -> bool {
    Errno::from_io_error(err) == Some(Errno::LOOP)
}

/// Returns true if the error means that the path crosses a mount point.
pub fn crosses_mount_point(err: &io::Error) -> bool {
    Errno::from_io_error(err) == Some(Errno::XDEV)
}

/// Returns true if the error means that the system or this process lacks descriptors or
/// memory. It says nothing about the file.
pub fn is_exhausted(err: &io::Error) -> bool {
    let errno = Errno::from_io_error(err);
    matches!(errno, Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::AGAIN))
}

fn type_hint(file_type: FileType) -> TypeHint {
    match file_type {
        FileType::Directory => TypeHint::Dir,
        FileType::Unknown => TypeHint::Unknown,
        FileType::RegularFile
        | FileType::Symlink
        | FileType::Fifo
        | FileType::Socket
        | FileType::CharacterDevice
        | FileType::BlockDevice => TypeHint::Other,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use rustix::fs::mknodat;

    use super::*;

    #[test]
    fn only_regular_files_below_the_root_can_be_opened() {
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
    fn a_symlink_is_reported_as_a_symlink_and_never_entered() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("sub")).unwrap();
        symlink("sub", dir.path().join("link")).unwrap();
        let root = Root::open(dir.path()).unwrap();

        let stat = root.stat(Path::new("link")).unwrap();
        let err = root.directory(Path::new("link")).unwrap_err();

        assert_eq!(file_type(&stat), FileType::Symlink);
        assert!(is_refused_type(&err) || is_gone(&err), "{err}");
        assert!(root.directory(Path::new("sub")).is_ok() && root.directory(Path::new("")).is_ok());
    }
}
