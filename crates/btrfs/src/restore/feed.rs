//! Feeds `btrfs receive`: a thread of its own proves what was fetched and writes
//! it into the pipe, while the next parts are on their way.
//!
//! A part is handed over once its buffer is wanted, and one waits: with those
//! on their way that is what the buffers were made for. Proving and writing
//! block, so they have no place in the runtime.

use std::io::PipeWriter;
use std::sync::Arc;
use std::time::Duration;

use btrfs_sendstream::{Facts, StreamError};
use s3up_cli::progress::Progress;
use s3up_store::{DownloadRow, Piece};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::error::RestoreError;
use super::links::PlannedLink;
use super::proven::{Proven, Refused};

/// Small enough to be in the cache still when it is written.
const SLICE_BYTES: usize = 256 << 10;
/// Its pipe has been closed by then, so that it does not block.
const END_WAIT: Duration = Duration::from_secs(5);

pub struct Feeder {
    pieces: Option<mpsc::Sender<Piece>>,
    thread: Option<JoinHandle<Result<Facts, Stopped>>>,
}

/// Why feeding ended before its time.
pub struct Stopped {
    /// The object that it was in; none where the stream was cut off.
    pub object: Option<usize>,
    pub refused: Refused,
}

/// What came of feeding one link.
pub enum Fed {
    Whole(Facts),
    Stopped(Stopped),
}

impl Feeder {
    pub fn start(pipe: PipeWriter, stream: Proven, progress: Arc<Progress>) -> Feeder {
        let (pieces, taken) = mpsc::channel(1);
        let thread = tokio::task::spawn_blocking(move || feed(pipe, stream, taken, &progress));
        Feeder { pieces: Some(pieces), thread: Some(thread) }
    }

    /// Fetches a link and hands it over. May be dropped: then call `end`.
    pub async fn feed(
        &mut self,
        row: &mut DownloadRow,
        link: &PlannedLink<'_>,
    ) -> Result<Fed, RestoreError> {
        let mut left = link.link.manifest.total_bytes;
        while left > 0
            && let Some(pieces) = &self.pieces
        {
            // It has ended, and says why.
            let Ok(room) = pieces.reserve().await else { break };
            let fetch = |source| RestoreError::Fetch { manifest: link.link.key.clone(), source };
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
            Ok(Ok(facts)) => Ok(Fed::Whole(facts)),
            Ok(Err(stopped)) => Ok(Fed::Stopped(stopped)),
            Err(_) => Err(RestoreError::FeederDied { manifest: link.link.key.clone() }),
        }
    }

    /// Waits for it; what it feeds has ended.
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
    mut pipe: PipeWriter,
    mut stream: Proven,
    mut pieces: mpsc::Receiver<Piece>,
    progress: &Progress,
) -> Result<Facts, Stopped> {
    while let Some(Piece { object, bytes }) = pieces.blocking_recv() {
        for slice in bytes.chunks(SLICE_BYTES) {
            let fed = stream.feed(slice, &mut pipe);
            fed.map_err(|refused| Stopped { object: Some(object), refused })?;
        }
        progress.inc(bytes.len() as u64);
    }
    let cut = |err: StreamError| Stopped { object: None, refused: Refused::Stream(err) };
    stream.finish().map_err(cut)
}
