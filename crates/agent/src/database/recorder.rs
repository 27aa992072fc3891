//! The one task that writes the database, in batches.
//!
//! Uploads and scans send their changes to it. Everything that arrives while one
//! batch is committed becomes the next batch, so that a busy agent shares one
//! sync among hundreds of changes. A batch that fails (the disk is full) is
//! retried until it is written. Meanwhile its senders wait, and no upload is
//! lost.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::write::{Change, Writer};
use crate::files::watch::Name;
use s3up_core::error_chain;

/// Maximum number of changes per transaction. A larger batch would only delay
/// its first change.
const BATCH_MAX: usize = 512;
/// Maximum number of changes that wait for the next batch. Further senders wait.
const WAITING_MAX: usize = 1024;
/// The first delay after a failed write; each further one is twice as long.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// Longest delay, so that a disk with free space again is noticed soon.
const RETRY_DELAY_MAX: Duration = Duration::from_secs(8);

/// A change to write, and the receiver to notify once it is committed.
#[derive(Debug)]
pub struct WriteRequest {
    pub change: Change,
    pub on_commit: OnCommit,
}

#[derive(Debug)]
pub enum OnCommit {
    Ignore,
    /// Tells the engine, which counts this file as being recorded.
    TellEngine(Name),
    Reply(oneshot::Sender<()>),
}

#[derive(Debug)]
pub struct Recorder {
    pub requests: mpsc::Sender<WriteRequest>,
    /// Names of the files whose change is committed. The engine limits how many
    /// files are being recorded, so this channel needs no limit of its own, and
    /// the two tasks cannot wait for each other.
    pub committed: mpsc::UnboundedReceiver<Name>,
    pub task: JoinHandle<()>,
}

pub fn start(writer: Writer) -> Recorder {
    let (requests, waiting) = mpsc::channel(WAITING_MAX);
    let (sender, committed) = mpsc::unbounded_channel();
    let task = tokio::spawn(record(writer, waiting, sender));
    Recorder { requests, committed, task }
}

async fn record(
    mut writer: Writer,
    mut waiting: mpsc::Receiver<WriteRequest>,
    committed: mpsc::UnboundedSender<Name>,
) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    while waiting.recv_many(&mut batch, BATCH_MAX).await > 0 {
        let (changes, on_commits): (Vec<Change>, Vec<OnCommit>) =
            batch.drain(..).map(|WriteRequest { change, on_commit }| (change, on_commit)).unzip();
        let mut delay = RETRY_DELAY;
        while let Err(err) = writer.apply(&changes).await {
            tracing::error!(
                event = "database_write_failed",
                error = error_chain(&err),
                changes = changes.len(),
                retry_seconds = delay.as_secs(),
                "cannot write the database, trying again in {} s; uploads pause while too many are \
                 unrecorded",
                delay.as_secs()
            );
            tokio::time::sleep(delay).await;
            delay = RETRY_DELAY_MAX.min(delay * 2);
        }
        on_commits.into_iter().for_each(|on_commit| notify(on_commit, &committed));
    }
    writer.close().await;
}

/// Sending fails if the receiver was dropped, which needs no notice then.
fn notify(on_commit: OnCommit, committed: &mpsc::UnboundedSender<Name>) {
    match on_commit {
        OnCommit::Ignore => {}
        OnCommit::TellEngine(name) => drop(committed.send(name)),
        OnCommit::Reply(reply) => drop(reply.send(())),
    }
}
