//! Gives a restored file its owner, extended attributes, mode and times.
//!
//! The order matters: a change of the owner takes away set-id bits and capabilities, an ACL changes
//! the mode, and everything changes the times. What the filesystem or the kernel refuses is
//! returned, and stops nothing.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use btrfs_host::filesystem::XATTR_BYTES_MAX;
use btrfs_stream_index::{FileMetadata, FileType};
use rustix::fs::{
    AtFlags, Gid, Mode, OFlags, Stat, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags, chmod,
    chownat, fchmod, fchown, flistxattr, fremovexattr, fsetxattr, fstat, futimens, lsetxattr,
    openat, statat, utimensat,
};
use rustix::io::Errno;

use super::summary::Unset;

const SET_ID_BITS: u32 = 0o6000;
/// Start of the names of ACLs. A new file may have inherited some from its directory.
const ACLS: &str = "system.posix_acl_";

/// The file that gets metadata.
#[derive(Clone, Copy)]
pub enum Subject<'s> {
    /// An open file or directory.
    Open(BorrowedFd<'s>),
    /// A symlink or a special file, which cannot be opened, in a directory that only this user can
    /// write to.
    Named { directory: BorrowedFd<'s>, name: &'s [u8] },
}

impl Subject<'_> {
    fn stat(self) -> Result<Stat, Errno> {
        match self {
            Subject::Open(fd) => fstat(fd),
            Subject::Named { directory, name } => {
                statat(directory, as_path(name), AtFlags::SYMLINK_NOFOLLOW)
            }
        }
    }

    fn set_owner(self, user: u32, group: u32) -> Result<(), Errno> {
        let owner = (Some(Uid::from_raw_unchecked(user)), Some(Gid::from_raw_unchecked(group)));
        match self {
            Subject::Open(fd) => fchown(fd, owner.0, owner.1),
            Subject::Named { directory, name } => {
                chownat(directory, as_path(name), owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW)
            }
        }
    }

    fn set_mode(self, mode: Mode) -> Result<(), Errno> {
        match self {
            Subject::Open(fd) => fchmod(fd, mode),
            Subject::Named { directory, name } => {
                // chmodat would follow a symlink that was put in its place.
                let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let found = openat(directory, as_path(name), flags, Mode::empty())?;
                let kind = rustix::fs::FileType::from_raw_mode(fstat(&found)?.st_mode);
                if kind == rustix::fs::FileType::Symlink {
                    return Err(Errno::LOOP);
                }
                chmod(format!("/proc/self/fd/{}", found.as_raw_fd()), mode)
            }
        }
    }

    fn set_times(self, times: &Timestamps) -> Result<(), Errno> {
        match self {
            Subject::Open(fd) => futimens(fd, times),
            Subject::Named { directory, name } => {
                utimensat(directory, as_path(name), times, AtFlags::SYMLINK_NOFOLLOW)
            }
        }
    }

    fn set_xattr(self, name: &[u8], value: &[u8]) -> Result<(), Errno> {
        match self {
            Subject::Open(fd) => fsetxattr(fd, name, value, XattrFlags::empty()),
            // No other system call sets one of a symlink in an open directory.
            Subject::Named { directory, name: of } => {
                let directory = format!("/proc/self/fd/{}", directory.as_fd().as_raw_fd());
                let path = PathBuf::from(directory).join(as_path(of));
                lsetxattr(path, name, value, XattrFlags::empty())
            }
        }
    }

    /// Removes the ACLs that the file has inherited from the directory that it was made in.
    fn remove_inherited_acls(self, wanted: &BTreeMap<Vec<u8>, Vec<u8>>) -> Result<(), Errno> {
        let Subject::Open(fd) = self else { return Ok(()) };
        let mut names = vec![0; XATTR_BYTES_MAX];
        let bytes = match flistxattr(fd, &mut names[..]) {
            Err(Errno::OPNOTSUPP) => return Ok(()),
            listed => listed?,
        };
        for name in names[..bytes].split(|byte| *byte == 0) {
            if name.starts_with(ACLS.as_bytes()) && !wanted.contains_key(name) {
                fremovexattr(fd, name)?;
            }
        }
        Ok(())
    }
}

fn as_path(name: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(name))
}

fn unset_xattr(name: &[u8]) -> Unset {
    let name = String::from_utf8_lossy(name).into_owned();
    if name.starts_with(ACLS) { Unset::Acl } else { Unset::Xattr(name) }
}

/// Sets everything, and returns what could not be set.
pub fn set(
    subject: Subject<'_>,
    metadata: &FileMetadata,
    xattrs: &BTreeMap<Vec<u8>, Vec<u8>>,
) -> Vec<(Unset, io::Error)> {
    let mut unset = Vec::new();
    let mut note = |what, result: Result<(), Errno>| {
        let is_set = result.is_ok();
        unset.extend(result.err().map(|errno| (what, io::Error::from(errno))));
        is_set
    };
    let mut has_owner = true;
    if let Some((user, group)) = metadata.owner {
        let set = match subject.stat() {
            Ok(found) if (found.st_uid, found.st_gid) == (user, group) => Ok(()),
            Ok(_) => subject.set_owner(user, group),
            Err(errno) => Err(errno),
        };
        has_owner = note(Unset::Owner, set);
    }
    note(Unset::Acl, subject.remove_inherited_acls(xattrs));
    for (name, value) in xattrs {
        note(unset_xattr(name), subject.set_xattr(name, value));
    }
    if let Some(mode) = metadata.mode.filter(|_| metadata.file_type != Some(FileType::Symlink)) {
        // These bits would give the rights of another owner than that of the source.
        let is_refused = !has_owner && mode & SET_ID_BITS != 0;
        if is_refused {
            note(Unset::SetIdBits, Err(Errno::PERM));
        }
        let mode = if is_refused { mode & !SET_ID_BITS } else { mode };
        note(Unset::Mode, subject.set_mode(Mode::from_raw_mode(mode)));
    }
    let time = |time: Option<btrfs_sendstream::Time>| match time {
        Some(time) => Timespec { tv_sec: time.seconds, tv_nsec: time.nanos.into() },
        None => Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
    };
    let times = Timestamps {
        last_access: time(metadata.accessed),
        last_modification: time(metadata.modified),
    };
    note(Unset::Times, subject.set_times(&times));
    unset
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use btrfs_sendstream::Time;

    use super::*;

    #[test]
    fn a_file_gets_what_can_be_set_and_the_rest_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, "content").unwrap();
        let file = File::open(&path).unwrap();
        let mut metadata = FileMetadata {
            file_type: Some(FileType::File),
            mode: Some(0o640),
            modified: Some(Time { seconds: 1_000_000_000, nanos: 5 }),
            accessed: Some(Time { seconds: 1_000_000_001, nanos: 6 }),
            ..FileMetadata::default()
        };
        let xattrs = BTreeMap::from([(b"no.such.namespace".to_vec(), b"value".to_vec())]);

        let unset = set(Subject::Open(file.as_fd()), &metadata, &xattrs);

        let found = fs::metadata(&path).unwrap();
        assert_eq!(found.mode() & 0o7777, 0o640);
        assert_eq!((found.mtime(), found.mtime_nsec()), (1_000_000_000, 5));
        assert_eq!((found.atime(), found.atime_nsec()), (1_000_000_001, 6));
        let names: Vec<_> = unset.into_iter().map(|(unset, _)| unset).collect();
        assert_eq!(names, [Unset::Xattr("no.such.namespace".to_owned())]);
        // No user has this number, and the user of the test does not get its rights.
        metadata.owner = Some((u32::MAX - 1, u32::MAX - 1));
        metadata.mode = Some(0o4755);
        let unset = set(Subject::Open(file.as_fd()), &metadata, &BTreeMap::new());
        let found = fs::metadata(&path).unwrap();
        let names: Vec<_> = unset.into_iter().map(|(unset, _)| unset).collect();
        let mode = found.permissions().mode() & 0o7777;
        match found.uid() == u32::MAX - 1 {
            true => assert_eq!((mode, names), (0o4755, vec![])),
            false => assert_eq!((mode, names), (0o755, vec![Unset::Owner, Unset::SetIdBits])),
        }
    }
}
