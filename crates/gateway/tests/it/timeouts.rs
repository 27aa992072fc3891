//! Clients that open a connection and then send nothing, or too little, or read nothing.

use std::time::Duration;

use s3up_devstore::Versioning;
use s3up_server::{SHUTDOWN_GRACE, Timeouts, TlsFiles};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::fixture::{KEY, MIB, Serving, World, noise, stored};

const SHORT: Duration = Duration::from_millis(300);
const ADMIN_KEY: &str = "s3up_admin_0123456789012345678901234567890123";
/// Longer than any test: the other timeout of a pair must not end the connection.
const LONG: Duration = Duration::from_secs(600);

async fn world(timeouts: Timeouts, tls: Option<TlsFiles>) -> World {
    let serving = Serving { grace: SHUTDOWN_GRACE, timeouts, tls };
    World::serving(serving, Versioning::Enabled, |config| config).await
}

async fn connect(world: &World) -> TcpStream {
    let address = world.url.strip_prefix("http://").expect("an http URL");
    TcpStream::connect(address).await.expect("a connection")
}

/// Waits until the gateway closes the connection. Returns what it sent.
async fn closed(mut socket: TcpStream) -> String {
    let mut response = Vec::new();
    // A connection that is reset is closed as well.
    socket.read_to_end(&mut response).await.ok();
    String::from_utf8_lossy(&response).into_owned()
}

#[tokio::test]
async fn a_client_that_sends_no_complete_head_is_dropped() {
    let world = world(Timeouts { header: SHORT, handshake: LONG, write: LONG }, None).await;
    for sent in ["", "GET /health", "GET /health HTTP/1.1\r\nHost: x\r\nX: "] {
        let mut socket = connect(&world).await;
        socket.write_all(sent.as_bytes()).await.unwrap();
        let response = closed(socket).await;
        assert!(!response.contains("200"), "{sent:?}: {response}");
    }
    world.stop().await;
}

#[tokio::test]
async fn a_client_that_sends_no_second_request_is_dropped() {
    let world = world(Timeouts { header: SHORT, handshake: LONG, write: LONG }, None).await;
    let mut socket = connect(&world).await;
    socket.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let response = closed(socket).await;
    assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
    world.stop().await;
}

#[tokio::test]
async fn a_body_may_take_longer_than_a_head() {
    let world = world(Timeouts { header: SHORT, handshake: LONG, write: LONG }, None).await;
    let (mut sender, body) = tokio::io::duplex(1);
    let body = reqwest::Body::wrap_stream(tokio_util::io::ReaderStream::new(body));
    let put = tokio::spawn(stored(world.put("a", body).timeout(LONG)));
    // Four pauses of half the limit: together they are longer than it.
    for byte in b"slow" {
        tokio::time::timeout(SHORT / 2, std::future::pending::<()>()).await.unwrap_err();
        sender.write_all(&[*byte]).await.unwrap();
    }
    drop(sender);
    assert_eq!(put.await.unwrap().size, 4);
    world.stop_and_expect_files(&["webapp/a"]).await;
}

#[tokio::test]
async fn a_client_that_reads_no_response_is_dropped() {
    let world = world(Timeouts { header: LONG, handshake: LONG, write: SHORT }, None).await;
    let (mut socket, request) =
        (connect(&world).await, b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n");
    // Until the buffers of both sides are full, and the gateway closes the connection.
    let sending = async { while socket.write_all(request).await.is_ok() {} };
    tokio::time::timeout(LONG, sending).await.expect("a connection that ends");
    assert_eq!(world.http.get(format!("{}/health", world.url)).send().await.unwrap().status(), 200);
    world.stop().await;
}

#[tokio::test]
async fn a_download_that_is_not_read_gives_its_buffers_back() {
    let admin = |config: String| format!("admin_keys: [{ADMIN_KEY}]\n{config}");
    let timeouts = Timeouts { header: LONG, handshake: LONG, write: SHORT };
    let serving = Serving { grace: SHUTDOWN_GRACE, timeouts, tls: None };
    let world = World::serving(serving, Versioning::Enabled, admin).await;
    // Longer than what the kernel keeps for a connection.
    const LEN: usize = 40 * MIB;
    world.s3_put("webapp/long", &noise(LEN)).await;
    let used = async || {
        let metrics = world.http.get(format!("{}/metrics", world.url)).bearer_auth(ADMIN_KEY);
        let text = metrics.send().await.unwrap().text().await.unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("s3up_buffer_used_bytes "));
        line.unwrap().parse::<f64>().unwrap()
    };
    let mut socket = connect(&world).await;
    let head = format!(
        "GET /download?path=long HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
         Authorization: Bearer {KEY}\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    while used().await == 0.0 {}
    while used().await != 0.0 {}

    let mut received = Vec::new();
    socket.read_to_end(&mut received).await.ok();

    assert!(!received.is_empty() && received.len() < LEN, "{}", received.len());
    world.stop().await;
}

#[tokio::test]
async fn a_client_that_begins_no_handshake_is_dropped() {
    let directory = tempfile::tempdir().unwrap();
    let cert = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let tls =
        TlsFiles { cert: directory.path().join("cert.pem"), key: directory.path().join("key.pem") };
    std::fs::write(&tls.cert, cert.cert.pem()).unwrap();
    std::fs::write(&tls.key, cert.signing_key.serialize_pem()).unwrap();
    let world = world(Timeouts { header: LONG, handshake: SHORT, write: LONG }, Some(tls)).await;
    // The first bytes of a ClientHello, which is 512 bytes long.
    for sent in [&b""[..], b"\x16\x03\x01\x02\x00\x01"] {
        let mut socket = connect(&world).await;
        socket.write_all(sent).await.unwrap();
        assert_eq!(closed(socket).await, "");
    }
    let mut socket = connect(&world).await;
    socket
        .write_all(format!("GET / HTTP/1.1\r\nAuthorization: Bearer {KEY}\r\n\r\n").as_bytes())
        .await
        .unwrap();
    let response = closed(socket).await;
    assert!(!response.starts_with("HTTP/"), "{response}");
    world.stop().await;
}
