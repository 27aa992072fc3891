//! What was received goes to the disk, and out of memory, while more is received.
//!
//! By itself the kernel begins to write once a tenth of the memory waits to be
//! written. Up to there the disk has nothing to do; and at the end of a link, which
//! counts only once it is on disk for good, all of that is still to be waited
//! for. So the filesystem is synced now and then. Where a sync takes long, long
//! files begin to be written before the next one: a sync ends with the disk's own
//! cache, and only waits then.
//!
//! What is on disk then is of no use in memory: the files at the target are other
//! inodes, with pages of their own. Left alone, these pages push out what the host
//! works with, and have to be removed one by one when what was received is
//! deleted. So those of long files are dropped, unless they are compared soon.
//!
//! Two threads do it, for both may block. Nothing here is an error: the sync at
//! the end of the link, of another open file, is told of all that could not be
//! written since that was opened; a page that stays in memory does no harm.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use rustix::fs::{Advice, FileType, Mode, OFlags, ResolveFlags, fadvise, fstat, openat2, syncfs};
use tokio::task::JoinSet;

/// Each sync commits a transaction of btrfs: few enough of them for a slow disk,
/// and soon enough that little is left for the end.
const ASK_BYTES: u64 = 128 << 20;
/// Far more than are written between two syncs; the others are passed over.
const FILES_MAX: usize = 1024;

/// What is done with the pages of what is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pages {
    Drop,
    /// They are read again soon.
    Keep,
}

/// Tells the threads what was received; dropped, it tells no more.
#[derive(Debug)]
pub struct Writeback {
    sync: Ask,
    /// Begins to write, and drops what is on disk.
    write: Option<Ask>,
}

/// They end soon after their [`Writeback`] was dropped, and hold the folder open.
#[derive(Debug, Default)]
pub struct Threads(JoinSet<()>);

/// Asks a thread that does one thing after the other. While it is busy, what it
/// is to do next is collected.
#[derive(Debug)]
struct Ask {
    thread: Sender<Vec<PathBuf>>,
    is_busy: Arc<AtomicBool>,
    /// Since it was last asked.
    bytes: u64,
    files: Vec<PathBuf>,
}

/// What a thread is asked.
struct Asked {
    files: Receiver<Vec<PathBuf>>,
    is_busy: Arc<AtomicBool>,
}

impl Writeback {
    /// For what is received into `folder`.
    pub fn start(folder: &Path, pages: Pages) -> io::Result<(Writeback, Threads)> {
        let folder = File::open(folder)?;
        let mut threads = JoinSet::new();
        let write = match pages {
            Pages::Keep => None,
            Pages::Drop => {
                let (ask, asked) = Ask::new();
                let folder = folder.try_clone()?;
                threads.spawn_blocking(move || asked.serve(|files| drop_all(&folder, files)));
                Some(ask)
            }
        };
        let (sync, asked) = Ask::new();
        threads.spawn_blocking(move || {
            asked.serve(|files| {
                if let Err(errno) = syncfs(&folder) {
                    tracing::debug!(event = "early_sync_failed", "{errno}");
                }
                if pages == Pages::Drop {
                    drop_all(&folder, files);
                }
            });
        });
        Ok((Writeback { sync, write }, Threads(threads)))
    }

    /// So many bytes more were handed to `btrfs receive`, many of them for these
    /// files, below the folder that is received into.
    pub fn add(&mut self, bytes: u64, files: &[PathBuf]) {
        self.sync.add(bytes, files);
        if let Some(write) = &mut self.write {
            write.add(bytes, files);
        }
        if self.sync.asks() {
            // It writes all that is there.
            self.write.iter_mut().for_each(Ask::forget);
        } else if let Some(write) = &mut self.write {
            write.asks();
        }
    }
}

impl Threads {
    pub async fn end(mut self) {
        while self.0.join_next().await.is_some() {}
    }
}

impl Ask {
    fn new() -> (Ask, Asked) {
        let (thread, files) = channel();
        let is_busy = Arc::new(AtomicBool::new(false));
        let asked = Asked { files, is_busy: Arc::clone(&is_busy) };
        (Ask { thread, is_busy, bytes: 0, files: Vec::new() }, asked)
    }

    fn add(&mut self, bytes: u64, files: &[PathBuf]) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.files.extend(files.iter().take(FILES_MAX - self.files.len()).cloned());
    }

    /// Asks where there is enough to do and the thread is free; says whether.
    fn asks(&mut self) -> bool {
        if self.bytes < ASK_BYTES || self.is_busy.swap(true, Ordering::AcqRel) {
            return false;
        }
        if self.thread.send(std::mem::take(&mut self.files)).is_err() {
            tracing::debug!(event = "early_writing_ended", "its thread has ended");
        }
        self.bytes = 0;
        true
    }

    fn forget(&mut self) {
        self.bytes = 0;
        self.files.clear();
    }
}

impl Asked {
    fn serve(&self, mut act: impl FnMut(&[PathBuf])) {
        while let Ok(files) = self.files.recv() {
            act(&files);
            self.is_busy.store(false, Ordering::Release);
        }
    }
}

fn drop_all(folder: &File, files: &[PathBuf]) {
    for path in files {
        if let Err(err) = drop_pages(folder, path) {
            tracing::debug!(event = "pages_not_dropped", path = %path.display(), "{err}");
        }
    }
}

/// Drops the pages that are on disk; the kernel begins to write the others
/// (`POSIX_FADV_DONTNEED`). The stream may have moved the file away by now, or put
/// something else in its place: a device that is merely opened may act.
fn drop_pages(folder: &File, path: &Path) -> io::Result<()> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let found = openat2(folder, path, flags, Mode::empty(), beneath)?;
    if FileType::from_raw_mode(fstat(&found)?.st_mode) != FileType::RegularFile {
        return Ok(());
    }
    let same = format!("/proc/self/fd/{}", found.as_raw_fd());
    let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
    let file = fs::OpenOptions::new().read(true).custom_flags(nonblocking).open(same)?;
    Ok(fadvise(&file, 0, None, Advice::DontNeed)?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn folder() -> (tempfile::TempDir, File) {
        let dir = tempfile::tempdir().unwrap();
        let folder = File::open(dir.path()).unwrap();
        (dir, folder)
    }

    #[test]
    fn only_a_file_beneath_the_folder_is_opened() {
        let (dir, folder) = folder();
        fs::write(dir.path().join("file"), "content").unwrap();
        fs::create_dir(dir.path().join("sub")).unwrap();
        fs::write(dir.path().join("sub/file"), "content").unwrap();
        symlink("/etc/passwd", dir.path().join("link")).unwrap();
        symlink("sub", dir.path().join("way")).unwrap();
        let fifo = dir.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, FileType::Fifo, Mode::RUSR, 0).unwrap();
        // Opening the FIFO would wait for somebody who writes.
        for path in ["file", "sub/file", "sub", "fifo", "link"] {
            drop_pages(&folder, Path::new(path)).unwrap();
        }
        for path in ["gone", "way/file", "../file", "/etc/passwd"] {
            assert!(drop_pages(&folder, Path::new(path)).is_err(), "{path}");
        }
    }

    fn path(n: u32) -> PathBuf {
        PathBuf::from(n.to_string())
    }

    fn writeback() -> (Writeback, Asked, Asked) {
        let ((sync, synced), (write, written)) = (Ask::new(), Ask::new());
        (Writeback { sync, write: Some(write) }, synced, written)
    }

    #[test]
    fn it_is_synced_and_where_that_takes_long_written() {
        let (mut writeback, synced, written) = writeback();
        writeback.add(ASK_BYTES - 1, &[path(1)]);
        assert!(synced.files.try_recv().is_err(), "so little is not asked for");
        writeback.add(1, &[path(2)]);
        assert_eq!(synced.files.try_recv().unwrap(), [path(1), path(2)]);
        assert!(written.files.try_recv().is_err(), "the sync writes it");

        writeback.add(ASK_BYTES, &[path(3)]);
        assert!(synced.files.try_recv().is_err(), "it is not done yet");
        assert_eq!(written.files.try_recv().unwrap(), [path(3)]);
        writeback.add(ASK_BYTES, &[path(4)]);
        assert!(written.files.try_recv().is_err(), "it is not done yet");
        synced.is_busy.store(false, Ordering::Release);
        writeback.add(0, &[path(5)]);
        assert_eq!(synced.files.try_recv().unwrap(), [path(3), path(4), path(5)]);

        written.is_busy.store(false, Ordering::Release);
        writeback.add(ASK_BYTES, &[path(6)]);
        assert_eq!(written.files.try_recv().unwrap(), [path(6)]);
    }

    #[test]
    fn what_is_collected_is_bounded() {
        let (mut ask, _asked) = Ask::new();
        for _ in 0..3 {
            ask.add(1, &vec![path(1); FILES_MAX - 1]);
        }
        assert_eq!(ask.files.len(), FILES_MAX);
    }

    #[tokio::test]
    async fn pages_are_dropped_unless_they_are_to_be_kept() {
        let (dir, _) = folder();
        fs::write(dir.path().join("file"), vec![7; 1 << 20]).unwrap();
        for (pages, count) in [(Pages::Drop, 2), (Pages::Keep, 1)] {
            let (mut writeback, threads) = Writeback::start(dir.path(), pages).unwrap();
            assert_eq!(threads.0.len(), count);
            for _ in 0..3 {
                writeback.add(ASK_BYTES, &[PathBuf::from("gone"), PathBuf::from("file")]);
            }
            drop(writeback);
            for ended in threads.0.join_all().await {
                assert_eq!(ended, ());
            }
        }
        assert_eq!(fs::read(dir.path().join("file")).unwrap(), vec![7; 1 << 20]);
    }
}
