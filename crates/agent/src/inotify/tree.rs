//! Which folders are watched, and what an event in one of them means.
//!
//! A folder's watch is set first, then the folder is listed, then its
//! subfolders: whatever is created before the watch is in the listing, and
//! whatever comes after it is an event. A folder that is moved is forgotten
//! with all beneath it and armed anew where it arrives, so that no event is
//! ever read under an old name; events that are still queued for it are
//! dropped, for the new listing is younger than they are.
//!
//! Watches are set through `/proc/self/fd`, on the very folder that was opened
//! beneath the root, so no symlink can lead one astray.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::io;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::inotify::{self, ReadFlags, WatchFlags};
use rustix::io::Errno;

use super::{Degraded, Event, News};
use crate::beneath::{self, Folder, Hint, Root};
use crate::settle::Touch;
use crate::watch::{EntryKind, Name, Watch, WatchIndex};

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

/// A folder that arrives with more files than this is left to a scan, which
/// holds few of them at a time.
const LISTED_MAX: usize = 100_000;

#[derive(Debug)]
pub(super) struct Tree {
    fd: Arc<OwnedFd>,
    watches: Vec<Arc<Watch>>,
    /// By watch descriptor, and by path: components sort so that a folder and
    /// all beneath it are one range.
    folders: HashMap<i32, Watched>,
    descriptors: BTreeMap<Name, i32>,
    /// Folders that could not be watched.
    unwatched: HashMap<WatchIndex, usize>,
    /// Counts the armings of whole watches: a folder that the last one did not
    /// meet is no longer in the tree.
    arming: u64,
}

#[derive(Clone, Debug)]
struct Watched {
    name: Name,
    arming: u64,
}

/// Whether the files in a folder that is armed are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tell {
    Files,
    Nothing,
}

/// True where an event may lead to listing folders, which waits for the disk.
pub(super) fn lists_folders(flags: ReadFlags) -> bool {
    flags.contains(ReadFlags::ISDIR) && flags.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO)
}

impl Tree {
    pub(super) fn new(fd: Arc<OwnedFd>, watches: Vec<Arc<Watch>>) -> Tree {
        Tree {
            fd,
            watches,
            folders: HashMap::new(),
            descriptors: BTreeMap::new(),
            unwatched: HashMap::new(),
            arming: 0,
        }
    }

    /// Watches all folders of a watch, those watched already included: a scan
    /// repairs what events have missed.
    pub(super) fn arm(&mut self, index: WatchIndex) -> Option<Degraded> {
        let watch = self.watches.get(usize::from(index))?.clone();
        self.unwatched.remove(&index);
        self.arming += 1;
        // A root that is missing has no folders; the scan says so.
        self.arm_beneath(&watch, Path::new(""), Tell::Nothing, &mut News::default()).ok();
        let arming = self.arming;
        self.stop_watching(&watch.name(Path::new("")), |watched| watched.arming != arming);
        self.degraded()
    }

    pub(super) fn apply(&mut self, events: Vec<Event>, news: &mut News) {
        for event in events {
            self.apply_one(&event, news);
        }
    }

    fn apply_one(&mut self, event: &Event, news: &mut News) {
        if event.flags.contains(ReadFlags::QUEUE_OVERFLOW) {
            news.overflow = true;
            return;
        }
        let Some(Watched { name: folder, .. }) = self.folders.get(&event.folder).cloned() else {
            return;
        };
        if event.name.is_empty() {
            self.itself(event, &folder, news);
            return;
        }
        let Some(watch) = self.watches.get(usize::from(folder.watch)).cloned() else { return };
        let path = folder.path.join(&event.name);
        if event.flags.contains(ReadFlags::ISDIR) {
            self.subfolder(event.flags, &watch, &path, news);
        } else if !watch.excludes(&path, EntryKind::Other) {
            let closed = event.flags.contains(ReadFlags::CLOSE_WRITE);
            let touch = if closed { Touch::Closed } else { Touch::Changed };
            tell(news, watch.name(&path), touch);
        }
    }

    /// Something happened to the watched folder itself.
    fn itself(&mut self, event: &Event, folder: &Name, news: &mut News) {
        let is_root = folder.path.as_os_str().is_empty();
        let left = ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF | ReadFlags::UNMOUNT;
        if is_root && event.flags.intersects(left | ReadFlags::IGNORED) {
            self.drop_beneath(folder);
            news.rescan.insert(folder.watch);
        } else if event.flags.contains(ReadFlags::IGNORED) {
            self.forget(event.folder);
        }
    }

    fn subfolder(&mut self, flags: ReadFlags, watch: &Watch, path: &Path, news: &mut News) {
        if flags.intersects(ReadFlags::MOVED_FROM | ReadFlags::DELETE) {
            self.drop_beneath(&watch.name(path));
        }
        if !flags.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO) || !is_entered(watch, path) {
            return;
        }
        // What was watched under this name is another folder.
        self.drop_beneath(&watch.name(path));
        if self.arm_beneath(watch, path, Tell::Files, news).is_err() {
            news.rescan.insert(watch.index);
        }
        if self.unwatched.contains_key(&watch.index) {
            news.degraded = self.degraded();
        }
    }

    /// Watches and lists `top` and all folders beneath it.
    fn arm_beneath(
        &mut self,
        watch: &Watch,
        top: &Path,
        tell_files: Tell,
        news: &mut News,
    ) -> io::Result<()> {
        let root = Root::open(&watch.root)?;
        let mut waiting = vec![top.to_owned()];
        while let Some(path) = waiting.pop() {
            // Gone, forbidden or mounted over: nothing to watch, and the scan
            // tells which.
            let Ok(folder) = root.folder(&path) else { continue };
            self.watch(watch.name(&path), &folder);
            let files = if tell_files == Tell::Files { Some(&mut *news) } else { None };
            list(watch, &path, &folder, &mut waiting, files);
        }
        Ok(())
    }

    fn watch(&mut self, name: Name, folder: &Folder) {
        let path = format!("/proc/self/fd/{}", folder.fd().as_fd().as_raw_fd());
        match inotify::add_watch(&*self.fd, path, EVENTS) {
            Ok(descriptor) => {
                self.forget(descriptor);
                if let Some(old) = self.descriptors.insert(name.clone(), descriptor) {
                    self.unwatch(old);
                }
                self.folders.insert(descriptor, Watched { name, arming: self.arming });
            }
            // It vanished between opening and watching.
            Err(Errno::NOENT) => {}
            Err(_) => *self.unwatched.entry(name.watch).or_default() += 1,
        }
    }

    fn drop_beneath(&mut self, top: &Name) {
        self.stop_watching(top, |_| true);
    }

    /// Stops watching those of `top` and the folders beneath it that `which` names.
    fn stop_watching(&mut self, top: &Name, which: impl Fn(&Watched) -> bool) {
        let stopped: Vec<(Name, i32)> = self
            .descriptors
            .range(top.clone()..)
            .take_while(|(name, _)| name.watch == top.watch && name.path.starts_with(&top.path))
            .filter(|(_, descriptor)| self.folders.get(descriptor).is_none_or(&which))
            .map(|(name, descriptor)| (name.clone(), *descriptor))
            .collect();
        for (name, descriptor) in stopped {
            self.descriptors.remove(&name);
            self.unwatch(descriptor);
        }
    }

    fn unwatch(&mut self, descriptor: i32) {
        self.folders.remove(&descriptor);
        // Fails where the folder is gone, and the watch with it.
        inotify::remove_watch(&*self.fd, descriptor).ok();
    }

    fn forget(&mut self, descriptor: i32) {
        if let Some(watched) = self.folders.remove(&descriptor)
            && self.descriptors.get(&watched.name) == Some(&descriptor)
        {
            self.descriptors.remove(&watched.name);
        }
    }

    fn degraded(&self) -> Option<Degraded> {
        let unwatched: usize = self.unwatched.values().sum();
        (unwatched > 0).then(|| Degraded { needed: self.folders.len() + unwatched, unwatched })
    }
}

/// Lists one folder: its subfolders to `waiting`, its files to `news`.
fn list(
    watch: &Watch,
    path: &Path,
    folder: &Folder,
    waiting: &mut Vec<PathBuf>,
    mut news: Option<&mut News>,
) {
    let listed = folder.list(|name, hint| {
        let path = path.join(OsStr::from_bytes(name.to_bytes()));
        let is_folder = match hint {
            Hint::Folder => true,
            Hint::Other => false,
            Hint::Unknown => folder.stat_entry(name).is_ok_and(|stat| beneath::is_folder(&stat)),
        };
        if is_folder {
            if is_entered(watch, &path) {
                waiting.push(path);
            }
        } else if let Some(news) = news.as_deref_mut()
            && !watch.excludes(&path, EntryKind::Other)
        {
            tell(news, watch.name(&path), Touch::Changed);
        }
        ControlFlow::Continue(())
    });
    if listed.is_err()
        && let Some(news) = news
    {
        news.rescan.insert(watch.index);
    }
}

fn is_entered(watch: &Watch, path: &Path) -> bool {
    watch.recursive && !watch.excludes(path, EntryKind::Folder)
}

fn tell(news: &mut News, name: Name, touch: Touch) {
    if news.touched.len() >= LISTED_MAX && !news.touched.contains_key(&name) {
        news.rescan.insert(name.watch);
        return;
    }
    let told = news.touched.entry(name).or_insert(touch);
    if touch == Touch::Closed {
        *told = touch;
    }
}
