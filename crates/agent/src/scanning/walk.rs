//! Walks a watch: visits every entry once and tells what it is.
//!
//! The walk is depth first and confined to the root. It follows no symlink and
//! crosses no mount point. An entry that cannot be read is reported and the walk
//! continues; an entry that vanishes meanwhile is left out. Blocking: the caller
//! provides a thread.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::ffi::CStr;
use rustix::fs::{FileType, Stat};

use crate::files::confined_fs::{self, Dir, Root, TypeHint};
use crate::files::identity::Identity;
use crate::files::watch::{EntryKind, Watch};

/// One entry of a watch. Its path is relative to the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalkEntry {
    pub path: PathBuf,
    pub kind: WalkEntryKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WalkEntryKind {
    File(Identity),
    Excluded(Exclusion),
    /// The entry could not be read; the text is the error.
    Unreadable(String),
}

/// Reason for excluding an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Exclusion {
    Symlink,
    /// A FIFO, a socket or a device.
    Special,
    Pattern,
    OtherFilesystem,
    NotRecursive,
}

/// The root cannot be opened, so nothing is known about its files.
#[derive(Debug, thiserror::Error)]
#[error("open watched directory {root:?}; its files keep their state")]
pub struct RootError {
    pub root: PathBuf,
    pub source: io::Error,
}

/// Opens the root of `watch`.
pub fn open_root(watch: &Watch) -> Result<Root, RootError> {
    Root::open(&watch.root).map_err(|source| RootError { root: watch.root.clone(), source })
}

/// Calls `each` for every entry of `watch` in `top` and below it, until it returns `Break`.
pub fn walk(
    watch: &Watch,
    root: Root,
    top: PathBuf,
    each: impl FnMut(WalkEntry) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, RootError> {
    let failed = |source| RootError { root: watch.root.clone(), source };
    // The walk opens the root again. This first open turns a root without
    // permission into an error of the whole watch.
    root.directory(Path::new("")).map_err(failed)?;
    Ok(Walk { watch, root, dirs: vec![top], each }.run())
}

struct Walk<'w, F> {
    watch: &'w Watch,
    root: Root,
    dirs: Vec<PathBuf>,
    each: F,
}

impl<F: FnMut(WalkEntry) -> ControlFlow<()>> Walk<'_, F> {
    fn run(mut self) -> ControlFlow<()> {
        while let Some(path) = self.dirs.pop() {
            match self.root.directory(&path) {
                Ok(directory) => self.list(&path, &directory)?,
                Err(err) => self.not_opened(path, &err)?,
            }
        }
        ControlFlow::Continue(())
    }

    fn list(&mut self, path: &Path, directory: &Dir) -> ControlFlow<()> {
        let listed = directory.list(|name, hint| {
            let path = path.join(OsStr::from_bytes(name.to_bytes()));
            self.entry(path, directory, name, hint)
        });
        match listed {
            Ok(flow) => flow,
            // It was removed after it was opened.
            Err(err) if confined_fs::is_gone(&err) => ControlFlow::Continue(()),
            Err(err) => self.unreadable(path.to_owned(), &err),
        }
    }

    fn entry(
        &mut self,
        path: PathBuf,
        directory: &Dir,
        name: &CStr,
        hint: TypeHint,
    ) -> ControlFlow<()> {
        if hint == TypeHint::Dir {
            return self.directory(path);
        }
        if hint == TypeHint::Other && self.watch.excludes(&path, EntryKind::Other) {
            return self.excluded(path, Exclusion::Pattern);
        }
        match directory.stat_entry(name) {
            Ok(stat) => self.entry_with_stat(path, &stat),
            Err(err) if confined_fs::is_gone(&err) => ControlFlow::Continue(()),
            Err(err) => self.unreadable(path, &err),
        }
    }

    fn entry_with_stat(&mut self, path: PathBuf, stat: &Stat) -> ControlFlow<()> {
        let file_type = confined_fs::file_type(stat);
        if file_type == FileType::Directory {
            return self.directory(path);
        }
        if self.watch.excludes(&path, EntryKind::Other) {
            return self.excluded(path, Exclusion::Pattern);
        }
        if let Some(exclusion) = exclusion(file_type) {
            return self.excluded(path, exclusion);
        }
        (self.each)(WalkEntry { path, kind: WalkEntryKind::File(Identity::of(stat)) })
    }

    fn directory(&mut self, path: PathBuf) -> ControlFlow<()> {
        if self.watch.excludes(&path, EntryKind::Dir) {
            return self.excluded(path, Exclusion::Pattern);
        }
        if !self.watch.recursive {
            return self.excluded(path, Exclusion::NotRecursive);
        }
        self.dirs.push(path);
        ControlFlow::Continue(())
    }

    fn not_opened(&mut self, path: PathBuf, err: &io::Error) -> ControlFlow<()> {
        if confined_fs::crosses_mount_point(err) {
            return self.excluded(path, Exclusion::OtherFilesystem);
        }
        // The directory is gone, or a file or a symlink replaced it since it was
        // listed. The next scan finds what is there then.
        if confined_fs::is_gone(err) || confined_fs::is_refused_type(err) {
            return ControlFlow::Continue(());
        }
        self.unreadable(path, err)
    }

    fn excluded(&mut self, path: PathBuf, exclusion: Exclusion) -> ControlFlow<()> {
        (self.each)(WalkEntry { path, kind: WalkEntryKind::Excluded(exclusion) })
    }

    fn unreadable(&mut self, path: PathBuf, err: &io::Error) -> ControlFlow<()> {
        (self.each)(WalkEntry { path, kind: WalkEntryKind::Unreadable(err.to_string()) })
    }
}

/// Returns why an entry of this type is excluded; `None` for a regular file.
pub fn exclusion(file_type: FileType) -> Option<Exclusion> {
    match file_type {
        FileType::RegularFile => None,
        FileType::Symlink => Some(Exclusion::Symlink),
        FileType::Directory
        | FileType::Fifo
        | FileType::Socket
        | FileType::CharacterDevice
        | FileType::BlockDevice
        | FileType::Unknown => Some(Exclusion::Special),
    }
}

impl Exclusion {
    pub fn as_str(self) -> &'static str {
        match self {
            Exclusion::Symlink => "symlink",
            Exclusion::Special => "special file",
            Exclusion::Pattern => "exclude pattern",
            Exclusion::OtherFilesystem => "other filesystem",
            Exclusion::NotRecursive => "watch is not recursive",
        }
    }
}

impl fmt::Display for Exclusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
