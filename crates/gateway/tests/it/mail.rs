//! Alerts by mail, to a real mail server: aiosmtpd, as Debian has it.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use s3up_testkit::{find_program, wait_until};
use tempfile::TempDir;

use crate::alerts::Alerting;

const START_WAIT_MAX: Duration = Duration::from_secs(30);
/// A server that takes mail only after STARTTLS and a login. Its arguments are the port, the directory for the
/// mails, and the files of its certificate and key.
const SERVER: &str = r#"
import ssl, sys
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Mailbox
from aiosmtpd.smtp import AuthResult, LoginPassword

def login(server, session, envelope, mechanism, data):
    right = LoginPassword(b"s3up", b"mail-password")
    is_right = isinstance(data, LoginPassword) and data == right
    return AuthResult(success=is_right, handled=False)

port, mails, cert, key = sys.argv[1:]
tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
tls.load_cert_chain(cert, key)
Controller(Mailbox(mails), hostname="127.0.0.1", port=int(port), tls_context=tls, require_starttls=True,
           authenticator=login, auth_required=True, auth_require_tls=True).start()
sys.stdin.read()
"#;

/// A mail server, which ends with this value.
struct MailServer {
    server: Child,
    port: u16,
    dir: TempDir,
}

impl MailServer {
    /// Starts the server by a command, which gets the port and the directory for the mails.
    fn start(dir: TempDir, command: impl FnOnce(u16, &Path) -> Command) -> MailServer {
        let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr());
        let port = port.expect("a free port").port();
        let server = command(port, &dir.path().join("mail")).spawn().expect("a mail server");
        let listens = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
        assert!(wait_until(START_WAIT_MAX, listens), "it does not listen");
        MailServer { server, port, dir }
    }

    fn mails(&self) -> Vec<String> {
        let Ok(files) = std::fs::read_dir(self.dir.path().join("mail/new")) else {
            return Vec::new();
        };
        let read = |file: std::io::Result<std::fs::DirEntry>| {
            std::fs::read_to_string(file.expect("a mail").path()).expect("a mail")
        };
        files.map(read).collect()
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.server.kill().expect("a mail server that runs");
        self.server.wait().expect("its end");
    }
}

fn assert_alert(mails: &[String]) {
    let [text] = mails else { panic!("{mails:?}") };
    for line in [
        "Subject: s3up: web is silent",
        "To: \"Ops\" <ops@example.org>, second@example.org",
        "Message-ID: <web-5-silent@s3up.invalid>",
        "web is silent: no heartbeat.",
    ] {
        let found = text.lines().any(|found| found.replace("Ops <", "\"Ops\" <") == line);
        assert!(found, "{line}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alert_is_delivered_by_mail() {
    let Some(program) = find_program("aiosmtpd") else {
        println!("SKIPPED: aiosmtpd is not installed");
        return;
    };
    let dir = tempfile::tempdir().expect("a directory");
    let server = MailServer::start(dir, |port, mails| {
        let mut command = Command::new(program);
        command.args(["--nosetuid", "--class", "aiosmtpd.handlers.Mailbox"]);
        command.args(["--listen", &format!("127.0.0.1:{port}")]).arg(mails);
        command
    });
    let port = server.port;
    let alerts = format!(
        "{{ mail: {{ host: 127.0.0.1, port: {port}, tls: none, from: s3up@example.org, \
           to: [\"Ops <ops@example.org>\", second@example.org] }} }}"
    );

    let alerting = Alerting::start(&alerts).await;

    alerting.gateway.logged("alert_delivered", 1);
    assert_alert(&server.mails());
    assert_eq!(alerting.stop().await, [("mail".to_owned(), 1)]);
}

/// Starts a server with STARTTLS and a login. Debian's aiosmtpd belongs to the Python of Debian.
fn tls_server() -> (MailServer, std::path::PathBuf) {
    let dir = tempfile::tempdir().expect("a directory");
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]);
    let made = made.expect("a certificate");
    let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).expect("a file");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("a file");
    let authority = cert.clone();
    let server = MailServer::start(dir, |port, mails| {
        let mut command = Command::new("/usr/bin/python3");
        command.args(["-c", SERVER, &port.to_string()]).arg(mails).arg(cert).arg(key);
        command.stdin(Stdio::piped());
        command
    });
    (server, authority)
}

fn alerts_with(server: &MailServer, password: &str) -> String {
    let port = server.port;
    format!(
        "{{ mail: {{ host: localhost, port: {port}, from: s3up@example.org, user: s3up, \
           password: {password}, to: [\"Ops <ops@example.org>\", second@example.org] }} }}"
    )
}

fn gateway_that_trusts(authority: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_s3up-server"));
    command.env("SSL_CERT_FILE", authority);
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alert_is_delivered_by_a_mail_server_that_wants_starttls_and_a_login() {
    if find_program("aiosmtpd").is_none() {
        println!("SKIPPED: aiosmtpd is not installed");
        return;
    }
    let (server, authority) = tls_server();

    let command = gateway_that_trusts(&authority);
    let alerting = Alerting::start_by(command, &alerts_with(&server, "mail-password")).await;

    alerting.gateway.logged("alert_delivered", 1);
    assert_alert(&server.mails());
    assert_eq!(alerting.stop().await, [("mail".to_owned(), 1)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_server_that_refuses_the_login_or_is_another_one_gets_no_alert() {
    if find_program("aiosmtpd").is_none() {
        println!("SKIPPED: aiosmtpd is not installed");
        return;
    }
    let (server, authority) = tls_server();
    let alerting =
        Alerting::start_by(gateway_that_trusts(&authority), &alerts_with(&server, "hush-hush"))
            .await;
    let refused = alerting.gateway.logged("alert_not_delivered", 1);
    assert!(refused.contains("535") && !refused.contains("hush-hush"), "{refused}");
    assert_eq!(alerting.stop().await, []);
    // Its certificate is none that this host trusts.
    let alerting = Alerting::start(&alerts_with(&server, "mail-password")).await;
    let refused = alerting.gateway.logged("alert_not_delivered", 1);
    assert!(refused.contains("certificate"), "{refused}");
    assert_eq!(alerting.stop().await, []);
    assert_eq!(server.mails(), Vec::<String>::new());
}
