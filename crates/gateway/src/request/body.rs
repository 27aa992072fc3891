//! Request bodies, which must arrive at a minimum rate.
//!
//! A slow client must not hold a buffer for ever. But while the gateway waits
//! for S3, the client is not slow. So only that time counts in which the gateway
//! waits for bytes of the client.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use bytes::Bytes;
use futures::Stream;
use s3up_core::Stopwatch;
use tokio::time::Sleep;
use tokio_util::io::StreamReader;

use crate::clock::CLOCK;
use crate::refusal::body::BodyFailure;

/// Marks a response that begins before its request body was read. The handler reads on while it
/// answers. If it does not read to the end, the connection closes after the response.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadWhileAnswering;

/// Total time of waiting for a client in which [`RATE_BYTES_MIN`] must arrive.
const RATE_WINDOW: Duration = Duration::from_secs(30);
/// Minimum number of bytes per [`RATE_WINDOW`], which makes 1 KiB/s.
const RATE_BYTES_MIN: u64 = 30 << 10;

/// A body as the store and the temporary files read it.
pub(crate) type BodyReader = StreamReader<MinRateStream<BodyDataStream>, Bytes>;

/// Returns the bytes of a body, or [`BodyFailure::TooSlow`].
pub(crate) fn reader(body: Body) -> BodyReader {
    StreamReader::new(stream(body))
}

/// Returns the bytes of a body, or [`BodyFailure::TooSlow`].
pub(crate) fn stream(body: Body) -> MinRateStream<BodyDataStream> {
    MinRateStream { inner: body.into_data_stream(), allowance: WaitAllowance::new(), waiting: None }
}

/// A stream that fails if its bytes arrive below the minimum rate.
pub(crate) struct MinRateStream<S> {
    inner: S,
    allowance: WaitAllowance,
    /// The wait for the next bytes, and the timer that ends it.
    waiting: Option<(Stopwatch, Pin<Box<Sleep>>)>,
}

/// Time for which the gateway may still wait for a client. Pure.
#[derive(Debug)]
struct WaitAllowance {
    left: Duration,
    /// Bytes that arrived since the allowance was last renewed.
    bytes: u64,
}

impl WaitAllowance {
    fn new() -> WaitAllowance {
        WaitAllowance { left: RATE_WINDOW, bytes: 0 }
    }

    /// Records that `bytes` arrived after a wait. Enough bytes renew the
    /// allowance.
    fn record(&mut self, bytes: u64, waited: Duration) {
        self.left = self.left.saturating_sub(waited);
        self.bytes += bytes;
        if self.bytes >= RATE_BYTES_MIN {
            *self = WaitAllowance::new();
        }
    }
}

impl<S, E> Stream for MinRateStream<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: fmt::Display,
{
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        match Pin::new(&mut this.inner).poll_next(cx) {
            Poll::Ready(item) => {
                let waited = this.waiting.take().map(|(began, _)| began.elapsed());
                let item = item.map(|item| match item {
                    Ok(bytes) => {
                        this.allowance.record(bytes.len() as u64, waited.unwrap_or_default());
                        Ok(bytes)
                    }
                    Err(err) => Err(BodyFailure::Interrupted(err.to_string()).into()),
                });
                Poll::Ready(item)
            }
            Poll::Pending => {
                let left = this.allowance.left;
                let (_, timer) = this
                    .waiting
                    .get_or_insert_with(|| (CLOCK.start(), Box::pin(tokio::time::sleep(left))));
                ready!(timer.as_mut().poll(cx));
                let too_slow =
                    BodyFailure::TooSlow { bytes_min: RATE_BYTES_MIN, window: RATE_WINDOW };
                Poll::Ready(Some(Err(too_slow.into())))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::{StreamExt, stream};

    use super::*;

    /// Reads a body that sends `bytes` after each `pause`, for `times` pauses. Returns the number of
    /// bytes, or the error.
    async fn read(bytes: usize, pause: Duration, times: usize) -> Result<usize, String> {
        let pieces = stream::iter(0..times).then(move |_| async move {
            tokio::time::sleep(pause).await;
            Ok::<_, io::Error>(Bytes::from(vec![0; bytes]))
        });
        let mut body = MinRateStream {
            inner: Box::pin(pieces),
            allowance: WaitAllowance::new(),
            waiting: None,
        };
        let mut count = 0;
        while let Some(piece) = body.next().await {
            count += piece.map_err(|err| err.to_string())?.len();
        }
        Ok(count)
    }

    // The clock of these tests is virtual: nothing waits.
    #[tokio::test(start_paused = true)]
    async fn a_body_that_arrives_too_slowly_ends_with_an_error() {
        let seconds = Duration::from_secs;
        #[rustfmt::skip]
        let cases = [
            // bytes   pause        result
            (1024,     seconds(1),  Ok(100 << 10)),
            (30 << 10, seconds(29), Ok(3000 << 10)),
            (1000,     seconds(1),  Err(())),
            (1,        seconds(5),  Err(())),
            (1 << 20,  seconds(31), Err(())),
        ];
        for (bytes, pause, want) in cases {
            let found = read(bytes, pause, 100).await;
            assert_eq!(found.clone().map_err(drop), want, "{bytes} {pause:?}: {found:?}");
            if let Err(err) = found {
                assert_eq!(err, "expected at least 30720 bytes of the body within 30 s");
            }
        }
    }

    #[test]
    fn only_time_spent_waiting_for_the_client_counts() {
        let seconds = Duration::from_secs;
        let mut allowance = WaitAllowance::new();

        allowance.record(1, seconds(10));
        assert_eq!(allowance.left, seconds(20));
        allowance.record(1, Duration::ZERO);
        assert_eq!(allowance.left, seconds(20));
        allowance.record(1, seconds(25));
        assert_eq!(allowance.left, Duration::ZERO);
        allowance.record(RATE_BYTES_MIN, Duration::ZERO);
        assert_eq!((allowance.left, allowance.bytes), (RATE_WINDOW, 0));
    }
}
