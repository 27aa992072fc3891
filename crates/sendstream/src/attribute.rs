//! The attributes of commands: the number, the form and the length of each.

use std::fmt;

use crate::Protocol;

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
    /// Of a link, a path in the subvolume; of a symlink, any text.
    PathLink,
    FileOffset,
    /// File data. It ends its command; in protocol 2 it says no length.
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

/// In the order of their numbers, with the names that the kernel gives them.
#[rustfmt::skip]
const ALL: [(Attribute, &str, Form); 31] = [
    (Attribute::Uuid,             "uuid",               Form::Bytes(16)),
    (Attribute::Ctransid,         "ctransid",           Form::Bytes(8)),
    (Attribute::Ino,              "ino",                Form::Bytes(8)),
    (Attribute::Size,             "size",               Form::Bytes(8)),
    (Attribute::Mode,             "mode",               Form::Bytes(8)),
    (Attribute::Uid,              "uid",                Form::Bytes(8)),
    (Attribute::Gid,              "gid",                Form::Bytes(8)),
    (Attribute::Rdev,             "rdev",               Form::Bytes(8)),
    (Attribute::Ctime,            "ctime",              Form::Bytes(12)),
    (Attribute::Mtime,            "mtime",              Form::Bytes(12)),
    (Attribute::Atime,            "atime",              Form::Bytes(12)),
    (Attribute::Otime,            "otime",              Form::Bytes(12)),
    (Attribute::XattrName,        "xattr_name",         Form::Text),
    (Attribute::XattrData,        "xattr_data",         Form::Free),
    (Attribute::Path,             "path",               Form::Path),
    (Attribute::PathTo,           "path_to",            Form::Path),
    (Attribute::PathLink,         "path_link",          Form::Path),
    (Attribute::FileOffset,       "file_offset",        Form::Bytes(8)),
    (Attribute::Data,             "data",               Form::Free),
    (Attribute::CloneUuid,        "clone_uuid",         Form::Bytes(16)),
    (Attribute::CloneCtransid,    "clone_ctransid",     Form::Bytes(8)),
    (Attribute::ClonePath,        "clone_path",         Form::Path),
    (Attribute::CloneOffset,      "clone_offset",       Form::Bytes(8)),
    (Attribute::CloneLen,         "clone_len",          Form::Bytes(8)),
    (Attribute::FallocateMode,    "fallocate_mode",     Form::Bytes(4)),
    (Attribute::FileAttributes,   "fileattr",           Form::Bytes(8)),
    (Attribute::UnencodedFileLen, "unencoded_file_len", Form::Bytes(8)),
    (Attribute::UnencodedLen,     "unencoded_len",      Form::Bytes(8)),
    (Attribute::UnencodedOffset,  "unencoded_offset",   Form::Bytes(8)),
    (Attribute::Compression,      "compression",        Form::Bytes(4)),
    (Attribute::Encryption,       "encryption",         Form::Bytes(4)),
];

/// What the bytes of an attribute must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Exactly so many: a number, a time, a UUID.
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

    /// `None` where this protocol has no attribute of that number.
    pub fn from_number(number: u16, protocol: Protocol) -> Option<Attribute> {
        let (attribute, ..) = ALL.get(usize::from(number).checked_sub(1)?)?;
        (number <= protocol.last_attribute().number()).then_some(*attribute)
    }

    pub(crate) fn form(self) -> Form {
        ALL[usize::from(self.number()) - 1].2
    }

    /// One bit for each attribute, so that a set of them is a `u32`.
    pub(crate) fn bit(self) -> u32 {
        1 << self.number()
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
    fn numbers_lead_to_attributes_and_back() {
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
