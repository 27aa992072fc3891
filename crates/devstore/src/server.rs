//! The server: opens the folder, listens, and serves each connection.
//!
//! Stopping cuts off what is in flight, as a crash would; what was answered is
//! on disk. Clients must cope with that anyway, and tests want it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use s3s::auth::SecretKey;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, HttpError, S3Error, S3ErrorCode};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::api::{Api, StatusOfAnswer};
use crate::body::{Damaged, Leftover};
use crate::faults::{Cue, Fault, Faults};
use crate::flush::{Flushes, Noted};
use crate::gate::{Credentials, Gate, MetOfCall};
use crate::store::{BucketError, Limits, Store};
use crate::{OpenError, Options, Versioning};

/// How long a client may take to send the headers of a request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long to wait after a failed accept: out of file descriptors is the
/// usual cause, and trying at once again would only burn the processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A running server. Dropping it stops it too, without waiting.
pub struct DevStore {
    pub(crate) store: Arc<Store>,
    faults: Faults,
    address: SocketAddr,
    serving: JoinHandle<()>,
}

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("start on the folder")]
    Open(#[source] OpenError),
    #[error("listen on {address}")]
    Listen { address: SocketAddr, source: io::Error },
}

impl DevStore {
    pub async fn start(options: Options) -> Result<DevStore, StartError> {
        let Options {
            root,
            listen,
            access_key_id,
            secret_access_key,
            part_bytes_min,
            restore_delay,
        } = options;
        let limits = Limits { part_bytes_min, restore_delay };
        let opening = tokio::task::spawn_blocking(move || Store::open(root, limits));
        let store = opening.await.expect("opening does not panic").map_err(StartError::Open)?;
        let store = Arc::new(store);
        let cannot_listen = |source| StartError::Listen { address: listen, source };
        let listener = TcpListener::bind(listen).await.map_err(cannot_listen)?;
        let address = listener.local_addr().map_err(cannot_listen)?;
        let faults = Faults::default();
        let mut builder = S3ServiceBuilder::new(Api::new(Arc::clone(&store)));
        let secret_access_key = SecretKey::from(secret_access_key);
        builder.set_auth(Credentials { access_key_id, secret_access_key });
        builder.set_access(Gate { faults: faults.clone() });
        let serving = tokio::spawn(serve(listener, builder.build()));
        Ok(DevStore { store, faults, address, serving })
    }

    /// `http://ADDRESS`, without a slash at its end.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Makes sure that a bucket exists. `Versioning::Off` leaves the versioning
    /// of one that exists as it is: S3 has no way back to `Off`.
    pub async fn create_bucket(
        &self,
        name: &str,
        versioning: Versioning,
    ) -> Result<(), BucketError> {
        let (store, name) = (Arc::clone(&self.store), name.to_owned());
        let creating = tokio::task::spawn_blocking(move || store.ensure_bucket(&name, versioning));
        creating.await.expect("creating a bucket does not panic")
    }

    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// What time it is for the objects in here.
    pub fn now(&self) -> SystemTime {
        self.store.clock.time()
    }

    /// Moves the clock of this server ahead; restores end and expire by it. It
    /// stays ahead when the server starts again.
    pub async fn advance(&self, by: Duration) -> io::Result<()> {
        let store = Arc::clone(&self.store);
        let advancing = tokio::task::spawn_blocking(move || store.advance(by));
        advancing.await.expect("moving the clock does not panic")
    }

    /// How long restores take that are asked for from now on.
    pub fn set_restore_delay(&self, delay: Duration) {
        self.store.set_restore_delay(delay);
    }

    /// Stops listening, breaks every connection, and lets go of the folder.
    pub async fn stop(mut self) {
        self.serving.abort();
        let aborted = (&mut self.serving).await;
        debug_assert!(aborted.is_err(), "serving ends only when it is aborted");
    }
}

impl Drop for DevStore {
    fn drop(&mut self) {
        self.serving.abort();
        self.store.close();
    }
}

async fn serve(listener: TcpListener, service: S3Service) {
    // Dropped with this task, and every connection with it.
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _peer)) => {
                connections.spawn(serve_connection(stream, service.clone()));
            }
            Err(error) => {
                tracing::warn!(event = "accept_failed", %error);
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn serve_connection(stream: TcpStream, service: S3Service) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(event = "no_nodelay", %error);
    }
    let flushes = Flushes::default();
    let stream = TokioIo::new(Noted::new(stream, flushes.clone()));
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(
            stream,
            service_fn(move |request| answer(service.clone(), request, flushes.clone())),
        );
    if let Err(error) = serving.await {
        tracing::debug!(event = "connection_ended", %error);
    }
}

/// One call: lends the body to it, and lets the fault that it met befall its
/// answer. An error breaks the connection.
async fn answer(
    service: S3Service,
    request: Request<Incoming>,
    flushes: Flushes,
) -> Result<Response<Body>, HttpError> {
    let (leftover, of_call) = (Leftover::default(), MetOfCall::default());
    let waits_for_continue = request.headers().contains_key(header::EXPECT);
    let mut request = request.map(|body| Body::http_body(leftover.lend(body, waits_for_continue)));
    request.extensions_mut().insert(of_call.clone());

    let mut response = service.call(request).await?;
    if let Some(StatusOfAnswer(status)) = response.extensions().get() {
        *response.status_mut() = *status;
    }

    leftover.drain().await;
    let Some(met) = of_call.take() else { return Ok(response) };
    if met.hold_back().await {
        return Err(lost("injected: the answer was held back"));
    }
    match met.cue.clone() {
        None => Ok(response),
        Some(cue) => befall(response, cue, flushes),
    }
}

fn befall(
    response: Response<Body>,
    cue: Cue,
    flushes: Flushes,
) -> Result<Response<Body>, HttpError> {
    match cue.fault {
        Fault::LoseAnswer => {
            cue.fire();
            Err(lost("injected: the answer is lost"))
        }
        Fault::LateInternalError => {
            cue.fire();
            let mut refusal = S3Error::with_message(S3ErrorCode::InternalError, "injected");
            refusal.set_status_code(StatusCode::INTERNAL_SERVER_ERROR);
            refusal.to_http_response().map_err(|e| HttpError::new(Box::new(e)))
        }
        Fault::CutBody { .. } | Fault::FlipByte { .. } => {
            Ok(response.map(|body| Body::http_body_unsync(Damaged::new(body, cue, flushes))))
        }
        Fault::InternalError | Fault::SlowDown { .. } | Fault::Stall => Ok(response),
    }
}

fn lost(why: &'static str) -> HttpError {
    HttpError::new(io::Error::other(why).into())
}
