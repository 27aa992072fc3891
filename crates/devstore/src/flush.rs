//! Knows when what was written to a connection has left this process.
//!
//! A connection that breaks throws away what waits to be written. A body that
//! is to be cut after exactly so many bytes has to wait until they are gone,
//! and only the stream below the HTTP machinery knows.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The flushes of one connection. Clones share their content.
#[derive(Clone, Default)]
pub(crate) struct Flushes(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    count: u64,
    waiting: Option<Waker>,
}

impl Flushes {
    pub(crate) fn count(&self) -> u64 {
        self.seen().count
    }

    /// Ready once there was a flush after the `count`th.
    pub(crate) fn poll_after(&self, count: u64, context: &mut Context<'_>) -> Poll<()> {
        let mut seen = self.seen();
        if seen.count > count {
            return Poll::Ready(());
        }
        seen.waiting = Some(context.waker().clone());
        Poll::Pending
    }

    fn note(&self) {
        let mut seen = self.seen();
        seen.count += 1;
        if let Some(waker) = seen.waiting.take() {
            waker.wake();
        }
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.0.lock().expect("no holder of this lock panics")
    }
}

/// A stream that notes its flushes. Hyper flushes it only after it has written
/// everything it had.
pub(crate) struct Noted<S> {
    stream: S,
    flushes: Flushes,
}

impl<S> Noted<S> {
    pub(crate) fn new(stream: S, flushes: Flushes) -> Noted<S> {
        Noted { stream, flushes }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Noted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Noted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        self.flushes.note();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
