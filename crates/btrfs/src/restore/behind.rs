//! What was received goes to the disk, and out of memory, while more is received.
//!
//! By itself the kernel begins to write once a tenth of the memory waits to be
//! written. Up to there the disk has nothing to do; and at the end of a link, which
//! counts only once it is on disk for good, all of that is still to be waited
//! for. So the filesystem is synced now and then.
//!
//! What is on disk then is of no use in memory: the files at the target are other
//! inodes, with pages of their own. Left alone, these pages push out what the host
//! works with, and have to be removed one by one when what was received is
//! deleted. So those of long files are dropped, unless they are compared soon.
//!
//! A thread does it, for a sync takes long. Nothing here is an error: the sync at
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
use tokio::task::{JoinHandle, spawn_blocking};

/// Each sync commits a transaction of btrfs: few enough of them for a slow disk,
/// and soon enough that little is left for the end.
const SYNC_BYTES: u64 = 128 << 20;
/// Far more than are written between two syncs; the others are passed over.
const FILES_MAX: usize = 1024;

/// What is done with the pages of what is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pages {
    Drop,
    /// They are read again soon.
    Keep,
}

/// Tells the thread what was received; dropped, it tells no more.
#[derive(Debug)]
pub struct Behind {
    thread: Sender<Vec<PathBuf>>,
    /// While it is, what it is to do next is collected.
    is_busy: Arc<AtomicBool>,
    /// Since it was last asked.
    bytes: u64,
    files: Vec<PathBuf>,
}

/// It ends soon after its [`Behind`] was dropped, and holds the folder open.
#[derive(Debug)]
pub struct Thread(JoinHandle<()>);

/// What the thread is asked.
struct Asked {
    files: Receiver<Vec<PathBuf>>,
    is_busy: Arc<AtomicBool>,
}

impl Behind {
    /// For what is received into `folder`.
    pub fn start(folder: &Path, pages: Pages) -> io::Result<(Behind, Thread)> {
        let folder = File::open(folder)?;
        let (behind, asked) = Behind::new();
        let thread = spawn_blocking(move || asked.serve(|files| sync(&folder, pages, files)));
        Ok((behind, Thread(thread)))
    }

    fn new() -> (Behind, Asked) {
        let (thread, files) = channel();
        let is_busy = Arc::new(AtomicBool::new(false));
        let asked = Asked { files, is_busy: Arc::clone(&is_busy) };
        (Behind { thread, is_busy, bytes: 0, files: Vec::new() }, asked)
    }

    /// So many bytes more were handed to `btrfs receive`, many of them for these
    /// files, below the folder that is received into.
    pub fn add(&mut self, bytes: u64, files: &[PathBuf]) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.files.extend(files.iter().take(FILES_MAX - self.files.len()).cloned());
        if self.bytes >= SYNC_BYTES && !self.is_busy.swap(true, Ordering::AcqRel) {
            self.ask();
        }
    }

    fn ask(&mut self) {
        self.bytes = 0;
        if self.thread.send(std::mem::take(&mut self.files)).is_err() {
            tracing::debug!(event = "early_syncs_ended", "their thread has ended");
        }
    }
}

impl Thread {
    pub async fn end(self) {
        if let Err(err) = self.0.await {
            tracing::debug!(event = "early_syncs_ended", "{err}");
        }
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

fn sync(folder: &File, pages: Pages, files: &[PathBuf]) {
    if let Err(errno) = syncfs(folder) {
        tracing::debug!(event = "early_sync_failed", "{errno}");
    }
    if pages == Pages::Keep {
        return;
    }
    for path in files {
        if let Err(err) = drop_pages(folder, path) {
            tracing::debug!(event = "pages_not_dropped", path = %path.display(), "{err}");
        }
    }
}

/// Drops the pages that are on disk; the kernel begins to write those that were
/// changed since (`POSIX_FADV_DONTNEED`). The stream may have moved the file away
/// by now, or put something else in its place: a device that is merely opened may
/// act.
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

    #[test]
    fn who_is_busy_is_asked_later_and_for_all_that_came_meanwhile() {
        let (mut behind, asked) = Behind::new();
        behind.add(SYNC_BYTES - 1, &[path(1)]);
        assert!(asked.files.try_recv().is_err(), "so little is not asked for");
        behind.add(1, &[path(2)]);
        assert_eq!(asked.files.try_recv().unwrap(), [path(1), path(2)]);

        behind.add(5 * SYNC_BYTES, &[path(3)]);
        assert!(asked.files.try_recv().is_err(), "it is not done yet");
        asked.is_busy.store(false, Ordering::Release);
        behind.add(0, &[path(4)]);
        assert_eq!(asked.files.try_recv().unwrap(), [path(3), path(4)]);
    }

    #[test]
    fn what_is_collected_is_bounded() {
        let (mut behind, _asked) = Behind::new();
        for _ in 0..3 {
            behind.add(1, &vec![path(1); FILES_MAX - 1]);
        }
        assert_eq!(behind.files.len(), FILES_MAX);
    }

    #[tokio::test]
    async fn what_cannot_be_dropped_ends_nothing() {
        let (dir, _) = folder();
        fs::write(dir.path().join("file"), vec![7; 1 << 20]).unwrap();
        for pages in [Pages::Drop, Pages::Keep] {
            let (mut behind, thread) = Behind::start(dir.path(), pages).unwrap();
            behind.add(SYNC_BYTES, &[PathBuf::from("gone"), PathBuf::from("file")]);
            behind.add(SYNC_BYTES, &[]);
            drop(behind);
            thread.0.await.unwrap();
        }
        assert_eq!(fs::read(dir.path().join("file")).unwrap(), vec![7; 1 << 20]);
    }
}
