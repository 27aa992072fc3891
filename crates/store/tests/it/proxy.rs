//! A proxy between the store and its server. It can refuse connections, and it can
//! answer a request itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rcgen::{CertifiedKey, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;

#[derive(Clone, Default)]
struct State {
    is_away: Arc<AtomicBool>,
    refused: Arc<AtomicU64>,
    changed: Arc<Notify>,
    /// The start of the requests that the proxy answers itself, and its answer.
    answer: Option<(&'static str, &'static str)>,
    tls: Option<TlsAcceptor>,
}

pub struct Proxy {
    pub endpoint: String,
    state: State,
    _serving: AbortOnDropHandle<()>,
}

impl Proxy {
    pub async fn start(server: &str) -> Proxy {
        Proxy::start_with(server, State::default()).await
    }

    /// Starts a proxy that answers requests that begin with `request` itself.
    pub async fn answering(server: &str, request: &'static str, answer: &'static str) -> Proxy {
        Proxy::start_with(server, State { answer: Some((request, answer)), ..State::default() })
            .await
    }

    /// Starts a proxy that clients connect to with TLS.
    pub async fn with_tls(server: &str, cert: &CertifiedKey<KeyPair>) -> Proxy {
        let key = PrivatePkcs8KeyDer::from(cert.signing_key.serialize_der());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions of TLS")
            .with_no_client_auth()
            .with_single_cert(vec![cert.cert.der().clone()], key.into())
            .expect("a certificate and its key");
        let tls = Some(TlsAcceptor::from(Arc::new(config)));
        let proxy = Proxy::start_with(server, State { tls, ..State::default() }).await;
        Proxy { endpoint: proxy.endpoint.replace("http:", "https:"), ..proxy }
    }

    async fn start_with(server: &str, state: State) -> Proxy {
        let server = server.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let serving = tokio::spawn(serve(listener, server, state.clone()));
        Proxy { endpoint, state, _serving: AbortOnDropHandle::new(serving) }
    }

    /// Breaks every connection and refuses new ones.
    pub fn go_away(&self) {
        self.state.is_away.store(true, Ordering::SeqCst);
        self.state.changed.notify_waiters();
    }

    pub fn come_back(&self) {
        self.state.is_away.store(false, Ordering::SeqCst);
    }

    /// Waits until `count` connections were refused.
    pub async fn refused(&self, count: u64) {
        loop {
            let changed = self.state.changed.notified();
            if self.state.refused.load(Ordering::SeqCst) >= count {
                return;
            }
            changed.await;
        }
    }
}

async fn serve(listener: TcpListener, server: String, state: State) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (client, _) = listener.accept().await.expect("a connection");
        if state.is_away.load(Ordering::SeqCst) {
            drop(client);
            state.refused.fetch_add(1, Ordering::SeqCst);
            state.changed.notify_waiters();
            continue;
        }
        let (server, state) = (server.clone(), state.clone());
        connections.spawn(async move {
            let cut = async {
                loop {
                    let changed = state.changed.notified();
                    if state.is_away.load(Ordering::SeqCst) {
                        return;
                    }
                    changed.await;
                }
            };
            let forward = async {
                match &state.tls {
                    None => forward(client, &server, state.answer).await,
                    Some(tls) => {
                        if let Ok(client) = tls.accept(client).await {
                            forward(client, &server, state.answer).await;
                        }
                    }
                }
            };
            tokio::select! {
                () = forward => {}
                () = cut => {}
            }
        });
    }
}

/// A request of the store always starts a read, because the store waits for each
/// answer.
async fn forward(
    client: impl AsyncRead + AsyncWrite,
    server: &str,
    answer: Option<(&'static str, &'static str)>,
) {
    let server = TcpStream::connect(server).await.expect("the server");
    let (mut from_client, mut to_client) = tokio::io::split(client);
    let (mut from_server, mut to_server) = server.into_split();
    let up = async {
        let mut bytes = vec![0; 64 << 10];
        while let Ok(count @ 1..) = from_client.read(&mut bytes).await {
            if answer.is_some_and(|(request, _)| bytes[..count].starts_with(request.as_bytes())) {
                return answer;
            }
            if to_server.write_all(&bytes[..count]).await.is_err() {
                return None;
            }
        }
        None
    };
    let down = async {
        let mut bytes = vec![0; 64 << 10];
        while let Ok(count @ 1..) = from_server.read(&mut bytes).await {
            if to_client.write_all(&bytes[..count]).await.is_err() {
                return;
            }
        }
    };
    let answer = tokio::select! {
        answer = up => answer,
        () = down => None,
    };
    if let Some((_, answer)) = answer {
        let head = answer.replace('\n', "\r\n");
        drop(to_client.write_all(head.as_bytes()).await);
    }
}
