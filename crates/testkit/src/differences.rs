//! The differences of two observed trees: one line per field, with the path and
//! both values.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt::{self, Debug};
use std::path::Path;

use crate::observe::{Observed, ObservedEntry, ObservedKind, observe};

/// Maximum number of lines that a failed comparison shows.
const LINES_SHOWN_MAX: usize = 40;

/// Returns one line for each difference, sorted by path; none if they are equal.
pub fn differences(left: &Observed, right: &Observed) -> Vec<String> {
    let paths: BTreeSet<_> = left.entries.keys().chain(right.entries.keys()).collect();
    let of_path = |path| match (left.entries.get(path), right.entries.get(path)) {
        (Some(left), Some(right)) => of_entries(path, left, right),
        (Some(_), None) => vec![format!("{}: only on the left", shown(path))],
        (None, _) => vec![format!("{}: only on the right", shown(path))],
    };
    paths.into_iter().flat_map(|path| of_path(path)).collect()
}

/// Compares two directories; panics with the differences, if there are any.
#[track_caller]
pub fn assert_same_tree(left: &Path, right: &Path) {
    let found = differences(&observe(left), &observe(right));
    let lines = found[..found.len().min(LINES_SHOWN_MAX)].join("\n  ");
    let (left, right, count) = (left.display(), right.display(), found.len());
    assert!(count == 0, "{left} (left) and {right} (right) have {count} differences:\n  {lines}");
}

fn of_entries(path: &Path, left: &ObservedEntry, right: &ObservedEntry) -> Vec<String> {
    let mut lines = Lines { path: shown(path), lines: Vec::new() };
    lines.kinds(&left.kind, &right.kind);
    lines.compare("mode", octal(left.mode), octal(right.mode));
    lines.compare("uid", left.uid, right.uid);
    lines.compare("gid", left.gid, right.gid);
    lines.compare("mtime", time(left.mtime), time(right.mtime));
    lines.compare("links", &left.links, &right.links);
    let names: BTreeSet<&OsString> = left.xattrs.keys().chain(right.xattrs.keys()).collect();
    for name in names {
        let value = |entry: &ObservedEntry| {
            entry.xattrs.get(name).map(|value| value.escape_ascii().to_string())
        };
        lines.compare(&format!("xattr {}", name.display()), value(left), value(right));
    }
    lines.lines
}

struct Lines {
    path: String,
    lines: Vec<String>,
}

impl Lines {
    fn kinds(&mut self, left: &ObservedKind, right: &ObservedKind) {
        match (left, right) {
            (
                ObservedKind::File { size: left_size, sha256: left },
                ObservedKind::File { size: right_size, sha256: right },
            ) => {
                self.compare("size", left_size, right_size);
                self.compare("content", left, right);
            }
            (ObservedKind::Symlink { target: left }, ObservedKind::Symlink { target: right }) => {
                self.compare("target", left, right);
            }
            (left, right) => self.compare("kind", left, right),
        }
    }

    fn compare<T: PartialEq + Debug>(&mut self, field: &str, left: T, right: T) {
        if left != right {
            self.lines.push(format!("{}: {field}: {left:?} != {right:?}", self.path));
        }
    }
}

/// Returns a path without quotes, with all unprintable bytes escaped.
fn shown(path: &Path) -> String {
    path.as_os_str().as_encoded_bytes().escape_ascii().to_string()
}

/// A text whose `Debug` form has no quotes.
#[derive(PartialEq)]
struct Plain(String);

impl Debug for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn octal(mode: u32) -> Plain {
    Plain(format!("{mode:04o}"))
}

fn time((seconds, nanoseconds): (i64, i64)) -> Plain {
    Plain(format!("{seconds}.{nanoseconds:09}"))
}
