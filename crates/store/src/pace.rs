//! A body that is sent no faster than the line allows.
//!
//! The SDK hashes a body for its signature while it is in memory as a whole, so
//! it is exchanged for one that comes in slices only after the request was
//! signed. How long such a call takes depends on all others that share the
//! line; so its time limit is one for standing still.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use aws_sdk_s3::config::interceptors::BeforeTransmitInterceptorContextMut;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::primitives::SdkBody;
use aws_smithy_runtime_api::box_error::BoxError;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

use crate::bandwidth::Line;
use crate::connect::Store;

/// What the buffers of a socket may still hold when a body was handed over.
const SOCKET_BYTES_MAX: u64 = 4 << 20;

/// Exchanges the body of one call.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    bytes: Bytes,
    line: Line,
    slices: Arc<AtomicU64>,
}

impl Store {
    /// `None` where bodies go as fast as they can.
    pub(crate) fn pace(&self, bytes: &Bytes) -> Option<Pace> {
        let line = self.uploads.clone();
        line.is_limited().then(|| Pace { bytes: bytes.clone(), line, slices: Arc::default() })
    }

    /// How long a call with a body of so many bytes may stand still.
    pub(crate) fn limit_of(&self, len: u64, pace: Option<&Pace>) -> Duration {
        let patience = &self.settings.patience;
        patience.limit(if pace.is_some() { len.min(SOCKET_BYTES_MAX) } else { len })
    }
}

impl Pace {
    /// Waits for `call` as long as slices go out; `None` where it stood still.
    pub(crate) async fn while_it_moves<T>(
        &self,
        limit: Duration,
        call: impl Future<Output = T>,
    ) -> Option<T> {
        tokio::pin!(call);
        loop {
            let before = self.slices.load(Ordering::Relaxed);
            match tokio::time::timeout(limit, &mut call).await {
                Ok(done) => return Some(done),
                Err(_) if self.slices.load(Ordering::Relaxed) == before => return None,
                Err(_) => {}
            }
        }
    }
}

impl Intercept for Pace {
    fn name(&self) -> &'static str {
        "Pace"
    }

    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let paced = Paced { pace: self.clone(), rest: self.bytes.clone(), waiting: None };
        *context.request_mut().body_mut() = SdkBody::from_body_1_x(paced);
        Ok(())
    }
}

struct Paced {
    pace: Pace,
    rest: Bytes,
    /// For the next slice, and its length.
    waiting: Option<(Pin<Box<Sleep>>, usize)>,
}

impl Body for Paced {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        if this.rest.is_empty() {
            return Poll::Ready(None);
        }
        let line = &this.pace.line;
        let (wait, len) = this.waiting.get_or_insert_with(|| {
            let len = line.slice_bytes().min(this.rest.len() as u64);
            (Box::pin(tokio::time::sleep(line.take(len))), len as usize)
        });
        ready!(wait.as_mut().poll(context));
        let slice = this.rest.split_to(*len);
        this.waiting = None;
        this.pace.slices.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(slice))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}
