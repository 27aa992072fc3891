//! The one task that writes the database, in batches.
//!
//! Changes come from uploads and scans; whatever has come while one batch was
//! committed is the next batch, so a busy agent shares one sync among
//! hundreds. A batch that fails (the disk is full) is tried until it is
//! written: what was uploaded stays uploaded meanwhile, and its senders wait.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::client::one_line;
use crate::db::{Change, Writer};
use crate::watch::Name;

/// One transaction; more would only hold back the first of them.
const BATCH_MAX: usize = 512;
/// Waiting for the next batch; who finds no place waits.
const WAITING_MAX: usize = 1024;
const RETRY_DELAY: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub struct Entry {
    pub change: Change,
    pub ack: Ack,
}

/// Who wants to know that a change is safe.
#[derive(Debug)]
pub enum Ack {
    Nobody,
    /// The engine, for a file that it counts as being recorded.
    Engine(Name),
    Reply(oneshot::Sender<()>),
}

#[derive(Debug)]
pub struct Recorder {
    pub entries: mpsc::Sender<Entry>,
    /// Never more names than the engine has files being recorded, which it
    /// limits; so this needs no limit of its own, and the two cannot wait for
    /// each other.
    pub recorded: mpsc::UnboundedReceiver<Name>,
    pub task: JoinHandle<()>,
}

pub fn start(writer: Writer) -> Recorder {
    let (entries, waiting) = mpsc::channel(WAITING_MAX);
    let (acks, recorded) = mpsc::unbounded_channel();
    let task = tokio::spawn(record(writer, waiting, acks));
    Recorder { entries, recorded, task }
}

async fn record(
    writer: Writer,
    mut waiting: mpsc::Receiver<Entry>,
    acks: mpsc::UnboundedSender<Name>,
) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    while waiting.recv_many(&mut batch, BATCH_MAX).await > 0 {
        let (changes, told): (Vec<Change>, Vec<Ack>) =
            batch.drain(..).map(|Entry { change, ack }| (change, ack)).unzip();
        while let Err(err) = writer.apply(&changes).await {
            tracing::error!(
                event = "database_failed",
                error = one_line(&err),
                changes = changes.len(),
                retry_seconds = RETRY_DELAY.as_secs(),
                "uploads go on until too many are unrecorded"
            );
            tokio::time::sleep(RETRY_DELAY).await;
        }
        told.into_iter().for_each(|ack| tell(ack, &acks));
    }
    writer.close().await;
}

/// Nobody may be listening any more: then nobody needs to know.
fn tell(ack: Ack, acks: &mpsc::UnboundedSender<Name>) {
    match ack {
        Ack::Nobody => {}
        Ack::Engine(name) => drop(acks.send(name)),
        Ack::Reply(reply) => drop(reply.send(())),
    }
}
