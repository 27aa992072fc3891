//! A bandwidth limit for each direction, shared by all connections.
//!
//! A stream asks how many bytes it may move, moves at most that many, and records
//! how many it moved. The direction then counts as busy for the time that these
//! bytes take, and other streams wait. Pieces are small, so that all connections
//! make progress.

use std::io;
use std::num::NonZeroU64;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::clock;

/// A piece is the number of bytes that pass in a twentieth of a second.
const PIECES_PER_SECOND: u64 = 20;

#[derive(Default)]
pub(crate) struct SharedBandwidth(Mutex<State>);

#[derive(Default)]
struct State {
    bytes_per_second: Option<NonZeroU64>,
    /// Time at which the bytes recorded for each direction have passed.
    inward_free_at: Option<Instant>,
    outward_free_at: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
enum Direction {
    In,
    Out,
}

#[derive(Debug, PartialEq, Eq)]
enum Permit {
    Unlimited,
    Bytes(usize),
    NotBefore(Instant),
}

impl SharedBandwidth {
    pub(crate) fn set(&self, bytes_per_second: Option<NonZeroU64>) {
        *self.state() = State { bytes_per_second, ..State::default() };
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no holder of this lock panics")
    }
}

impl State {
    fn permit(&mut self, direction: Direction, now: Instant) -> Permit {
        let Some(rate) = self.bytes_per_second else { return Permit::Unlimited };
        match *self.free_at(direction) {
            Some(free_at) if now < free_at => Permit::NotBefore(free_at),
            Some(_) | None => Permit::Bytes(piece_bytes(rate)),
        }
    }

    fn record(&mut self, direction: Direction, bytes: usize, now: Instant) {
        let Some(rate) = self.bytes_per_second else { return };
        let duration = Duration::from_secs_f64(bytes as f64 / rate.get() as f64);
        let free_at = self.free_at(direction);
        *free_at = Some(free_at.map_or(now, |free_at| free_at.max(now)) + duration);
    }

    fn free_at(&mut self, direction: Direction) -> &mut Option<Instant> {
        match direction {
            Direction::In => &mut self.inward_free_at,
            Direction::Out => &mut self.outward_free_at,
        }
    }
}

fn piece_bytes(rate: NonZeroU64) -> usize {
    usize::try_from(rate.get() / PIECES_PER_SECOND).unwrap_or(usize::MAX).max(1)
}

/// A stream whose bytes count towards the limit.
pub(crate) struct LimitedStream<S> {
    stream: S,
    bandwidth: Arc<SharedBandwidth>,
    reading: Option<Pin<Box<Sleep>>>,
    writing: Option<Pin<Box<Sleep>>>,
}

impl<S> LimitedStream<S> {
    pub(crate) fn new(stream: S, bandwidth: Arc<SharedBandwidth>) -> LimitedStream<S> {
        LimitedStream { stream, bandwidth, reading: None, writing: None }
    }

    /// Waits until bytes may be moved and returns how many; `None` is any number.
    fn poll_permit(
        &mut self,
        direction: Direction,
        context: &mut Context<'_>,
    ) -> Poll<Option<usize>> {
        loop {
            let waiting = match direction {
                Direction::In => &mut self.reading,
                Direction::Out => &mut self.writing,
            };
            if let Some(sleep) = waiting {
                ready!(sleep.as_mut().poll(context));
                *waiting = None;
            }
            match self.bandwidth.state().permit(direction, clock::instant()) {
                Permit::Unlimited => return Poll::Ready(None),
                Permit::Bytes(bytes) => return Poll::Ready(Some(bytes)),
                Permit::NotBefore(free_at) => *waiting = Some(Box::pin(sleep_until(free_at))),
            }
        }
    }

    fn record(&self, direction: Direction, bytes: usize) {
        self.bandwidth.state().record(direction, bytes, clock::instant());
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for LimitedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(max) = ready!(self.poll_permit(Direction::In, context)) else {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        };
        let max = max.min(buffer.remaining());
        let mut piece = ReadBuf::new(buffer.initialize_unfilled_to(max));
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut piece))?;
        let read = piece.filled().len();
        buffer.advance(read);
        self.record(Direction::In, read);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for LimitedStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Some(max) = ready!(self.poll_permit(Direction::Out, context)) else {
            return Pin::new(&mut self.stream).poll_write(context, bytes);
        };
        let piece = &bytes[..bytes.len().min(max)];
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, piece))?;
        self.record(Direction::Out, written);
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
    fn without_a_limit_any_number_of_bytes_may_be_moved() {
        let mut state = State::default();
        let now = clock::instant();
        state.record(Direction::In, 1 << 40, now);

        assert_eq!(state.permit(Direction::In, now), Permit::Unlimited);
    }

    #[test]
    fn recorded_bytes_make_only_their_own_direction_busy() {
        let mut state = State { bytes_per_second: NonZeroU64::new(1000), ..State::default() };
        let start = clock::instant();
        let after = |millis| start + Duration::from_millis(millis);

        assert_eq!(state.permit(Direction::Out, start), Permit::Bytes(50));
        state.record(Direction::Out, 50, start);
        state.record(Direction::Out, 50, start);

        assert_eq!(state.permit(Direction::Out, start), Permit::NotBefore(after(100)));
        assert_eq!(state.permit(Direction::Out, after(100)), Permit::Bytes(50));
        assert_eq!(state.permit(Direction::In, start), Permit::Bytes(50));
    }

    #[test]
    fn a_piece_has_at_least_one_byte() {
        let pieces = [1, 19, 40, 1 << 30].map(|rate| piece_bytes(NonZeroU64::new(rate).unwrap()));
        assert_eq!(pieces, [1, 1, 2, (1 << 30) / 20]);
    }
}
