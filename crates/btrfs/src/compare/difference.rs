//! Where two trees differ: all are counted, the first are kept. Pure.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

/// More do not help a person.
const KEPT_MAX: usize = 20;

/// Which of the two trees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    Source,
    Restored,
}

/// One difference, of one entry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// From the root of the subvolume; empty for itself.
    pub path: PathBuf,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    Missing,
    Additional,
    Kind {
        source: &'static str,
        restored: &'static str,
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
    /// The first byte that differs.
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
    /// How many names the file has.
    HardLinkNames {
        source: u64,
        restored: u64,
    },
    /// It is one file with another name in the source.
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
    pub fn add(&mut self, path: PathBuf, what: What) {
        self.count += 1;
        if self.first.len() < KEPT_MAX {
            self.first.push(Difference { path, what });
        }
    }

    pub(super) fn sort(&mut self) {
        self.first.sort();
    }
}

/// The first ones, in one line.
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

/// A name may have any bytes: those that are no text are escaped.
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.as_os_str().is_empty() {
            write!(f, "the subvolume itself {}", self.what)
        } else {
            write!(f, "{:?} {}", self.path, self.what)
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            What::Missing => f.write_str("is missing"),
            What::Additional => f.write_str("is not in the source"),
            What::Kind { source, restored } => {
                write!(f, "is a {restored}, in the source a {source}")
            }
            What::Mode { source, restored } => {
                write!(f, "has the mode {restored:04o}, in the source {source:04o}")
            }
            What::Owner { source: (uid, gid), restored } => {
                write!(f, "belongs to {}:{}, in the source to {uid}:{gid}", restored.0, restored.1)
            }
            What::Modified { source: (s, ns), restored } => {
                write!(
                    f,
                    "has the time {}.{:09}, in the source {s}.{ns:09}",
                    restored.0, restored.1
                )
            }
            What::Length { source, restored } => {
                write!(f, "is {restored} bytes long, in the source {source}")
            }
            What::Content { at } => write!(f, "has other content from byte {at} on"),
            What::Target { source, restored } => {
                write!(f, "points to {restored:?}, in the source to {source:?}")
            }
            What::Device { source, restored } => {
                write!(f, "is device {restored:#x}, in the source {source:#x}")
            }
            What::HardLinkNames { source, restored } => {
                write!(f, "is a file with {restored} names, in the source with {source}")
            }
            What::OtherFile => {
                f.write_str("is not one file with the name that it is one with in the source")
            }
            What::Attribute { name } => write!(f, "has another extended attribute {name:?}"),
            What::Unreadable { side: Side::Source, error } => {
                write!(f, "cannot be read in the source: {error}")
            }
            What::Unreadable { side: Side::Restored, error } => {
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
    fn differences_are_said_in_words() {
        let odd = PathBuf::from(OsString::from_vec(b"caf\xe9\n".to_vec()));
        #[rustfmt::skip]
        let cases = [
            (PathBuf::new(), What::Mode { source: 0o755, restored: 0o4700 },          "the subvolume itself has the mode 4700, in the source 0755"),
            ("a".into(),     What::Missing,                                            "\"a\" is missing"),
            (odd,            What::Additional,                                         r#""caf\xE9\n" is not in the source"#),
            ("a".into(),     What::Kind { source: "file", restored: "folder" },        "\"a\" is a folder, in the source a file"),
            ("a".into(),     What::Owner { source: (0, 1), restored: (2, 3) },         "\"a\" belongs to 2:3, in the source to 0:1"),
            ("a".into(),     What::Modified { source: (1, 2), restored: (-1, 0) },     "\"a\" has the time -1.000000000, in the source 1.000000002"),
            ("a".into(),     What::Length { source: 1, restored: 2 },                  "\"a\" is 2 bytes long, in the source 1"),
            ("a".into(),     What::Content { at: 7 },                                  "\"a\" has other content from byte 7 on"),
            ("a".into(),     What::Target { source: "b".into(), restored: "c".into() }, "\"a\" points to \"c\", in the source to \"b\""),
            ("a".into(),     What::Device { source: 0x103, restored: 0x105 },          "\"a\" is device 0x105, in the source 0x103"),
            ("a".into(),     What::HardLinkNames { source: 2, restored: 1 },                   "\"a\" is a file with 1 names, in the source with 2"),
            ("a".into(),     What::OtherFile,                                          "\"a\" is not one file with the name that it is one with in the source"),
            ("a".into(),     What::Attribute { name: "user.x".into() },                "\"a\" has another extended attribute \"user.x\""),
            ("a".into(),     What::Unreadable { side: Side::Source, error: "I/O error".into() },   "\"a\" cannot be read in the source: I/O error"),
            ("a".into(),     What::Unreadable { side: Side::Restored, error: "I/O error".into() }, "\"a\" cannot be read: I/O error"),
        ];
        for (path, what, want) in cases {
            assert_eq!(Difference { path, what }.to_string(), want);
        }
    }

    #[test]
    fn all_are_counted_and_the_first_are_named() {
        let mut differences = Differences::default();
        for n in 0..KEPT_MAX + 5 {
            differences.add(n.to_string().into(), What::Missing);
        }
        assert_eq!(differences.count, 25);
        let text = differences.to_string();
        assert!(text.starts_with("\"0\" is missing; \"1\" is missing; "), "{text}");
        assert!(text.ends_with("\"19\" is missing; and 5 more"), "{text}");
    }
}
