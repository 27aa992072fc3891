//! Feeds `btrfs receive`. A thread verifies the downloaded parts and writes them into the pipe,
//! while the next parts are downloaded, and restored data is written back and compared.
//!
//! The channel to the thread holds one part. The part buffers are sized for this: the parts that
//! are being downloaded, and one that waits here. Verifying and writing block, so they must not
//! run on the async runtime.

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
use super::verified_stream::{StreamOutput, StreamRefusal, VerifiedStream};
use super::writeback::Writeback;
use crate::compare::EarlyFiles;

/// Bytes that are verified at once: few enough to be still in the CPU cache when the pipe is
/// read. A command that crosses into the next slice is copied.
const SLICE_BYTES: usize = 1 << 20;
/// Time for the thread to end. Its pipe is closed by then, so it does not block.
const END_WAIT: Duration = Duration::from_secs(5);

pub struct ReceivePump {
    pieces: Option<mpsc::Sender<ObjectBytes>>,
    thread: Option<JoinHandle<(Result<StreamSummary, PumpFailure>, LentMemory)>>,
    lent: LentMemory,
}

/// A stream that was refused before its end.
pub struct PumpFailure {
    /// Number of the object that was refused; `None` if the stream was cut off.
    pub object: Option<usize>,
    pub refused: StreamRefusal,
}

/// The result of feeding one backup.
pub enum PumpResult {
    Received(StreamSummary),
    Stopped(PumpFailure),
}

impl ReceivePump {
    pub fn start(
        pipe: PipeWriter,
        stream: VerifiedStream,
        (mut writeback, mut early): (Writeback, Option<EarlyFiles>),
        progress: Arc<Progress>,
    ) -> ReceivePump {
        let (pieces, taken) = mpsc::channel(1);
        let thread = tokio::task::spawn_blocking(move || {
            let mut pipe = LendingPipe::new(pipe);
            let consumers = (&mut writeback, early.as_mut());
            let outcome = feed(&mut pipe, consumers, stream, taken, &progress);
            (outcome, pipe.close())
        });
        let lent = LentMemory::default();
        ReceivePump { pieces: Some(pieces), thread: Some(thread), lent }
    }

    /// Downloads one backup and feeds it. May be dropped. Call `end` afterwards, in both
    /// cases.
    pub async fn feed(
        &mut self,
        sequence: &mut DownloadSequence,
        planned: &FetchEntry<'_>,
    ) -> Result<PumpResult, RestoreError> {
        let mut left = planned.entry.manifest.total_bytes;
        while left > 0
            && let Some(pieces) = &self.pieces
        {
            // The thread has ended; its result says why.
            let Ok(slot) = pieces.reserve().await else { break };
            let fetch =
                |source| FetchError::Download { manifest: planned.entry.key.clone(), source };
            let Some(piece) = sequence.next().await.map_err(fetch)? else { break };
            left = left.saturating_sub(piece.bytes.len() as u64);
            slot.send(piece);
        }
        self.pieces = None;
        let Some(thread) = self.thread.as_mut() else {
            return Err(RestoreError::VerifyThreadDied { manifest: planned.entry.key.clone() });
        };
        let joined = thread.await;
        self.thread = None;
        match joined {
            Ok((outcome, lent)) => {
                self.lent = lent;
                Ok(outcome.map_or_else(PumpResult::Stopped, PumpResult::Received))
            }
            Err(_) => Err(RestoreError::VerifyThreadDied { manifest: planned.entry.key.clone() }),
        }
    }

    /// Waits for the thread. `btrfs receive` has ended already.
    pub async fn end(mut self) {
        self.pieces = None;
        if let Some(thread) = self.thread.take()
            && tokio::time::timeout(END_WAIT, thread).await.is_err()
        {
            tracing::warn!(
                event = "receive_pipe_open",
                "a process still has the pipe of `btrfs receive` open"
            );
        }
    }
}

fn feed(
    pipe: &mut LendingPipe,
    (writeback, mut early): (&mut Writeback, Option<&mut EarlyFiles>),
    mut stream: VerifiedStream,
    mut pieces: mpsc::Receiver<ObjectBytes>,
    progress: &Progress,
) -> Result<StreamSummary, PumpFailure> {
    while let Some(ObjectBytes { object, mut bytes }) = pieces.blocking_recv() {
        let count = bytes.len() as u64;
        while !bytes.is_empty() {
            let slice = bytes.split_to(SLICE_BYTES.min(bytes.len()));
            let fed = stream.feed(&slice, &mut |released| match released {
                StreamOutput::InPiece(range) => pipe.lend(slice.slice(range)),
                StreamOutput::Held(bytes) => pipe.copy(bytes),
            });
            fed.map_err(|refused| PumpFailure { object: Some(object), refused })?;
        }
        progress.inc(count);
        writeback.add(count, &stream.take_long_files());
        let complete = stream.take_complete_files();
        if let Some(early) = &mut early {
            early.add(complete);
        }
    }
    let cut = |err: StreamError| PumpFailure { object: None, refused: StreamRefusal::Stream(err) };
    stream.finish().map_err(cut)
}
