//! Counts the flushes of a connection.
//!
//! A connection that breaks discards bytes that wait to be written. A fault that
//! cuts a body after an exact number of bytes must first wait until they are
//! flushed, and only the stream below HTTP knows when that is.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The number of flushes of one connection. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct FlushCounter(Arc<Mutex<FlushState>>);

#[derive(Default)]
struct FlushState {
    count: u64,
    waiting: Option<Waker>,
}

impl FlushCounter {
    pub(crate) fn count(&self) -> u64 {
        self.state().count
    }

    /// Becomes ready once more than `count` flushes are done.
    pub(crate) fn poll_after(&self, count: u64, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if state.count > count {
            return Poll::Ready(());
        }
        state.waiting = Some(context.waker().clone());
        Poll::Pending
    }

    fn increment(&self) {
        let mut state = self.state();
        state.count += 1;
        if let Some(waker) = state.waiting.take() {
            waker.wake();
        }
    }

    fn state(&self) -> MutexGuard<'_, FlushState> {
        self.0.lock().expect("no holder of this lock panics")
    }
}

/// A stream that counts its flushes. Hyper flushes it only after it has written
/// everything.
pub(crate) struct FlushCountingStream<S> {
    stream: S,
    flushes: FlushCounter,
}

impl<S> FlushCountingStream<S> {
    pub(crate) fn new(stream: S, flushes: FlushCounter) -> FlushCountingStream<S> {
        FlushCountingStream { stream, flushes }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for FlushCountingStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for FlushCountingStream<S> {
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
        self.flushes.increment();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
