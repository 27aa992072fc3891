//! Properties of a filesystem, by its type: which parts of a file's identity count.
//!
//! A type that is not listed counts as the one with the fewest guarantees. That is safe: it
//! costs one more read of a file, and no change is missed for it.

use std::io;
use std::os::fd::AsFd;

use rustix::fs::{fstatfs, fstatvfs};

/// Types whose time stamps move with every change of content once the pages of a
/// mapping are written back, and whose inode numbers are stable. The numbers are
/// those of `statfs(2)`.
const TRUSTED: [i64; 7] = [
    0xEF53,      // ext2, ext3, ext4
    0x5846_5342, // xfs
    0x9123_683E, // btrfs
    0x2FC1_2FC1, // zfs
    0xF2F5_2010, // f2fs
    0xCA45_1A4E, // bcachefs
    0x3434,      // nilfs2
];
/// Types with stable inode numbers whose stamps miss changes: tmpfs and ramfs stamp
/// only the first store into a mapped page, and NFS may answer from a cache.
const STABLE_INODES: [i64; 3] = [
    0x0102_1994, // tmpfs
    0x8584_58F6, // ramfs
    0x6969,      // NFS
];

/// Types whose changed pages are all written at once by `sync_file_range`: ext4 and XFS.
const WRITES_PAGES: [i64; 2] = [0xEF53, 0x5846_5342];

/// It is not in the other lists, and has change times.
const OVERLAY: i64 = 0x794C_7630;
/// Types whose files may change without an event here: through another host, or in the directory that
/// a program serves. The names are for people.
const CHANGED_ELSEWHERE: [(i64, &str); 7] = [
    (0x6573_5546, "FUSE"),
    (0x6969, "NFS"),
    (0xFF53_4D42, "SMB"),
    (0xFE53_4D42, "SMB"),
    (0x0102_1997, "9P"),
    (0x00C3_6400, "Ceph"),
    (0x5346_414F, "AFS"),
];

/// The parts of a file's identity that count on a filesystem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filesystem {
    pub stamps: Stamps,
    pub inodes: InodeNumbers,
    pub write_back: WriteBack,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamps {
    /// No content changes without a new ctime.
    Reliable,
    /// Content may change while the stamps stay as they are: there is no ctime
    /// (sshfs, vfat, CIFS), or stores through a mapping do not move it (tmpfs).
    Unreliable,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InodeNumbers {
    Stable,
    /// A file may have another number when it is observed again (sshfs, mergerfs).
    Unstable,
}

/// The call after which each store into a mapped page moves the time stamps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteBack {
    /// Its pages alone can be written.
    Pages,
    /// The whole file has to be synced, which also waits for the disk.
    Sync,
}

impl Filesystem {
    /// A filesystem that keeps every part of the identity.
    pub const TRUSTED: Filesystem = Filesystem {
        stamps: Stamps::Reliable,
        inodes: InodeNumbers::Stable,
        write_back: WriteBack::Sync,
    };
    /// A filesystem of which nothing is known.
    pub const UNKNOWN: Filesystem = Filesystem {
        stamps: Stamps::Unreliable,
        inodes: InodeNumbers::Unstable,
        write_back: WriteBack::Sync,
    };

    pub fn of(file: impl AsFd) -> io::Result<Filesystem> {
        // The width of the field differs by architecture.
        Ok(Filesystem::of_type(fstatfs(file)?.f_type))
    }

    /// Returns a name that tells the filesystem from others, and that it keeps when it is
    /// mounted again. Where the kernel has no such number (FUSE, tmpfs, overlayfs), it is
    /// the type alone.
    pub fn id(file: impl AsFd) -> io::Result<String> {
        let number = fstatfs(&file)?.f_type;
        if !TRUSTED.contains(&number) {
            return Ok(format!("{number:x}"));
        }
        Ok(format!("{number:x}-{:x}", fstatvfs(&file)?.f_fsid))
    }

    /// Returns true if the filesystem may have no change times, so that content may be replaced without a
    /// sign: its files show whether it has.
    pub fn may_lack_change_times(file: impl AsFd) -> io::Result<bool> {
        let number = fstatfs(file)?.f_type;
        Ok(Filesystem::of_type(number) == Filesystem::UNKNOWN && number != OVERLAY)
    }

    /// Returns the name of the type if its files may change without an event here.
    pub fn changed_elsewhere(file: impl AsFd) -> io::Result<Option<&'static str>> {
        Ok(changed_elsewhere(fstatfs(file)?.f_type))
    }

    fn of_type(number: i64) -> Filesystem {
        let write_back =
            if WRITES_PAGES.contains(&number) { WriteBack::Pages } else { WriteBack::Sync };
        let known = if TRUSTED.contains(&number) {
            Filesystem::TRUSTED
        } else if STABLE_INODES.contains(&number) {
            Filesystem { stamps: Stamps::Unreliable, ..Filesystem::TRUSTED }
        } else {
            Filesystem::UNKNOWN
        };
        Filesystem { write_back, ..known }
    }
}

fn changed_elsewhere(number: i64) -> Option<&'static str> {
    let found = CHANGED_ELSEWHERE.iter().find(|(listed, _)| *listed == number)?;
    Some(found.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_other_hosts_and_of_programs_change_elsewhere() {
        #[rustfmt::skip]
        let cases = [
            (0xEF53,      None),
            (0x9123_683E, None),
            (0x0102_1994, None),
            (0x794C_7630, None),
            (0x6573_5546, Some("FUSE")),
            (0x6969,      Some("NFS")),
            (0xFF53_4D42, Some("SMB")),
            (0xFE53_4D42, Some("SMB")),
        ];
        for (number, want) in cases {
            assert_eq!(changed_elsewhere(number), want, "{number:x}");
        }
    }

    #[test]
    fn an_unlisted_type_is_trusted_least() {
        #[rustfmt::skip]
        let cases = [
            ("ext4",      0xEF53,      Stamps::Reliable,   InodeNumbers::Stable, WriteBack::Pages),
            ("XFS",       0x5846_5342, Stamps::Reliable,   InodeNumbers::Stable, WriteBack::Pages),
            ("btrfs",     0x9123_683E, Stamps::Reliable,   InodeNumbers::Stable, WriteBack::Sync),
            ("tmpfs",     0x0102_1994, Stamps::Unreliable, InodeNumbers::Stable, WriteBack::Sync),
            ("overlayfs", 0x794C_7630, Stamps::Unreliable, InodeNumbers::Unstable, WriteBack::Sync),
            ("FUSE",      0x6573_5546, Stamps::Unreliable, InodeNumbers::Unstable, WriteBack::Sync),
            ("vfat",      0x4D44,      Stamps::Unreliable, InodeNumbers::Unstable, WriteBack::Sync),
            ("CIFS",      0xFF53_4D42, Stamps::Unreliable, InodeNumbers::Unstable, WriteBack::Sync),
            ("a new one", 0x7FFF_FFFF, Stamps::Unreliable, InodeNumbers::Unstable, WriteBack::Sync),
        ];
        for (name, number, stamps, inodes, write_back) in cases {
            let want = Filesystem { stamps, inodes, write_back };
            assert_eq!(Filesystem::of_type(number), want, "{name}");
        }
    }
}
