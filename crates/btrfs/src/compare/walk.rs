//! Walks two trees together, folder by folder, and hands files to the threads.
//!
//! A folder is read as it comes, and each name looked up on the other side, so
//! that no list of names is ever held. Only where the counts differ is the
//! restored folder read once more for what the source does not have.

use std::ffi::OsStr;
use std::fs::{Metadata, ReadDir};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;

use btrfs_host::root_times::RootTimes;

use super::content::Pair;
use super::difference::What;
use super::entry::{Entry, Folder, in_restored, in_source};
use super::hard_links::{HardLinks, Name};
use super::sample::Pick;
use super::{CompareError, Compared, Request, Shared};

/// What stands in a snapshot for a subvolume that was inside: an empty folder
/// with this inode (BTRFS_EMPTY_SUBVOL_DIR_OBJECTID in the kernel's
/// btrfs_tree.h).
const EMPTY_SUBVOLUME_INODE: u64 = 2;

pub struct Walk<'a> {
    shared: &'a Shared<'a>,
    pick: Pick,
    device: u64,
    links: HardLinks,
    compared: Compared,
    open: Vec<Level>,
}

/// A folder that both trees have.
struct Level {
    path: PathBuf,
    source: Folder,
    restored: Folder,
    names: ReadDir,
    /// HardLinkNames of the source that the restored folder has, too.
    met: u64,
}

impl<'a> Walk<'a> {
    /// Opens both roots, and compares them.
    pub fn begin(
        request: &Request,
        shared: &'a Shared<'a>,
        pick: Pick,
    ) -> Result<Walk<'a>, CompareError> {
        let open = |path: &Path| {
            let folder = Folder::open(path);
            folder.map_err(|source| CompareError::Io { path: path.to_owned(), source })
        };
        let (source, restored) = (open(&request.source)?, open(&request.restored.path)?);
        let itself = OsStr::new(".");
        let look = |folder: &Folder, path: &Path| {
            let io = |source| CompareError::Io { path: path.to_owned(), source };
            folder.look(itself).map_err(io)?.ok_or_else(|| io(io::ErrorKind::NotFound.into()))
        };
        let roots = (look(&source, &request.source)?, look(&restored, &request.restored.path)?);
        let device = roots.0.dev();
        let mut walk = Walk {
            shared,
            pick,
            device,
            links: HardLinks::default(),
            compared: Compared::default(),
            open: Vec::new(),
        };
        walk.compared.entries += 1;
        let folders = (&source, &restored);
        let root = Entry { name: itself, folders, source: roots.0, restored: roots.1 };
        for what in root_differences(&root, request.restored.root_times) {
            shared.differ(PathBuf::new(), what);
        }
        walk.enter(PathBuf::new(), source, restored);
        Ok(walk)
    }

    /// Goes through everything, until it is done or has to stop.
    pub fn run(&mut self, to_threads: &SyncSender<Pair>) {
        while let Some(mut level) = self.open.pop() {
            if self.shared.stop.load(Ordering::Relaxed) {
                return;
            }
            match level.names.next() {
                Some(Ok(entry)) => {
                    let path = level.path.join(entry.file_name());
                    let met = self.meet(&mut level, &entry.file_name(), &path, to_threads);
                    self.open.push(level);
                    match met {
                        Ok(Some((source, restored))) => self.enter(path, source, restored),
                        Ok(None) => {}
                        Err(what) => self.shared.differ(path, what),
                    }
                }
                Some(Err(error)) => self.shared.differ(level.path, in_source(&error)),
                None => self.leave(level),
            }
        }
    }

    pub fn compared(self) -> Compared {
        Compared { links_forgotten: self.links.forgotten, ..self.compared }
    }

    fn enter(&mut self, path: PathBuf, source: Folder, restored: Folder) {
        match source.names() {
            Ok(names) => self.open.push(Level { path, source, restored, names, met: 0 }),
            Err(error) => self.shared.differ(path, in_source(&error)),
        }
    }

    /// Compares one name; returns the folder that it is, to be entered.
    fn meet(
        &mut self,
        level: &mut Level,
        name: &OsStr,
        path: &Path,
        to_threads: &SyncSender<Pair>,
    ) -> Result<Option<(Folder, Folder)>, What> {
        let source = level.source.look(name).map_err(|error| in_source(&error))?;
        // A source is read-only: nothing in it goes while it is read.
        let source = source.ok_or_else(|| in_source(&io::ErrorKind::NotFound.into()))?;
        if self.is_elsewhere(&source) {
            self.compared.nested += 1;
            return Ok(None);
        }
        self.compared.entries += 1;
        let restored = level.restored.look(name).map_err(|error| in_restored(&error))?;
        let restored = restored.ok_or(What::Missing)?;
        level.met += 1;
        let folders = (&level.source, &level.restored);
        let entry = Entry { name, folders, source, restored };
        for what in entry.differences() {
            self.shared.differ(path.to_owned(), what);
        }
        match (entry.source.is_dir(), entry.restored.is_dir()) {
            (true, true) => {
                entry.open_both(|folder, name| Folder::open(&folder.path(name))).map(Some)
            }
            (false, false) => self.file(&entry, path, to_threads).map(|()| None),
            (_, _) => Ok(None),
        }
    }

    /// A subvolume inside the source, or what a snapshot has in its place.
    fn is_elsewhere(&self, source: &Metadata) -> bool {
        let is_placeholder = source.is_dir() && source.ino() == EMPTY_SUBVOLUME_INODE;
        is_placeholder || source.dev() != self.device
    }

    /// A name that is no folder. Its content is compared once, under the first
    /// of its names.
    fn file(
        &mut self,
        entry: &Entry<'_>,
        path: &Path,
        to_threads: &SyncSender<Pair>,
    ) -> Result<(), What> {
        let (source, restored) = (&entry.source, &entry.restored);
        match self.links.meet(source.ino(), restored.ino(), source.nlink()) {
            Name::First => {}
            Name::Again => return Ok(()),
            Name::Other => return Err(What::OtherFile),
        }
        if !source.is_file() || !restored.is_file() {
            return Ok(());
        }
        self.compared.files += 1;
        // Another length was said already.
        if source.len() != restored.len() || !self.pick.takes(path) {
            return Ok(());
        }
        let (source, restored) = entry.open_both(Folder::file)?;
        // It fails only where every thread has died, which is found out.
        to_threads.send(Pair { path: path.to_owned(), source, restored }).ok();
        Ok(())
    }

    /// All names of the source were met: has the restored folder others?
    fn leave(&self, level: Level) {
        let count = level
            .restored
            .names()
            .and_then(|names| names.map(|entry| entry.map(|_| 1)).sum::<io::Result<u64>>());
        let named = match count {
            Ok(count) if count == level.met => Ok(()),
            Ok(_) => self.name_additional(&level),
            Err(error) => Err(error),
        };
        if let Err(error) = named {
            self.shared.differ(level.path, in_restored(&error));
        }
    }

    fn name_additional(&self, level: &Level) -> io::Result<()> {
        for entry in level.restored.names()? {
            let name = entry?.file_name();
            let source = level.source.look(&name)?;
            if source.is_none_or(|found| self.is_elsewhere(&found)) {
                self.shared.differ(level.path.join(name), What::Additional);
            }
        }
        Ok(())
    }
}

/// The time of a received root is that of the last entry that was made in it:
/// what counts is the one that it will get.
fn root_differences(root: &Entry<'_>, times: Option<RootTimes>) -> Vec<What> {
    let mut found = root.differences();
    found.retain(|what| !matches!(what, What::Modified { .. }));
    let source = (root.source.mtime(), root.source.mtime_nsec());
    let restored = times.map(RootTimes::modified).filter(|restored| *restored != source);
    found.extend(restored.map(|restored| What::Modified { source, restored }));
    found
}

impl Shared<'_> {
    pub(super) fn differ(&self, path: PathBuf, what: What) {
        // A thread that panicked leaves a list that is as good as before.
        let differences = self.differences.lock();
        differences.unwrap_or_else(|poisoned| poisoned.into_inner()).add(path, what);
    }
}
