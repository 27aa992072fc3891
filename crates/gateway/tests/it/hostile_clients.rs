//! Slow and broken clients: others are served all the while, and everything that they held is given
//! back.

use std::time::Duration;

use futures::{StreamExt, stream};
use reqwest::StatusCode;
use s3up_testkit::CLOCK;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::fixture::{BUCKET, KEY, MIB, config, noise};
use crate::running::Running;

const ADMIN_KEY: &str = "s3up_admin_0123456789012345678901234567890123";
/// Longer than each limit of the gateway for a client that is not silent: 30 s.
const DROPPED_WITHIN: Duration = Duration::from_secs(90);
/// Number of idle connections of each run of the tests.
const IDLE_FEW: usize = 1000;
/// Maximum memory of the gateway with ten thousand of them. They are outside the buffer budget.
const IDLE_MEMORY_MAX: u64 = 400 << 20;

/// Writes a `server.yaml` with an admin key. `server` is added to its section.
fn write_config(root: &TempDir, endpoint: &str, server: &str) -> std::path::PathBuf {
    let file = root.path().join("server.yaml");
    let text = config(endpoint, &root.path().join("gateway.db"));
    let text = text.replace("port: 0", &format!("port: 0{server}"));
    std::fs::write(&file, format!("admin_keys: [{ADMIN_KEY}]\n{text}")).expect("a file");
    file
}

fn address(gateway: &Running) -> String {
    gateway.url.strip_prefix("http://").expect("an http URL").to_owned()
}

/// The behaviour of a hostile client after its first bytes.
#[derive(Clone, Copy, Debug)]
enum Then {
    /// It sends nothing any more.
    Silence,
    /// It sends one byte a second.
    Trickle(u8),
    /// It sends the same bytes without an end.
    Repeat(&'static [u8]),
}

/// Sends until the gateway closes the connection. Returns what the gateway sent.
async fn send_until_closed(address: String, first: Vec<u8>, then: Then) -> String {
    let socket = TcpStream::connect(address).await.expect("a connection");
    let (mut from, mut to) = socket.into_split();
    let sending = async move {
        let mut sent = to.write_all(&first).await;
        while sent.is_ok() {
            sent = match then {
                Then::Silence => std::future::pending().await,
                Then::Trickle(byte) => {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    to.write_all(&[byte]).await
                }
                Then::Repeat(bytes) => to.write_all(bytes).await,
            };
        }
        std::future::pending::<()>().await;
    };
    let mut response = Vec::new();
    // A connection that is reset is closed as well.
    let reading = async { from.read_to_end(&mut response).await.ok() };
    let ended = async {
        tokio::select! {
            _ = reading => {}
            () = sending => {}
        }
    };
    tokio::time::timeout(DROPPED_WITHIN, ended)
        .await
        .expect("a connection that the gateway closes");
    String::from_utf8_lossy(&response).into_owned()
}

/// The hostile clients: their number, first bytes, what follows, and the status that they get (none:
/// the connection is closed without a response).
fn hostile() -> Vec<(usize, Vec<u8>, Then, Option<u16>)> {
    let authorized = format!("Host: x\r\nAuthorization: Bearer {KEY}\r\n");
    let put = |fields: &str, body: &[u8]| {
        let head = format!("PUT /files/hostile HTTP/1.1\r\n{authorized}{fields}\r\n\r\n");
        [head.as_bytes(), body].concat()
    };
    let form = "--X\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n";
    let form_head = format!(
        "POST /upload HTTP/1.1\r\n{authorized}Content-Type: multipart/form-data; boundary=X\r\n\
         Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{form}",
        form.len() + 2 * MIB
    );
    let long_field =
        format!("GET /health HTTP/1.1\r\nHost: x\r\nX-Long: {}", "a".repeat(100 << 10));
    const CHUNK: &[u8] = b"10\r\n0123456789abcdef\r\n";
    vec![
        (100, vec![], Then::Silence, None),
        (10, b"GET /health HTTP/1.1\r\nHost: x\r\n".to_vec(), Then::Silence, None),
        (5, b"GET /health HTTP/1.1\r\nX: ".to_vec(), Then::Trickle(b'a'), None),
        (5, long_field.into_bytes(), Then::Silence, Some(431)),
        (5, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), Then::Silence, Some(400)),
        (3, put("Content-Length: 1048576", b"begin"), Then::Trickle(b'a'), Some(408)),
        // The first part is in S3, and a second one waits in a buffer.
        (2, put("Content-Length: 20971520", &noise(9 * MIB)), Then::Silence, Some(408)),
        (2, put("Transfer-Encoding: chunked", b""), Then::Repeat(CHUNK), Some(413)),
        // The path comes after the file, which waits in a temporary file.
        (2, [form_head.as_bytes(), &noise(MIB)].concat(), Then::Silence, Some(408)),
        // Without a key.
        (
            2,
            b"PUT /files/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(),
            Then::Repeat(CHUNK),
            Some(401),
        ),
    ]
}

/// Uploads and asks for files until `stop` resolves. Returns the number of requests.
async fn served(gateway: &Running, stop: impl Future<Output = ()>) -> u64 {
    let http = reqwest::Client::new();
    let (mut stop, mut count) = (std::pin::pin!(stop), 0);
    loop {
        let requests = async {
            let put =
                http.put(format!("{}/files/good-{}", gateway.url, count % 10)).bearer_auth(KEY);
            let put = put.body(count.to_string()).send().await.expect("a response");
            assert_eq!(put.status(), StatusCode::OK, "{:?}", put.text().await);
            let health = http.get(format!("{}/health", gateway.url)).send().await;
            assert_eq!(health.expect("a response").status(), StatusCode::OK);
        };
        tokio::select! {
            biased;
            () = &mut stop => return count,
            () = requests => count += 2,
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until nothing of the clients is left in the gateway.
async fn everything_is_given_back(gateway: &Running) {
    let began = CLOCK.start();
    loop {
        // The connection that asks for it is one.
        let buffers = gateway.metric(ADMIN_KEY, "s3up_buffer_used_bytes").await;
        let (connections, files) = (gateway.client_connections(), gateway.unnamed_files());
        if (buffers, files) == (0.0, 0) && connections <= 1 {
            return;
        }
        let held = format!("{buffers} bytes of buffers, {connections} connections, {files} files");
        assert!(began.elapsed() < DROPPED_WITHIN, "{held}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_and_broken_clients_are_dropped_while_others_are_served() {
    let root = tempfile::tempdir().unwrap();
    let s3 = crate::process::s3(&root).await;
    let gateway = Running::start(&write_config(&root, &s3.endpoint(), ""), &[]);
    everything_is_given_back(&gateway).await;
    let mut clients = JoinSet::new();
    for (count, first, then, want) in hostile() {
        for _ in 0..count {
            let (address, first) = (address(&gateway), first.clone());
            clients.spawn(async move {
                let sent = String::from_utf8_lossy(&first[..first.len().min(60)]).into_owned();
                let response = send_until_closed(address, first, then).await;
                let status = response.split(' ').nth(1).and_then(|status| status.parse().ok());
                (sent, want, status, response)
            });
        }
    }

    let all_ended = async {
        while let Some(ended) = clients.join_next().await {
            let (sent, want, status, response): (_, _, Option<u16>, _) = ended.expect("no panic");
            // Of uploads of one path, the last one cancels the others.
            let is_superseded = status == Some(409) && response.contains("superseded");
            assert!(status == want || is_superseded, "{sent:?}: {status:?}: {response}");
        }
    };
    let count = served(&gateway, all_ended).await;

    assert!(count > 20, "{count} requests were served meanwhile");
    everything_is_given_back(&gateway).await;
    assert_eq!(s3.uploads(BUCKET), Vec::<String>::new());
    assert!(!s3.objects(BUCKET).keys().any(|key| key.ends_with("/hostile")));
    assert!(gateway.stop().await.success());
    s3.stop().await;
}

/// Opens more idle connections than the gateway may have, in turn before and after a request.
async fn idle_connections_are_closed_for_others(max_connections: usize, count: usize) {
    let root = tempfile::tempdir().expect("a directory");
    let s3 = crate::process::s3(&root).await;
    let server = format!(", max_connections: {max_connections}");
    let gateway = Running::start(&write_config(&root, &s3.endpoint(), &server), &[]);
    let (done, stop) = tokio::sync::oneshot::channel::<()>();
    let opening = async {
        let open = |n: usize| {
            let address = address(&gateway);
            async move {
                let mut socket = TcpStream::connect(address).await.expect("a connection");
                if n.is_multiple_of(2) {
                    // It may have been closed already.
                    socket.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n").await.ok();
                }
                socket
            }
        };
        // Within less than the time after which an idle connection is closed anyway.
        let opened = stream::iter((0..count).map(open)).buffer_unordered(64);
        let idle: Vec<_> = opened.collect().await;
        // The next connections find no place that is free.
        for _ in 0..20 {
            let health = reqwest::get(format!("{}/health", gateway.url)).await;
            assert_eq!(health.expect("a response").status(), StatusCode::OK);
        }
        drop(done);
        idle
    };
    let stop = async { drop(stop.await) };

    let (served, idle) = tokio::join!(served(&gateway, stop), opening);

    assert!(served >= 2, "{served} requests were served meanwhile");
    assert!(gateway.client_connections() <= max_connections + 1);
    let closed = gateway.metric(ADMIN_KEY, "s3up_connections_closed_total").await;
    assert!(closed >= (count - max_connections) as f64, "{closed} were closed");
    gateway.logged("connections_exhausted", 1);
    let memory = gateway.memory_peak();
    assert!(memory <= IDLE_MEMORY_MAX, "{memory} bytes for {max_connections} connections");
    drop(idle);
    everything_is_given_back(&gateway).await;
    assert!(gateway.stop().await.success());
    s3.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_do_not_keep_others_out() {
    idle_connections_are_closed_for_others(IDLE_FEW / 2, IDLE_FEW).await;
}

/// The same with all connections that a gateway has by default.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_idle_connections_do_not_keep_others_out() {
    // The gateway raises its own limit.
    let needed = 12_000 + 1000;
    let limit = s3up_cli::raise_open_files(needed);
    if limit < needed {
        println!("SKIPPED: expected {needed} open files (ulimit -Hn), found {limit}");
        return;
    }
    idle_connections_are_closed_for_others(10_000, 12_000).await;
}

/// They wait in the kernel.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_connections_that_come_at_once_wait_for_a_gateway_that_is_busy() {
    let root = tempfile::tempdir().unwrap();
    let s3 = crate::process::s3(&root).await;
    let gateway = Running::start(&write_config(&root, &s3.endpoint(), ""), &[]);
    let host_max = std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap();
    let count = host_max.trim().parse::<usize>().unwrap().min(1000);
    gateway.signal("STOP");

    let connecting = (0..count).map(|_| TcpStream::connect(address(&gateway)));
    let connected = tokio::time::timeout(DROPPED_WITHIN, futures::future::join_all(connecting));

    let sockets = connected.await.expect("connections that the kernel keeps");
    gateway.signal("CONT");
    let answers = sockets.into_iter().map(|socket| async move {
        let (mut socket, mut answer) = (socket.expect("a connection"), String::new());
        let request = b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        socket.write_all(request).await.expect("a connection");
        socket.read_to_string(&mut answer).await.expect("a connection");
        answer
    });
    let answers = futures::future::join_all(answers).await;
    assert!(answers.iter().all(|answer| answer.starts_with("HTTP/1.1 200 ")), "{answers:?}");
    assert!(gateway.stop().await.success());
    s3.stop().await;
}
