//! Compares files with the source while the rest of the stream is still being received.
//!
//! A file is compared once the stream has written all of it, in both trees, from its first to its
//! last byte. Its inode and its ctime are remembered. The comparison at the end, which meets every
//! entry, accepts this instead of reading the content again only if both are unchanged. Every write
//! to a file changes its ctime, which no program can set back: a file that was changed
//! meanwhile, by the stream or by another program, is read again.
//!
//! Nothing is reported from here. A file that is not equal yet, that has another path in the end or for
//! which there was no time is left to the comparison at the end, and so is any error.
//!
//! A snapshot of a received snapshot keeps inodes and ctimes, so that what is compared for one
//! backup of a chain counts for the next one.

use std::collections::{HashMap, VecDeque};
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime};

use rustix::fs::{Advice, ResolveFlags, fadvise};
use s3up_cli::{ShutdownSignal, open_confined_file};
use s3up_core::progress::ProgressSink;
use tokio::task::JoinSet;

use super::buffers::Buffers;
use super::content::{Pair, compare_data};
use super::result::{CompareError, Shared};

/// Number of threads: while one waits for a disk, the other compares.
const THREADS: usize = 2;
/// Maximum number of files that wait for a thread. Others are compared at the end.
const WAITING_MAX: usize = 1024;
/// Maximum number of files that are remembered (20 MiB).
const COMPARED_MAX: usize = 1 << 18;
/// Minimum age of a ctime that proves anything: two of the longest ticks of a kernel, which gives all
/// changes within one tick the same time.
const CTIME_AGE_MIN: Duration = Duration::from_millis(20);
/// Bytes after which the pages of a compared file are on disk and can be dropped.
const KEPT_BYTES_MAX: u64 = 256 << 20;
/// Maximum number of compared files that are held open for this.
const KEPT_FILES_MAX: usize = 64;

/// The files that are known to be equal.
#[derive(Debug, Default)]
pub struct ComparedFiles {
    files: HashMap<Inodes, Compared>,
}

/// The inodes of a file in the source and in the restored tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Inodes {
    source: u64,
    restored: u64,
}

#[derive(Clone, Copy, Debug)]
struct Compared {
    /// The ctime of the restored file in seconds and nanoseconds.
    changed: (i64, i64),
    len: u64,
    bytes_read: u64,
}

/// The threads that compare, and what they found equal.
#[derive(Debug)]
pub struct EarlyComparison {
    queue: Queue,
    stop: Arc<AtomicBool>,
    compared: Arc<Mutex<ComparedFiles>>,
    threads: JoinSet<()>,
}

/// The files that wait for a thread. Empty once the comparison has ended.
type Queue = Arc<Mutex<Option<SyncSender<PathBuf>>>>;

/// Takes the files of one backup while it is received.
#[derive(Debug)]
pub struct EarlyFiles {
    queue: Queue,
    /// Files of the last call, which `btrfs receive` may not have written yet.
    recent: Vec<PathBuf>,
}

/// The two trees, and what their files are compared with.
struct Trees {
    source: File,
    /// The directory that snapshots are received into.
    received: File,
    now: fn() -> SystemTime,
    stop: Arc<AtomicBool>,
    compared: Arc<Mutex<ComparedFiles>>,
}

impl ComparedFiles {
    /// Returns the number of bytes that were read to compare these two files, if they were equal and
    /// the restored one is unchanged.
    pub fn bytes_of(&self, source: &Metadata, restored: &Metadata) -> Option<u64> {
        let compared = self.files.get(&Inodes::of(source, restored))?;
        let is_unchanged = compared.changed == changed(restored) && compared.len == restored.len();
        is_unchanged.then_some(compared.bytes_read)
    }

    fn add(&mut self, inodes: Inodes, compared: Compared) {
        if self.files.len() < COMPARED_MAX || self.files.contains_key(&inodes) {
            self.files.insert(inodes, compared);
        }
    }
}

impl Inodes {
    fn of(source: &Metadata, restored: &Metadata) -> Inodes {
        Inodes { source: source.ino(), restored: restored.ino() }
    }
}

impl EarlyComparison {
    /// Starts the threads. `received` is the directory that snapshots are received into.
    pub fn start(
        source: &Path,
        received: &Path,
        now: fn() -> SystemTime,
    ) -> Result<EarlyComparison, CompareError> {
        let open = |path: &Path| {
            File::open(path).map_err(|source| CompareError::Io { path: path.to_owned(), source })
        };
        let (source, received) = (open(source)?, open(received)?);
        let (stop, compared) = (Arc::default(), Arc::default());
        let trees = Trees {
            source,
            received,
            now,
            stop: Arc::clone(&stop),
            compared: Arc::clone(&compared),
        };
        let (trees, (waiting, taken)) = (Arc::new(trees), sync_channel(WAITING_MAX));
        let (mut threads, taken) = (JoinSet::new(), Arc::new(Mutex::new(taken)));
        for _ in 0..THREADS {
            let (trees, taken) = (Arc::clone(&trees), Arc::clone(&taken));
            threads.spawn_blocking(move || trees.compare_all(&taken));
        }
        let queue = Arc::new(Mutex::new(Some(waiting)));
        Ok(EarlyComparison { queue, stop, compared, threads })
    }

    /// Returns the end that takes the files of one backup.
    pub fn files(&self) -> EarlyFiles {
        EarlyFiles { queue: Arc::clone(&self.queue), recent: Vec::new() }
    }

    /// Compares the files that wait, and returns those that are equal. After a shutdown signal the threads
    /// abandon the files that they work on.
    pub async fn end(mut self, shutdown: &ShutdownSignal) -> ComparedFiles {
        self.close();
        loop {
            tokio::select! {
                // A thread that died compared less.
                ended = self.threads.join_next() => if ended.is_none() { break },
                _ = shutdown.wait(), if !self.stop.load(Ordering::Relaxed) => self.stop(),
            }
        }
        std::mem::take(&mut *self.compared.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Ends the threads, which abandon the files that they work on.
    pub async fn abandon(mut self) {
        self.stop();
        while self.threads.join_next().await.is_some() {}
    }

    fn close(&self) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        self.close();
    }
}

impl Drop for EarlyComparison {
    fn drop(&mut self) {
        self.stop();
    }
}

impl EarlyFiles {
    /// Adds files that are complete in the stream, relative to the directory that is received into.
    /// They are compared after the next call.
    pub fn add(&mut self, files: Vec<PathBuf>) {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = std::mem::replace(&mut self.recent, files);
        let Some(queue) = &*queue else { return };
        for path in recent {
            // A file for which there is no room is compared at the end.
            queue.try_send(path).ok();
        }
    }
}

impl Trees {
    fn compare_all(&self, taken: &Mutex<Receiver<PathBuf>>) {
        let (mut buffers, mut kept) = (Buffers::new(), VecDeque::new());
        loop {
            // A panic elsewhere does not damage the receiver.
            let next = taken.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(path) = next else { return };
            if self.stop.load(Ordering::Relaxed) {
                continue;
            }
            match self.compare(&path, &mut buffers) {
                Ok(Some(restored)) => drop_later(restored, &mut kept),
                Ok(None) => {}
                Err(err) => {
                    let path = path.display();
                    tracing::debug!(event = "file_not_compared_early", %path, "{err}");
                }
            }
        }
    }

    /// Compares a file, and remembers it if it is equal. Returns the restored file in this case.
    fn compare(&self, path: &Path, buffers: &mut Buffers) -> io::Result<Option<File>> {
        // The first component is the name of the snapshot.
        let mut in_source = path.components();
        in_source.next();
        let open = |directory, path| open_confined_file(directory, path, ResolveFlags::NO_XDEV);
        let source = open(&self.source, in_source.as_path())?;
        let (Some(source), Some(restored)) = (source, open(&self.received, path)?) else {
            return Ok(None);
        };
        let (of_source, before) = (source.metadata()?, restored.metadata()?);
        if of_source.len() != before.len() {
            return Ok(None);
        }
        if let Some(left) = until_settled(changed(&before), (self.now)()) {
            thread::park_timeout(left);
            if until_settled(changed(&before), (self.now)()).is_some() {
                return Ok(None);
            }
        }
        let shared = Shared::new(&self.stop, ProgressSink::silent().bytes("compare", None));
        let pair = Pair { path: path.to_owned(), source, restored }.uncached()?;
        let differs = compare_data(&pair, 0..u64::MAX, buffers, &shared);
        let differs = differs.map_err(|(_, err)| err)?;
        let after = pair.restored.metadata()?;
        let is_whole = differs.is_none() && !self.stop.load(Ordering::Relaxed);
        if !is_whole || changed(&after) != changed(&before) || after.len() != before.len() {
            return Ok(None);
        }
        let bytes_read = shared.bytes_read.into_inner();
        let compared = Compared { changed: changed(&after), len: after.len(), bytes_read };
        let mut all = self.compared.lock().unwrap_or_else(PoisonError::into_inner);
        all.add(Inodes::of(&of_source, &after), compared);
        Ok(Some(pair.restored))
    }
}

fn changed(metadata: &Metadata) -> (i64, i64) {
    (metadata.ctime(), metadata.ctime_nsec())
}

/// Returns how long it takes until any change gives a file another ctime; `None` if it does now.
fn until_settled((seconds, nanos): (i64, i64), now: SystemTime) -> Option<Duration> {
    let wait = Some(CTIME_AGE_MIN);
    let Ok(now) = now.duration_since(SystemTime::UNIX_EPOCH) else { return wait };
    let (Ok(seconds), Ok(nanos)) = (u64::try_from(seconds), u32::try_from(nanos)) else {
        return wait;
    };
    let Some(age) = now.checked_sub(Duration::new(seconds, nanos)) else { return wait };
    CTIME_AGE_MIN.checked_sub(age).filter(|left| !left.is_zero())
}

/// Drops the pages of compared files once they are on disk: no program reads them again.
fn drop_later(restored: File, kept: &mut VecDeque<(File, u64)>) {
    let Ok(len) = restored.metadata().map(|metadata| metadata.len()) else { return };
    kept.push_back((restored, len));
    let mut bytes: u64 = kept.iter().map(|(_, len)| len).sum();
    while let Some((file, len)) = kept.front()
        && (bytes > KEPT_BYTES_MAX || kept.len() > KEPT_FILES_MAX)
    {
        // A page that stays in memory does no harm.
        fadvise(file, 0, None, Advice::DontNeed).ok();
        bytes -= len;
        kept.pop_front();
    }
}

#[cfg(test)]
mod tests;
