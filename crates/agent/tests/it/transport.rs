//! Tests of the transport: to whom the key is sent, and how a file that changes
//! during its upload is handled. Where the gateway has to behave in a certain way
//! at a certain moment, the test speaks HTTP itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use s3up::agent::Agent;
use s3up::database::Change;
use s3up::files::identity::Identity;
use s3up::gateway::client::GatewayClient;
use s3up::gateway::error::GatewayError;
use s3up::states::decide::{FilePolicy, RetryProblems, UploadExisting};
use s3up::states::problem::ProblemKind;
use s3up::uploading::batch_switch::BatchSwitch;
use s3up::uploading::outcome::{Outcome, SkippedAs};
use s3up::uploading::task::{UploadMode, UploadTask};
use s3up::uploading::upload::Uploader;
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
    let (other_cert, _) = certificate(dir.path(), "other");
    let world = World::with_tls(Some(TlsFiles { cert: cert.clone(), key })).await;
    let mut host = Host::new(&world.url().replace("127.0.0.1", "localhost"));
    host.write("file", "over TLS");

    let untrusted = host.scan().await;
    host.edit("api_key:", &format!("ca_file: {cert:?}, api_key:"));
    let trusted = host.scan().await;
    host.edit(&format!("{cert:?}"), &format!("{other_cert:?}"));
    host.write("more", "x");
    let other = host.scan().await;
    host.edit(&format!("{other_cert:?}"), &format!("{cert:?}"));

    assert!(untrusted.not_uploaded[0].1.contains("certificate"), "{untrusted}");
    assert_eq!((trusted.uploaded, trusted.is_clean()), (1, true), "{trusted}");
    assert!(other.not_uploaded[0].1.contains("certificate"), "{other}");
    assert_eq!(host.content("file").await, b"over TLS");
    assert_eq!(host.stored("more").await, None, "sent to an untrusted gateway");
}

#[tokio::test]
async fn the_key_is_never_sent_after_a_redirect() {
    let server = Server::start().await;
    let elsewhere = Server::start().await;
    let location = format!("Location: {}/exists?path=a\r\n", elsewhere.url());
    let client = client(&server);
    let asked = tokio::spawn(async move { client.exists(&remote("a")).await });

    let mut connection = server.accept().await;
    assert!(connection.head().await.contains(KEY), "the gateway did not get the key");
    connection.answer("307 Temporary Redirect", &location, "").await;

    let err = asked.await.unwrap().unwrap_err();
    assert!(matches!(err, GatewayError::Redirected { status: 307 }), "{err}");
    assert!(!elsewhere.was_asked(), "the client followed the redirect");
}

#[tokio::test]
async fn an_answer_of_a_proxy_is_retried_and_never_a_problem_of_the_file() {
    for (status, body) in [
        ("404 Not Found", "<html>no such site</html>"),
        ("403 Forbidden", "<html>go away</html>"),
        ("502 Bad GatewayClient", ""),
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
async fn a_version_other_than_the_one_that_settled_is_not_sent() {
    let server = Server::start().await;
    let (uploader, task, host) = upload_task(&server, b"content").await;
    let stale = Identity { ctime_ns: task.identity.ctime_ns - 1, ..task.identity };
    let task = UploadTask { identity: stale, ..task };

    let changed = uploader.upload(&task).await;
    fs::remove_file(host.up.join("file")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", host.up.join("file")).unwrap();
    let replaced = uploader.upload(&task).await;
    fs::remove_file(host.up.join("file")).unwrap();
    let gone = uploader.upload(&task).await;

    assert!(matches!(changed, Outcome::Changed), "{changed:?}");
    assert!(
        matches!(replaced, Outcome::Skipped { as_state: SkippedAs::Excluded, change: None }),
        "{replaced:?}"
    );
    assert!(matches!(gone, Outcome::Gone), "{gone:?}");
    assert!(!server.was_asked(), "something was sent");
}

#[tokio::test]
async fn a_file_that_changes_during_its_upload_has_to_settle_again() {
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
async fn a_file_that_shrinks_during_its_upload_has_to_settle_again() {
    let server = Server::start().await;
    // More than all buffers on the way can hold.
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
async fn the_recorded_version_is_the_one_that_was_sent() {
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
    let Outcome::Stored { change, sent: true, changed_since: true } = outcome else {
        panic!("{outcome:?}");
    };
    let Change::Uploaded(recorded) = *change else { panic!("{change:?}") };
    assert_eq!(recorded.sha256, sha256);
    assert_eq!(recorded.identity, upload.identity, "the version that was sent");
    assert_eq!(recorded.version_id.as_deref(), Some("v1"));
}

#[tokio::test]
async fn an_acknowledgement_of_other_content_is_a_failure() {
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
async fn a_wrong_key_is_retried_slowly_and_retry_after_is_kept() {
    let problem = |code: &str| format!(r#"{{"status":0,"title":"","detail":"","code":"{code}"}}"#);
    let content_type = "Content-Type: application/problem+json\r\n";
    let server = Server::start().await;
    let mut upload = Upload::start(&server, b"content").await;
    upload.connection.request().await;
    upload.connection.answer("401 Unauthorized", content_type, &problem("unauthorized")).await;
    let outcome = upload.outcome.await.unwrap();
    let Outcome::Failed { hint, code: Some(Code::Unauthorized), .. } = outcome else {
        panic!("{outcome:?}");
    };
    assert!(hint.slow);

    let mut upload = Upload::start(&server, b"content").await;
    upload.connection.request().await;
    let patience = format!("{content_type}Retry-After: 7\r\n");
    upload.connection.answer("503 Service Unavailable", &patience, &problem("overloaded")).await;
    let outcome = upload.outcome.await.unwrap();
    let Outcome::Failed { hint, code: None, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(hint.retry_after.map(|after| after.as_secs()), Some(7));
}

#[tokio::test]
async fn a_retry_reads_a_refusal_before_it_sends_the_body() {
    let server = Server::start().await;
    let mut upload = Upload::after_failures(&server, &noise(2 * MIB), 1).await;

    let head = upload.connection.head().await.to_lowercase();
    let problem = r#"{"status":413,"title":"","detail":"too long","code":"too_large"}"#;
    let content_type = "Content-Type: application/problem+json\r\n";
    upload.connection.answer("413 Content Too Large", content_type, problem).await;
    let outcome = upload.outcome.await.unwrap();

    assert!(head.contains("\r\nexpect: 100-continue\r\n"), "{head}");
    assert!(upload.connection.is_quiet(), "the body was sent before the refusal");
    assert!(matches!(outcome, Outcome::Problem { kind: ProblemKind::Refused, .. }), "{outcome:?}");
}

/// The upload of one file, and the gateway's end of its connection.
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
        let (uploader, task, host) = upload_task(server, content).await;
        let identity = task.identity;
        let task = UploadTask { failures, ..task };
        let outcome = tokio::spawn(async move { uploader.upload(&task).await });
        let connection = server.accept().await;
        let path = host.up.join("file");
        Upload { connection, outcome, path, identity, _host: host }
    }
}

/// Writes a file and returns the task to upload it.
async fn upload_task(server: &Server, content: &[u8]) -> (Uploader, UploadTask, Host) {
    let host = Host::new(&server.url());
    host.write("file", content);
    let mut config = host.config();
    config.watches[0].prefix = s3up_core::KeyPrefix::parse("up").expect("a prefix");
    let agent = Agent::start(config).await.unwrap_or_else(|err| panic!("{err}"));
    let task = UploadTask {
        watch: agent.watches[0].clone(),
        path: Arc::from(Path::new("file")),
        writes: s3up::files::writes::Writes::CLOSED,
        identity: Identity::of(&rustix::fs::stat(host.up.join("file")).expect("a file")),
        policy: FilePolicy {
            confirm_before_ns: None,
            upload_existing: UploadExisting::Yes,
            bytes_max: None,
            config: String::new(),
            retry_problems: RetryProblems::Never,
        },
        mode: UploadMode::Settled,
        failures: 0,
        root: None,
    };
    let spool = agent.config.spool;
    let batches = BatchSwitch::default();
    (Uploader { gateway: agent.gateway, reader: agent.database.reader, spool, batches }, task, host)
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
    /// Returns the head of the next request, and leaves its body unread.
    async fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await.expect("a whole head"));
        }
        String::from_utf8(head).expect("text")
    }

    /// Returns the body of the next request.
    async fn request(&mut self) -> Vec<u8> {
        let head = self.head().await.to_lowercase();
        let (_, len) = head.split_once("content-length: ").expect("an announced length");
        let len = len.lines().next().and_then(|len| len.parse().ok()).expect("a number");
        let mut body = vec![0; len];
        self.0.read_exact(&mut body).await.expect("a whole body");
        body
    }

    /// Returns the number of bytes until the other side closes.
    async fn rest(&mut self) -> usize {
        let mut rest = Vec::new();
        // A broken connection is an end as well.
        self.0.read_to_end(&mut rest).await.ok();
        rest.len()
    }

    /// Returns true if no more bytes have arrived.
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

fn client(server: &Server) -> GatewayClient {
    GatewayClient::new(&Host::new(&server.url()).config().server).expect("a client")
}

fn remote(path: &str) -> RemotePath {
    RemotePath::parse(path).expect("a remote path")
}

/// Creates a self-signed certificate for `localhost` and its key.
fn certificate(dir: &Path, name: &str) -> (PathBuf, PathBuf) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]);
    let made = made.expect("a certificate");
    let (cert, key) = (dir.join(format!("{name}.pem")), dir.join(format!("{name}.key")));
    fs::write(&cert, made.cert.pem()).expect("a written file");
    fs::write(&key, made.signing_key.serialize_pem()).expect("a written file");
    (cert, key)
}

#[tokio::test]
async fn an_upload_says_whether_the_writer_had_the_file_open() {
    use s3up::files::writes::Writes;
    let server = Server::start().await;
    for (writes, hot) in [(Writes::CLOSED, false), (Writes::REPLACED, false), (Writes::OPEN, true)]
    {
        let (uploader, task, _host) = upload_task(&server, b"content").await;
        let task = UploadTask { writes, ..task };
        let upload = tokio::spawn(async move { uploader.upload(&task).await });

        let head = server.accept().await.head().await.to_lowercase();

        assert_eq!(head.contains("\r\nx-hot: true\r\n"), hot, "{writes:?}: {head}");
        upload.abort();
    }
}
