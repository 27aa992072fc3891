//! Whether a transfer moves.
//!
//! A limit on the whole would break big files on slow lines, and a limit on
//! reads would break uploads, in which nothing is read for hours. So each
//! piece that is taken from the body counts as movement.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::ready;
use futures::{Stream, StreamExt, stream};
use reqwest::Response;

use super::error::GatewayError;

/// Small enough that a slow line moves one within the time limit.
pub(super) const PIECE_BYTES: usize = 256 * 1024;

#[derive(Clone, Debug)]
pub(super) struct Progress {
    start: Instant,
    moved_ms: Arc<AtomicU64>,
}

impl Progress {
    pub(super) fn start() -> Progress {
        Progress { start: Instant::now(), moved_ms: Arc::default() }
    }

    pub(super) fn moved(&self) {
        let elapsed = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.moved_ms.store(elapsed, Ordering::Relaxed);
    }

    /// Runs `request`, for as long as it moves.
    pub(super) async fn watch(
        &self,
        idle: Duration,
        request: impl Future<Output = reqwest::Result<Response>>,
    ) -> Result<Response, GatewayError> {
        let mut request = pin!(request);
        while let Some(rest) = self.rest(idle, Instant::now()) {
            tokio::select! {
                response = &mut request => return response.map_err(GatewayError::unreachable),
                () = tokio::time::sleep(rest) => {}
            }
        }
        Err(GatewayError::Stalled)
    }

    /// How long nothing may move from `now` on; `None` where nothing has moved
    /// for too long.
    fn rest(&self, idle: Duration, now: Instant) -> Option<Duration> {
        let moved_at = self.start + Duration::from_millis(self.moved_ms.load(Ordering::Relaxed));
        let rest = idle.checked_sub(now.saturating_duration_since(moved_at))?;
        (rest > Duration::ZERO).then_some(rest)
    }
}

/// The bytes, in pieces that share their memory.
pub(super) fn pieces(body: Bytes) -> impl Stream<Item = std::io::Result<Bytes>> {
    stream::unfold(body, |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        let piece = rest.split_to(PIECE_BYTES.min(rest.len()));
        Some((Ok(piece), rest))
    })
}

/// The same stream, from a moment later on.
pub(super) fn held_back<S: Stream>(body: S, hold: Duration) -> impl Stream<Item = S::Item> {
    stream::once(tokio::time::sleep(hold)).map(|()| None).chain(body.map(Some)).filter_map(ready)
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;
    use std::future::pending;

    use super::*;

    #[tokio::test]
    async fn pieces_are_the_whole_body() {
        for len in [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 5 * PIECE_BYTES] {
            let body: Vec<u8> = (0..=250).cycle().take(len).collect();
            let cut: Vec<Bytes> = pieces(Bytes::from(body.clone())).try_collect().await.unwrap();
            assert_eq!(cut.concat(), body);
            assert!(cut.iter().all(|piece| !piece.is_empty() && piece.len() <= PIECE_BYTES));
        }
    }

    #[test]
    fn a_transfer_lives_for_as_long_as_it_moves() {
        let progress = Progress::start();
        let at = |seconds| progress.start + Duration::from_secs(seconds);
        #[rustfmt::skip]
        let cases = [
            // moved at  looked at  rest
            (0,          0,         Some(90)),
            (0,          60,        Some(30)),
            (60,         60,        Some(90)),
            (3600,       3689,      Some(1)),
            (3600,       3690,      None),
            (0,          3690,      None),
        ];
        for (moved, now, want) in cases {
            progress.moved_ms.store(moved * 1000, Ordering::Relaxed);
            let rest = progress.rest(Duration::from_secs(90), at(now));
            assert_eq!(rest, want.map(Duration::from_secs), "moved at {moved}, now {now}");
        }
    }

    #[tokio::test]
    async fn a_transfer_that_does_not_move_is_given_up() {
        let gave_up = Progress::start().watch(Duration::from_millis(1), pending()).await;
        assert!(matches!(gave_up, Err(GatewayError::Stalled)));
    }
}
