//! Accepts connections until the shutdown signal, then finishes the requests in
//! progress.

mod client_address;
mod early_answer;
mod idle_connections;
mod lingering;
mod listen;
mod router;
mod unparsed;

use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use s3up_core::{Stopwatch, error_chain};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use self::idle_connections::{Connection, IdleConnections};
use self::lingering::{Lingering, UnreadBytes};
pub use self::listen::listen;
use self::router::{ConnectionState, router};
use self::unparsed::{Exchange, READ_BUFFER_BYTES, WithProblems};
use crate::clock::CLOCK;
use crate::gateway::Gateway;
use crate::outage::Outage;
use crate::tls::{self, TlsError, TlsFiles};

/// Maximum time for the headers of a request. It also ends idle connections.
/// Hyper enforces it only if a timer is set.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum time for a TLS handshake: as long as for the headers, because a client needs two round trips.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum time in which a client reads nothing of a response: one whose disk is slow may pause.
const WRITE_TIMEOUT: Duration = Duration::from_secs(120);
/// Time that requests in progress may take to finish after the shutdown signal.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(30);
/// Time that the cancelled uploads may then take to remove their parts from S3.
const CLEANUP_GRACE: Duration = Duration::from_secs(5);
/// Pause after a failed accept, which usually means too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The socket of the gateway, and its limits.
pub struct ServeOptions {
    pub listener: TcpListener,
    /// The gateway serves plain HTTP if this is `None`.
    pub tls: Option<TlsFiles>,
    pub connections_max: usize,
    /// Time that requests in progress may take to finish after the shutdown signal.
    pub grace: Duration,
}

/// Times after which a client that sends or reads nothing is dropped.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    pub handshake: Duration,
    pub header: Duration,
    /// For a client that does not read its response.
    pub write: Duration,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts { handshake: HANDSHAKE_TIMEOUT, header: HEADER_TIMEOUT, write: WRITE_TIMEOUT }
    }
}

/// Serves until `shutdown` resolves and the requests in progress have ended.
pub async fn serve(
    options: ServeOptions,
    gateway: Gateway,
    shutdown: impl Future<Output = ()>,
) -> Result<(), TlsError> {
    serve_with(options, Timeouts::default(), gateway, shutdown).await
}

/// Serves as [`serve`] does, with other timeouts.
pub async fn serve_with(
    options: ServeOptions,
    timeouts: Timeouts,
    gateway: Gateway,
    shutdown: impl Future<Output = ()>,
) -> Result<(), TlsError> {
    let ServeOptions { listener, tls, connections_max, grace } = options;
    let acceptor = match tls {
        Some(files) => {
            let key = tls::load(&files)?;
            gateway.certificate().replace(files, key);
            Some(tls::acceptor(gateway.certificate()))
        }
        None => None,
    };
    let connections = TaskTracker::new();
    let (closing, cancel) = (CancellationToken::new(), CancellationToken::new());
    // A server that is dropped ends its connections as well.
    let end_connections = closing.clone().drop_guard();
    let mut places = Places::new(connections_max);
    let routes = router(&gateway);
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = async {
            let accepted = listener.accept().await?;
            Ok::<_, std::io::Error>((accepted, places.take(&gateway).await))
        };
        let accepted = tokio::select! {
            accepted = accepted => accepted,
            () = &mut shutdown => break,
        };
        match accepted {
            Ok(((socket, peer), place)) => {
                // An IPv4 address in its usual form, if the listener has an IPv6 one.
                let peer = peer.ip().to_canonical();
                let (closing, close) = (closing.clone(), cancel.child_token());
                let connection = places.idle.add(close.clone());
                let http = Http { routes: routes.clone(), peer, timeouts, closing, connection };
                let connection = handle_connection(socket, acceptor.clone(), http);
                connections.spawn(async move {
                    close.run_until_cancelled(connection).await;
                    drop(place);
                });
            }
            Err(err) => {
                let milliseconds = ACCEPT_PAUSE.as_millis();
                tracing::warn!(
                    event = "accept_failed",
                    error = %err,
                    "cannot accept a connection; trying again in {milliseconds} ms"
                );
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    let all = AllConnections { connections, closing: end_connections, cancel };
    all.end(&gateway, grace).await;
    Ok(())
}

/// The places of `server.max_connections`.
struct Places {
    free: Arc<Semaphore>,
    idle: IdleConnections,
    running: Stopwatch,
    shortage: Outage,
}

impl Places {
    fn new(count: usize) -> Places {
        Places {
            free: Arc::new(Semaphore::new(count)),
            idle: IdleConnections::default(),
            running: CLOCK.start(),
            shortage: Outage::default(),
        }
    }

    /// Takes a place. If none is free, the connection that is idle for the longest time is closed. If
    /// none is idle, waits until one ends.
    async fn take(&mut self, gateway: &Gateway) -> Option<OwnedSemaphorePermit> {
        // An error would mean that the semaphore is closed, which it never is.
        if let Ok(place) = self.free.clone().try_acquire_owned() {
            return Some(place);
        }
        if self.shortage.failed(self.running.elapsed()) {
            tracing::warn!(
                event = "connections_exhausted",
                "all connections are taken (`server.max_connections`); idle ones are closed for new ones"
            );
        }
        tokio::select! {
            biased;
            place = self.free.clone().acquire_owned() => return place.ok(),
            () = self.idle.close_longest_idle() => {}
        }
        gateway.database().counters().add_closed_connection();
        self.free.clone().acquire_owned().await.ok()
    }
}

/// The connections of a server that stops.
struct AllConnections {
    connections: TaskTracker,
    /// Dropped, it ends each connection after its request in progress.
    closing: DropGuard,
    /// Ends it at once.
    cancel: CancellationToken,
}

impl AllConnections {
    /// Waits for the requests in progress for at most `grace`, cancels the others, and closes the
    /// database.
    async fn end(self, gateway: &Gateway, grace: Duration) {
        let AllConnections { connections, closing, cancel } = self;
        tracing::info!(event = "stopping", connections = connections.len());
        drop(closing);
        connections.close();
        if tokio::time::timeout(grace, connections.wait()).await.is_err() {
            let seconds = grace.as_secs();
            tracing::warn!(
                event = "requests_cancelled",
                "some requests did not finish within {seconds} s; they are cancelled"
            );
        }
        // A cancelled upload removes its parts from S3; we wait for that below.
        cancel.cancel();
        connections.wait().await;
        if tokio::time::timeout(CLEANUP_GRACE, gateway.finish_background_work()).await.is_err() {
            let seconds = CLEANUP_GRACE.as_secs();
            tracing::warn!(
                event = "uploads_not_aborted",
                "some multipart uploads could not be aborted within {seconds} s; \
             the lifecycle rule of the bucket has to remove them"
            );
        }
        gateway.close_database().await;
    }
}

/// Serves the requests of one connection.
struct Http {
    routes: Router,
    peer: IpAddr,
    timeouts: Timeouts,
    closing: CancellationToken,
    connection: Connection,
}

async fn handle_connection(socket: TcpStream, acceptor: Option<TlsAcceptor>, http: Http) {
    if let Err(err) = socket.set_nodelay(true) {
        tracing::debug!(event = "nodelay_not_set", error = %err, "cannot set TCP_NODELAY");
    }
    let Some(acceptor) = acceptor else { return http.serve(socket).await };
    let limit = http.timeouts.handshake;
    match tokio::time::timeout(limit, acceptor.accept(socket)).await {
        Ok(Ok(socket)) => http.serve(socket).await,
        Ok(Err(err)) => {
            tracing::debug!(event = "handshake_failed", error = %err, "TLS handshake failed")
        }
        Err(_) => {
            let seconds = limit.as_secs();
            let error = format!("not complete after {seconds} s");
            tracing::debug!(event = "handshake_failed", error, "TLS handshake failed");
        }
    }
}

impl Http {
    async fn serve<S>(self, socket: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Http { routes, peer, timeouts, closing, connection } = self;
        let (unread, exchange) = (UnreadBytes::default(), Exchange::default());
        let lingering = Lingering::new(socket, unread.clone(), timeouts.write);
        let socket = WithProblems::new(lingering, exchange.clone());
        let state = ConnectionState { peer, unread, connection, exchange };
        let routes = TowerToHyperService::new(routes);
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(state.clone());
            routes.call(request)
        });
        let mut connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(timeouts.header)
            .max_buf_size(READ_BUFFER_BYTES)
            // A client may close its side of the connection after its request.
            .half_close(true)
            .serve_connection(TokioIo::new(socket), service);
        let mut is_closing = false;
        let served = loop {
            tokio::select! {
                served = poll_fn(|cx| connection.poll_without_shutdown(cx)) => break served,
                () = closing.cancelled(), if !is_closing => {
                    is_closing = true;
                    std::pin::Pin::new(&mut connection).graceful_shutdown();
                }
            }
        };
        // Hyper does not shut down a connection whose client asked for an upgrade to HTTP/2, as the
        // HttpClient of Java does; its last response would be lost.
        let mut socket = connection.into_parts().io.into_inner();
        let ended = socket.shutdown().await;
        let failed = served.err().map(|err| error_chain(&err));
        if let Some(error) = failed.or_else(|| ended.err().map(|err| error_chain(&err))) {
            tracing::debug!(event = "connection_failed", error, "connection failed");
        }
    }
}
