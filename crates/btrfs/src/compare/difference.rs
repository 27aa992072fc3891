//! The differences between two trees: all are counted, the first are listed. Pure.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

/// Maximum number of listed differences. More do not help a person.
const LISTED_MAX: usize = 20;

/// One of the two trees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    Source,
    Restored,
}

/// A difference of one entry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// Path from the root of the subvolume; empty for the root.
    pub path: PathBuf,
    pub mismatch: Mismatch,
}

/// The type of an entry of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntryKind {
    File,
    Directory,
    Symlink,
    Fifo,
    Socket,
    CharacterDevice,
    BlockDevice,
}

impl fmt::Display for EntryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            EntryKind::File => "file",
            EntryKind::Directory => "directory",
            EntryKind::Symlink => "symlink",
            EntryKind::Fifo => "FIFO",
            EntryKind::Socket => "socket",
            EntryKind::CharacterDevice => "character device",
            EntryKind::BlockDevice => "block device",
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mismatch {
    Missing,
    Additional,
    Kind {
        source: EntryKind,
        restored: EntryKind,
    },
    Mode {
        source: u32,
        restored: u32,
    },
    Owner {
        source: (u32, u32),
        restored: (u32, u32),
    },
    /// Seconds and nanoseconds.
    Modified {
        source: (i64, i64),
        restored: (i64, i64),
    },
    Length {
        source: u64,
        restored: u64,
    },
    /// `at` is the offset of the first byte that differs.
    Content {
        at: u64,
    },
    Target {
        source: PathBuf,
        restored: PathBuf,
    },
    Device {
        source: u64,
        restored: u64,
    },
    /// Number of hard links.
    LinkCount {
        source: u64,
        restored: u64,
    },
    /// A hard link in the source that is another file in the restored tree.
    OtherFile,
    Attribute {
        name: OsString,
    },
    Unreadable {
        side: Side,
        error: String,
    },
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Differences {
    pub count: u64,
    pub first: Vec<Difference>,
}

impl Differences {
    pub fn add(&mut self, path: PathBuf, mismatch: Mismatch) {
        self.count += 1;
        if self.first.len() < LISTED_MAX {
            self.first.push(Difference { path, mismatch });
        }
    }

    pub(super) fn sort(&mut self) {
        self.first.sort();
    }
}

/// Writes the first differences in one line.
impl fmt::Display for Differences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, difference) in self.first.iter().enumerate() {
            write!(f, "{}{difference}", if n > 0 { "; " } else { "" })?;
        }
        match self.count.saturating_sub(self.first.len() as u64) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

/// Escapes bytes of names that are not text.
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.as_os_str().is_empty() {
            write!(f, "the root directory: {}", self.mismatch)
        } else {
            write!(f, "{:?}: {}", self.path, self.mismatch)
        }
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mismatch::Missing => f.write_str("missing"),
            Mismatch::Additional => f.write_str("not in the source"),
            Mismatch::Kind { source, restored } => {
                write!(f, "kind: expected {source}, found {restored}")
            }
            Mismatch::Mode { source, restored } => {
                write!(f, "mode: expected {source:04o}, found {restored:04o}")
            }
            Mismatch::Owner { source: (uid, gid), restored } => {
                write!(f, "owner: expected {uid}:{gid}, found {}:{}", restored.0, restored.1)
            }
            Mismatch::Modified { source: (s, ns), restored } => {
                write!(
                    f,
                    "modification time: expected {s}.{ns:09}, found {}.{:09}",
                    restored.0, restored.1
                )
            }
            Mismatch::Length { source, restored } => {
                write!(f, "length: expected {source} bytes, found {restored}")
            }
            Mismatch::Content { at } => write!(f, "content differs from byte {at} on"),
            Mismatch::Target { source, restored } => {
                write!(f, "symlink target: expected {source:?}, found {restored:?}")
            }
            Mismatch::Device { source, restored } => {
                write!(f, "device number: expected {source:#x}, found {restored:#x}")
            }
            Mismatch::LinkCount { source, restored } => {
                write!(f, "hard links: expected {source}, found {restored}")
            }
            Mismatch::OtherFile => f.write_str("not a hard link of the same file as in the source"),
            Mismatch::Attribute { name } => write!(f, "extended attribute {name:?} differs"),
            Mismatch::Unreadable { side: Side::Source, error } => {
                write!(f, "cannot be read in the source: {error}")
            }
            Mismatch::Unreadable { side: Side::Restored, error } => {
                write!(f, "cannot be read: {error}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    #[test]
    fn each_difference_has_a_message() {
        let odd = PathBuf::from(OsString::from_vec(b"caf\xe9\n".to_vec()));
        #[rustfmt::skip]
        let cases = [
            (PathBuf::new(), Mismatch::Mode { source: 0o755, restored: 0o4700 },          "the root directory: mode: expected 0755, found 4700"),
            ("a".into(),     Mismatch::Missing,                                            "\"a\": missing"),
            (odd,            Mismatch::Additional,                                         r#""caf\xE9\n": not in the source"#),
            ("a".into(),     Mismatch::Kind { source: EntryKind::File, restored: EntryKind::Directory },     "\"a\": kind: expected file, found directory"),
            ("a".into(),     Mismatch::Owner { source: (0, 1), restored: (2, 3) },         "\"a\": owner: expected 0:1, found 2:3"),
            ("a".into(),     Mismatch::Modified { source: (1, 2), restored: (-1, 0) },     "\"a\": modification time: expected 1.000000002, found -1.000000000"),
            ("a".into(),     Mismatch::Length { source: 1, restored: 2 },                  "\"a\": length: expected 1 bytes, found 2"),
            ("a".into(),     Mismatch::Content { at: 7 },                                  "\"a\": content differs from byte 7 on"),
            ("a".into(),     Mismatch::Target { source: "b".into(), restored: "c".into() }, "\"a\": symlink target: expected \"b\", found \"c\""),
            ("a".into(),     Mismatch::Device { source: 0x103, restored: 0x105 },          "\"a\": device number: expected 0x103, found 0x105"),
            ("a".into(),     Mismatch::LinkCount { source: 2, restored: 1 },                   "\"a\": hard links: expected 2, found 1"),
            ("a".into(),     Mismatch::OtherFile,                                          "\"a\": not a hard link of the same file as in the source"),
            ("a".into(),     Mismatch::Attribute { name: "user.x".into() },                "\"a\": extended attribute \"user.x\" differs"),
            ("a".into(),     Mismatch::Unreadable { side: Side::Source, error: "I/O error".into() },   "\"a\": cannot be read in the source: I/O error"),
            ("a".into(),     Mismatch::Unreadable { side: Side::Restored, error: "I/O error".into() }, "\"a\": cannot be read: I/O error"),
        ];
        for (path, mismatch, want) in cases {
            assert_eq!(Difference { path, mismatch }.to_string(), want);
        }
    }

    #[test]
    fn all_differences_are_counted_and_the_first_are_listed() {
        let mut differences = Differences::default();
        for n in 0..LISTED_MAX + 5 {
            differences.add(n.to_string().into(), Mismatch::Missing);
        }
        assert_eq!(differences.count, 25);
        let text = differences.to_string();
        assert!(text.starts_with("\"0\": missing; \"1\": missing; "), "{text}");
        assert!(text.ends_with("\"19\": missing; and 5 more"), "{text}");
    }
}
