//! Decides whether a file on disk is the version that was recorded.
//!
//! Equal identities are taken for equal content only where the filesystem keeps
//! them. Where its stamps miss changes, an event that says *written* outweighs
//! them, and the file has to be hashed. Where inode numbers are not stable, they
//! are not compared, because the file would look changed at every scan.
//!
//! A recorded identity has settled, so its stamp was older than its resolution
//! when it was recorded (`settling`): every later change has another stamp.
//!
//! Pure: no file, no clock.

use crate::files::filesystem::{Filesystem, InodeNumbers, Stamps};
use crate::files::identity::Identity;
use crate::files::writes::Evidence;

/// A file as it was observed on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObservedFile {
    pub identity: Identity,
    pub filesystem: Filesystem,
    pub evidence: Evidence,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionMatch {
    /// The recorded one.
    Same,
    /// Another one.
    Different,
    /// The identity is equal and proves nothing: only the content can tell.
    Unknown,
}

impl ObservedFile {
    /// Compares the file with a recorded identity. The device is not compared,
    /// because its number may change with a reboot or a remount; one watch is one
    /// filesystem.
    pub fn version(&self, recorded: &Identity) -> VersionMatch {
        let Filesystem { stamps, inodes, .. } = self.filesystem;
        let inode = match inodes {
            InodeNumbers::Stable => self.identity.inode,
            InodeNumbers::Unstable => recorded.inode,
        };
        if (Identity { device: recorded.device, inode, ..self.identity }) != *recorded {
            return VersionMatch::Different;
        }
        match (stamps, self.evidence) {
            (Stamps::Unreliable, Evidence::Written) => VersionMatch::Unknown,
            (Stamps::Reliable, _) | (Stamps::Unreliable, Evidence::Seen) => VersionMatch::Same,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: Identity =
        Identity { device: 1, inode: 2, size: 3, mtime_ns: 4_000_000_000, ctime_ns: 5_000_000_000 };
    const EXT4: Filesystem = Filesystem::TRUSTED;
    const TMPFS: Filesystem = Filesystem { stamps: Stamps::Unreliable, ..Filesystem::TRUSTED };
    const SSHFS: Filesystem = Filesystem::UNKNOWN;

    #[test]
    fn equal_identities_are_the_same_version_where_the_filesystem_keeps_them() {
        use Evidence::{Seen, Written};
        use VersionMatch::{Different, Same, Unknown};
        let touched = Identity { mtime_ns: 4_000_000_001, ctime_ns: 5_000_000_001, ..FILE };
        #[rustfmt::skip]
        let cases = [
            // situation                    disk                                     filesystem evidence version
            ("untouched",                   FILE,                                    EXT4,      Seen,    Same),
            ("another device number",       Identity { device: 9, ..FILE },          EXT4,      Seen,    Same),
            ("replaced",                    Identity { inode: 9, ..FILE },           EXT4,      Seen,    Different),
            ("longer",                      Identity { size: 9, ..FILE },            EXT4,      Seen,    Different),
            ("touched",                     touched,                                 EXT4,      Seen,    Different),
            ("mtime in the past",           Identity { mtime_ns: -1, ..FILE },       EXT4,      Seen,    Different),
            ("content kept its mtime",      Identity { ctime_ns: 6, ..FILE },        EXT4,      Seen,    Different),
            ("opened to write, not written", FILE,                                   EXT4,      Written, Same),
            ("a mapped page was stored to", FILE,                                    TMPFS,     Written, Unknown),
            ("replaced, tmpfs",             Identity { inode: 9, ..FILE },           TMPFS,     Written, Different),
            ("untouched, tmpfs",            FILE,                                    TMPFS,     Seen,    Same),
            ("numbered again",              Identity { inode: 9, ..FILE },           SSHFS,     Seen,    Same),
            ("cp -p of the same size",      FILE,                                    SSHFS,     Written, Unknown),
            ("rsync --inplace -t, numbered again", Identity { inode: 9, ..FILE },    SSHFS,     Written, Unknown),
            ("touched, sshfs",              touched,                                 SSHFS,     Seen,    Different),
            ("longer, numbered again",      Identity { inode: 9, size: 9, ..FILE },  SSHFS,     Written, Different),
        ];
        for (situation, identity, filesystem, evidence, want) in cases {
            let observed = ObservedFile { identity, filesystem, evidence };
            assert_eq!(observed.version(&FILE), want, "{situation}");
        }
    }
}
