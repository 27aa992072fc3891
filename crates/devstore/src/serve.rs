//! Serves each connection, and lets what was injected befall its calls.
//!
//! A call passes: the latency, `s3s` (signature, then the gate, then the work),
//! the rest of its body, the hold, the fault of its answer. An error from here
//! breaks the connection.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::StreamBody;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use s3s::service::S3Service;
use s3s::{Body, HttpError, S3Error, S3ErrorCode, StdError};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::api::StatusOfAnswer;
use crate::body::{Damage, Damaged, Leftover};
use crate::control::Control;
use crate::faults::{Cue, Fault, Faults};
use crate::flush::{Flushes, Noted};
use crate::gate::MetOfCall;
use crate::pace::Paced;

/// How long a client may take to send the headers of a request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long to wait after a failed accept: out of file descriptors is the
/// usual cause, and trying at once again would only burn the processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How S3 says in the body of a 200 that it failed: the document is begun and
/// kept alive with blanks while the work goes on.
const ERROR_IN_200: [&str; 3] = [
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n",
    "    \n",
    "<Error><Code>InternalError</Code><Message>We encountered an internal error. Please try \
     again.</Message><RequestId>injected</RequestId></Error>",
];

/// What every connection needs.
#[derive(Clone)]
pub(crate) struct Serving {
    pub(crate) service: S3Service,
    pub(crate) control: Control,
    pub(crate) faults: Faults,
}

pub(crate) async fn serve(listener: TcpListener, serving: Serving) {
    // Dropped with this task, and every connection with it.
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                connections.spawn(serve_connection(stream, peer, serving.clone()));
            }
            Err(error) => {
                tracing::warn!(event = "accept_failed", %error);
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn serve_connection(stream: TcpStream, peer: SocketAddr, serving: Serving) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(event = "no_nodelay", %error);
    }
    let flushes = Flushes::default();
    let stream = Paced::new(stream, serving.faults.line());
    let stream = TokioIo::new(Noted::new(stream, flushes.clone()));
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(
            stream,
            service_fn(move |request| answer(serving.clone(), request, peer, flushes.clone())),
        );
    if let Err(error) = serving.await {
        tracing::debug!(event = "connection_ended", %error);
    }
}

async fn answer(
    serving: Serving,
    request: Request<Incoming>,
    peer: SocketAddr,
    flushes: Flushes,
) -> Result<Response<Body>, HttpError> {
    match Control::path_of(&request) {
        Some(path) => Ok(serving.control.answer(request, &path, peer).await),
        None => answer_call(serving, request, flushes).await,
    }
}

/// One call: lends the body to it, and lets the fault that it met befall its
/// answer.
async fn answer_call(
    serving: Serving,
    request: Request<Incoming>,
    flushes: Flushes,
) -> Result<Response<Body>, HttpError> {
    let latency = serving.faults.latency();
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    let (leftover, of_call) = (Leftover::default(), MetOfCall::default());
    let waits_for_continue = request.headers().contains_key(header::EXPECT);
    let mut request = request
        .map(|body| Body::http_body(leftover.lend(body, waits_for_continue, of_call.clone())));
    request.extensions_mut().insert(of_call.clone());

    let mut response = serving.service.call(request).await?;
    if let Some(StatusOfAnswer(status)) = response.extensions().get() {
        *response.status_mut() = *status;
    }

    if of_call.cut().is_some_and(|(cue, _)| cue.has_fired()) {
        return Err(broken("injected: the body of the request was cut"));
    }
    leftover.drain().await;
    let Some(met) = of_call.take() else { return Ok(response) };
    if met.hold_back().await {
        return Err(broken("injected: the answer was held back"));
    }
    match met.cue.clone() {
        None => Ok(response),
        Some(cue) => befall(response, cue, flushes),
    }
}

/// Lets a fault happen that comes after the work.
fn befall(
    response: Response<Body>,
    cue: Cue,
    flushes: Flushes,
) -> Result<Response<Body>, HttpError> {
    let damage = match cue.fault {
        Fault::LoseAnswer => {
            cue.fire();
            return Err(broken("injected: the answer is lost"));
        }
        Fault::LateInternalError => {
            cue.fire();
            return internal_error();
        }
        Fault::ErrorIn200 | Fault::LateErrorIn200 => {
            cue.fire();
            return Ok(error_in_200());
        }
        Fault::CutBody { after_bytes } => Damage::Cut { after_bytes },
        Fault::FlipByte { offset } => Damage::Flip { offset },
        Fault::InternalError
        | Fault::AccessDenied
        | Fault::SlowDown { .. }
        | Fault::Stall
        | Fault::CutUpload { .. } => {
            return Ok(response);
        }
    };
    Ok(response.map(|body| Body::http_body_unsync(Damaged::new(body, damage, cue, flushes))))
}

fn internal_error() -> Result<Response<Body>, HttpError> {
    let mut refusal = S3Error::with_message(S3ErrorCode::InternalError, "injected");
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
