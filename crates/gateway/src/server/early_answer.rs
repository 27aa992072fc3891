//! Answers that come before the whole request body was read.
//!
//! The rest of a short body is read, so that the connection can be used again.
//! Otherwise the response announces that the connection closes, and
//! [`super::lingering`] reads on after it.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};

use super::lingering::UnreadBytes;
use crate::request::body::ReadWhileAnswering;
use crate::request::headers;

/// Longest rest of a body that is read before the response: sending it takes less
/// time than a new connection with TLS.
const REST_BYTES_MAX: u64 = 256 << 10;
/// Maximum time for that rest: at 128 KiB/s it arrives whole; a slower client gets the response first.
const REST_WAIT_MAX: Duration = Duration::from_secs(2);

/// Runs the handler. Then reads the rest of the request body, or closes the
/// connection after the response.
pub(super) async fn answer(unread: UnreadBytes, request: Request, next: Next) -> Response {
    let waits_for_continue = headers::expects_continue(request.headers());
    let returned = UnreadBody::default();
    let lend = |body| {
        let (returned, unread) = (returned.clone(), unread.clone());
        Body::new(LentBody { body, is_read_to_end: false, returned, unread })
    };
    let mut response = next.run(request.map(lend)).await;
    if response.extensions().get::<ReadWhileAnswering>().is_some() {
        return response;
    }
    let is_read = match returned.take() {
        // A chunked body tells its end only once, so it is not asked again.
        Some((_, true)) => true,
        Some((body, false)) => read_rest(body, waits_for_continue).await,
        None => false,
    };
    unread.set(!is_read);
    if !is_read {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Returns true if nothing of `body` is left. A client that waits for `100
/// Continue` has sent nothing, and would only begin if the body were read.
async fn read_rest(mut body: Body, waits_for_continue: bool) -> bool {
    if body.is_end_stream() {
        return true;
    }
    let is_short = body.size_hint().upper().is_some_and(|bytes| bytes <= REST_BYTES_MAX);
    if waits_for_continue || !is_short {
        return false;
    }
    let rest = async {
        while let Some(frame) = body.frame().await {
            if frame.is_err() {
                return false;
            }
        }
        true
    };
    tokio::time::timeout(REST_WAIT_MAX, rest).await.unwrap_or(false)
}

/// The place to which a handler's body returns when the handler drops it, with
/// whether it was read to its end.
#[derive(Clone, Default)]
struct UnreadBody(Arc<Mutex<Option<(Body, bool)>>>);

impl UnreadBody {
    fn take(&self) -> Option<(Body, bool)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A request body as the handler sees it.
struct LentBody {
    body: Body,
    is_read_to_end: bool,
    returned: UnreadBody,
    unread: UnreadBytes,
}

impl Drop for LentBody {
    fn drop(&mut self) {
        // `answer` may have ended before.
        self.unread.set(!self.is_read_to_end);
        let body = std::mem::take(&mut self.body);
        let returned = Some((body, self.is_read_to_end));
        *self.returned.0.lock().unwrap_or_else(PoisonError::into_inner) = returned;
    }
}

impl HttpBody for LentBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        self.is_read_to_end |= matches!(polled, Poll::Ready(None));
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
