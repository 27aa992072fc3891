//! Writes back and evicts restored data while the restore is still running.
//!
//! Without it the kernel starts writeback only when dirty pages fill a tenth of the memory.
//! Until then the disk is idle, and the final sync of each backup, which must be durable before
//! it counts, stalls. So the filesystem is synced every 128 MiB. While a sync is still running,
//! writeback of long files is started early, because the tail of a sync only waits for the
//! cache of the disk.
//!
//! The page cache of restored files is useless: the files at the target are other inodes with
//! pages of their own. It would push out what the host works with, and removing the received
//! snapshot would have to free it page by page. So the pages of long files are dropped, unless
//! they are compared soon.
//!
//! Both calls may block, so each has a thread. A failure here is not an error: the final sync,
//! through another open file, reports every write error since that file was opened, and a page
//! that stays in memory does no harm.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use rustix::fs::{Advice, ResolveFlags, fadvise, syncfs};
use s3up_cli::open_confined_file;
use tokio::task::JoinSet;

/// Bytes between two syncs. Each sync commits a btrfs transaction: this is rare enough for a
/// slow disk, and often enough that the final sync has little to do.
const REQUEST_BYTES: u64 = 128 << 20;
/// Maximum number of files per request, far more than two syncs are apart. The others are
/// skipped.
const FILES_MAX: usize = 1024;

/// The treatment of the page cache of files that are on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageCache {
    Drop,
    /// The files are read again soon.
    Keep,
}

/// Tells the threads how much was received. They end once it is dropped.
#[derive(Debug)]
pub struct Writeback {
    sync: Requester,
    /// Starts writeback, and drops pages that are on disk.
    write: Option<Requester>,
}

/// The threads of a [`Writeback`]. They hold the directory open, and end soon after the
/// `Writeback` is dropped.
#[derive(Debug, Default)]
pub struct Threads(JoinSet<()>);

/// Sends requests to one thread. While the thread is busy, the next request is collected.
#[derive(Debug)]
struct Requester {
    thread: Sender<Vec<PathBuf>>,
    is_busy: Arc<AtomicBool>,
    /// Bytes since the last request.
    bytes: u64,
    files: Vec<PathBuf>,
}

/// The end of a [`Requester`] that its thread holds.
struct Requests {
    files: Receiver<Vec<PathBuf>>,
    is_busy: Arc<AtomicBool>,
}

impl Writeback {
    /// Starts the threads for files that are received into `directory`.
    pub fn start(directory: &Path, pages: PageCache) -> io::Result<(Writeback, Threads)> {
        let directory = File::open(directory)?;
        let mut threads = JoinSet::new();
        let write = match pages {
            PageCache::Keep => None,
            PageCache::Drop => {
                let (requester, requests) = Requester::new();
                let directory = directory.try_clone()?;
                threads.spawn_blocking(move || requests.serve(|files| drop_all(&directory, files)));
                Some(requester)
            }
        };
        let (sync, requests) = Requester::new();
        threads.spawn_blocking(move || {
            requests.serve(|files| {
                if let Err(errno) = syncfs(&directory) {
                    tracing::debug!(event = "writeback_sync_failed", "{errno}");
                }
                if pages == PageCache::Drop {
                    drop_all(&directory, files);
                }
            });
        });
        Ok((Writeback { sync, write }, Threads(threads)))
    }

    /// Adds bytes that were written to `btrfs receive`, and the long files among them, relative
    /// to the directory that is received into.
    pub fn add(&mut self, bytes: u64, files: &[PathBuf]) {
        self.sync.add(bytes, files);
        if let Some(write) = &mut self.write {
            write.add(bytes, files);
        }
        if self.sync.send_if_due() {
            // A sync writes everything.
            self.write.iter_mut().for_each(Requester::forget);
        } else if let Some(write) = &mut self.write {
            write.send_if_due();
        }
    }
}

impl Threads {
    pub async fn end(mut self) {
        while self.0.join_next().await.is_some() {}
    }
}

impl Requester {
    fn new() -> (Requester, Requests) {
        let (thread, files) = channel();
        let is_busy = Arc::new(AtomicBool::new(false));
        let requests = Requests { files, is_busy: Arc::clone(&is_busy) };
        (Requester { thread, is_busy, bytes: 0, files: Vec::new() }, requests)
    }

    fn add(&mut self, bytes: u64, files: &[PathBuf]) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.files.extend(files.iter().take(FILES_MAX - self.files.len()).cloned());
    }

    /// Sends a request if there is enough to do and the thread is free. Returns whether it did.
    fn send_if_due(&mut self) -> bool {
        if self.bytes < REQUEST_BYTES || self.is_busy.swap(true, Ordering::AcqRel) {
            return false;
        }
        if self.thread.send(std::mem::take(&mut self.files)).is_err() {
            tracing::debug!(event = "writeback_thread_ended", "the thread has ended");
        }
        self.bytes = 0;
        true
    }

    fn forget(&mut self) {
        self.bytes = 0;
        self.files.clear();
    }
}

impl Requests {
    fn serve(&self, mut act: impl FnMut(&[PathBuf])) {
        while let Ok(files) = self.files.recv() {
            act(&files);
            self.is_busy.store(false, Ordering::Release);
        }
    }
}

fn drop_all(directory: &File, files: &[PathBuf]) {
    for path in files {
        if let Err(err) = drop_pages(directory, path) {
            tracing::debug!(event = "pages_not_dropped", path = %path.display(), "{err}");
        }
    }
}

/// Drops the pages that are on disk and starts writeback of the others
/// (`POSIX_FADV_DONTNEED`). The stream may have replaced the file by now.
fn drop_pages(directory: &File, path: &Path) -> io::Result<()> {
    let Some(file) = open_confined_file(directory, path, ResolveFlags::empty())? else {
        return Ok(());
    };
    Ok(fadvise(&file, 0, None, Advice::DontNeed)?)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use rustix::fs::FileType;

    use super::*;

    fn directory() -> (tempfile::TempDir, File) {
        let dir = tempfile::tempdir().unwrap();
        let directory = File::open(dir.path()).unwrap();
        (dir, directory)
    }

    #[test]
    fn only_a_file_beneath_the_directory_is_opened() {
        let (dir, directory) = directory();
        fs::write(dir.path().join("file"), "content").unwrap();
        fs::create_dir(dir.path().join("sub")).unwrap();
        fs::write(dir.path().join("sub/file"), "content").unwrap();
        symlink("/etc/passwd", dir.path().join("link")).unwrap();
        symlink("sub", dir.path().join("detour")).unwrap();
        let fifo = dir.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, FileType::Fifo, rustix::fs::Mode::RUSR, 0)
            .unwrap();
        // Opening the FIFO would block until a writer opens it.
        for path in ["file", "sub/file", "sub", "fifo", "link"] {
            drop_pages(&directory, Path::new(path)).unwrap();
        }
        for path in ["gone", "detour/file", "../file", "/etc/passwd"] {
            assert!(drop_pages(&directory, Path::new(path)).is_err(), "{path}");
        }
    }

    fn path(n: u32) -> PathBuf {
        PathBuf::from(n.to_string())
    }

    fn writeback() -> (Writeback, Requests, Requests) {
        let ((sync, synced), (write, written)) = (Requester::new(), Requester::new());
        (Writeback { sync, write: Some(write) }, synced, written)
    }

    #[test]
    fn long_files_are_written_back_while_a_sync_is_running() {
        let (mut writeback, synced, written) = writeback();
        writeback.add(REQUEST_BYTES - 1, &[path(1)]);
        assert!(synced.files.try_recv().is_err(), "too little for a request");
        writeback.add(1, &[path(2)]);
        assert_eq!(synced.files.try_recv().unwrap(), [path(1), path(2)]);
        assert!(written.files.try_recv().is_err(), "the sync writes everything");

        writeback.add(REQUEST_BYTES, &[path(3)]);
        assert!(synced.files.try_recv().is_err(), "the sync is still running");
        assert_eq!(written.files.try_recv().unwrap(), [path(3)]);
        writeback.add(REQUEST_BYTES, &[path(4)]);
        assert!(written.files.try_recv().is_err(), "writeback is still running");
        synced.is_busy.store(false, Ordering::Release);
        writeback.add(0, &[path(5)]);
        assert_eq!(synced.files.try_recv().unwrap(), [path(3), path(4), path(5)]);

        written.is_busy.store(false, Ordering::Release);
        writeback.add(REQUEST_BYTES, &[path(6)]);
        assert_eq!(written.files.try_recv().unwrap(), [path(6)]);
    }

    #[test]
    fn a_request_has_a_limited_number_of_files() {
        let (mut requester, _requests) = Requester::new();
        for _ in 0..3 {
            requester.add(1, &vec![path(1); FILES_MAX - 1]);
        }
        assert_eq!(requester.files.len(), FILES_MAX);
    }

    #[tokio::test]
    async fn dropping_pages_keeps_the_content_of_the_file() {
        let (dir, _) = directory();
        fs::write(dir.path().join("file"), vec![7; 1 << 20]).unwrap();
        for (pages, count) in [(PageCache::Drop, 2), (PageCache::Keep, 1)] {
            let (mut writeback, threads) = Writeback::start(dir.path(), pages).unwrap();
            assert_eq!(threads.0.len(), count);
            for _ in 0..3 {
                writeback.add(REQUEST_BYTES, &[PathBuf::from("gone"), PathBuf::from("file")]);
            }
            drop(writeback);
            for ended in threads.0.join_all().await {
                assert_eq!(ended, ());
            }
        }
        assert_eq!(fs::read(dir.path().join("file")).unwrap(), vec![7; 1 << 20]);
    }
}
