//! Requests with conflicting or malformed framing: each is refused or closed, nothing of it is
//! stored, and no byte of it counts as a second request.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::fixture::{KEY, World, stored};

/// Longest time until the gateway closes a connection, its header timeout included.
const CLOSED_WITHIN: Duration = Duration::from_secs(60);
/// A request in what is not the body of another one. It must never be answered.
const SECOND: &str = "PUT /files/second HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx";

/// Sends `bytes`, closes the sending side, and returns what the gateway sends until it closes its own.
async fn exchange(world: &World, bytes: &[u8]) -> String {
    let address = world.url.strip_prefix("http://").expect("an http URL");
    let mut socket = TcpStream::connect(address).await.expect("a connection");
    socket.write_all(bytes).await.expect("bytes that are sent");
    socket.shutdown().await.expect("the end of the request");
    let mut response = Vec::new();
    let read = tokio::time::timeout(CLOSED_WITHIN, socket.read_to_end(&mut response)).await;
    // A connection that is reset is closed as well.
    read.expect("a connection that the gateway closes").ok();
    String::from_utf8_lossy(&response).into_owned()
}

/// Returns the status codes of all responses.
fn statuses(responses: &str) -> Vec<u16> {
    let starts = responses.match_indices("HTTP/1.").map(|(at, _)| &responses[at..]);
    starts.filter_map(|text| text.split(' ').nth(1)?.parse().ok()).collect()
}

/// Returns a request to store `/files/framed` with these header fields, the key left out.
fn put(fields: &str, body: &str) -> String {
    format!(
        "PUT /files/framed HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n{fields}\r\n{body}"
    )
}

#[tokio::test]
async fn a_body_without_one_clear_end_is_refused_and_not_stored() {
    let world = World::start().await;
    let chunked = "Transfer-Encoding: chunked\r\n";
    #[rustfmt::skip]
    let cases = [
        // Two lengths.
        put("Content-Length: 5\r\nContent-Length: 6\r\n", "hello"),
        put("Content-Length: 5, 6\r\n", "hello"),
        // Lengths that are no number, or not a possible one.
        put("Content-Length: -1\r\n", "hello"),
        put("Content-Length: +5\r\n", "hello"),
        put("Content-Length: 0x5\r\n", "hello"),
        put("Content-Length: 5 5\r\n", "hello"),
        put("Content-Length: 5;\r\n", "hello"),
        put("Content-Length: \r\n", "hello"),
        put("Content-Length: 18446744073709551616\r\n", "hello"),
        // Other codings, in any order and spelling.
        put("Transfer-Encoding: chunked, gzip\r\n", "5\r\nhello\r\n0\r\n\r\n"),
        put("Transfer-Encoding: gzip, chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"),
        put("Transfer-Encoding: chunked, chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"),
        put("Transfer-Encoding: identity\r\n", "hello"),
        put("Transfer-Encoding: xchunked\r\n", "5\r\nhello\r\n0\r\n\r\n"),
        put("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "5\r\nhello\r\n0\r\n\r\n"),
        put("Transfer-Encoding : chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"),
        // Sizes of chunks that are no hexadecimal number, and chunks of another length.
        put(chunked, "g\r\nhello\r\n0\r\n\r\n"),
        put(chunked, "-5\r\nhello\r\n0\r\n\r\n"),
        put(chunked, "0x5\r\nhello\r\n0\r\n\r\n"),
        put(chunked, "\r\nhello\r\n0\r\n\r\n"),
        put(chunked, "fffffffffffffffff\r\nhello\r\n0\r\n\r\n"),
        put(chunked, "4\r\nhello\r\n0\r\n\r\n"),
        put(chunked, "5\r\nhello0\r\n\r\n"),
        // Bodies that end too early.
        put(chunked, "5\r\nhel"),
        put(chunked, "5\r\nhello\r\n"),
        put(chunked, "5\r\nhello\r\n0\r\n"),
        put("Content-Length: 6\r\n", "hello"),
    ];
    for request in &cases {
        let responses = exchange(&world, request.as_bytes()).await;
        let found = statuses(&responses);
        assert!(found.iter().all(|status| *status >= 400), "{request}: {responses}");
        assert!(found.len() <= 1, "{request}: {responses}");
    }
    stored(world.put("good", "x")).await;
    world.stop_and_expect_files(&["webapp/good"]).await;
}

#[tokio::test]
async fn a_malformed_head_is_refused_and_ends_the_connection() {
    let world = World::start().await;
    // The limit is 64 KiB, and what arrives with one read more.
    let long = "a".repeat(300 << 10);
    let field = |field: &str| format!("GET /health HTTP/1.1\r\nHost: x\r\n{field}\r\n\r\n");
    let many: String = (0..200).map(|n| format!("X-{n}: 1\r\n")).collect();
    #[rustfmt::skip]
    let cases = [
        "GET\r\n\r\n".to_owned(),
        "GET /health\r\n\r\n".to_owned(),
        "GET  /health HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
        "GET /health HTTP/3.7\r\nHost: x\r\n\r\n".to_owned(),
        "GET /health HTTP/1.1 \r\nHost: x\r\n\r\n".to_owned(),
        "G\u{1}T /health HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n"),
        field(&format!("X: {long}")),
        field(&many),
        field("no colon"),
        field("X y: 1"),
        field(": 1"),
        field("X: 1\u{0}2"),
        field("X: 1\r\n folded"),
        "\u{0}\u{1}\u{2}\r\n\r\n".to_owned(),
        "hello\r\n\r\n".to_owned(),
    ];
    for request in &cases {
        let responses = exchange(&world, format!("{request}{SECOND}").as_bytes()).await;
        let (found, start) = (statuses(&responses), &request[..request.len().min(60)]);
        assert!(found.iter().all(|status| *status >= 400), "{start:?}: {responses}");
        assert!(found.len() <= 1, "{start:?}: {responses}");
    }
    stored(world.put("good", "x")).await;
    world.stop_and_expect_files(&["webapp/good"]).await;
}

#[tokio::test]
async fn what_follows_a_refused_body_is_no_request() {
    let world = World::start().await;
    let second = SECOND.replace("Host: x", &format!("Host: x\r\nAuthorization: Bearer {KEY}"));
    #[rustfmt::skip]
    let cases = [
        put("Content-Length: 0\r\nContent-Length: 9\r\n", &second),
        put("Transfer-Encoding: xchunked\r\n", &second),
        put("Content-Length: x\r\n", &second),
    ];
    for request in &cases {
        let responses = exchange(&world, request.as_bytes()).await;
        let found = statuses(&responses);
        assert!(found.iter().all(|status| *status >= 400), "{request}: {responses}");
        assert_eq!(found.len(), 1, "{request}: {responses}");
    }
    world.stop_and_expect_files(&[]).await;
}
