//! Sends a body no faster than the bandwidth limit.
//!
//! The SDK hashes a whole body in memory for its signature. So we replace the body
//! with one that yields slices only after the request was signed. The duration of
//! such a call depends on all transfers that share the limit, so its time limit
//! applies to a standstill instead.

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

use crate::transport::bandwidth::BandwidthLimit;
use crate::transport::connect::Store;

/// Bytes that may still be in socket buffers after the body was handed over.
const SOCKET_BYTES_MAX: u64 = 4 << 20;

/// Replaces the body of one call.
#[derive(Clone, Debug)]
pub(crate) struct Pacer {
    bytes: Bytes,
    limit: BandwidthLimit,
    slices_sent: Arc<AtomicU64>,
}

impl Store {
    /// Returns `None` if uploads are not limited.
    pub(crate) fn pacer(&self, bytes: &Bytes) -> Option<Pacer> {
        let limit = self.upload_limit.clone();
        limit.is_limited().then(|| Pacer {
            bytes: bytes.clone(),
            limit,
            slices_sent: Arc::default(),
        })
    }

    /// Returns how long a call with a body of `len` bytes may take, or stand still
    /// if it is paced.
    pub(crate) fn stall_limit(&self, len: u64, pacer: Option<&Pacer>) -> Duration {
        let timeouts = &self.settings.timeouts;
        timeouts.limit(if pacer.is_some() { len.min(SOCKET_BYTES_MAX) } else { len })
    }
}

impl Pacer {
    /// Waits for `call` as long as slices are sent; returns `None` once it stood
    /// still for `limit`.
    pub(crate) async fn while_progressing<T>(
        &self,
        limit: Duration,
        call: impl Future<Output = T>,
    ) -> Option<T> {
        tokio::pin!(call);
        loop {
            let before = self.slices_sent.load(Ordering::Relaxed);
            match tokio::time::timeout(limit, &mut call).await {
                Ok(done) => return Some(done),
                Err(_) if self.slices_sent.load(Ordering::Relaxed) == before => return None,
                Err(_) => {}
            }
        }
    }
}

impl Intercept for Pacer {
    fn name(&self) -> &'static str {
        "Pacer"
    }

    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let paced = PacedBody { pacer: self.clone(), rest: self.bytes.clone(), waiting: None };
        *context.request_mut().body_mut() = SdkBody::from_body_1_x(paced);
        Ok(())
    }
}

struct PacedBody {
    pacer: Pacer,
    rest: Bytes,
    /// The wait for the next slice, and the length of that slice.
    waiting: Option<(Pin<Box<Sleep>>, usize)>,
}

impl Body for PacedBody {
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
        let limit = &this.pacer.limit;
        let (wait, len) = this.waiting.get_or_insert_with(|| {
            let len = limit.slice_bytes().min(this.rest.len() as u64);
            (Box::pin(tokio::time::sleep(limit.take(len))), len as usize)
        });
        ready!(wait.as_mut().poll(context));
        let slice = this.rest.split_to(*len);
        this.waiting = None;
        this.pacer.slices_sent.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(slice))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}
