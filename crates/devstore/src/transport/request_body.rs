//! The body of a request.
//!
//! A call that is refused early does not read its body. If the connection were
//! closed then, the client would see a broken pipe, but S3 lets it read the
//! refusal. So the unread rest of a body is returned when the call drops it, and
//! is then read and discarded. An injected fault may cut the body short.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use s3s::StdError;

use crate::faults::call_context::CallContext;

/// The connection of a client that sends more than this to a refused call is
/// closed.
const DRAIN_BYTES_MAX: u64 = 1 << 30;

/// Receives the rest of a body when its call is done.
#[derive(Clone, Default)]
pub(crate) struct UnreadBody(Arc<Mutex<Option<Incoming>>>);

pub(crate) struct RequestBody {
    body: Option<Incoming>,
    was_read: bool,
    /// The client waits for `100 Continue`. If the call never reads the body, it
    /// will not arrive.
    waits_for_continue: bool,
    unread: UnreadBody,
    call: CallContext,
    received_bytes: u64,
}

impl UnreadBody {
    pub(crate) fn wrap(
        &self,
        body: Incoming,
        waits_for_continue: bool,
        call: CallContext,
    ) -> RequestBody {
        let (body, unread) = (Some(body), self.clone());
        RequestBody { body, was_read: false, waits_for_continue, unread, call, received_bytes: 0 }
    }

    /// Reads and discards the rest of the body.
    pub(crate) async fn drain(&self) {
        let Some(mut body) = self.slot().take() else { return };
        let mut drained = 0;
        while let Some(Ok(frame)) = body.frame().await {
            drained += frame.data_ref().map_or(0, |data| data.len() as u64);
            if drained > DRAIN_BYTES_MAX {
                return;
            }
        }
    }

    fn slot(&self) -> MutexGuard<'_, Option<Incoming>> {
        self.0.lock().expect("no holder of this lock panics")
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if self.was_read || !self.waits_for_continue {
            *self.unread.slot() = self.body.take();
        }
    }
}

impl RequestBody {
    /// Counts received bytes, and fails if a fault cuts the body here.
    fn record(&mut self, bytes: u64) -> Result<(), StdError> {
        self.received_bytes += bytes;
        match self.call.cut() {
            Some((armed, after_bytes)) if after_bytes < self.received_bytes => {
                armed.fire();
                Err(io::Error::other("injected fault: the body of the request was cut").into())
            }
            Some(_) | None => Ok(()),
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        self.was_read = true;
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(body).poll_frame(context));
        Poll::Ready(frame.map(|frame| {
            let frame = frame?;
            self.record(frame.data_ref().map_or(0, |data| data.len() as u64))?;
            Ok(frame)
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or(SizeHint::with_exact(0), Body::size_hint)
    }
}
