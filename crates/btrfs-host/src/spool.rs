//! The spool: a stream waits here on disk, so that `btrfs send` ends early.
//!
//! It is a queue in unnamed files. One task reads the source and appends, another reads
//! what was appended and passes it on. A file that was read to its end is closed, which
//! frees its space. No file outlives the process, however that ends, so there is
//! nothing to clean up. Every piece that is read back is compared with its checksum:
//! the stream was verified before the spool, and is hashed for S3 after it.

mod dir;
mod segment;
pub mod source;
mod space;

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use s3up_core::Size;
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

pub use self::dir::{PIECE_BYTES, Spool, SpoolError};
use self::segment::{Piece, Segment};
use self::space::SpoolSpace;

/// Number of pieces in memory that wait for the reader.
const PIECES_AHEAD: usize = 2;

/// Reads `R` through a spool. It ends where `R` ends. An error of `R` is passed on
/// unchanged, before the data that still waits.
pub struct SpoolReader<R> {
    spool: Arc<Spool>,
    items: mpsc::Receiver<Item>,
    bytes: Bytes,
    has_ended: bool,
    filling: JoinHandle<R>,
}

/// An item for the reader.
enum Item {
    Bytes(Bytes),
    End,
    Failed(io::Error),
}

/// An item that waits on disk.
enum Waiting {
    Piece(Piece),
    End,
}

impl Spool {
    /// Starts to read `source`.
    pub fn start<R>(&self, mut source: R) -> SpoolReader<R>
    where
        R: AsyncRead + Unpin + Send + 'static,
    {
        let spool = Arc::new(self.clone());
        let (items_sender, items) = mpsc::channel(PIECES_AHEAD);
        // Unbounded, because the limit of the spool bounds it.
        let (waiting_sender, waiting) = mpsc::unbounded_channel();
        tokio::spawn(drain(waiting, items_sender.clone()));
        let filler = Filler {
            spool: spool.clone(),
            space: SpoolSpace::new(self.limit_bytes),
            segment: None,
            waiting: waiting_sender,
        };
        let filling = tokio::spawn(async move {
            tokio::select! {
                filled = filler.fill(&mut source) => {
                    // If the reader is gone, the error has no receiver.
                    if let Err(err) = filled && items_sender.send(Item::Failed(err)).await.is_err() {
                        tracing::debug!(event = "spool_reader_gone");
                    }
                }
                () = items_sender.closed() => {}
            }
            source
        });
        SpoolReader { spool, items, bytes: Bytes::new(), has_ended: false, filling }
    }
}

impl<R> SpoolReader<R> {
    /// Stops reading and returns the source. The source is at its end if the stream was
    /// read to its own.
    pub async fn end(self) -> Option<R> {
        drop(self.items);
        self.filling.await.ok()
    }
}

impl<R> AsyncRead for SpoolReader<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.bytes.is_empty() && !self.has_ended {
            match ready!(self.items.poll_recv(cx)) {
                Some(Item::Bytes(bytes)) => self.bytes = bytes,
                Some(Item::End) => self.has_ended = true,
                Some(Item::Failed(err)) => return Poll::Ready(Err(err)),
                None => {
                    let directory = self.spool.directory.clone();
                    return Poll::Ready(Err(io::Error::other(SpoolError::Stopped { directory })));
                }
            }
        }
        let count = self.bytes.len().min(buf.remaining());
        buf.put_slice(&self.bytes[..count]);
        self.bytes.advance(count);
        Poll::Ready(Ok(()))
    }
}

/// Reads the source into files.
struct Filler {
    spool: Arc<Spool>,
    space: SpoolSpace,
    /// The file that is appended to.
    segment: Option<Arc<Segment>>,
    waiting: mpsc::UnboundedSender<Waiting>,
}

impl Filler {
    async fn fill<R: AsyncRead + Unpin>(mut self, source: &mut R) -> io::Result<()> {
        let mut bytes = 0;
        loop {
            let piece = next_piece(source).await?;
            if piece.is_empty() {
                break;
            }
            bytes += piece.len() as u64;
            self.space.take(piece.len()).await;
            self.append(piece).await.map_err(io::Error::other)?;
        }
        let waits = self.space.taken();
        tracing::info!(
            event = "send_spooled",
            bytes,
            waiting_bytes = waits,
            "`btrfs send` is done; {} wait for their upload in {}",
            Size(waits),
            self.spool.directory.display()
        );
        self.push(Waiting::End);
        Ok(())
    }

    /// Appends a piece whose length was reserved. If the disk is full before the spool
    /// is, waits until something drains.
    async fn append(&mut self, piece: Bytes) -> Result<(), SpoolError> {
        let mut live = self.space.live();
        loop {
            let nothing_drains = *live.borrow_and_update() == 0;
            let segment = match &self.segment {
                Some(segment) if segment.has_room() => Some(segment.clone()),
                Some(_) | None => None,
            };
            let (spool, space, bytes) = (self.spool.clone(), self.space.clone(), piece.clone());
            let write = move || segment::append(&spool, segment, &space, &bytes);
            let source =
                match tokio::task::spawn_blocking(write).await {
                    Ok(Ok((segment, piece))) => {
                        self.segment = Some(segment);
                        self.push(Waiting::Piece(piece));
                        return Ok(());
                    }
                    Ok(Err(
                        SpoolError::Create { source, .. } | SpoolError::Write { source, .. },
                    )) if is_full(&source) => source,
                    Ok(Err(err)) => return Err(err),
                    Err(_) => return Err(SpoolError::Stopped { directory: self.directory() }),
                };
            if nothing_drains {
                let (directory, bytes) = (self.directory(), piece.len() as u64);
                return Err(SpoolError::Full { directory, bytes, source });
            }
            // Once the current file was read, its space is freed, too.
            self.segment = None;
            self.space.wait_for_space(&self.spool.directory, &mut live).await;
        }
    }

    /// Queues an item. If the reader is gone, the reader's task notices by itself.
    fn push(&self, waiting: Waiting) {
        if self.waiting.send(waiting).is_err() {
            tracing::debug!(event = "spool_reader_gone");
        }
    }

    fn directory(&self) -> PathBuf {
        self.spool.directory.clone()
    }
}

fn is_full(err: &io::Error) -> bool {
    matches!(err.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Reads the next piece. An empty one means the end of the source.
async fn next_piece<R: AsyncRead + Unpin>(source: &mut R) -> io::Result<Bytes> {
    let mut piece = BytesMut::with_capacity(PIECE_BYTES);
    while piece.len() < PIECE_BYTES {
        let left = (PIECE_BYTES - piece.len()) as u64;
        if (&mut *source).take(left).read_buf(&mut piece).await? == 0 {
            break;
        }
    }
    Ok(piece.freeze())
}

/// Passes waiting items on, in order.
async fn drain(mut waiting: mpsc::UnboundedReceiver<Waiting>, items: mpsc::Sender<Item>) {
    while let Some(next) = waiting.recv().await {
        let item = match next {
            Waiting::End => Item::End,
            Waiting::Piece(piece) => {
                match tokio::task::spawn_blocking(move || piece.read()).await {
                    Ok(Ok(bytes)) => Item::Bytes(bytes),
                    Ok(Err(err)) => Item::Failed(io::Error::other(err)),
                    Err(err) => Item::Failed(io::Error::other(err)),
                }
            }
        };
        if items.send(item).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
