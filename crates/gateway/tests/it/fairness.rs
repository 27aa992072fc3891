//! One client with a thousand requests in flight does not keep another one from being served. How long the requests of
//! the other one take is a benchmark: `bench/run fairness`.

use std::time::Duration;

use reqwest::{Client, RequestBuilder, StatusCode};
use s3up_devstore::{DevStore, Fault, Op};
use s3up_testkit::CLOCK;
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::fixture::{KEY, OTHER_KEY, config, stored};
use crate::running::Running;

const ADMIN_KEY: &str = "s3up_admin_0123456789012345678901234567890123";
/// Requests of the busy client.
const BUSY: usize = 1000;
/// Those that have to be in flight at once: one that was refused comes again after a pause.
const IN_FLIGHT_MIN: f64 = 900.0;
/// Uploads and other requests of one client on which the gateway works at once.
const UPLOADS_MAX: u64 = 32;
const REQUESTS_MAX: u64 = 64;
/// Ends a wait that would last for ever.
const WAIT_MAX: Duration = Duration::from_secs(120);

async fn start(root: &TempDir, s3: &DevStore) -> Running {
    let file = root.path().join("server.yaml");
    let text = config(&s3.endpoint(), &root.path().join("gateway.db"));
    std::fs::write(&file, format!("{text}\nadmin_keys: [{ADMIN_KEY}]\n")).expect("a file");
    let gateway = Running::start(&file, &[]);
    stored(of_other(&gateway, "PUT", "/files/first.jpg").body("x")).await;
    gateway
}

/// Returns a request of the other client.
fn of_other(gateway: &Running, method: &str, url: &str) -> RequestBuilder {
    let method = method.parse().expect("a method");
    Client::new().request(method, format!("{}{url}", gateway.url)).bearer_auth(OTHER_KEY)
}

/// Sends a thousand requests, each of them again after it was refused. S3 answers none of them. They end when this is
/// dropped.
fn busy_client(
    url_of: impl Fn(usize) -> String,
    body: Option<&'static str>,
) -> JoinSet<StatusCode> {
    let http = Client::new();
    let requests = (0..BUSY).map(|n| {
        let request = match body {
            None => http.get(url_of(n)),
            Some(body) => http.put(url_of(n)).body(body),
        };
        let request = request.bearer_auth(KEY);
        async move {
            loop {
                let answer = request.try_clone().expect("a short body").send().await;
                let status = answer.expect("a response").status();
                if status != StatusCode::TOO_MANY_REQUESTS {
                    return status;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    });
    requests.collect()
}

/// Waits until the requests of the busy client are in flight, and those on which the gateway works are at S3.
async fn until_in_flight(gateway: &Running, s3: &DevStore, op: Op, calls: u64) {
    let began = CLOCK.start();
    loop {
        let in_flight = gateway.metric(ADMIN_KEY, "s3up_requests_in_flight").await;
        let found = s3.faults().calls(op);
        if in_flight >= IN_FLIGHT_MIN && found >= calls {
            return assert_eq!(found, calls, "the others wait before they ask S3");
        }
        assert!(began.elapsed() < WAIT_MAX, "{in_flight} in flight, {found} calls");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Stalls the next calls of an operation. Returns the number of calls then.
fn stall(s3: &DevStore, op: Op, count: u64) -> u64 {
    for nth in 1..=count {
        s3.faults().inject(op, nth, Fault::Stall);
    }
    s3.faults().calls(op) + count
}

/// Makes each kind of request by the other client.
async fn each_is_served(gateway: &Running) {
    stored(of_other(gateway, "PUT", "/files/second.jpg").body("second")).await;
    for (url, want) in [
        ("/exists?path=second.jpg", "\"exists\":true"),
        ("/list", "second.jpg"),
        ("/versions?path=second.jpg", "\"size\":6"),
        ("/download?path=second.jpg", "second"),
    ] {
        let answer = of_other(gateway, "GET", url).send().await.expect("a response");
        let (status, text) = (answer.status(), answer.text().await.expect("a body"));
        assert!(status == StatusCode::OK && text.contains(want), "{url}: {status} {text}");
    }
    let heartbeat = of_other(gateway, "POST", "/heartbeat").json(&crate::fleet::heartbeat());
    assert_eq!(heartbeat.send().await.expect("a response").status(), StatusCode::OK);
}

/// Runs the requests of the other client beside a thousand of the busy one, of which S3 gets `calls` of `op` and
/// answers none.
async fn another_client_is_served(op: Op, calls: u64, path: &str, body: Option<&'static str>) {
    let root = tempfile::tempdir().expect("a directory");
    let s3 = crate::process::s3(&root).await;
    let gateway = start(&root, &s3).await;
    let calls = stall(&s3, op, calls);
    let url = gateway.url.clone();
    let mut busy = busy_client(|n| format!("{url}{path}{n}"), body);
    until_in_flight(&gateway, &s3, op, calls).await;

    each_is_served(&gateway).await;

    assert!(busy.try_join_next().is_none(), "a request of the busy client has ended");
    until_in_flight(&gateway, &s3, op, s3.faults().calls(op)).await;
    // The gateway would wait for S3 before it stops.
    drop((busy, gateway));
    s3.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_is_served_while_another_one_has_a_thousand_uploads_in_flight() {
    another_client_is_served(Op::PutObject, UPLOADS_MAX, "/files/busy-", Some("busy")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_is_served_while_another_one_asks_for_a_thousand_files_at_once() {
    another_client_is_served(Op::HeadObject, REQUESTS_MAX, "/exists?path=busy-", None).await;
}
