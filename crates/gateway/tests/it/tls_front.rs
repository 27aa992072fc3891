//! TLS in front of the S3 server, with a certificate that can be replaced.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

pub struct TlsFront {
    address: SocketAddr,
    config: Arc<Mutex<Arc<ServerConfig>>>,
    /// Number of handshakes with the certificate that is in use.
    handshakes: Arc<AtomicU64>,
}

impl TlsFront {
    /// Listens on a free port and forwards to `target`. Returns also the certificate, in PEM.
    pub async fn start(target: String) -> (TlsFront, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let (config, pem) = certificate();
        let front = TlsFront {
            address: listener.local_addr().expect("an address"),
            config: Arc::new(Mutex::new(config)),
            handshakes: Arc::default(),
        };
        let (config, handshakes) = (front.config.clone(), front.handshakes.clone());
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.expect("a connection");
                let acceptor = TlsAcceptor::from(config.lock().expect("no panic").clone());
                let (target, handshakes) = (target.clone(), handshakes.clone());
                tokio::spawn(async move {
                    // A client that does not trust the certificate ends the handshake.
                    let Ok(mut socket) = acceptor.accept(socket).await else { return };
                    handshakes.fetch_add(1, Ordering::Relaxed);
                    let mut s3 = TcpStream::connect(target).await.expect("a connection to S3");
                    // Either side may close its connection.
                    copy_bidirectional(&mut socket, &mut s3).await.ok();
                });
            }
        });
        (front, pem)
    }

    pub fn endpoint(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    /// Uses another certificate for new connections, and returns it in PEM.
    pub fn renew(&self) -> String {
        let (config, pem) = certificate();
        *self.config.lock().expect("no panic") = config;
        self.handshakes.store(0, Ordering::Relaxed);
        pem
    }

    pub fn handshakes(&self) -> u64 {
        self.handshakes.load(Ordering::Relaxed)
    }
}

fn certificate() -> (Arc<ServerConfig>, String) {
    let made =
        rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions of TLS")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("a certificate with its key");
    (Arc::new(config), made.cert.pem())
}
