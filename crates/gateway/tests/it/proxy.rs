//! Real proxies in front of a gateway, with the settings of `packaging/proxies`.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use reqwest::Certificate;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use s3up_testkit::{find_program, temp_dir, wait_until};
use tempfile::TempDir;

/// Longest time until a proxy accepts connections.
const START_MAX: Duration = Duration::from_secs(20);

/// A running proxy. It is killed when this is dropped.
pub struct Proxy {
    child: Child,
    port: u16,
    cert_pem: String,
    directory: TempDir,
}

impl Proxy {
    /// Starts the proxy `name` in front of `gateways` (URLs). Where it is not installed, prints one
    /// line, `SKIPPED: reason`, and the test should return.
    #[expect(clippy::print_stdout, reason = "./check counts these lines")]
    pub fn start_or_skip(name: &str, gateways: &[&str]) -> Option<Proxy> {
        let program = if name == "apache" { "apache2" } else { name };
        if find_program(program).is_none() {
            println!("SKIPPED: {program} is not installed");
            return None;
        }
        let directory = temp_dir();
        let cert = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])
            .expect("a certificate");
        let cert_pem = cert.cert.pem();
        let write = |file: &str, text: &str| {
            std::fs::write(directory.path().join(file), text).expect("a written file");
        };
        write("cert.pem", &cert_pem);
        write("cert.key", &cert.signing_key.serialize_pem());
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("an address").port();
        drop(free);
        let log = std::fs::File::create(directory.path().join("log")).expect("a log file");
        let gateways = gateways.iter().map(|url| url.trim_start_matches("http://"));
        let child = Command::new(repository().join("scripts/proxy.sh"))
            .arg(name)
            .arg(directory.path())
            .arg(port.to_string())
            .args(gateways)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log file"))
            .stderr(log)
            .spawn()
            .expect("a script that runs");
        let proxy = Proxy { child, port, cert_pem, directory };
        let is_up = wait_until(START_MAX, || TcpStream::connect(("127.0.0.1", port)).is_ok());
        assert!(is_up, "{name} does not listen: {}", proxy.log());
        Some(proxy)
    }

    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    /// Returns a client that trusts the certificate of the proxy and no other.
    pub fn client(&self) -> reqwest::Client {
        let cert = Certificate::from_pem(self.cert_pem.as_bytes()).expect("a certificate");
        reqwest::Client::builder().tls_certs_only([cert]).build().expect("a client")
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// Opens a connection for raw HTTP. Blocks.
    pub fn connect(&self) -> impl Read + Write + use<> {
        let mut roots = RootCertStore::empty();
        let cert = CertificateDer::from_pem_slice(self.cert_pem.as_bytes()).expect("a certificate");
        roots.add(cert).expect("a trusted certificate");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions of TLS")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").expect("a name");
        let session = ClientConnection::new(Arc::new(config), name).expect("a session");
        let socket = TcpStream::connect(("127.0.0.1", self.port)).expect("a connection");
        StreamOwned::new(session, socket)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Asked to stop, a proxy also stops its workers. A test that panics must not panic twice.
        Command::new("kill").arg(self.child.id().to_string()).status().ok();
        self.child.wait().ok();
    }
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
