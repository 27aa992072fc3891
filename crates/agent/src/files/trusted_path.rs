//! Opens a directory that a person named, without following a symlink of another user.
//!
//! Root may restore into a directory that another user controls. That user can put a symlink in the place
//! of the directory, or of one above it, and root would write wherever it leads. Each component is
//! therefore opened by itself, beneath the one before it, and a symlink is followed only if root or the
//! own user made it. What follows works with the open directory, so that no later change of the
//! path matters.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, mkdirat, openat, readlinkat};
use rustix::io::Errno;
use rustix::process::geteuid;

/// Maximum number of symlinks on a path, as in the kernel.
const SYMLINKS_MAX: usize = 40;
/// Mode of a new directory; the umask takes bits away.
const DEFAULT_DIR: Mode = Mode::from_raw_mode(0o777);

/// Says what happens if a directory is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingDirs {
    Create,
    Fail,
}

/// Opens the directory `path` for reading.
pub fn open_dir(path: &Path, missing: MissingDirs) -> io::Result<OwnedFd> {
    let mut dir = open_at(CWD, OsStr::new("."))?;
    let mut left = components(path);
    let mut symlinks = 0;
    while let Some(name) = left.pop_front() {
        let found = match open_at(&dir, &name) {
            Err(Errno::NOENT) if missing == MissingDirs::Create => {
                match mkdirat(&dir, &*name, DEFAULT_DIR) {
                    // Another process has created it.
                    Ok(()) | Err(Errno::EXIST) => open_at(&dir, &name)?,
                    Err(errno) => return Err(errno.into()),
                }
            }
            found => found?,
        };
        let stat = fstat(&found)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
            dir = found;
            continue;
        }
        if ![0, geteuid().as_raw()].contains(&stat.st_uid) {
            return Err(io::Error::other(format!(
                "expected a symlink {name:?} of root or of the own user, found one of user {}; name the \
                 directory that it leads to",
                stat.st_uid
            )));
        }
        symlinks += 1;
        if symlinks > SYMLINKS_MAX {
            return Err(Errno::LOOP.into());
        }
        let target = readlinkat(&found, "", Vec::new())?;
        for component in
            components(Path::new(OsStr::from_bytes(target.to_bytes()))).into_iter().rev()
        {
            left.push_front(component);
        }
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(openat(&dir, ".", flags, Mode::empty())?)
}

/// Opens one component: a directory, or a symlink itself.
fn open_at(dir: impl std::os::fd::AsFd, name: &OsStr) -> Result<OwnedFd, Errno> {
    openat(dir, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

fn components(path: &Path) -> VecDeque<OsString> {
    let names = path.components().map(|component| match component {
        // An absolute path, which `openat` resolves from the root.
        Component::RootDir => OsStr::new("/"),
        Component::Prefix(_) | Component::CurDir | Component::ParentDir | Component::Normal(_) => {
            component.as_os_str()
        }
    });
    names.map(OsStr::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, lchown, symlink};

    use rustix::fs::fstat;

    use super::*;

    fn inode(path: &Path, missing: MissingDirs) -> io::Result<u64> {
        Ok(fstat(&open_dir(path, missing)?)?.st_ino)
    }

    #[test]
    fn a_path_leads_where_the_kernel_says_and_missing_directories_are_created() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().canonicalize().unwrap();
        fs::create_dir_all(top.join("a/b")).unwrap();
        symlink("a/../a/b", top.join("relative")).unwrap();
        symlink(top.join("a"), top.join("absolute")).unwrap();
        symlink("loop", top.join("loop")).unwrap();
        fs::write(top.join("file"), "").unwrap();

        for path in ["", "a", "a/b", "relative", "absolute/b", "a/b/..", "absolute/../a", "./a"] {
            let wanted = fs::metadata(top.join(path)).unwrap().ino();
            assert_eq!(inode(&top.join(path), MissingDirs::Fail).unwrap(), wanted, "{path}");
        }
        for (path, errno) in
            [("none", Errno::NOENT), ("loop", Errno::LOOP), ("file", Errno::NOTDIR)]
        {
            let err = inode(&top.join(path), MissingDirs::Fail).unwrap_err();
            assert_eq!(Errno::from_io_error(&err), Some(errno), "{path}");
        }
        assert!(!top.join("none").exists());
        open_dir(&top.join("relative/new/dirs"), MissingDirs::Create).unwrap();
        assert!(top.join("a/b/new/dirs").is_dir());
    }

    #[test]
    fn a_symlink_of_another_user_is_not_followed() {
        if !s3up_testkit::root_or_skip() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("outside/dir")).unwrap();
        symlink("outside", dir.path().join("link")).unwrap();
        let open = |path: &str| open_dir(&dir.path().join(path), MissingDirs::Create);
        assert!(open("link/dir").is_ok());

        lchown(dir.path().join("link"), Some(1234), None).unwrap();

        for path in ["link", "link/dir", "link/new"] {
            let err = open(path).unwrap_err().to_string();
            assert!(err.contains("found one of user 1234"), "{path}: {err}");
        }
        assert!(!dir.path().join("outside/new").exists());
    }
}
