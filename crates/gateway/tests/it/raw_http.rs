//! Requests as other programs than our agent send them: raw HTTP/1.0 and HTTP/1.1.

use std::io::{Read, Write};
use std::net::TcpStream;

use s3up_core::Code;

use crate::fixture::{KEY, MIB, World, noise};

/// Sends `head` (without the empty line) and `body` at once, whatever the gateway
/// answers meanwhile, and only then reads until the gateway closes the connection.
async fn send(world: &World, head: String, body: Vec<u8>) -> String {
    let host = world.url.strip_prefix("http://").expect("an http URL").to_owned();
    let exchange = move || {
        let mut socket = TcpStream::connect(&host).expect("a connection");
        socket.write_all(format!("{head}\r\n\r\n").as_bytes()).expect("a head that is sent");
        for piece in body.chunks(MIB) {
            socket.write_all(piece).expect("a body that is sent to its end");
        }
        let mut response = Vec::new();
        socket.read_to_end(&mut response).expect("a response that is not cut");
        String::from_utf8_lossy(&response).into_owned()
    };
    tokio::task::spawn_blocking(exchange).await.expect("no panic")
}

fn authorized(request_line: &str, fields: &str) -> String {
    format!("{request_line}\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {KEY}{fields}")
}

fn assert_refused(response: &str, code: Code) {
    assert!(response.starts_with(&format!("HTTP/1.1 {} ", code.status())), "{code:?}: {response}")
}

#[tokio::test]
async fn a_body_that_is_not_a_whole_plain_file_is_refused_and_not_stored() {
    let world = World::start().await;
    let chunked = b"5\r\nhello\r\n0\r\n\r\n".to_vec();
    #[rustfmt::skip]
    let cases = [
        ("\r\nContent-Length: 5\r\nContent-Range: bytes 5-9/10", b"hello".to_vec(), Code::BadRequest),
        ("\r\nTransfer-Encoding: gzip, chunked",                 chunked.clone(),   Code::NotImplemented),
        ("\r\nContent-Length: 5\r\nContent-Encoding: gzip",      b"hello".to_vec(), Code::UnsupportedEncoding),
        ("\r\nContent-Length: 5\r\nContent-Type: text/plain;\tx", b"hello".to_vec(), Code::BadRequest),
        ("\r\nContent-Length: 5\r\nContent-Type: text/caf\u{e9}", b"hello".to_vec(), Code::BadRequest),
    ];
    for (fields, body, code) in cases {
        for call in ["PUT /files/a", "POST /upload"] {
            let response =
                send(&world, authorized(&format!("{call} HTTP/1.1"), fields), body.clone());
            assert_refused(&response.await, code);
        }
    }
    let plain = authorized("PUT /files/b HTTP/1.1", "\r\nTransfer-Encoding: chunked");
    assert!(send(&world, plain, chunked).await.starts_with("HTTP/1.1 200 "));
    assert_eq!(world.content("webapp/b").await.unwrap(), b"hello");
    world.stop_and_expect_files(&["webapp/b"]).await;
}

#[tokio::test]
async fn an_upload_over_http_1_0_needs_a_length() {
    let world = World::start().await;
    let without = send(&world, authorized("PUT /files/a HTTP/1.0", ""), b"hello".to_vec()).await;
    let with = authorized("PUT /files/b HTTP/1.0", "\r\nContent-Length: 5");
    let with = send(&world, with, b"hello".to_vec()).await;

    assert!(
        without.starts_with("HTTP/1.0 411 ") || without.starts_with("HTTP/1.1 411 "),
        "{without}"
    );
    assert!(without.contains(r#""code":"length_required""#), "{without}");
    assert!(with.contains(" 200 OK\r\n"), "{with}");
    assert_eq!(world.content("webapp/b").await.unwrap(), b"hello");
    world.stop_and_expect_files(&["webapp/b"]).await;
}

/// Returns a form with one file, chunked.
fn chunked_form(fields: &[(&str, &str)], part_headers: &str, file: &[u8]) -> (String, Vec<u8>) {
    let mut form = Vec::new();
    for (name, value) in fields {
        let field =
            format!("--X\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        form.extend_from_slice(field.as_bytes());
    }
    let part = "--X\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x\"\r\n";
    form.extend_from_slice(format!("{part}{part_headers}\r\n").as_bytes());
    form.extend_from_slice(file);
    form.extend_from_slice(b"\r\n--X--\r\n");
    let mut body = Vec::new();
    for chunk in form.chunks(100_000) {
        body.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        body.extend_from_slice(chunk);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"0\r\n\r\n");
    let fields = "\r\nContent-Type: multipart/form-data; boundary=X\r\nTransfer-Encoding: chunked";
    (authorized("POST /upload HTTP/1.1", fields), body)
}

#[tokio::test]
async fn a_form_without_a_length_is_stored_and_limited_while_its_bytes_arrive() {
    let no_limit = |config: String| config.replace(", max_file_size_mb: 40", "");
    let world = World::with(s3up_devstore::Versioning::Off, no_limit).await;
    let file = noise(9 * MIB);
    let (head, body) = chunked_form(&[("path", "a")], "", &file);
    let response = send(&world, head, body).await;
    assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
    assert!(world.content("webapp/a").await.unwrap() == file);
    world.stop_and_expect_files(&["webapp/a"]).await;

    let world = World::start().await;
    let (head, body) = chunked_form(&[("path", "over")], "", &noise(41 * MIB));
    assert_refused(&send(&world, head, body).await, Code::TooLarge);
    world.stop_and_expect_files(&[]).await;
}

#[tokio::test]
async fn an_encoded_part_of_a_form_is_refused_and_not_stored() {
    let world = World::start().await;
    #[rustfmt::skip]
    let cases = [
        ("Content-Transfer-Encoding: base64\r\n",  Some(Code::UnsupportedEncoding)),
        ("Content-Encoding: gzip\r\n",             Some(Code::UnsupportedEncoding)),
        ("Content-Type: text/plain;\tx\r\n",       Some(Code::BadRequest)),
        ("Content-Transfer-Encoding: binary\r\nContent-Type: text/x-own\r\n", None),
    ];
    for (part_headers, refused) in cases {
        let (head, body) = chunked_form(&[("path", "a")], part_headers, b"aGVsbG8=");
        let response = send(&world, head, body).await;
        match refused {
            Some(code) => assert_refused(&response, code),
            None => assert!(response.starts_with("HTTP/1.1 200 "), "{response}"),
        }
    }
    let stored = world.get("/download?path=a").send().await.unwrap();
    assert_eq!(stored.headers()["content-type"], "text/x-own");
    world.stop_and_expect_files(&["webapp/a"]).await;
}

/// A client that reads nothing before it has sent everything, like the HTTP library
/// of Python, gets the answer although the gateway gave it at the beginning.
#[tokio::test]
async fn an_early_answer_reaches_a_client_that_is_still_sending() {
    let world = World::start().await;
    let length = format!("\r\nContent-Length: {}", 30 * MIB);
    let unauthorized = format!("PUT /files/a HTTP/1.1\r\nHost: x{length}");
    // As the HttpClient of Java sends it.
    let upgrade =
        "\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAA";
    #[rustfmt::skip]
    let cases = [
        (unauthorized.clone(),                                      401),
        (authorized("PUT /files/../a HTTP/1.1", &length),           400),
        (authorized("POST /upload HTTP/1.1", &length),              400),
        (authorized("PUT /nothing HTTP/1.1", &length),              404),
        (authorized("POST /files/a HTTP/1.1", &length),             405),
        (authorized("GET /health HTTP/1.1", &length),               200),
        (format!("{unauthorized}{upgrade}"),                        401),
        (format!("BAD REQUEST LINE\r\nHost: x{length}"),            400),
        (format!("GET /{} HTTP/1.1\r\nHost: x", "x".repeat(1 << 20)), 431),
        (format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}", "x".repeat(1 << 20)), 431),
    ];
    for (head, status) in cases {
        let response = send(&world, head.clone(), noise(30 * MIB)).await;
        let line = head.lines().next().unwrap_or_default();
        let line = &line[..line.len().min(60)];
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{line}: {response}");
        assert!(response.to_lowercase().contains("connection: close\r\n"), "{line}: {response}");
        let problem = "content-type: application/problem+json\r\n";
        assert_eq!(response.contains(problem), status >= 400, "{line}: {response}");
    }
    for _ in 0..20 {
        let response = send(&world, unauthorized.clone(), noise(30 * MIB)).await;
        assert!(response.starts_with("HTTP/1.1 401 "), "{response}");
    }
    world.stop_and_expect_files(&[]).await;
}

/// Sends the pieces on one connection, each once the whole answer to the one before it is there, and returns
/// the answers.
async fn exchange(world: &World, pieces: Vec<(String, &'static str)>) -> Vec<String> {
    let host = world.url.strip_prefix("http://").expect("an http URL").to_owned();
    let exchange = move || {
        let mut socket = TcpStream::connect(&host).expect("a connection");
        let answer = |(piece, end): (String, &str)| {
            socket.write_all(piece.as_bytes()).expect("a request that is sent");
            let mut response = Vec::new();
            while !response.ends_with(end.as_bytes()) {
                let mut bytes = [0; 4096];
                let count = socket.read(&mut bytes).expect("an answer that is not cut");
                assert!(count > 0, "expected {end:?}: {}", String::from_utf8_lossy(&response));
                response.extend_from_slice(&bytes[..count]);
            }
            String::from_utf8_lossy(&response).into_owned()
        };
        pieces.into_iter().map(answer).collect()
    };
    tokio::task::spawn_blocking(exchange).await.expect("no panic")
}

/// The stored file is what hyper answers to a request that it cannot parse.
#[tokio::test]
async fn a_request_that_cannot_be_parsed_gets_a_problem_and_a_download_is_not_changed() {
    const LIKE_AN_ANSWER: &str =
        "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    let world = World::start().await;
    crate::fixture::stored(world.put("a", LIKE_AN_ANSWER)).await;
    let get = || {
        format!("GET /download?path=a HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n\r\n")
    };
    let bad = "GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: abc\r\n\r\n".to_owned();
    let head = "HEAD /health HTTP/1.1\r\nHost: x\r\n\r\n".to_owned();
    let pieces =
        vec![(get(), LIKE_AN_ANSWER), (head, "\r\n\r\n"), (get(), LIKE_AN_ANSWER), (bad, "}")];

    let answers = exchange(&world, pieces).await;

    let statuses: Vec<_> = answers.iter().map(|answer| &answer[9..12]).collect();
    assert_eq!(statuses, ["200", "200", "200", "400"], "{answers:#?}");
    assert!(answers[3].contains(r#""code":"bad_request""#), "{}", answers[3]);
    assert!(answers[3].contains("cannot be parsed"), "{}", answers[3]);
    world.stop_and_expect_files(&["webapp/a"]).await;
}

#[tokio::test]
async fn a_connection_stays_open_after_the_refusal_of_a_short_body() {
    let world = World::start().await;
    let put = |path: &str, end: &str| {
        format!(
            "PUT /files/{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Length: 5{end}"
        )
    };
    let both = format!("{}\r\n\r\nhello{}", put("a//b", ""), put("b", "\r\nConnection: close"));

    let response = send(&world, both, b"world".to_vec()).await;

    let statuses: Vec<_> =
        response.match_indices("HTTP/1.1 ").map(|(at, _)| &response[at + 9..at + 12]).collect();
    assert_eq!(statuses, ["400", "200"], "{response}");
    assert_eq!(world.content("webapp/b").await.unwrap(), b"world");
    world.stop_and_expect_files(&["webapp/b"]).await;
}

#[tokio::test]
async fn a_connection_stays_open_after_a_chunked_upload() {
    let world = World::start().await;
    let put = |path: &str, end: &str| {
        format!(
            "PUT /files/{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n\
             Transfer-Encoding: chunked{end}"
        )
    };
    let body = "5\r\nhello\r\n0\r\n\r\n";
    let bad = format!("{}\r\n\r\n{body}", put("a//b", ""));
    let all = format!("{}\r\n\r\n{body}{bad}{}", put("a", ""), put("b", "\r\nConnection: close"));

    let response = send(&world, all, body.into()).await;

    let statuses: Vec<_> =
        response.match_indices("HTTP/1.1 ").map(|(at, _)| &response[at + 9..at + 12]).collect();
    // The refused one has no announced length, so what is left of it is not read.
    assert_eq!(statuses, ["200", "400"], "{response}");
    assert!(response.to_lowercase().contains("connection: close\r\n"), "{response}");
    world.stop_and_expect_files(&["webapp/a"]).await;
}
