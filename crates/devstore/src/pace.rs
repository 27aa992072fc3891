//! A thin line: so many bytes per second each way, shared by all connections.
//!
//! A stream that wants to move bytes asks how many may go, moves at most that
//! many, and says how many went; that keeps the line busy for a while, and who
//! comes meanwhile waits. A piece is small, so that all connections get on.

use std::io;
use std::num::NonZeroU64;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// A piece is what the line carries in a twentieth of a second.
const PIECES_PER_SECOND: u64 = 20;

#[derive(Default)]
pub(crate) struct Line(Mutex<State>);

#[derive(Default)]
struct State {
    bytes_per_second: Option<NonZeroU64>,
    /// When what was sent each way has gone through.
    inward_free_at: Option<Instant>,
    outward_free_at: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
enum Way {
    In,
    Out,
}

#[derive(Debug, PartialEq, Eq)]
enum Leave {
    All,
    Bytes(usize),
    NotBefore(Instant),
}

impl Line {
    pub(crate) fn set(&self, bytes_per_second: Option<NonZeroU64>) {
        *self.state() = State { bytes_per_second, ..State::default() };
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no holder of this lock panics")
    }
}

impl State {
    fn leave(&mut self, way: Way, now: Instant) -> Leave {
        let Some(rate) = self.bytes_per_second else { return Leave::All };
        match *self.free_at(way) {
            Some(free_at) if now < free_at => Leave::NotBefore(free_at),
            Some(_) | None => Leave::Bytes(piece(rate)),
        }
    }

    fn went(&mut self, way: Way, bytes: usize, now: Instant) {
        let Some(rate) = self.bytes_per_second else { return };
        let takes = Duration::from_secs_f64(bytes as f64 / rate.get() as f64);
        let free_at = self.free_at(way);
        *free_at = Some(free_at.map_or(now, |free_at| free_at.max(now)) + takes);
    }

    fn free_at(&mut self, way: Way) -> &mut Option<Instant> {
        match way {
            Way::In => &mut self.inward_free_at,
            Way::Out => &mut self.outward_free_at,
        }
    }
}

fn piece(rate: NonZeroU64) -> usize {
    usize::try_from(rate.get() / PIECES_PER_SECOND).unwrap_or(usize::MAX).max(1)
}

/// A stream over the line.
pub(crate) struct Paced<S> {
    stream: S,
    line: Arc<Line>,
    reading: Option<Pin<Box<Sleep>>>,
    writing: Option<Pin<Box<Sleep>>>,
}

impl<S> Paced<S> {
    pub(crate) fn new(stream: S, line: Arc<Line>) -> Paced<S> {
        Paced { stream, line, reading: None, writing: None }
    }

    /// How many bytes may go; `None` is any number.
    fn poll_leave(&mut self, way: Way, context: &mut Context<'_>) -> Poll<Option<usize>> {
        loop {
            let waiting = match way {
                Way::In => &mut self.reading,
                Way::Out => &mut self.writing,
            };
            if let Some(sleep) = waiting {
                ready!(sleep.as_mut().poll(context));
                *waiting = None;
            }
            match self.line.state().leave(way, Instant::now()) {
                Leave::All => return Poll::Ready(None),
                Leave::Bytes(bytes) => return Poll::Ready(Some(bytes)),
                Leave::NotBefore(free_at) => *waiting = Some(Box::pin(sleep_until(free_at))),
            }
        }
    }

    fn went(&self, way: Way, bytes: usize) {
        self.line.state().went(way, bytes, Instant::now());
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(max) = ready!(self.poll_leave(Way::In, context)) else {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        };
        let max = max.min(buffer.remaining());
        let mut piece = ReadBuf::new(buffer.initialize_unfilled_to(max));
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut piece))?;
        let read = piece.filled().len();
        buffer.advance(read);
        self.went(Way::In, read);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Some(max) = ready!(self.poll_leave(Way::Out, context)) else {
            return Pin::new(&mut self.stream).poll_write(context, bytes);
        };
        let piece = &bytes[..bytes.len().min(max)];
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, piece))?;
        self.went(Way::Out, written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_without_a_limit_takes_all() {
        let mut state = State::default();
        let now = Instant::now();
        state.went(Way::In, 1 << 40, now);

        assert_eq!(state.leave(Way::In, now), Leave::All);
    }

    #[test]
    fn what_went_keeps_the_line_busy_that_way_and_not_the_other() {
        let mut state = State { bytes_per_second: NonZeroU64::new(1000), ..State::default() };
        let start = Instant::now();
        let after = |millis| start + Duration::from_millis(millis);

        assert_eq!(state.leave(Way::Out, start), Leave::Bytes(50));
        state.went(Way::Out, 50, start);
        state.went(Way::Out, 50, start);

        assert_eq!(state.leave(Way::Out, start), Leave::NotBefore(after(100)));
        assert_eq!(state.leave(Way::Out, after(100)), Leave::Bytes(50));
        assert_eq!(state.leave(Way::In, start), Leave::Bytes(50));
    }

    #[test]
    fn a_piece_is_never_nothing() {
        let pieces = [1, 19, 40, 1 << 30].map(|rate| piece(NonZeroU64::new(rate).unwrap()));
        assert_eq!(pieces, [1, 1, 2, (1 << 30) / 20]);
    }
}
