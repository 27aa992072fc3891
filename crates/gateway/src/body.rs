//! A request body as a reader, with its pace watched.
//!
//! A client that sends too slowly must not hold a buffer for ever; but a client
//! that waits for *us* is not slow. So only the time is counted in which we
//! wanted bytes and none were there.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures::Stream;
use tokio::time::{Instant, Sleep};
use tokio_util::io::StreamReader;

/// Within this much waiting …
const PACE_WAIT: Duration = Duration::from_secs(30);
/// … at least this much must arrive (1 KiB/s).
const PACE_BYTES: u64 = 30 << 10;

/// Why a body could not be read; travels inside an [`io::Error`].
#[derive(Debug)]
pub(crate) enum BodyError {
    TooSlow,
    Form(String),
    Broken(String),
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BodyError::TooSlow => {
                write!(f, "under {PACE_BYTES} bytes came in {} s", PACE_WAIT.as_secs())
            }
            BodyError::Form(what) | BodyError::Broken(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for BodyError {}

impl From<BodyError> for io::Error {
    fn from(err: BodyError) -> io::Error {
        io::Error::other(err)
    }
}

/// How much waiting a sender has left: pure bookkeeping.
#[derive(Debug)]
struct Pace {
    allowance: Duration,
    bytes: u64,
}

impl Pace {
    fn new() -> Pace {
        Pace { allowance: PACE_WAIT, bytes: 0 }
    }

    /// Bytes came after `waited`.
    fn came(&mut self, bytes: u64, waited: Duration) {
        self.allowance = self.allowance.saturating_sub(waited);
        self.bytes += bytes;
        if self.bytes >= PACE_BYTES {
            *self = Pace::new();
        }
    }
}

/// The bytes of a body, or [`BodyError::TooSlow`].
pub(crate) struct Paced<S> {
    inner: S,
    pace: Pace,
    /// Since when we wait, and when that ends.
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

/// A body that store and spool can read.
pub(crate) type BodyReader = StreamReader<Paced<axum::body::BodyDataStream>, Bytes>;

pub(crate) fn reader(body: Body) -> BodyReader {
    StreamReader::new(paced(body))
}

pub(crate) fn paced(body: Body) -> Paced<axum::body::BodyDataStream> {
    Paced { inner: body.into_data_stream(), pace: Pace::new(), waiting: None }
}

impl<S, E> Stream for Paced<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: fmt::Display,
{
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        match Pin::new(&mut this.inner).poll_next(cx) {
            Poll::Ready(item) => {
                let waited = this.waiting.take().map(|(since, _)| since.elapsed());
                let item = item.map(|item| match item {
                    Ok(bytes) => {
                        this.pace.came(bytes.len() as u64, waited.unwrap_or_default());
                        Ok(bytes)
                    }
                    Err(err) => Err(BodyError::Broken(err.to_string()).into()),
                });
                Poll::Ready(item)
            }
            Poll::Pending => {
                let allowance = this.pace.allowance;
                let (_, sleep) = this.waiting.get_or_insert_with(|| {
                    (Instant::now(), Box::pin(tokio::time::sleep(allowance)))
                });
                ready!(sleep.as_mut().poll(cx));
                Poll::Ready(Some(Err(BodyError::TooSlow.into())))
            }
        }
    }
}

/// An answer to an unread body would be lost with the connection, so a little
/// of the body is read first.
pub(crate) const DRAIN_BYTES_MAX: u64 = 1 << 20;
pub(crate) const DRAIN_WAIT_MAX: Duration = Duration::from_secs(2);

/// Reads on, up to [`DRAIN_BYTES_MAX`], so that a refusal reaches a client that
/// is still sending. Not for a client that waits for `100 Continue`.
pub(crate) async fn drain<R: tokio::io::AsyncRead + Unpin>(body: R) {
    let mut sink = tokio::io::sink();
    let mut some = tokio::io::AsyncReadExt::take(body, DRAIN_BYTES_MAX);
    let copy = tokio::io::copy(&mut some, &mut sink);
    if let Ok(Err(err)) = tokio::time::timeout(DRAIN_WAIT_MAX, copy).await {
        tracing::debug!(event = "drain_broke_off", "{err}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_waiting_for_the_client_counts() {
        let seconds = Duration::from_secs;
        let mut pace = Pace::new();

        pace.came(1, seconds(10));
        assert_eq!(pace.allowance, seconds(20));
        pace.came(1, Duration::ZERO);
        assert_eq!(pace.allowance, seconds(20));
        pace.came(1, seconds(25));
        assert_eq!(pace.allowance, Duration::ZERO);
        pace.came(PACE_BYTES, Duration::ZERO);
        assert_eq!((pace.allowance, pace.bytes), (PACE_WAIT, 0));
    }
}
