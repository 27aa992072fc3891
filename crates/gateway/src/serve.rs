//! Accepts connections until told to stop, then finishes what is under way.

use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::TlsFiles;
use crate::gateway::Gateway;
use crate::router::router;
use crate::tls::{self, TlsError};

/// Hyper has no header timeout unless a timer is set; this one also ends idle
/// connections.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Hyper's own limit is 400 KiB for each connection, which is memory outside the
/// buffer budget.
const READ_BUFFER_BYTES: usize = 64 << 10;
/// What is under way at SIGTERM has this long to finish.
pub const GRACE: Duration = Duration::from_secs(30);
/// And this long to remove what it left in S3.
const SETTLE: Duration = Duration::from_secs(5);
/// A failing accept (no file descriptors) is tried again after this.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How connections are taken.
pub struct Front {
    pub listener: TcpListener,
    /// `None`: plain HTTP.
    pub tls: Option<TlsFiles>,
    pub connections_max: usize,
    /// What is under way when `serve` is stopped has this long to finish.
    pub grace: Duration,
}

/// Serves until `stopped` resolves and what was under way is over.
pub async fn serve(
    front: Front,
    gateway: Gateway,
    stopped: impl Future<Output = ()>,
) -> Result<(), TlsError> {
    let Front { listener, tls, connections_max, grace } = front;
    let acceptor = tls.as_ref().map(tls::acceptor).transpose()?;
    let graceful = GracefulShutdown::new();
    let (connections, cut) = (TaskTracker::new(), CancellationToken::new());
    let places = Arc::new(Semaphore::new(connections_max));
    let mut stopped = std::pin::pin!(stopped);
    loop {
        let accepted = async {
            // The semaphore is never closed, so there is always a place to wait for.
            let place = places.clone().acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            accepted = accepted => accepted,
            () = &mut stopped => break,
        };
        match accepted {
            Ok((socket, _)) => {
                let connection =
                    connection(socket, acceptor.clone(), gateway.clone(), graceful.watcher());
                let cut = cut.clone();
                connections.spawn(async move {
                    cut.run_until_cancelled(connection).await;
                    drop(place);
                });
            }
            Err(err) => {
                tracing::warn!(event = "accept_failed", "{err}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    tracing::info!(event = "stopping", under_way = graceful.count());
    if tokio::time::timeout(grace, graceful.shutdown()).await.is_err() {
        tracing::warn!(event = "stopping", "{} s are over, uploads are cut", grace.as_secs());
    }
    // What is dropped here removes what it left in S3; that is waited for.
    cut.cancel();
    connections.close();
    connections.wait().await;
    if tokio::time::timeout(SETTLE, gateway.settle()).await.is_err() {
        tracing::warn!(event = "stopping", "unfinished uploads are left for a sweep");
    }
    Ok(())
}

async fn connection(
    socket: TcpStream,
    acceptor: Option<TlsAcceptor>,
    gateway: Gateway,
    watcher: Watcher,
) {
    if let Err(err) = socket.set_nodelay(true) {
        tracing::debug!(event = "nodelay_refused", "{err}");
    }
    let Some(acceptor) = acceptor else { return speak(socket, gateway, watcher).await };
    match tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(socket)).await {
        Ok(Ok(socket)) => speak(socket, gateway, watcher).await,
        Ok(Err(err)) => tracing::debug!(event = "handshake_failed", "{err}"),
        Err(_) => tracing::debug!(event = "handshake_failed", "no handshake in time"),
    }
}

async fn speak<S>(socket: S, gateway: Gateway, watcher: Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = TowerToHyperService::new(router(&gateway));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(READ_BUFFER_BYTES)
        // A client may close its side when its body is complete.
        .half_close(true)
        .serve_connection(TokioIo::new(socket), service);
    if let Err(err) = watcher.watch(connection).await {
        tracing::debug!(event = "connection_broke_off", "{err}");
    }
}
