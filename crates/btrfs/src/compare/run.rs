//! Runs a comparison: one walk over both trees, and threads that read files.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::thread;

use rustix::process::{Resource, getrlimit, setrlimit};

use super::content::{self, Segment};
use super::early::ComparedFiles;
use super::request::CompareRequest;
use super::result::{CompareError, Comparison, Shared};
use super::sample::{Pick, Sample};
use super::walk::PairedWalk;
use s3up_cli::ShutdownSignal;

/// Minimum number of threads: while one waits for a disk, another compares.
const THREADS_MIN: usize = 4;
/// Maximum number of threads. More do not make a disk faster.
const THREADS_MAX: usize = 8;
/// Maximum number of segments that wait for a thread, each of which may hold two files open.
const WAITING_MAX: usize = 32;

/// Compares two trees on threads, until it is done or the program is stopped. The contents of files
/// that were compared early, and did not change since, are not read again.
pub async fn compare(
    request: CompareRequest,
    early: ComparedFiles,
    shutdown: &ShutdownSignal,
) -> Result<Comparison, CompareError> {
    let stop = Arc::new(AtomicBool::new(false));
    let stops = StopsWhenDropped(Arc::clone(&stop));
    let mut comparing = tokio::task::spawn_blocking(move || compare_now(&request, &early, &stop));
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

pub(super) fn compare_now(
    request: &CompareRequest,
    early: &ComparedFiles,
    stop: &AtomicBool,
) -> Result<Comparison, CompareError> {
    allow_many_files();
    let (pick, file_bytes_max) = match request.sample {
        None => (Pick::All, None),
        Some(limits) => {
            let (pick, count) = pick(&request.source, limits.files_max, stop)?;
            (pick, Some(limits.bytes_max / count.max(1)))
        }
    };
    let shared = Shared::new(stop, request.progress.bytes("compare", None));
    let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let threads = threads.clamp(THREADS_MIN, THREADS_MAX);
    let (to_threads, waiting) = sync_channel::<Segment>(WAITING_MAX);
    let waiting = Mutex::new(waiting);
    let mut compared = thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| content::compare_all(&waiting, file_bytes_max, &shared));
        }
        let mut walk = PairedWalk::begin(request, &shared, pick, early)?;
        walk.run(&to_threads);
        // The threads end once the channel is closed.
        drop(to_threads);
        Ok(walk.compared())
    })?;
    compared.files_read = shared.files_read.into_inner();
    compared.files_in_part = shared.files_in_part.into_inner();
    compared.bytes_read = shared.bytes_read.into_inner();
    compared.differences = shared.differences.into_inner().map_err(|_| CompareError::Thread)?;
    compared.differences.sort();
    Ok(compared)
}

/// Picks the files of the source with the smallest hashes. Returns how many as well.
fn pick(source: &Path, max: u64, stop: &AtomicBool) -> Result<(Pick, u64), CompareError> {
    let mut sample = Sample::new(max);
    let walk = btrfs_host::walk::Walk::below(source)
        .map_err(|error| CompareError::Io { path: source.to_owned(), source: error })?;
    for found in walk {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        if let btrfs_host::walk::WalkItem::File { path, metadata } = found
            && metadata.is_file()
        {
            sample.add(path.strip_prefix(source).unwrap_or(&path));
        }
    }
    let count = sample.count();
    Ok((sample.pick(), count))
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
