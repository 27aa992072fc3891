//! Decides which directories are watched, and what an event in one of them means.
//!
//! Each directory is watched first, then listed, then its subdirectories: whatever is
//! created before the watch is in the listing, and whatever is created after it
//! is an event. A directory that moves is dropped with everything below it and
//! added again where it arrives, so that no event is read under an old name.
//! Events still queued for the old watch are dropped, because the new listing
//! is younger than they are.
//!
//! Watches are set through `/proc/self/fd`, on the very directory that was opened
//! below the root, so that no symlink can redirect them.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::io;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::inotify::{self, ReadFlags, WatchFlags};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;

use super::kernel_events::KernelEvent;
use super::watch_events::{WatchEvents, WatchGaps};
use crate::files::confined_fs::{self, Dir, Root, TypeHint};
use crate::files::watch::{EntryKind, Name, Watch, WatchIndex};
use crate::files::writes::Writes;

const EVENTS: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::MODIFY)
    .union(WatchFlags::ATTRIB)
    .union(WatchFlags::CLOSE_WRITE)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR)
    .union(WatchFlags::EXCL_UNLINK);

#[derive(Debug)]
pub(super) struct DirWatches {
    fd: Arc<OwnedFd>,
    watches: Vec<Arc<Watch>>,
    /// Watched directories by watch descriptor.
    dirs: HashMap<i32, WatchedDir>,
    /// Watch descriptors by path. Paths sort by component, so that a directory and
    /// everything below it are one range.
    descriptors: BTreeMap<Name, i32>,
    /// Directories that are not watched, and why.
    unwatched: BTreeMap<Name, Obstacle>,
    /// Filesystems of the watches whose files may change without an event.
    changed_elsewhere: BTreeMap<WatchIndex, &'static str>,
    /// Number of the last pass over a whole watch. A directory with an older
    /// number was not found by that pass, so it no longer exists.
    pass: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Obstacle {
    /// inotify refused the watch, usually because of its limit.
    NotWatched,
    /// The directory could not be opened.
    NotEntered,
}

#[derive(Clone, Debug)]
struct WatchedDir {
    name: Name,
    pass: u64,
}

/// Events of a subdirectory that may be entered now. A change of its attributes may
/// have given the right to enter it.
const ENTERED: ReadFlags = ReadFlags::CREATE.union(ReadFlags::MOVED_TO).union(ReadFlags::ATTRIB);

/// Returns true if the event may lead to listing directories, which waits for the disk.
pub(super) fn lists_dirs(flags: ReadFlags) -> bool {
    flags.contains(ReadFlags::ISDIR) && flags.intersects(ENTERED)
}

/// Fails if no directory can be watched by its descriptor, as all of them are: there is no `/proc`.
pub(super) fn probe(fd: &OwnedFd) -> io::Result<()> {
    let root = openat(CWD, "/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    match inotify::add_watch(fd, path_of(&root), EVENTS) {
        Ok(descriptor) => Ok(inotify::remove_watch(fd, descriptor)?),
        Err(err @ (Errno::NOENT | Errno::NOTDIR)) => Err(err.into()),
        // A limit, which is reported with the directories that it concerns.
        Err(_) => Ok(()),
    }
}

fn path_of(directory: impl AsFd) -> String {
    format!("/proc/self/fd/{}", directory.as_fd().as_raw_fd())
}

impl DirWatches {
    pub(super) fn new(fd: Arc<OwnedFd>, watches: Vec<Arc<Watch>>) -> DirWatches {
        DirWatches {
            fd,
            watches,
            dirs: HashMap::new(),
            descriptors: BTreeMap::new(),
            unwatched: BTreeMap::new(),
            changed_elsewhere: BTreeMap::new(),
            pass: 0,
        }
    }

    /// Watches all directories of a watch, also those that are watched already, so
    /// that each scan repairs what events have missed. A watch that is polled has no watched directory.
    pub(super) fn add_watches(&mut self, index: WatchIndex) -> Option<WatchGaps> {
        let watch = self.watches.get(usize::from(index))?.clone();
        if watch.poll {
            return self.degraded();
        }
        self.note_filesystem(&watch);
        self.unwatched.retain(|name, _| name.watch != index);
        self.pass += 1;
        // A missing root has no directories; the scan that follows reports it.
        self.add_beneath(&watch, Path::new(""), None).ok();
        let pass = self.pass;
        self.remove_beneath_if(&watch.name(Path::new("")), |directory| directory.pass != pass);
        self.degraded()
    }

    /// Notes whether events can report every change of a watch. A root that cannot be opened may be
    /// back under its filesystem, and a scan reports it.
    fn note_filesystem(&mut self, watch: &Watch) {
        match Root::open(&watch.root).and_then(|root| root.changed_elsewhere()) {
            Ok(Some(filesystem)) => {
                self.changed_elsewhere.insert(watch.index, filesystem);
            }
            Ok(None) => {
                self.changed_elsewhere.remove(&watch.index);
            }
            Err(_) => {}
        }
    }

    pub(super) fn apply(&mut self, events: Vec<KernelEvent>, report: &mut WatchEvents) {
        for event in events {
            self.apply_one(&event, report);
        }
    }

    fn apply_one(&mut self, event: &KernelEvent, report: &mut WatchEvents) {
        if event.flags.contains(ReadFlags::QUEUE_OVERFLOW) {
            report.overflow = true;
            return;
        }
        let Some(WatchedDir { name: directory, .. }) = self.dirs.get(&event.directory).cloned()
        else {
            return;
        };
        if event.name.is_empty() {
            self.apply_to_watched_directory(event, &directory, report);
            return;
        }
        let Some(watch) = self.watches.get(usize::from(directory.watch)).cloned() else { return };
        let path = directory.path.join(&event.name);
        if event.flags.contains(ReadFlags::ISDIR) {
            let unwatched = self.unwatched.len();
            self.apply_to_subdir(event.flags, &watch, &path, report);
            if self.unwatched.len() != unwatched {
                report.degraded = Some(self.degraded());
            }
        } else if !watch.excludes(&path, EntryKind::Other) {
            report.add(watch.name(&path), writes(event.flags));
        }
    }

    fn apply_to_watched_directory(
        &mut self,
        event: &KernelEvent,
        directory: &Name,
        report: &mut WatchEvents,
    ) {
        let is_root = directory.path.as_os_str().is_empty();
        let went_away = ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF | ReadFlags::UNMOUNT;
        if is_root && event.flags.intersects(went_away | ReadFlags::IGNORED) {
            self.remove_beneath(directory);
            report.rescan.insert(directory.watch);
        } else if event.flags.contains(ReadFlags::IGNORED) {
            self.forget(event.directory);
        }
    }

    fn apply_to_subdir(
        &mut self,
        flags: ReadFlags,
        watch: &Watch,
        path: &Path,
        report: &mut WatchEvents,
    ) {
        if flags.intersects(ReadFlags::MOVED_FROM | ReadFlags::DELETE) {
            self.remove_beneath(&watch.name(path));
        }
        let name = watch.name(path);
        if !flags.intersects(ENTERED) || !is_entered(watch, path) {
            return;
        }
        if !flags.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO)
            && !self.unwatched.contains_key(&name)
        {
            return;
        }
        // A directory that is watched under this name is another one.
        self.remove_beneath(&name);
        if self.add_beneath(watch, path, Some(report)).is_err() {
            report.rescan.insert(watch.index);
        }
    }

    /// Watches and lists `top` and all directories below it. Adds the files found to
    /// `report`, if there is one.
    fn add_beneath(
        &mut self,
        watch: &Watch,
        top: &Path,
        mut report: Option<&mut WatchEvents>,
    ) -> io::Result<()> {
        let root = Root::open(&watch.root)?;
        let mut waiting = vec![top.to_owned()];
        while let Some(path) = waiting.pop() {
            let directory = match root.directory(&path) {
                Ok(directory) => directory,
                Err(err) => {
                    self.not_opened(watch.name(&path), &err);
                    continue;
                }
            };
            self.watch(watch.name(&path), &directory);
            list(watch, &path, &directory, &mut waiting, report.as_deref_mut());
        }
        Ok(())
    }

    fn watch(&mut self, name: Name, directory: &Dir) {
        match inotify::add_watch(&*self.fd, path_of(directory.fd()), EVENTS) {
            Ok(descriptor) => {
                self.forget(descriptor);
                if let Some(old) = self.descriptors.insert(name.clone(), descriptor) {
                    self.remove_watch(old);
                }
                self.dirs.insert(descriptor, WatchedDir { name, pass: self.pass });
            }
            // The directory was deleted between opening and watching it.
            Err(Errno::NOENT) => {}
            Err(_) => drop(self.unwatched.insert(name, Obstacle::NotWatched)),
        }
    }

    /// Notes a directory that cannot be entered. One that is gone or is a mount point
    /// is not to be watched.
    fn not_opened(&mut self, name: Name, err: &io::Error) {
        let excluded = confined_fs::is_gone(err)
            || confined_fs::is_refused_type(err)
            || confined_fs::crosses_mount_point(err);
        if !excluded {
            self.unwatched.insert(name, Obstacle::NotEntered);
        }
    }

    fn remove_beneath(&mut self, top: &Name) {
        self.forget_obstacles(top);
        self.remove_beneath_if(top, |_| true);
    }

    /// Stops watching those of `top` and the directories below it that match.
    fn remove_beneath_if(&mut self, top: &Name, matches: impl Fn(&WatchedDir) -> bool) {
        let removed: Vec<(Name, i32)> = self
            .descriptors
            .range(top.clone()..)
            .take_while(|(name, _)| name.watch == top.watch && name.path.starts_with(&top.path))
            .filter(|(_, descriptor)| self.dirs.get(descriptor).is_none_or(&matches))
            .map(|(name, descriptor)| (name.clone(), *descriptor))
            .collect();
        for (name, descriptor) in removed {
            self.descriptors.remove(&name);
            self.remove_watch(descriptor);
        }
    }

    /// Forgets the obstacles of `top` and the directories below it.
    fn forget_obstacles(&mut self, top: &Name) {
        let is_beneath = |name: &Name| name.watch == top.watch && name.path.starts_with(&top.path);
        let forgotten: Vec<Name> = self
            .unwatched
            .range(top.clone()..)
            .map(|(name, _)| name)
            .take_while(|name| is_beneath(name))
            .cloned()
            .collect();
        for name in forgotten {
            self.unwatched.remove(&name);
        }
    }

    fn remove_watch(&mut self, descriptor: i32) {
        self.dirs.remove(&descriptor);
        // Fails if the directory is gone, and its watch with it.
        inotify::remove_watch(&*self.fd, descriptor).ok();
    }

    fn forget(&mut self, descriptor: i32) {
        if let Some(directory) = self.dirs.remove(&descriptor)
            && self.descriptors.get(&directory.name) == Some(&descriptor)
        {
            self.descriptors.remove(&directory.name);
        }
    }

    fn degraded(&self) -> Option<WatchGaps> {
        let count = |kind| self.unwatched.values().filter(|obstacle| **obstacle == kind).count();
        let (unwatched, not_entered) = (count(Obstacle::NotWatched), count(Obstacle::NotEntered));
        let example = self.unwatched.iter().find(|(_, kind)| **kind == Obstacle::NotEntered);
        let example = example.and_then(|(name, _)| {
            Some(self.watches.get(usize::from(name.watch))?.root.join(&name.path))
        });
        let needed = self.dirs.len() + unwatched;
        let root =
            |index: WatchIndex| self.watches.get(usize::from(index)).map(|it| it.root.clone());
        let elsewhere = self.changed_elsewhere.iter();
        let changed_elsewhere: Vec<_> = elsewhere
            .filter_map(|(index, filesystem)| Some((root(*index)?, *filesystem)))
            .collect();
        let gaps = WatchGaps { needed, unwatched, not_entered, example, changed_elsewhere };
        (!gaps.is_empty()).then_some(gaps)
    }
}

/// Lists one directory: adds its subdirectories to `waiting` and its files to `report`.
fn list(
    watch: &Watch,
    path: &Path,
    directory: &Dir,
    waiting: &mut Vec<PathBuf>,
    mut report: Option<&mut WatchEvents>,
) {
    let listed = directory.list(|name, hint| {
        let path = path.join(OsStr::from_bytes(name.to_bytes()));
        let is_directory = match hint {
            TypeHint::Dir => true,
            TypeHint::Other => false,
            TypeHint::Unknown => {
                directory.stat_entry(name).is_ok_and(|stat| confined_fs::is_directory(&stat))
            }
        };
        if is_directory {
            if is_entered(watch, &path) {
                waiting.push(path);
            }
        } else if let Some(report) = report.as_deref_mut()
            && !watch.excludes(&path, EntryKind::Other)
        {
            report.add(watch.name(&path), Writes::REPLACED);
        }
        ControlFlow::Continue(())
    });
    if listed.is_err()
        && let Some(report) = report
    {
        report.rescan.insert(watch.index);
    }
}

/// Returns what an event of a file says about its content. A file that is created by
/// a link or by `mknod` has no writer, and raises no event that tells it from one
/// that is opened to be written.
fn writes(flags: ReadFlags) -> Writes {
    if flags.contains(ReadFlags::CLOSE_WRITE) {
        Writes::CLOSED
    } else if flags.intersects(ReadFlags::CREATE | ReadFlags::MODIFY) {
        Writes::OPEN
    } else if flags.contains(ReadFlags::MOVED_TO) {
        Writes::REPLACED
    } else {
        Writes::NONE
    }
}

fn is_entered(watch: &Watch, path: &Path) -> bool {
    watch.recursive && !watch.excludes(path, EntryKind::Dir)
}
