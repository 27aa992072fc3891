//! The time limit of a transfer: it may take long, and it may not stand still.
//!
//! A limit on the whole request would break big files on slow lines. A limit on
//! reads would break uploads, which read nothing for hours. So the limit starts
//! again with each piece that the connection takes from the body.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::future::ready;
use futures::{Stream, StreamExt, stream};
use tokio::time::Instant;

use super::error::GatewayError;
use crate::clock;

/// Size of a piece. A slow line moves one of them within the time limit.
pub(super) const PIECE_BYTES: usize = 256 * 1024;

#[derive(Clone, Debug)]
pub(super) struct IdleTimer {
    start: Instant,
    progressed_ms: Arc<AtomicU64>,
}

impl IdleTimer {
    pub(super) fn start() -> IdleTimer {
        IdleTimer { start: clock::timer_now(), progressed_ms: Arc::default() }
    }

    pub(super) fn note_progress(&self) {
        let elapsed = clock::timer_now().saturating_duration_since(self.start);
        let elapsed = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        self.progressed_ms.store(elapsed, Ordering::Relaxed);
    }

    /// Runs `request`, and stops it once it makes no progress for `idle`.
    pub(super) async fn run<T>(
        &self,
        idle: Duration,
        request: impl Future<Output = reqwest::Result<T>>,
    ) -> Result<T, GatewayError> {
        let mut request = pin!(request);
        while let Some(rest) = self.rest(idle, clock::timer_now()) {
            tokio::select! {
                response = &mut request => return response.map_err(GatewayError::unreachable),
                () = tokio::time::sleep(rest) => {}
            }
        }
        Err(GatewayError::Stalled(idle))
    }

    /// Returns the time that is left at `now`; `None` if it is over.
    fn rest(&self, idle: Duration, now: Instant) -> Option<Duration> {
        let progressed_at =
            self.start + Duration::from_millis(self.progressed_ms.load(Ordering::Relaxed));
        let rest = idle.checked_sub(now.saturating_duration_since(progressed_at))?;
        (rest > Duration::ZERO).then_some(rest)
    }
}

/// Splits `body` into pieces that share its memory.
pub(super) fn pieces(body: Bytes) -> impl Stream<Item = std::io::Result<Bytes>> {
    stream::unfold(body, |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        let piece = rest.split_to(PIECE_BYTES.min(rest.len()));
        Some((Ok(piece), rest))
    })
}

/// Returns the stream `body`, which yields nothing before `delay` is over.
pub(super) fn delayed<S: Stream>(body: S, delay: Duration) -> impl Stream<Item = S::Item> {
    stream::once(tokio::time::sleep(delay)).map(|()| None).chain(body.map(Some)).filter_map(ready)
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;
    use std::future::pending;

    use super::*;

    #[tokio::test]
    async fn pieces_add_up_to_the_body() {
        for len in [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 5 * PIECE_BYTES] {
            let body: Vec<u8> = (0..=250).cycle().take(len).collect();
            let cut: Vec<Bytes> = pieces(Bytes::from(body.clone())).try_collect().await.unwrap();
            assert_eq!(cut.concat(), body);
            assert!(cut.iter().all(|piece| !piece.is_empty() && piece.len() <= PIECE_BYTES));
        }
    }

    #[test]
    fn the_time_limit_starts_again_with_each_piece() {
        let timer = IdleTimer::start();
        let at = |seconds| timer.start + Duration::from_secs(seconds);
        #[rustfmt::skip]
        let cases = [
            // progress at  now  time left
            (0,          0,         Some(90)),
            (0,          60,        Some(30)),
            (60,         60,        Some(90)),
            (3600,       3689,      Some(1)),
            (3600,       3690,      None),
            (0,          3690,      None),
        ];
        for (progress, now, want) in cases {
            timer.progressed_ms.store(progress * 1000, Ordering::Relaxed);
            let rest = timer.rest(Duration::from_secs(90), at(now));
            assert_eq!(rest, want.map(Duration::from_secs), "progress at {progress}, now {now}");
        }
    }

    #[tokio::test]
    async fn a_transfer_without_progress_is_stopped() {
        let result = IdleTimer::start().run::<()>(Duration::from_millis(1), pending()).await;
        assert!(matches!(result, Err(GatewayError::Stalled(_))));
    }
}
