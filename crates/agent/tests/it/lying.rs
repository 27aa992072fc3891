//! A gateway that answers 200 and does not say that it stored the file: nothing is protected then.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::fixture::Host;

const CONTENT: &str = "content";
const SHA256: &str = "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73";
/// Maximum number of requests about one file: the quick tries of the configuration, and the others of
/// the scan.
const REQUESTS_MAX: usize = 12;

#[tokio::test]
async fn a_gateway_that_does_not_confirm_the_content_protects_nothing() {
    let other = SHA256.replace('e', "a");
    let json = |size: u64, sha256: &str| {
        format!(
            r#"{{"success":true,"s3_key":"k","size":{size},"sha256":"{sha256}","version_id":null}}"#
        )
    };
    #[rustfmt::skip]
    let cases = [
        // the answer                    its body                                     is protected
        ("the truth",                    json(7, SHA256),                             true),
        ("another SHA-256",              json(7, &other),                             false),
        ("another size",                 json(8, SHA256),                             false),
        ("no SHA-256",                   r#"{"success":true}"#.to_owned(),            false),
        ("a page",                       "<html>It works!</html>".to_owned(),         false),
        ("nothing",                      String::new(),                               false),
        ("another SHA-256 that is unchanged", json(7, &other).replace('}', r#","unchanged":true}"#), false),
    ];
    for (situation, body, is_protected) in cases {
        let gateway = LyingGateway::start(body).await;
        let host = Host::new(&gateway.url);
        host.write("file", CONTENT);

        let summary = host.scan().await;

        let total = host.status().await.total;
        assert_eq!(total.protected.files == 1, is_protected, "{situation}: {summary}");
        assert_eq!(summary.is_clean(), is_protected, "{situation}: {summary}");
        let requests = gateway.requests.load(Ordering::Relaxed);
        assert!((1..=REQUESTS_MAX).contains(&requests), "{situation}: {requests} requests");
    }
}

/// Answers every request with 200 and the same body.
struct LyingGateway {
    url: String,
    requests: Arc<AtomicUsize>,
}

impl LyingGateway {
    async fn start(body: String) -> LyingGateway {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let requests = Arc::new(AtomicUsize::new(0));
        let counter = requests.clone();
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(answer(connection, body.clone(), counter.clone()));
            }
        });
        LyingGateway { url, requests }
    }
}

/// Answers one request and closes the connection.
async fn answer(mut connection: TcpStream, body: String, requests: Arc<AtomicUsize>) {
    let mut received = Vec::new();
    let is_whole = |received: &[u8]| {
        let text = String::from_utf8_lossy(received).to_lowercase();
        let Some((head, rest)) = text.split_once("\r\n\r\n") else { return false };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        rest.len() >= length.and_then(|length| length.parse().ok()).unwrap_or(0)
    };
    while !is_whole(&received) {
        if connection.read_buf(&mut received).await.is_ok_and(|len| len == 0) {
            return;
        }
    }
    requests.fetch_add(1, Ordering::Relaxed);
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n";
    let response = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
    // The client may have gone.
    connection.write_all(response.as_bytes()).await.ok();
    connection.shutdown().await.ok();
}
