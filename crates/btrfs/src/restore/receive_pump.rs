//! Feeds `btrfs receive`: a thread of its own proves what was fetched and puts
//! it into the pipe, while the next parts are on their way and what was received
//! goes to the disk.
//!
//! A part is handed over once its buffer is wanted, and one waits: with those
//! on their way that is what the buffers were made for. Proving and writing
//! block, so they have no place in the runtime.

use std::io::PipeWriter;
use std::sync::Arc;
use std::time::Duration;

use btrfs_sendstream::{StreamError, StreamSummary};
use s3up_core::progress::Progress;
use s3up_pipe::{LendingPipe, LentMemory};
use s3up_repository::fetch::{FetchEntry, FetchError};
use s3up_store::{DownloadSequence, ObjectBytes};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::error::RestoreError;
use super::verified_stream::{Handed, Refused, VerifiedStream};
use super::writeback::Writeback;

/// Small enough to be in the cache still when it is read from the pipe. Of each,
/// the command that ends in the next one is copied.
const SLICE_BYTES: usize = 1 << 20;
/// Its pipe has been closed by then, so that it does not block.
const END_WAIT: Duration = Duration::from_secs(5);

pub struct ReceivePump {
    pieces: Option<mpsc::Sender<ObjectBytes>>,
    thread: Option<JoinHandle<(Result<StreamSummary, Stopped>, LentMemory)>>,
    lent: LentMemory,
}

/// Why feeding ended before its time.
pub struct Stopped {
    /// The object that it was in; none where the stream was cut off.
    pub object: Option<usize>,
    pub refused: Refused,
}

/// What came of feeding one link.
pub enum PumpResult {
    Received(StreamSummary),
    Stopped(Stopped),
}

impl ReceivePump {
    pub fn start(
        pipe: PipeWriter,
        stream: VerifiedStream,
        mut writeback: Writeback,
        progress: Arc<Progress>,
    ) -> ReceivePump {
        let (pieces, taken) = mpsc::channel(1);
        let thread = tokio::task::spawn_blocking(move || {
            let mut pipe = LendingPipe::new(pipe);
            let outcome = feed(&mut pipe, &mut writeback, stream, taken, &progress);
            (outcome, pipe.close())
        });
        let lent = LentMemory::default();
        ReceivePump { pieces: Some(pieces), thread: Some(thread), lent }
    }

    /// Fetches a link and hands it over. May be dropped. Then, and when it has
    /// returned, call `end`.
    pub async fn feed(
        &mut self,
        row: &mut DownloadSequence,
        link: &FetchEntry<'_>,
    ) -> Result<PumpResult, RestoreError> {
        let mut left = link.link.manifest.total_bytes;
        while left > 0
            && let Some(pieces) = &self.pieces
        {
            // It has ended, and says why.
            let Ok(room) = pieces.reserve().await else { break };
            let fetch = |source| FetchError::Download { manifest: link.link.key.clone(), source };
            let Some(piece) = row.next().await.map_err(fetch)? else { break };
            left = left.saturating_sub(piece.bytes.len() as u64);
            room.send(piece);
        }
        self.pieces = None;
        let Some(thread) = self.thread.as_mut() else {
            return Err(RestoreError::FeederDied { manifest: link.link.key.clone() });
        };
        let joined = thread.await;
        self.thread = None;
        match joined {
            Ok((outcome, lent)) => {
                self.lent = lent;
                Ok(outcome.map_or_else(PumpResult::Stopped, PumpResult::Received))
            }
            Err(_) => Err(RestoreError::FeederDied { manifest: link.link.key.clone() }),
        }
    }

    /// Waits for its thread; what it feeds has ended.
    pub async fn end(mut self) {
        self.pieces = None;
        if let Some(thread) = self.thread.take()
            && tokio::time::timeout(END_WAIT, thread).await.is_err()
        {
            tracing::warn!(event = "receive_pipe_open", "a process still reads the stream");
        }
    }
}

fn feed(
    pipe: &mut LendingPipe,
    writeback: &mut Writeback,
    mut stream: VerifiedStream,
    mut pieces: mpsc::Receiver<ObjectBytes>,
    progress: &Progress,
) -> Result<StreamSummary, Stopped> {
    while let Some(ObjectBytes { object, mut bytes }) = pieces.blocking_recv() {
        let count = bytes.len() as u64;
        while !bytes.is_empty() {
            let slice = bytes.split_to(SLICE_BYTES.min(bytes.len()));
            let fed = stream.feed(&slice, &mut |handed| match handed {
                Handed::Here(range) => pipe.lend(slice.slice(range)),
                Handed::Held(bytes) => pipe.copy(bytes),
            });
            fed.map_err(|refused| Stopped { object: Some(object), refused })?;
        }
        progress.inc(count);
        writeback.add(count, &stream.take_long_files());
    }
    let cut = |err: StreamError| Stopped { object: None, refused: Refused::Stream(err) };
    stream.finish().map_err(cut)
}
