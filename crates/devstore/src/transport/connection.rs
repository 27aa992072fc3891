//! Serves connections, and applies injected faults to their calls.
//!
//! The stages of a call are: the latency, `s3s` (signature, access check, work),
//! the rest of its body, the hold, and the fault of its answer. An error that is
//! returned from here breaks the connection.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use s3s::service::S3Service;
use s3s::{Body, HttpError, S3Error, S3ErrorCode, StdError};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::api::{AnswerStatus, AnswerText};
use crate::control::Control;
use crate::faults::bandwidth::LimitedStream;
use crate::faults::call_context::CallContext;
use crate::faults::registry::ArmedFault;
use crate::faults::{Fault, Faults};
use crate::transport::faulty_body::{BodyFault, FaultyBody};
use crate::transport::flush::{FlushCounter, FlushCountingStream};
use crate::transport::request_body::UnreadBody;

/// Maximum time for a client to send the headers of a request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// Pause after a failed accept. The usual cause is a lack of file descriptors,
/// and an immediate retry would only waste CPU time.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The body of a 200 that reports an error. S3 starts the document early and
/// sends blanks to keep the connection alive while it works.
const ERROR_IN_200: [&str; 3] = [
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n",
    "    \n",
    "<Error><Code>InternalError</Code><Message>We encountered an internal error. Please try \
     again.</Message><RequestId>injected</RequestId></Error>",
];

/// The state that all connections share.
#[derive(Clone)]
pub(crate) struct ConnectionContext {
    pub(crate) service: S3Service,
    pub(crate) control: Control,
    pub(crate) faults: Faults,
}

pub(crate) async fn serve(listener: TcpListener, context: ConnectionContext) {
    // Dropping this task drops the set, and with it every connection.
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                connections.spawn(serve_connection(stream, peer, context.clone()));
            }
            Err(error) => {
                tracing::warn!(event = "accept_failed", %error);
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn serve_connection(stream: TcpStream, peer: SocketAddr, context: ConnectionContext) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(event = "nodelay_not_set", %error);
    }
    let flushes = FlushCounter::default();
    let stream = LimitedStream::new(stream, context.faults.bandwidth());
    let stream = TokioIo::new(FlushCountingStream::new(stream, flushes.clone()));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(
            stream,
            service_fn(move |request| answer(context.clone(), request, peer, flushes.clone())),
        );
    if let Err(error) = connection.await {
        tracing::debug!(event = "connection_ended", %error);
    }
}

async fn answer(
    context: ConnectionContext,
    request: Request<Incoming>,
    peer: SocketAddr,
    flushes: FlushCounter,
) -> Result<Response<Body>, HttpError> {
    match Control::path_of(&request) {
        Some(path) => Ok(context.control.answer(request, &path, peer).await),
        None => answer_call(context, request, flushes).await,
    }
}

/// Executes one S3 call, then applies its hold and the fault of its answer.
async fn answer_call(
    context: ConnectionContext,
    request: Request<Incoming>,
    flushes: FlushCounter,
) -> Result<Response<Body>, HttpError> {
    let latency = context.faults.latency();
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    let (unread, call) = (UnreadBody::default(), CallContext::default());
    let waits_for_continue = request.headers().contains_key(header::EXPECT);
    let mut request =
        request.map(|body| Body::http_body(unread.wrap(body, waits_for_continue, call.clone())));
    request.extensions_mut().insert(call.clone());

    let mut response = context.service.call(request).await?;
    if let Some(AnswerStatus(status)) = response.extensions().get() {
        *response.status_mut() = *status;
    }
    if let Some(text) = response.extensions().get().copied() {
        response = replace(response, text).await?;
    }

    if call.cut().is_some_and(|(armed, _)| armed.has_fired()) {
        return Err(broken("injected fault: the body of the request was cut"));
    }
    unread.drain().await;
    let Some(faults) = call.take() else { return Ok(response) };
    if faults.wait_for_release().await {
        return Err(broken("injected fault: the answer was held back"));
    }
    match faults.armed.clone() {
        None => Ok(response),
        Some(armed) => apply_after_work(response, armed, flushes),
    }
}

/// Applies a fault that takes effect after the work.
fn apply_after_work(
    response: Response<Body>,
    armed: ArmedFault,
    flushes: FlushCounter,
) -> Result<Response<Body>, HttpError> {
    let body_fault = match armed.fault {
        Fault::LoseAnswer => {
            armed.fire();
            return Err(broken("injected fault: the answer was lost"));
        }
        Fault::LateInternalError => {
            armed.fire();
            return internal_error();
        }
        Fault::ErrorIn200 | Fault::LateErrorIn200 => {
            armed.fire();
            return Ok(error_in_200());
        }
        Fault::CutBody { after_bytes } => BodyFault::Cut { after_bytes },
        Fault::FlipByte { offset } => BodyFault::Flip { offset },
        Fault::InternalError
        | Fault::AccessDenied
        | Fault::SlowDown { .. }
        | Fault::Stall
        | Fault::CutUpload { .. } => {
            return Ok(response);
        }
    };
    Ok(response
        .map(|body| Body::http_body_unsync(FaultyBody::new(body, body_fault, armed, flushes))))
}

/// Replaces a text in the body of an answer, which is a short document.
async fn replace(response: Response<Body>, text: AnswerText) -> Result<Response<Body>, HttpError> {
    let (mut head, body) = response.into_parts();
    let body = body.collect().await.map_err(HttpError::new)?.to_bytes();
    let body = String::from_utf8_lossy(&body).replace(text.from, text.to);
    head.headers.remove(header::CONTENT_LENGTH);
    Ok(Response::from_parts(head, Body::from(body)))
}

fn internal_error() -> Result<Response<Body>, HttpError> {
    let mut refusal = S3Error::with_message(S3ErrorCode::InternalError, "injected fault");
    refusal.set_status_code(StatusCode::INTERNAL_SERVER_ERROR);
    refusal.to_http_response().map_err(|e| HttpError::new(Box::new(e)))
}

fn error_in_200() -> Response<Body> {
    let frames = ERROR_IN_200.map(|text| Ok::<_, StdError>(Frame::data(Bytes::from(text))));
    let mut response = Response::new(Body::http_body(StreamBody::new(stream::iter(frames))));
    let xml = HeaderValue::from_static("application/xml");
    response.headers_mut().insert(header::CONTENT_TYPE, xml);
    response
}

fn broken(why: &'static str) -> HttpError {
    HttpError::new(io::Error::other(why).into())
}
