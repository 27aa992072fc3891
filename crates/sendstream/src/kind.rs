//! The kinds of commands, and the attributes that each requires.

use std::fmt;

use crate::attribute::Attribute::{
    self, Atime, CloneCtransid, CloneLen, CloneOffset, ClonePath, CloneUuid, Ctransid, Data,
    FallocateMode, FileOffset, Gid, Mode, Mtime, Path, PathLink, PathTo, Rdev, Size, Uid,
    UnencodedFileLen, UnencodedLen, UnencodedOffset, XattrData, XattrName,
};
use crate::protocol::Protocol;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum Kind {
    /// Starts a full stream.
    Subvolume = 1,
    /// Starts an incremental stream.
    Snapshot,
    Mkfile,
    Mkdir,
    Mknod,
    Mkfifo,
    Mksock,
    Symlink,
    Rename,
    Link,
    Unlink,
    Rmdir,
    SetXattr,
    RemoveXattr,
    Write,
    Clone,
    Truncate,
    Chmod,
    Chown,
    Utimes,
    End,
    /// Replaces the data that `btrfs send --no-data` omits.
    UpdateExtent,
    Fallocate,
    FileAttributes,
    EncodedWrite,
}

/// All kinds in the order of their numbers: the name that `btrfs receive --dump`
/// prints, and the attributes that a receiver requires. (The kernel sends more,
/// for example an inode number with every new file.)
#[rustfmt::skip]
const ALL: [(Kind, &str, &[Attribute]); 25] = [
    (Kind::Subvolume,      "subvol",        &[Path, Attribute::Uuid, Ctransid]),
    (Kind::Snapshot,       "snapshot",      &[Path, Attribute::Uuid, Ctransid, CloneUuid, CloneCtransid]),
    (Kind::Mkfile,         "mkfile",        &[Path]),
    (Kind::Mkdir,          "mkdir",         &[Path]),
    (Kind::Mknod,          "mknod",         &[Path, Mode, Rdev]),
    (Kind::Mkfifo,         "mkfifo",        &[Path]),
    (Kind::Mksock,         "mksock",        &[Path]),
    (Kind::Symlink,        "symlink",       &[Path, PathLink]),
    (Kind::Rename,         "rename",        &[Path, PathTo]),
    (Kind::Link,           "link",          &[Path, PathLink]),
    (Kind::Unlink,         "unlink",        &[Path]),
    (Kind::Rmdir,          "rmdir",         &[Path]),
    (Kind::SetXattr,       "set_xattr",     &[Path, XattrName, XattrData]),
    (Kind::RemoveXattr,    "remove_xattr",  &[Path, XattrName]),
    (Kind::Write,          "write",         &[Path, FileOffset, Data]),
    (Kind::Clone,          "clone",         &[Path, FileOffset, CloneLen, CloneUuid, CloneCtransid, ClonePath, CloneOffset]),
    (Kind::Truncate,       "truncate",      &[Path, Size]),
    (Kind::Chmod,          "chmod",         &[Path, Mode]),
    (Kind::Chown,          "chown",         &[Path, Uid, Gid]),
    (Kind::Utimes,         "utimes",        &[Path, Atime, Mtime]),
    (Kind::End,            "end",           &[]),
    (Kind::UpdateExtent,   "update_extent", &[Path, FileOffset, Size]),
    (Kind::Fallocate,      "fallocate",     &[Path, FallocateMode, FileOffset, Size]),
    (Kind::FileAttributes, "fileattr",      &[Path, Attribute::FileAttributes]),
    (Kind::EncodedWrite,   "encoded_write", &[Path, FileOffset, UnencodedFileLen, UnencodedLen, UnencodedOffset, Data]),
];

impl Kind {
    pub fn number(self) -> u16 {
        self as u16
    }

    /// Returns `None` if the protocol has no command with that number.
    pub fn from_number(number: u16, protocol: Protocol) -> Option<Kind> {
        let (kind, ..) = ALL.get(usize::from(number).checked_sub(1)?)?;
        (number <= last_of(protocol).number()).then_some(*kind)
    }

    /// Returns whether a stream starts with a command of this kind.
    pub fn is_first(self) -> bool {
        matches!(self, Kind::Subvolume | Kind::Snapshot)
    }

    pub(crate) fn required(self) -> &'static [Attribute] {
        ALL[usize::from(self.number()) - 1].2
    }

    /// Returns whether the command may change the root of the subvolume, whose
    /// path is empty.
    pub(crate) fn may_change_root(self) -> bool {
        matches!(
            self,
            Kind::Chmod
                | Kind::Chown
                | Kind::Utimes
                | Kind::SetXattr
                | Kind::RemoveXattr
                | Kind::FileAttributes
        )
    }
}

fn last_of(protocol: Protocol) -> Kind {
    match protocol {
        Protocol::V1 => Kind::UpdateExtent,
        Protocol::V2 => Kind::EncodedWrite,
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(ALL[usize::from(self.number()) - 1].1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_maps_to_its_kind_and_back() {
        for (n, (kind, name, _)) in (1..).zip(ALL) {
            assert_eq!(kind.number(), n, "{name}");
            assert_eq!(kind.to_string(), name);
            assert_eq!(Kind::from_number(n, Protocol::V2), Some(kind));
            let in_version_1 = (n <= 22).then_some(kind);
            assert_eq!(Kind::from_number(n, Protocol::V1), in_version_1, "{name}");
        }
        for number in [0, 26, u16::MAX] {
            assert_eq!(Kind::from_number(number, Protocol::V2), None);
        }
    }

    #[test]
    fn every_protocol_has_the_attributes_that_its_commands_require() {
        for protocol in [Protocol::V1, Protocol::V2] {
            for number in 1..=last_of(protocol).number() {
                let kind = Kind::from_number(number, protocol).unwrap();
                for attribute in kind.required() {
                    let known = Attribute::from_number(attribute.number(), protocol);
                    assert_eq!(known, Some(*attribute), "{kind} in protocol {protocol}");
                }
            }
        }
    }
}
