//! Opens paths that others may change meanwhile, confined to a directory.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, openat2};

/// Opens `path` below `directory` with these flags. Fails if the path leads out of the directory or
/// through a symlink, at whatever moment it was created. `resolve` restricts the path further.
/// The caller checks the type of what was opened.
pub fn open_confined(
    directory: impl AsFd,
    path: &Path,
    flags: OFlags,
    resolve: ResolveFlags,
) -> io::Result<OwnedFd> {
    let confined = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat2(directory, path, flags, Mode::empty(), confined | resolve)?)
}

/// Opens a regular file below `directory` for reading, and returns `None` if the path is something else,
/// which is not opened: opening a device may have effects.
pub fn open_confined_file(
    directory: impl AsFd,
    path: &Path,
    resolve: ResolveFlags,
) -> io::Result<Option<File>> {
    let found = open_confined(directory, path, OFlags::PATH, resolve)?;
    if FileType::from_raw_mode(fstat(&found)?.st_mode) != FileType::RegularFile {
        return Ok(None);
    }
    let same = format!("/proc/self/fd/{}", found.as_raw_fd());
    let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
    OpenOptions::new().read(true).custom_flags(nonblocking).open(same).map(Some)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use rustix::io::Errno;

    use super::*;

    #[test]
    fn no_path_leads_out_of_the_directory_or_through_a_symlink() {
        let dir = tempfile::tempdir().unwrap();
        let directory = dir.path().join("folder");
        fs::create_dir_all(directory.join("sub")).unwrap();
        fs::write(directory.join("sub/file"), "content").unwrap();
        fs::write(dir.path().join("outside"), "content").unwrap();
        symlink("sub", directory.join("link")).unwrap();
        let directory = File::open(directory).unwrap();
        #[rustfmt::skip]
        let cases = [
            ("sub/file",        None),
            ("link/file",       Some(Errno::LOOP)),
            ("link",            Some(Errno::LOOP)),
            ("../outside",      Some(Errno::XDEV)),
            ("sub/../../x",     Some(Errno::XDEV)),
            ("/etc/passwd",     Some(Errno::XDEV)),
            ("none",            Some(Errno::NOENT)),
        ];
        for (path, want) in cases {
            let opened =
                open_confined(&directory, Path::new(path), OFlags::RDONLY, ResolveFlags::empty());
            let errno = opened.err().map(|err| Errno::from_io_error(&err).unwrap());
            assert_eq!(errno, want, "{path}");
        }
    }
}
