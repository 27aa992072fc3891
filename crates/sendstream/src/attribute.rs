//! The attributes of commands: number, name and value format of each.

use std::fmt;

use crate::protocol::Protocol;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum Attribute {
    Uuid = 1,
    Ctransid,
    Ino,
    Size,
    Mode,
    Uid,
    Gid,
    Rdev,
    Ctime,
    Mtime,
    Atime,
    Otime,
    XattrName,
    XattrData,
    Path,
    PathTo,
    /// Target: a path in the subvolume for a hard link, any text for a symlink.
    PathLink,
    FileOffset,
    /// File data. It is the last attribute of its command. In protocol 2 it has no
    /// length field.
    Data,
    CloneUuid,
    CloneCtransid,
    ClonePath,
    CloneOffset,
    CloneLen,
    FallocateMode,
    FileAttributes,
    UnencodedFileLen,
    UnencodedLen,
    UnencodedOffset,
    Compression,
    Encryption,
}

/// All attributes in the order of their numbers, with the kernel's names.
#[rustfmt::skip]
const ALL: [(Attribute, &str, ValueFormat); 31] = [
    (Attribute::Uuid,             "uuid",               ValueFormat::Bytes(16)),
    (Attribute::Ctransid,         "ctransid",           ValueFormat::Bytes(8)),
    (Attribute::Ino,              "ino",                ValueFormat::Bytes(8)),
    (Attribute::Size,             "size",               ValueFormat::Bytes(8)),
    (Attribute::Mode,             "mode",               ValueFormat::Bytes(8)),
    (Attribute::Uid,              "uid",                ValueFormat::Bytes(8)),
    (Attribute::Gid,              "gid",                ValueFormat::Bytes(8)),
    (Attribute::Rdev,             "rdev",               ValueFormat::Bytes(8)),
    (Attribute::Ctime,            "ctime",              ValueFormat::Bytes(12)),
    (Attribute::Mtime,            "mtime",              ValueFormat::Bytes(12)),
    (Attribute::Atime,            "atime",              ValueFormat::Bytes(12)),
    (Attribute::Otime,            "otime",              ValueFormat::Bytes(12)),
    (Attribute::XattrName,        "xattr_name",         ValueFormat::Text),
    (Attribute::XattrData,        "xattr_data",         ValueFormat::Free),
    (Attribute::Path,             "path",               ValueFormat::Path),
    (Attribute::PathTo,           "path_to",            ValueFormat::Path),
    (Attribute::PathLink,         "path_link",          ValueFormat::Path),
    (Attribute::FileOffset,       "file_offset",        ValueFormat::Bytes(8)),
    (Attribute::Data,             "data",               ValueFormat::Free),
    (Attribute::CloneUuid,        "clone_uuid",         ValueFormat::Bytes(16)),
    (Attribute::CloneCtransid,    "clone_ctransid",     ValueFormat::Bytes(8)),
    (Attribute::ClonePath,        "clone_path",         ValueFormat::Path),
    (Attribute::CloneOffset,      "clone_offset",       ValueFormat::Bytes(8)),
    (Attribute::CloneLen,         "clone_len",          ValueFormat::Bytes(8)),
    (Attribute::FallocateMode,    "fallocate_mode",     ValueFormat::Bytes(4)),
    (Attribute::FileAttributes,   "fileattr",           ValueFormat::Bytes(8)),
    (Attribute::UnencodedFileLen, "unencoded_file_len", ValueFormat::Bytes(8)),
    (Attribute::UnencodedLen,     "unencoded_len",      ValueFormat::Bytes(8)),
    (Attribute::UnencodedOffset,  "unencoded_offset",   ValueFormat::Bytes(8)),
    (Attribute::Compression,      "compression",        ValueFormat::Bytes(4)),
    (Attribute::Encryption,       "encryption",         ValueFormat::Bytes(4)),
];

/// The format of an attribute's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ValueFormat {
    /// Exactly this number of bytes: a number, a time or a UUID.
    Bytes(usize),
    /// At least one byte, none of them NUL.
    Text,
    Path,
    /// Any bytes, of any length.
    Free,
}

impl Attribute {
    pub fn number(self) -> u16 {
        self as u16
    }

    /// Returns `None` if the protocol has no attribute with that number.
    pub fn from_number(number: u16, protocol: Protocol) -> Option<Attribute> {
        let (attribute, ..) = ALL.get(usize::from(number).checked_sub(1)?)?;
        (number <= last_of(protocol).number()).then_some(*attribute)
    }

    pub(crate) fn format(self) -> ValueFormat {
        ALL[usize::from(self.number()) - 1].2
    }

    /// Returns the bit of this attribute in a set of attributes (a `u32`).
    pub(crate) fn bit(self) -> u32 {
        1 << self.number()
    }
}

fn last_of(protocol: Protocol) -> Attribute {
    match protocol {
        Protocol::V1 => Attribute::CloneLen,
        Protocol::V2 => Attribute::Encryption,
    }
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(ALL[usize::from(self.number()) - 1].1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_maps_to_its_attribute_and_back() {
        for (n, (attribute, name, _)) in (1..).zip(ALL) {
            assert_eq!(attribute.number(), n, "{name}");
            assert_eq!(attribute.to_string(), name);
            assert_eq!(Attribute::from_number(n, Protocol::V2), Some(attribute));
            let in_version_1 = (n <= 24).then_some(attribute);
            assert_eq!(Attribute::from_number(n, Protocol::V1), in_version_1, "{name}");
        }
        for number in [0, 32, u16::MAX] {
            assert_eq!(Attribute::from_number(number, Protocol::V2), None);
        }
    }
}
