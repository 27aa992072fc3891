//! Compares a restored tree with the snapshot that was sent.
//!
//! Both trees are walked together, directory by directory ([`walk`]); threads read the contents of
//! files ([`content`]). Compared are kind, content, length, permissions, owner, modification time,
//! symlink targets, device numbers, hard links, and extended attributes with ACLs. Not compared is
//! what `btrfs send` does not carry: atime and ctime, inode flags, the position of holes. A
//! subvolume inside the source is not part of a snapshot; it is only counted.
//!
//! Memory is bounded: one open directory of each tree per level, the first differences, the
//! hashes of a sample, and [`LINKED_MAX`] inodes with hard links.

mod content;
mod difference;
mod entry;
mod hard_links;
mod proof;
mod sample;
mod walk;

use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::thread;

use btrfs_host::root_times::RootTimes;
use rustix::process::{Resource, getrlimit, setrlimit};
use s3up_cli::Signal;
use s3up_core::progress::{Progress, ProgressSink};

use self::content::Pair;
pub use self::difference::{Difference, Differences, Side, What};
pub use self::hard_links::LINKED_MAX;
pub use self::proof::{CompareOptions, Proof, Source, find_source};
use self::sample::{Pick, Sample};
use self::walk::Walk;
use crate::shutdown::ShutdownSignal;

/// Maximum number of threads. More do not make a disk faster.
const THREADS_MAX: usize = 8;
/// Maximum number of open files that wait for a thread.
const WAITING_MAX: usize = 32;

/// How much of a restored tree is compared with its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Every entry, and every byte of every file.
    Full,
    /// Every entry, and the content of some files.
    Sample,
    Nothing,
}

#[derive(Clone, Debug)]
pub struct Request {
    /// A read-only snapshot.
    pub source: PathBuf,
    pub restored: Restored,
    /// Maximum number of files whose content is compared; `None` for all.
    pub files_max: Option<u64>,
    pub progress: ProgressSink,
}

#[derive(Clone, Debug)]
pub struct Restored {
    pub path: PathBuf,
    /// Times that its root directory will get. If they are unknown, they are not compared.
    pub root_times: Option<RootTimes>,
}

/// The result of a comparison.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// Number of names of any kind.
    pub entries: u64,
    /// Number of regular files. Hard links of one file count once.
    pub files: u64,
    /// Number of files whose content was compared.
    pub files_read: u64,
    pub bytes_read: u64,
    /// Number of subvolumes inside the source, which a snapshot does not contain.
    pub nested: u64,
    /// Whether there were more hard-linked files than could be remembered.
    pub links_forgotten: bool,
    pub differences: Differences,
}

#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    #[error("compare: read {path:?}")]
    Io { path: PathBuf, source: io::Error },
    #[error("compare: a thread died")]
    Thread,
    #[error("stopped by a signal")]
    Stopped(Signal),
}

/// State that the threads of a comparison share.
struct Shared<'a> {
    stop: &'a AtomicBool,
    progress: Progress,
    differences: Mutex<Differences>,
    files_read: AtomicU64,
    bytes_read: AtomicU64,
}

impl Extent {
    pub fn parse(word: &str) -> Option<Extent> {
        match word {
            "full" => Some(Extent::Full),
            "sample" => Some(Extent::Sample),
            "none" => Some(Extent::Nothing),
            _ => None,
        }
    }

    pub fn word(self) -> &'static str {
        match self {
            Extent::Full => "full",
            Extent::Sample => "sample",
            Extent::Nothing => "none",
        }
    }
}

/// Compares two trees on threads, until it is done or the program is stopped.
pub async fn compare(
    request: Request,
    shutdown: &ShutdownSignal,
) -> Result<Compared, CompareError> {
    let stop = Arc::new(AtomicBool::new(false));
    let stops = StopsWhenDropped(Arc::clone(&stop));
    let mut comparing = tokio::task::spawn_blocking(move || compare_now(&request, &stop));
    tokio::select! {
        compared = &mut comparing => compared.unwrap_or(Err(CompareError::Thread)),
        stop = shutdown.wait() => {
            drop(stops);
            // The threads hold files of the tree open that is removed next.
            comparing.await.ok();
            Err(CompareError::Stopped(stop))
        }
    }
}

struct StopsWhenDropped(Arc<AtomicBool>);

impl Drop for StopsWhenDropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn compare_now(request: &Request, stop: &AtomicBool) -> Result<Compared, CompareError> {
    allow_many_files();
    let pick = match request.files_max {
        None => Pick::All,
        Some(max) => pick(&request.source, max, stop)?,
    };
    let shared = Shared {
        stop,
        progress: request.progress.bytes("compare", None),
        differences: Mutex::default(),
        files_read: AtomicU64::new(0),
        bytes_read: AtomicU64::new(0),
    };
    let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get).min(THREADS_MAX);
    let (to_threads, waiting) = sync_channel::<Pair>(WAITING_MAX);
    let waiting = Mutex::new(waiting);
    let mut compared = thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| content::compare_all(&waiting, &shared));
        }
        let mut walk = Walk::begin(request, &shared, pick)?;
        walk.run(&to_threads);
        // The threads end once the channel is closed.
        drop(to_threads);
        Ok(walk.compared())
    })?;
    compared.files_read = shared.files_read.into_inner();
    compared.bytes_read = shared.bytes_read.into_inner();
    compared.differences = shared.differences.into_inner().map_err(|_| CompareError::Thread)?;
    compared.differences.sort();
    Ok(compared)
}

/// Picks the files of the source with the smallest hashes.
fn pick(source: &Path, max: u64, stop: &AtomicBool) -> Result<Pick, CompareError> {
    let mut sample = Sample::new(max);
    let walk = btrfs_host::walk::Walk::below(source)
        .map_err(|error| CompareError::Io { path: source.to_owned(), source: error })?;
    for found in walk {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        if let btrfs_host::walk::Found::File { path, metadata } = found
            && metadata.is_file()
        {
            sample.add(path.strip_prefix(source).unwrap_or(&path));
        }
    }
    Ok(sample.pick())
}

/// Raises the limit of open files, because a deep tree needs two per level. Where the limit
/// stays, a directory that is too deep is reported as a difference.
fn allow_many_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(errno) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!(event = "file_limit_not_raised", "{errno}");
    }
}

#[cfg(test)]
mod tests;
