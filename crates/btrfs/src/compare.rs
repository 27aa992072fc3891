//! Whether a restored tree is the snapshot that was sent.
//!
//! Both trees are walked together, folder by folder ([`walk`]); what is in a
//! file is read by threads ([`content`]). Compared are kind, content, length,
//! permissions, owner, time, targets of symlinks, numbers of devices, which
//! names are one file, and extended attributes with ACLs. Not compared is what
//! `btrfs send` does not carry: atime and ctime, flags of inodes, where holes
//! are. A subvolume inside the source is no part of a snapshot, and is counted.
//!
//! Memory: one open folder of each tree for each level, the first differences,
//! the picked hashes of a sample, and [`LINKED_MAX`] inodes with several names.

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

/// More threads do not make a disk faster.
const THREADS_MAX: usize = 8;
/// Open files that wait for a thread.
const WAITING_MAX: usize = 32;

/// How much of a restored tree is compared with its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Everything, every byte.
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
    /// Files whose content is compared at most; `None`: all.
    pub files_max: Option<u64>,
    pub progress: ProgressSink,
}

#[derive(Clone, Debug)]
pub struct Restored {
    pub path: PathBuf,
    /// What its own folder will get; where that is not known, they are not
    /// compared.
    pub root_times: Option<RootTimes>,
}

/// What was compared, and where the trees differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// Files, folders and all else, by name.
    pub entries: u64,
    /// Regular files; several names of one count once.
    pub files: u64,
    /// Those whose content was compared.
    pub files_read: u64,
    pub bytes_read: u64,
    /// Subvolumes inside the source, which no snapshot carries.
    pub nested: u64,
    /// There were more files with several names than could be remembered.
    pub links_forgotten: bool,
    pub differences: Differences,
}

#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    #[error("compare: look at {path:?}")]
    Io { path: PathBuf, source: io::Error },
    #[error("compare: a thread has ended")]
    Thread,
    #[error("stopped by a signal")]
    Stopped(Signal),
}

/// What the threads of a comparison share.
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

/// Compares two trees beside the runtime, until it is done or asked to stop.
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
            // It holds files of the tree that is removed next.
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
        // The threads end when nothing can come any more.
        drop(to_threads);
        Ok(walk.compared())
    })?;
    compared.files_read = shared.files_read.into_inner();
    compared.bytes_read = shared.bytes_read.into_inner();
    compared.differences = shared.differences.into_inner().map_err(|_| CompareError::Thread)?;
    compared.differences.sort();
    Ok(compared)
}

/// Which files of the source have the least hashes.
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

/// Deep trees need a handle or two for each level; where the limit cannot be
/// raised, what is too deep is a difference that says so.
fn allow_many_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(errno) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!(event = "file_limit_kept", "{errno}");
    }
}

#[cfg(test)]
mod tests;
