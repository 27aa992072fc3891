//! Clients that open a connection and then send nothing, or too little.

use std::time::Duration;

use s3up_devstore::Versioning;
use s3up_server::{SHUTDOWN_GRACE, Timeouts, TlsFiles};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::fixture::{KEY, Serving, World, stored};

const SHORT: Duration = Duration::from_millis(300);
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
    let world = world(Timeouts { header: SHORT, handshake: LONG }, None).await;
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
    let world = world(Timeouts { header: SHORT, handshake: LONG }, None).await;
    let mut socket = connect(&world).await;
    socket.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let response = closed(socket).await;
    assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
    world.stop().await;
}

#[tokio::test]
async fn a_body_may_take_longer_than_a_head() {
    let world = world(Timeouts { header: SHORT, handshake: LONG }, None).await;
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
async fn a_client_that_begins_no_handshake_is_dropped() {
    let directory = tempfile::tempdir().unwrap();
    let cert = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let tls =
        TlsFiles { cert: directory.path().join("cert.pem"), key: directory.path().join("key.pem") };
    std::fs::write(&tls.cert, cert.cert.pem()).unwrap();
    std::fs::write(&tls.key, cert.signing_key.serialize_pem()).unwrap();
    let world = world(Timeouts { header: LONG, handshake: SHORT }, Some(tls)).await;
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
