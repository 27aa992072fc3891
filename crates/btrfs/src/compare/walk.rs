//! Walks two trees together, directory by directory, and sends files to the threads.
//!
//! Each name of a source directory is looked up in the restored directory, so that no list of names
//! is held in memory. Only if the numbers of names differ is the restored directory read again
//! for names that the source does not have.

use std::ffi::OsStr;
use std::fs::{Metadata, ReadDir};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;

use btrfs_host::root_times::RootTimes;

use super::content::{Pair, Segment};
use super::difference::Mismatch;
use super::early::ComparedFiles;
use super::entry::{Dir, EntryPair, in_restored, in_source};
use super::hard_links::{HardLinks, NameMatch};
use super::request::CompareRequest;
use super::result::{CompareError, Comparison, Shared};
use super::sample::Pick;

/// Inode of the empty directory that a snapshot has in place of a nested subvolume
/// (BTRFS_EMPTY_SUBVOL_DIR_OBJECTID in the kernel's btrfs_tree.h).
const EMPTY_SUBVOLUME_INODE: u64 = 2;

pub struct PairedWalk<'a> {
    shared: &'a Shared<'a>,
    pick: Pick,
    /// True if every byte is compared, not only a sample.
    is_full: bool,
    early: &'a ComparedFiles,
    device: u64,
    links: HardLinks,
    compared: Comparison,
    open: Vec<Level>,
}

/// A directory that both trees have.
struct Level {
    path: PathBuf,
    source: Dir,
    restored: Dir,
    names: ReadDir,
    /// Number of names that both directories have.
    met: u64,
}

impl<'a> PairedWalk<'a> {
    /// Opens and compares both roots.
    pub fn begin(
        request: &CompareRequest,
        shared: &'a Shared<'a>,
        pick: Pick,
        early: &'a ComparedFiles,
    ) -> Result<PairedWalk<'a>, CompareError> {
        let open = |path: &Path| {
            let directory = Dir::open(path);
            directory.map_err(|source| CompareError::Io { path: path.to_owned(), source })
        };
        let (source, restored) = (open(&request.source)?, open(&request.restored.path)?);
        let itself = OsStr::new(".");
        let look = |directory: &Dir, path: &Path| {
            let io = |source| CompareError::Io { path: path.to_owned(), source };
            directory
                .metadata(itself)
                .map_err(io)?
                .ok_or_else(|| io(io::ErrorKind::NotFound.into()))
        };
        let roots = (look(&source, &request.source)?, look(&restored, &request.restored.path)?);
        let device = roots.0.dev();
        let mut walk = PairedWalk {
            shared,
            pick,
            is_full: request.sample.is_none(),
            early,
            device,
            links: HardLinks::default(),
            compared: Comparison::default(),
            open: Vec::new(),
        };
        walk.compared.entries += 1;
        let dirs = (&source, &restored);
        let root = EntryPair { name: itself, dirs, source: roots.0, restored: roots.1 };
        for mismatch in root_differences(&root, request.restored.root_times) {
            shared.differ(PathBuf::new(), mismatch);
        }
        walk.enter(PathBuf::new(), source, restored);
        Ok(walk)
    }

    /// Walks both trees, until the end or until the comparison is stopped.
    pub fn run(&mut self, to_threads: &SyncSender<Segment>) {
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
                        Err(mismatch) => self.shared.differ(path, mismatch),
                    }
                }
                Some(Err(error)) => self.shared.differ(level.path, in_source(&error)),
                None => self.leave(level),
            }
        }
    }

    pub fn compared(self) -> Comparison {
        Comparison { links_forgotten: self.links.forgotten, ..self.compared }
    }

    fn enter(&mut self, path: PathBuf, source: Dir, restored: Dir) {
        match source.names() {
            Ok(names) => self.open.push(Level { path, source, restored, names, met: 0 }),
            Err(error) => self.shared.differ(path, in_source(&error)),
        }
    }

    /// Compares one name. Returns the two directories to enter, if it is a directory.
    fn meet(
        &mut self,
        level: &mut Level,
        name: &OsStr,
        path: &Path,
        to_threads: &SyncSender<Segment>,
    ) -> Result<Option<(Dir, Dir)>, Mismatch> {
        let source = level.source.metadata(name).map_err(|error| in_source(&error))?;
        // The source is read-only, so no name disappears while it is read.
        let source = source.ok_or_else(|| in_source(&io::ErrorKind::NotFound.into()))?;
        if self.is_nested_subvolume(&source) {
            self.compared.nested += 1;
            return Ok(None);
        }
        self.compared.entries += 1;
        let restored = level.restored.metadata(name).map_err(|error| in_restored(&error))?;
        let restored = restored.ok_or(Mismatch::Missing)?;
        level.met += 1;
        let dirs = (&level.source, &level.restored);
        let entry = EntryPair { name, dirs, source, restored };
        for mismatch in entry.differences() {
            self.shared.differ(path.to_owned(), mismatch);
        }
        match (entry.source.is_dir(), entry.restored.is_dir()) {
            (true, true) => {
                entry.open_both(|directory, name| Dir::open(&directory.path(name))).map(Some)
            }
            (false, false) => self.file(&entry, path, to_threads).map(|()| None),
            (_, _) => Ok(None),
        }
    }

    /// Returns true if an entry is a nested subvolume, or the placeholder of one.
    fn is_nested_subvolume(&self, source: &Metadata) -> bool {
        let is_placeholder = source.is_dir() && source.ino() == EMPTY_SUBVOLUME_INODE;
        is_placeholder || source.dev() != self.device
    }

    /// Compares a name that is not a directory. The content of a file is compared once, under
    /// its first name.
    fn file(
        &mut self,
        entry: &EntryPair<'_>,
        path: &Path,
        to_threads: &SyncSender<Segment>,
    ) -> Result<(), Mismatch> {
        let (source, restored) = (&entry.source, &entry.restored);
        match self.links.meet(source.ino(), restored.ino(), source.nlink()) {
            NameMatch::First => {}
            NameMatch::Again => return Ok(()),
            NameMatch::Other => return Err(Mismatch::OtherFile),
        }
        if !source.is_file() || !restored.is_file() {
            return Ok(());
        }
        self.compared.files += 1;
        // A different length is already reported.
        if source.len() != restored.len() || !self.pick.takes(path) {
            return Ok(());
        }
        if let Some(bytes) = self.early.bytes_of(source, restored) {
            self.compared.files_early += 1;
            self.shared.files_read.fetch_add(1, Ordering::Relaxed);
            self.shared.bytes_read.fetch_add(bytes, Ordering::Relaxed);
            return Ok(());
        }
        let len = source.len();
        let (source, restored) = entry.open_both(Dir::file)?;
        let mut pair = Pair { path: path.to_owned(), source, restored };
        if self.is_full {
            pair = pair.uncached().map_err(|error| in_source(&error))?;
        }
        pair.send(len, self.is_full, to_threads);
        Ok(())
    }

    /// Checks a directory for additional names, after all names of the source were met.
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
            let source = level.source.metadata(&name)?;
            if source.is_none_or(|found| self.is_nested_subvolume(&found)) {
                self.shared.differ(level.path.join(name), Mismatch::Additional);
            }
        }
        Ok(())
    }
}

/// Compares the roots. The time of a received root is that of its last new entry, so the time
/// that it will get is compared instead.
fn root_differences(root: &EntryPair<'_>, times: Option<RootTimes>) -> Vec<Mismatch> {
    let mut found = root.differences();
    found.retain(|mismatch| !matches!(mismatch, Mismatch::Modified { .. }));
    let source = (root.source.mtime(), root.source.mtime_nsec());
    let restored = times.map(RootTimes::modified).filter(|restored| *restored != source);
    found.extend(restored.map(|restored| Mismatch::Modified { source, restored }));
    found
}

impl Shared<'_> {
    pub(super) fn differ(&self, path: PathBuf, mismatch: Mismatch) {
        // A panic elsewhere does not damage the list.
        let differences = self.differences.lock();
        differences.unwrap_or_else(|poisoned| poisoned.into_inner()).add(path, mismatch);
    }
}
