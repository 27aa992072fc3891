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
pub enum CommandKind {
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
const ALL: [(CommandKind, &str, &[Attribute]); 25] = [
    (CommandKind::Subvolume,      "subvol",        &[Path, Attribute::Uuid, Ctransid]),
    (CommandKind::Snapshot,       "snapshot",      &[Path, Attribute::Uuid, Ctransid, CloneUuid, CloneCtransid]),
    (CommandKind::Mkfile,         "mkfile",        &[Path]),
    (CommandKind::Mkdir,          "mkdir",         &[Path]),
    (CommandKind::Mknod,          "mknod",         &[Path, Mode, Rdev]),
    (CommandKind::Mkfifo,         "mkfifo",        &[Path]),
    (CommandKind::Mksock,         "mksock",        &[Path]),
    (CommandKind::Symlink,        "symlink",       &[Path, PathLink]),
    (CommandKind::Rename,         "rename",        &[Path, PathTo]),
    (CommandKind::Link,           "link",          &[Path, PathLink]),
    (CommandKind::Unlink,         "unlink",        &[Path]),
    (CommandKind::Rmdir,          "rmdir",         &[Path]),
    (CommandKind::SetXattr,       "set_xattr",     &[Path, XattrName, XattrData]),
    (CommandKind::RemoveXattr,    "remove_xattr",  &[Path, XattrName]),
    (CommandKind::Write,          "write",         &[Path, FileOffset, Data]),
    (CommandKind::Clone,          "clone",         &[Path, FileOffset, CloneLen, CloneUuid, CloneCtransid, ClonePath, CloneOffset]),
    (CommandKind::Truncate,       "truncate",      &[Path, Size]),
    (CommandKind::Chmod,          "chmod",         &[Path, Mode]),
    (CommandKind::Chown,          "chown",         &[Path, Uid, Gid]),
    (CommandKind::Utimes,         "utimes",        &[Path, Atime, Mtime]),
    (CommandKind::End,            "end",           &[]),
    (CommandKind::UpdateExtent,   "update_extent", &[Path, FileOffset, Size]),
    (CommandKind::Fallocate,      "fallocate",     &[Path, FallocateMode, FileOffset, Size]),
    (CommandKind::FileAttributes, "fileattr",      &[Path, Attribute::FileAttributes]),
    (CommandKind::EncodedWrite,   "encoded_write", &[Path, FileOffset, UnencodedFileLen, UnencodedLen, UnencodedOffset, Data]),
];

impl CommandKind {
    pub fn number(self) -> u16 {
        self as u16
    }

    /// Returns `None` if the protocol has no command with that number.
    pub fn from_number(number: u16, protocol: Protocol) -> Option<CommandKind> {
        let (kind, ..) = ALL.get(usize::from(number).checked_sub(1)?)?;
        (number <= last_of(protocol).number()).then_some(*kind)
    }

    /// Returns true if a stream starts with a command of this kind.
    pub fn is_first(self) -> bool {
        matches!(self, CommandKind::Subvolume | CommandKind::Snapshot)
    }

    pub(crate) fn required(self) -> &'static [Attribute] {
        ALL[usize::from(self.number()) - 1].2
    }

    /// Returns true if the command may change the root of the subvolume, whose
    /// path is empty.
    pub(crate) fn may_change_root(self) -> bool {
        matches!(
            self,
            CommandKind::Chmod
                | CommandKind::Chown
                | CommandKind::Utimes
                | CommandKind::SetXattr
                | CommandKind::RemoveXattr
                | CommandKind::FileAttributes
        )
    }
}

fn last_of(protocol: Protocol) -> CommandKind {
    match protocol {
        Protocol::V1 => CommandKind::UpdateExtent,
        Protocol::V2 => CommandKind::EncodedWrite,
    }
}

impl fmt::Display for CommandKind {
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
            assert_eq!(CommandKind::from_number(n, Protocol::V2), Some(kind));
            let in_version_1 = (n <= 22).then_some(kind);
            assert_eq!(CommandKind::from_number(n, Protocol::V1), in_version_1, "{name}");
        }
        for number in [0, 26, u16::MAX] {
            assert_eq!(CommandKind::from_number(number, Protocol::V2), None);
        }
    }

    #[test]
    fn every_protocol_has_the_attributes_that_its_commands_require() {
        for protocol in [Protocol::V1, Protocol::V2] {
            for number in 1..=last_of(protocol).number() {
                let kind = CommandKind::from_number(number, protocol).unwrap();
                for attribute in kind.required() {
                    let known = Attribute::from_number(attribute.number(), protocol);
                    assert_eq!(known, Some(*attribute), "{kind} in protocol {protocol}");
                }
            }
        }
    }
}
