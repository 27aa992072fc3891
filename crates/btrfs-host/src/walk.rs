//! Walks over every entry below a directory, within its filesystem.
//!
//! A nested subvolume counts as another filesystem, as it does for `btrfs send`.
//! Symlinks are not followed. Memory holds the directories on the path to the current
//! entry, each with an open handle. A tree that is deeper than the number of handles is
//! reported as unreadable from there on.

use std::fs::{self, Metadata, ReadDir};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// One entry of a walk.
#[derive(Debug)]
pub enum WalkItem {
    /// Anything but a directory.
    File {
        path: PathBuf,
        metadata: Metadata,
    },
    /// A directory, which is entered next.
    Dir {
        path: PathBuf,
    },
    /// A subvolume or a mount, which is not entered.
    Elsewhere {
        path: PathBuf,
    },
    Unreadable {
        path: PathBuf,
        error: io::Error,
    },
}

pub struct Walk {
    device: u64,
    open: Vec<(PathBuf, ReadDir)>,
}

impl Walk {
    pub fn below(root: &Path) -> io::Result<Walk> {
        let device = fs::metadata(root)?.dev();
        Ok(Walk { device, open: vec![(root.to_owned(), fs::read_dir(root)?)] })
    }

    fn visit(&mut self, path: PathBuf, metadata: Metadata) -> WalkItem {
        if metadata.dev() != self.device {
            return WalkItem::Elsewhere { path };
        }
        if !metadata.is_dir() {
            return WalkItem::File { path, metadata };
        }
        match fs::read_dir(&path) {
            Ok(entries) => {
                self.open.push((path.clone(), entries));
                WalkItem::Dir { path }
            }
            Err(error) => WalkItem::Unreadable { path, error },
        }
    }
}

impl Iterator for Walk {
    type Item = WalkItem;

    fn next(&mut self) -> Option<WalkItem> {
        loop {
            let (directory, entries) = self.open.last_mut()?;
            let directory = directory.clone();
            let entry = match entries.next() {
                None => {
                    self.open.pop();
                    continue;
                }
                Some(Ok(entry)) => entry,
                // Reading on after an error would fail the same way.
                Some(Err(error)) => {
                    self.open.pop();
                    return Some(WalkItem::Unreadable { path: directory, error });
                }
            };
            let path = entry.path();
            match entry.metadata() {
                Ok(metadata) => return Some(self.visit(path, metadata)),
                // The entry was deleted meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Some(WalkItem::Unreadable { path, error }),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_visits_everything_once_and_follows_no_symlink() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        fs::create_dir_all(root.join("a/b/c")).unwrap();
        for name in ["one", "a/two", "a/b/c/three"] {
            fs::write(root.join(name), "x").unwrap();
        }
        std::os::unix::fs::symlink("/", root.join("a/link")).unwrap();

        let mut paths = Vec::new();
        for found in Walk::below(root).unwrap() {
            match found {
                WalkItem::File { path, .. } | WalkItem::Dir { path } => {
                    paths.push(path.strip_prefix(root).unwrap().display().to_string());
                }
                other @ (WalkItem::Elsewhere { .. } | WalkItem::Unreadable { .. }) => {
                    panic!("{other:?}")
                }
            }
        }

        paths.sort();
        assert_eq!(paths, ["a", "a/b", "a/b/c", "a/b/c/three", "a/link", "a/two", "one"]);
    }

    #[test]
    fn another_filesystem_is_not_entered() {
        let elsewhere = Walk::below(Path::new("/")).unwrap().any(
            |found| matches!(found, WalkItem::Elsewhere { path } if path == Path::new("/proc")),
        );
        assert!(elsewhere);
    }
}
