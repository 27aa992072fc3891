//! A watch: a local directory that is mapped to a remote prefix.
//!
//! A file of a watch has three names: its path relative to the watch (the bytes
//! that system calls take), its `local_path` in the database (absolute, escaped
//! to clean UTF-8), and its remote path (prefix and escaped relative path).

use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ignore::Match;
use ignore::gitignore::Gitignore;
use s3up_core::{KeyPrefix, PathRule, RemotePath, escape};

#[derive(Clone, Debug)]
pub struct Watch {
    /// Index of this watch in the configuration.
    pub index: WatchIndex,
    /// Absolute path without a trailing slash.
    pub root: PathBuf,
    pub prefix: KeyPrefix,
    pub recursive: bool,
    /// True if scans alone find its changes, because its filesystem reports none of other hosts.
    pub poll: bool,
    pub excludes: Gitignore,
}

pub type WatchIndex = u16;

/// Names a file by its watch and its relative path. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    pub watch: WatchIndex,
    pub path: Arc<Path>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    Dir,
    Other,
}

impl Watch {
    pub fn name(&self, path: &Path) -> Name {
        Name { watch: self.index, path: path.into() }
    }

    pub fn remote_path(&self, path: &Path) -> Result<RemotePath, PathRule> {
        RemotePath::parse(&format!("{}{}", self.prefix, escape::encode(bytes(path))))
    }

    /// Returns the name of the file in the database.
    pub fn local_path(&self, path: &Path) -> String {
        format!("{}{}", self.local_prefix(), escape::encode(bytes(path)))
    }

    /// Returns the common beginning of every `local_path` of this watch.
    pub fn local_prefix(&self) -> String {
        let root = escape::encode(bytes(&self.root));
        if root == "/" { root } else { format!("{root}/") }
    }

    /// Returns the name in the database of the file that is stored as `remote_path`; `None` if the
    /// path is not below the prefix of this watch.
    pub fn local_path_of_remote(&self, remote_path: &str) -> Option<String> {
        let rest = remote_path.strip_prefix(self.prefix.as_str())?;
        Some(format!("{}{rest}", self.local_prefix()))
    }

    /// Inverse of [`Watch::local_path`]; `None` if the path is of another watch.
    pub fn path_of(&self, local_path: &str) -> Option<PathBuf> {
        let rest = local_path.strip_prefix(&self.local_prefix())?;
        Some(PathBuf::from(std::ffi::OsString::from_vec(escape::decode(rest))))
    }

    /// Returns true if an `exclude` pattern matches this entry itself.
    pub fn excludes(&self, path: &Path, kind: EntryKind) -> bool {
        is_ignore(&self.excludes.matched(path, kind == EntryKind::Dir))
    }

    /// Returns true if an `exclude` pattern matches this entry or a directory above it.
    pub fn excludes_beneath(&self, path: &Path, kind: EntryKind) -> bool {
        is_ignore(&self.excludes.matched_path_or_any_parents(path, kind == EntryKind::Dir))
    }
}

fn is_ignore<T>(matched: &Match<T>) -> bool {
    matches!(matched, Match::Ignore(_))
}

fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}

#[cfg(test)]
mod tests {
    use ignore::gitignore::GitignoreBuilder;

    use super::*;

    #[test]
    fn names_of_a_file_are_escaped_and_its_local_path_can_be_reversed() {
        #[rustfmt::skip]
        let cases: [(&str, &str, &[u8], &str, &str); 4] = [
            // root           prefix     relative path     local_path                  remote path
            ("/srv/up",       "uploads", b"a/b.txt",       "/srv/up/a/b.txt",          "uploads/a/b.txt"),
            ("/srv/up",       "",        b"caf\xe9.jpg",   "/srv/up/caf%E9.jpg",       "caf%E9.jpg"),
            ("/srv/100%41",   "p/q/",    b"%41",           "/srv/100%2541/%2541",      "p/q/%2541"),
            ("/",             "r",       b"new\nline",     "/new%0Aline",              "r/new%0Aline"),
        ];
        for (root, prefix, path, local, remote) in cases {
            let watch = watch(root, prefix, &[]);
            let path = Path::new(std::ffi::OsStr::from_bytes(path));
            assert_eq!(watch.local_path(path), local);
            assert_eq!(watch.remote_path(path).unwrap().as_str(), remote);
            assert_eq!(watch.path_of(local).as_deref(), Some(path));
            assert_eq!(watch.local_path_of_remote(remote).as_deref(), Some(local));
        }
    }

    #[test]
    fn a_path_of_another_watch_has_no_relative_path() {
        let watch = watch("/srv/up", "", &[]);
        assert_eq!(watch.path_of("/srv/up2/a"), None);
        assert_eq!(watch.path_of("/srv/up"), None);
    }

    #[test]
    fn exclude_patterns_are_gitignore_lines_relative_to_the_watch() {
        let watch = watch("/srv/up", "", &["*.tmp", "!keep.tmp", "/cache/", "a/**/z"]);
        #[rustfmt::skip]
        let cases = [
            ("x.tmp",          EntryKind::Other,  true),
            ("deep/x.tmp",     EntryKind::Other,  true),
            ("keep.tmp",       EntryKind::Other,  false),
            ("cache",          EntryKind::Dir, true),
            ("cache",          EntryKind::Other,  false),
            ("sub/cache",      EntryKind::Dir, false),
            ("a/b/c/z",        EntryKind::Other,  true),
            ("x.txt",          EntryKind::Other,  false),
        ];
        for (path, kind, want) in cases {
            assert_eq!(watch.excludes(Path::new(path), kind), want, "{path} {kind:?}");
        }
        assert!(watch.excludes_beneath(Path::new("cache/deep/file"), EntryKind::Other));
        assert!(!watch.excludes_beneath(Path::new("sub/cache/file"), EntryKind::Other));
        assert!(watch.excludes_beneath(Path::new("cache"), EntryKind::Dir));
    }

    fn watch(root: &str, prefix: &str, lines: &[&str]) -> Watch {
        let mut excludes = GitignoreBuilder::new("");
        for line in lines {
            excludes.add_line(None, line).unwrap();
        }
        Watch {
            index: 0,
            root: PathBuf::from(root),
            prefix: KeyPrefix::parse(prefix).unwrap(),
            recursive: true,
            poll: false,
            excludes: excludes.build().unwrap(),
        }
    }
}
