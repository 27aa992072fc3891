//! A connection that reads on for a while after its last response, and that ends if the client
//! stops reading.
//!
//! If a socket is closed while bytes of the client are unread, the kernel resets
//! the connection, and the client may lose a response that it has not read yet. So
//! the writing side is shut down first, and what the client still sends is dropped
//! until it closes its side.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// Longest time for which a client may continue to send: the one of nginx.
const LINGER_MAX: Duration = Duration::from_secs(30);
/// Longest wait for more of its bytes: the one of nginx.
const LINGER_IDLE_MAX: Duration = Duration::from_secs(5);
/// Length of a read of bytes that are dropped; it lies on the stack of the task.
const DROPPED_BYTES_AT_ONCE: usize = 16 << 10;

/// Says whether bytes that the client sent may be unread. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct UnreadBytes(Arc<AtomicBool>);

impl UnreadBytes {
    pub(super) fn set(&self, unread: bool) {
        self.0.store(unread, Ordering::Relaxed);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A socket whose shutdown waits for the client to stop sending.
pub(super) struct Lingering<S> {
    socket: S,
    unread: UnreadBytes,
    /// Longest time in which the client may read nothing while there is something to send.
    write_limit: Duration,
    /// Ends the connection. Set while the client reads nothing.
    write_end: Option<Pin<Box<Sleep>>>,
    /// Set once the writing side is shut down.
    wait: Option<Wait>,
}

struct Wait {
    end: Pin<Box<Sleep>>,
    idle_end: Pin<Box<Sleep>>,
}

impl<S> Lingering<S> {
    pub(super) fn new(socket: S, unread: UnreadBytes, write_limit: Duration) -> Lingering<S> {
        Lingering { socket, unread, write_limit, write_end: None, wait: None }
    }

    /// Returns the result of a write, or an error if the client has read nothing for too long.
    fn within_limit<T>(
        &mut self,
        written: Poll<io::Result<T>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.write_end = None;
            return written;
        }
        let limit = self.write_limit;
        let end = self.write_end.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        ready!(end.as_mut().poll(cx));
        // It does not read a response either, so there is nothing to wait for.
        self.unread.set(false);
        let what = format!("the client read nothing for {} s", limit.as_secs_f64());
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, what)))
    }
}

impl Wait {
    fn start() -> Wait {
        Wait {
            end: Box::pin(tokio::time::sleep(LINGER_MAX)),
            idle_end: Box::pin(tokio::time::sleep(LINGER_IDLE_MAX)),
        }
    }

    /// Reads and drops bytes until the client closes its side or a time is over.
    fn poll<S: AsyncRead + Unpin>(&mut self, socket: &mut S, cx: &mut Context<'_>) -> Poll<()> {
        let mut dropped = [0; DROPPED_BYTES_AT_ONCE];
        loop {
            if self.end.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            let mut buffer = ReadBuf::new(&mut dropped);
            match Pin::new(&mut *socket).poll_read(cx, &mut buffer) {
                Poll::Pending => return self.idle_end.as_mut().poll(cx),
                // The client closed its side, or reset the connection.
                Poll::Ready(Ok(())) if buffer.filled().is_empty() => return Poll::Ready(()),
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Ready(Ok(())) => self.idle_end.set(tokio::time::sleep(LINGER_IDLE_MAX)),
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Lingering<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(cx, buffer))?;
        if buffer.filled().len() > before {
            // Until a request is read to its end. Hyper answers a malformed one itself.
            self.unread.set(true);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Lingering<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.within_limit(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, pieces);
        self.within_limit(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.socket).poll_flush(cx);
        self.within_limit(flushed, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.wait.is_none() {
            let shut_down = Pin::new(&mut this.socket).poll_shutdown(cx);
            ready!(this.within_limit(shut_down, cx))?;
        }
        if !this.unread.get() {
            return Poll::Ready(Ok(()));
        }
        let wait = this.wait.get_or_insert_with(Wait::start);
        wait.poll(&mut this.socket, cx).map(Ok)
    }
}
