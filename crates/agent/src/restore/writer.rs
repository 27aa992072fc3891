//! Writes small files, on a few threads that may wait for the disk.
//!
//! A thread takes several files at a time, so that waking it costs little, and keeps the directories
//! open that they are in. A file is one create, one write and one link.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::target_dir::{OpenDirs, Placement, TargetDir};
use crate::remote_files::file_metadata::FileMetadata;

/// Number of threads. More of them wait for the same directories.
const THREADS: usize = 4;
/// Number of files that a thread takes at a time.
const BATCH: usize = 16;
/// Number of files that wait for a thread. Each is in memory; the number of downloads limits them too.
const WAITING: usize = 64;

/// A file that is in memory and verified.
#[derive(Debug)]
pub struct VerifiedFile {
    pub path: PathBuf,
    pub body: Bytes,
    pub metadata: FileMetadata,
    pub placement: Placement,
}

/// The error of a filesystem that refused mode or time of a file, which is complete all the same.
pub type MetadataError = Option<io::Error>;

type Job = (VerifiedFile, oneshot::Sender<io::Result<MetadataError>>);

/// The threads. They end when this is dropped.
#[derive(Clone, Debug)]
pub struct Writers {
    jobs: mpsc::Sender<Job>,
}

impl Writers {
    pub fn start(target: &Arc<TargetDir>) -> Writers {
        let (jobs, receiver) = mpsc::channel(WAITING);
        let receiver = Arc::new(Mutex::new(receiver));
        for _ in 0..THREADS {
            let (target, receiver) = (target.clone(), receiver.clone());
            tokio::task::spawn_blocking(move || work(&target, &receiver));
        }
        Writers { jobs }
    }

    /// Writes one file, and waits until it has its name.
    pub async fn write(&self, file: VerifiedFile) -> io::Result<MetadataError> {
        let ended = || io::Error::other("the thread that writes files has ended");
        let (reply, written) = oneshot::channel();
        self.jobs.send((file, reply)).await.map_err(|_| ended())?;
        written.await.map_err(|_| ended())?
    }
}

fn work(target: &TargetDir, receiver: &Mutex<mpsc::Receiver<Job>>) {
    let (mut dirs, mut jobs) = (OpenDirs::new(target), Vec::new());
    loop {
        let mut receiver_now = receiver.lock().unwrap_or_else(PoisonError::into_inner);
        let count = receiver_now.blocking_recv_many(&mut jobs, BATCH);
        drop(receiver_now);
        if count == 0 {
            return;
        }
        for (file, reply) in jobs.drain(..) {
            // A download that was given up waits for no reply.
            reply.send(write(&mut dirs, &file)).ok();
        }
    }
}

fn write(dirs: &mut OpenDirs<'_>, file: &VerifiedFile) -> io::Result<MetadataError> {
    let mut new = dirs.new_file(&file.path, &file.metadata, file.placement)?;
    new.file.write_all(&file.body)?;
    new.place()
}
