//! What goes over the wire: to whom the key is sent, and what becomes of a file
//! that changes while it is on its way. Where the gateway would have to behave
//! in a certain way at a certain moment, the test speaks HTTP itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use s3up::agent::Agent;
use s3up::client::{Gateway, GatewayError};
use s3up::db::Change;
use s3up::decide::{ParkedFiles, Policy, UploadExisting};
use s3up::identity::Identity;
use s3up::problem::Kind;
use s3up::upload::{Manner, Order, Outcome, Uploader};
use s3up_core::{Code, RemotePath, Sha256Digest};
use s3up_server::TlsFiles;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::fixture::{Host, KEY, MIB, World, noise};

#[tokio::test]
async fn only_the_authority_in_the_configuration_is_trusted() {
    let dir = tempfile::tempdir().unwrap();
    let (cert, key) = certificate(dir.path(), "gateway");
    let (other, _) = certificate(dir.path(), "other");
    let world = World::with_tls(Some(TlsFiles { cert: cert.clone(), key })).await;
    let mut host = Host::new(&world.url().replace("127.0.0.1", "localhost"));
    host.write("file", "over TLS");

    let untrusted = host.scan().await;
    host.edit("api_key:", &format!("ca_file: {cert:?}, api_key:"));
    let trusted = host.scan().await;
    host.edit(&format!("{cert:?}"), &format!("{other:?}"));
    host.write("more", "x");
    let other = host.scan().await;

    assert!(untrusted.failed[0].1.contains("certificate"), "{untrusted}");
    assert_eq!((trusted.uploaded, trusted.is_clean()), (1, true), "{trusted}");
    assert!(other.failed[0].1.contains("certificate"), "{other}");
}

#[tokio::test]
async fn the_key_is_never_sent_after_a_redirect() {
    let server = Server::start().await;
    let elsewhere = Server::start().await;
    let location = format!("Location: {}/exists?path=a\r\n", elsewhere.url());
    let client = client(&server);
    let asked = tokio::spawn(async move { client.exists(&remote("a")).await });

    let mut connection = server.accept().await;
    assert!(connection.head().await.contains(KEY), "the gateway itself is given the key");
    connection.answer("307 Temporary Redirect", &location, "").await;

    let err = asked.await.unwrap().unwrap_err();
    assert!(matches!(err, GatewayError::Redirected { status: 307 }), "{err}");
    assert!(!elsewhere.was_asked(), "it went to where it was sent");
}

#[tokio::test]
async fn what_a_proxy_says_never_parks_a_file() {
    for (status, body) in [
        ("404 Not Found", "<html>no such site</html>"),
        ("403 Forbidden", "<html>go away</html>"),
        ("502 Bad Gateway", ""),
        ("200 OK", "<html>log in first</html>"),
    ] {
        let server = Server::start().await;
        let mut upload = Upload::start(&server, b"content").await;

        upload.connection.request().await;
        upload.connection.answer(status, "Content-Type: text/html\r\n", body).await;

        let outcome = upload.outcome.await.unwrap();
        assert!(matches!(outcome, Outcome::Failed { .. }), "{status}: {outcome:?}");
    }
}

#[tokio::test]
async fn another_version_than_the_one_that_settled_is_not_sent() {
    let server = Server::start().await;
    let (uploader, order, host) = order(&server, b"content").await;
    let stale = Identity { ctime_ns: order.identity.ctime_ns - 1, ..order.identity };
    let order = Order { identity: stale, ..order };

    let changed = uploader.upload(&order).await;
    fs::remove_file(host.up.join("file")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", host.up.join("file")).unwrap();
    let replaced = uploader.upload(&order).await;
    fs::remove_file(host.up.join("file")).unwrap();
    let gone = uploader.upload(&order).await;

    assert!(matches!(changed, Outcome::Changed), "{changed:?}");
    assert!(matches!(replaced, Outcome::Nothing(None)), "{replaced:?}");
    assert!(matches!(gone, Outcome::Gone), "{gone:?}");
    assert!(!server.was_asked(), "something was sent");
}

#[tokio::test]
async fn a_file_that_changes_while_it_is_sent_goes_back_to_settle() {
    let server = Server::start().await;
    let mut upload = Upload::start(&server, b"content").await;

    upload.connection.request().await;
    fs::write(&upload.path, "changed").unwrap();
    let mismatch = r#"{"status":422,"title":"","detail":"","code":"digest_mismatch"}"#;
    let problem = "Content-Type: application/problem+json\r\n";
    upload.connection.answer("422 Unprocessable Content", problem, mismatch).await;

    let outcome = upload.outcome.await.unwrap();
    assert!(matches!(outcome, Outcome::Changed), "{outcome:?}");
}

#[tokio::test]
async fn a_file_that_shrinks_while_it_is_sent_goes_back_to_settle() {
    let server = Server::start().await;
    // More than all buffers between the two hold.
    let mut upload = Upload::start(&server, &noise(40 * MIB)).await;

    assert!(upload.connection.head().await.starts_with("GET /exists?path=up%2Ffile "));
    upload.connection.answer("200 OK", "", r#"{"exists":false}"#).await;
    assert!(upload.connection.head().await.starts_with("PUT /files/up/file "));
    fs::File::options().write(true).open(&upload.path).unwrap().set_len(1).unwrap();
    let sent = upload.connection.rest().await;

    assert!(sent < 40 * MIB, "all of it was sent");
    let outcome = upload.outcome.await.unwrap();
    assert!(matches!(outcome, Outcome::Changed), "{outcome:?}");
}

#[tokio::test]
async fn what_is_recorded_is_what_was_sent() {
    let server = Server::start().await;
    let mut upload = Upload::start(&server, b"content").await;
    let sha256 = Sha256Digest::of(b"content");

    let sent = upload.connection.request().await;
    fs::write(&upload.path, "changed").unwrap();
    let answer = format!(
        r#"{{"success":true,"s3_key":"k","size":7,"sha256":"{sha256}","version_id":"v1"}}"#
    );
    upload.connection.answer("200 OK", "", &answer).await;

    assert_eq!(sent, b"content");
    let outcome = upload.outcome.await.unwrap();
    let Outcome::Safe { change, sent: true, changed_since: true } = outcome else {
        panic!("{outcome:?}");
    };
    let Change::Uploaded(recorded) = *change else { panic!("{change:?}") };
    assert_eq!(recorded.sha256, sha256);
    assert_eq!(recorded.identity, upload.identity, "the version that was sent");
    assert_eq!(recorded.version_id.as_deref(), Some("v1"));
}

#[tokio::test]
async fn an_answer_about_other_content_is_not_believed() {
    let server = Server::start().await;
    let mut upload = Upload::start(&server, b"content").await;
    let other = Sha256Digest::of(b"other");

    upload.connection.request().await;
    let answer =
        format!(r#"{{"success":true,"s3_key":"k","size":7,"sha256":"{other}","version_id":null}}"#);
    upload.connection.answer("200 OK", "", &answer).await;

    let outcome = upload.outcome.await.unwrap();
    assert!(matches!(outcome, Outcome::Failed { .. }), "{outcome:?}");
}

#[tokio::test]
async fn a_wrong_key_and_a_request_for_patience_are_told_apart() {
    let problem = |code: &str| format!(r#"{{"status":0,"title":"","detail":"","code":"{code}"}}"#);
    let content_type = "Content-Type: application/problem+json\r\n";
    let server = Server::start().await;
    let mut upload = Upload::start(&server, b"content").await;
    upload.connection.request().await;
    upload.connection.answer("401 Unauthorized", content_type, &problem("unauthorized")).await;
    let outcome = upload.outcome.await.unwrap();
    let Outcome::Failed { fault, code: Some(Code::Unauthorized), .. } = outcome else {
        panic!("{outcome:?}");
    };
    assert!(fault.slow);

    let mut upload = Upload::start(&server, b"content").await;
    upload.connection.request().await;
    let patience = format!("{content_type}Retry-After: 7\r\n");
    upload.connection.answer("503 Service Unavailable", &patience, &problem("overloaded")).await;
    let outcome = upload.outcome.await.unwrap();
    let Outcome::Failed { fault, code: None, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(fault.retry_after.map(|after| after.as_secs()), Some(7));
}

#[tokio::test]
async fn a_second_try_hears_a_refusal_before_it_sends() {
    let server = Server::start().await;
    let mut upload = Upload::after_failures(&server, &noise(2 * MIB), 1).await;

    let head = upload.connection.head().await.to_lowercase();
    let problem = r#"{"status":413,"title":"","detail":"too long","code":"too_large"}"#;
    let content_type = "Content-Type: application/problem+json\r\n";
    upload.connection.answer("413 Content Too Large", content_type, problem).await;
    let outcome = upload.outcome.await.unwrap();

    assert!(head.contains("\r\nexpect: 100-continue\r\n"), "{head}");
    assert!(upload.connection.is_quiet(), "the body was not held back");
    assert!(matches!(outcome, Outcome::Problem { kind: Kind::Refused, .. }), "{outcome:?}");
}

/// One upload of one file, and the gateway's end of its connection.
struct Upload {
    connection: Connection,
    outcome: JoinHandle<Outcome>,
    path: PathBuf,
    identity: Identity,
    _host: Host,
}

impl Upload {
    async fn start(server: &Server, content: &[u8]) -> Upload {
        Upload::after_failures(server, content, 0).await
    }

    async fn after_failures(server: &Server, content: &[u8], failures: u32) -> Upload {
        let (uploader, order, host) = order(server, content).await;
        let identity = order.identity;
        let order = Order { failures, ..order };
        let outcome = tokio::spawn(async move { uploader.upload(&order).await });
        let connection = server.accept().await;
        let path = host.up.join("file");
        Upload { connection, outcome, path, identity, _host: host }
    }
}

/// An order to upload a file that has just been written.
async fn order(server: &Server, content: &[u8]) -> (Uploader, Order, Host) {
    let host = Host::new(&server.url());
    host.write("file", content);
    let mut config = host.config();
    config.watches[0].prefix = s3up_core::KeyPrefix::parse("up").expect("a prefix");
    let agent = Agent::start(config).await.unwrap_or_else(|err| panic!("{err}"));
    let order = Order {
        watch: agent.watches[0].clone(),
        path: Arc::from(Path::new("file")),
        identity: Identity::of(&rustix::fs::stat(host.up.join("file")).expect("a file")),
        policy: Policy {
            upload_existing: UploadExisting::Yes,
            bytes_max: None,
            config: String::new(),
            parked: ParkedFiles::Hold,
        },
        manner: Manner::Settled,
        failures: 0,
    };
    (Uploader { gateway: agent.gateway, reader: agent.database.reader }, order, host)
}

struct Server(TcpListener);

impl Server {
    async fn start() -> Server {
        Server(TcpListener::bind("127.0.0.1:0").await.expect("a free port"))
    }

    fn url(&self) -> String {
        format!("http://{}", self.0.local_addr().expect("an address"))
    }

    async fn accept(&self) -> Connection {
        let (stream, _) = self.0.accept().await.expect("a connection");
        Connection(stream)
    }

    fn was_asked(self) -> bool {
        let listener = self.0.into_std().expect("a listener");
        listener.accept().is_ok()
    }
}

struct Connection(TcpStream);

impl Connection {
    /// The head of the next request, byte by byte: what follows is the body.
    async fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await.expect("a whole head"));
        }
        String::from_utf8(head).expect("text")
    }

    /// The body of the next request.
    async fn request(&mut self) -> Vec<u8> {
        let head = self.head().await.to_lowercase();
        let (_, len) = head.split_once("content-length: ").expect("an announced length");
        let len = len.lines().next().and_then(|len| len.parse().ok()).expect("a number");
        let mut body = vec![0; len];
        self.0.read_exact(&mut body).await.expect("a whole body");
        body
    }

    /// How much comes until the other side ends.
    async fn rest(&mut self) -> usize {
        let mut rest = Vec::new();
        // Cut off is as good an end as any.
        self.0.read_to_end(&mut rest).await.ok();
        rest.len()
    }

    /// True where nothing more has come yet.
    fn is_quiet(&self) -> bool {
        let read = self.0.try_read(&mut [0]);
        read.is_err_and(|err| err.kind() == std::io::ErrorKind::WouldBlock)
    }

    async fn answer(&mut self, status: &str, headers: &str, body: &str) {
        let len = body.len();
        let answer = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {len}\r\n\r\n{body}");
        self.0.write_all(answer.as_bytes()).await.expect("a listener");
    }
}

fn client(server: &Server) -> Gateway {
    Gateway::new(&Host::new(&server.url()).config().server).expect("a client")
}

fn remote(path: &str) -> RemotePath {
    RemotePath::parse(path).expect("a remote path")
}

/// A certificate for `localhost` that vouches for itself, and its key.
fn certificate(dir: &Path, name: &str) -> (PathBuf, PathBuf) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]);
    let made = made.expect("a certificate");
    let (cert, key) = (dir.join(format!("{name}.pem")), dir.join(format!("{name}.key")));
    fs::write(&cert, made.cert.pem()).expect("a written file");
    fs::write(&key, made.signing_key.serialize_pem()).expect("a written file");
    (cert, key)
}
