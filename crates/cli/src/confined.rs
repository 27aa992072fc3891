//! Opens paths that others may change meanwhile, confined to a directory.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};

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

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
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
