//! The walk of a watch: every entry once, with what it is.
//!
//! Depth first, beneath the root's descriptor, through no symlink and over no
//! mount point. What cannot be read is found as trouble and the walk goes on;
//! what vanishes while it is looked at is not found. Blocking: the caller
//! gives it a thread.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::ffi::CStr;
use rustix::fs::{FileType, Stat};

use crate::beneath::{self, Folder, Hint, Root};
use crate::identity::Identity;
use crate::watch::{EntryKind, Watch};

/// One entry of a watch, by its relative path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub path: PathBuf,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    File(Identity),
    Excluded(Exclusion),
    /// It could not be looked at.
    Trouble(String),
}

/// Why an entry is left out on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Exclusion {
    Symlink,
    /// A FIFO, a socket, a device.
    Special,
    Pattern,
    OtherFilesystem,
    NotRecursive,
}

/// The root cannot be walked: nothing is known about its files.
#[derive(Debug, thiserror::Error)]
#[error("the watched folder {root:?} cannot be opened; nothing in it is taken for deleted")]
pub struct RootTrouble {
    pub root: PathBuf,
    pub source: io::Error,
}

/// Hands every entry of `watch` to `each`, until that says stop.
pub fn walk(
    watch: &Watch,
    each: impl FnMut(Found) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, RootTrouble> {
    let trouble = |source| RootTrouble { root: watch.root.clone(), source };
    let root = Root::open(&watch.root).map_err(trouble)?;
    // Opened here once more, so that a root without permission is trouble of
    // the whole watch.
    root.folder(Path::new("")).map_err(trouble)?;
    Ok(Walk { watch, root, folders: vec![PathBuf::new()], each }.run())
}

struct Walk<'w, F> {
    watch: &'w Watch,
    root: Root,
    folders: Vec<PathBuf>,
    each: F,
}

impl<F: FnMut(Found) -> ControlFlow<()>> Walk<'_, F> {
    fn run(mut self) -> ControlFlow<()> {
        while let Some(path) = self.folders.pop() {
            match self.root.folder(&path) {
                Ok(folder) => self.list(&path, &folder)?,
                Err(err) => self.unopened(path, &err)?,
            }
        }
        ControlFlow::Continue(())
    }

    fn list(&mut self, path: &Path, folder: &Folder) -> ControlFlow<()> {
        let listed = folder.list(|name, hint| {
            let path = path.join(OsStr::from_bytes(name.to_bytes()));
            self.entry(path, folder, name, hint)
        });
        match listed {
            Ok(flow) => flow,
            Err(err) => self.trouble(path.to_owned(), &err),
        }
    }

    fn entry(
        &mut self,
        path: PathBuf,
        folder: &Folder,
        name: &CStr,
        hint: Hint,
    ) -> ControlFlow<()> {
        if hint == Hint::Folder {
            return self.folder(path);
        }
        if hint == Hint::Other && self.watch.excludes(&path, EntryKind::Other) {
            return self.excluded(path, Exclusion::Pattern);
        }
        match folder.stat_entry(name) {
            Ok(stat) => self.looked_at(path, &stat),
            Err(err) if beneath::is_gone(&err) => ControlFlow::Continue(()),
            Err(err) => self.trouble(path, &err),
        }
    }

    fn looked_at(&mut self, path: PathBuf, stat: &Stat) -> ControlFlow<()> {
        let file_type = beneath::file_type(stat);
        if file_type == FileType::Directory {
            return self.folder(path);
        }
        if self.watch.excludes(&path, EntryKind::Other) {
            return self.excluded(path, Exclusion::Pattern);
        }
        if let Some(exclusion) = exclusion(file_type) {
            return self.excluded(path, exclusion);
        }
        (self.each)(Found { path, what: What::File(Identity::of(stat)) })
    }

    fn folder(&mut self, path: PathBuf) -> ControlFlow<()> {
        if self.watch.excludes(&path, EntryKind::Folder) {
            return self.excluded(path, Exclusion::Pattern);
        }
        if !self.watch.recursive {
            return self.excluded(path, Exclusion::NotRecursive);
        }
        self.folders.push(path);
        ControlFlow::Continue(())
    }

    fn unopened(&mut self, path: PathBuf, err: &io::Error) -> ControlFlow<()> {
        if beneath::is_mount_point(err) {
            return self.excluded(path, Exclusion::OtherFilesystem);
        }
        // Gone, or replaced by a file or a symlink since it was listed: the
        // next scan finds what it is now.
        if beneath::is_gone(err) || beneath::is_detour(err) {
            return ControlFlow::Continue(());
        }
        self.trouble(path, err)
    }

    fn excluded(&mut self, path: PathBuf, exclusion: Exclusion) -> ControlFlow<()> {
        (self.each)(Found { path, what: What::Excluded(exclusion) })
    }

    fn trouble(&mut self, path: PathBuf, err: &io::Error) -> ControlFlow<()> {
        (self.each)(Found { path, what: What::Trouble(err.to_string()) })
    }
}

/// Why an entry of this type is never read; `None` for a regular file.
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
