//! One client with a thousand requests in flight, and another one beside it. It measures, so it has to be
//! asked for: `S3UP_TEST_FAIRNESS=yes cargo nextest run --workspace -E 'test(/^fairness::/)' --success-output
//! immediate`, best with `S3UP_PROGRAMS=DIR`, a directory with an optimized `s3up-server`. It prints what it measured.
//!
//! The busy client is a process of its own with the lowest priority, and the other one has a thread of its own: what is
//! measured is the gateway, and not the load on this machine.

use std::ops::RangeBounds;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use reqwest::Client;
use s3up_testkit::CLOCK;

use crate::fixture::{KEY, READER_KEY, config, stored};
use crate::running::Running;
use crate::scale::gateway_program;

const ADMIN_KEY: &str = "s3up_admin_0123456789012345678901234567890123";
const IN_FLIGHT: usize = 1000;
/// Requests whose latency is measured.
const MEASURED: usize = 1000;
/// Variable with the URL of the gateway, for the process of the busy client.
const BUSY_URL: &str = "S3UP_FAIRNESS_URL";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_is_hardly_slower_beside_one_with_a_thousand_requests_in_flight() {
    if std::env::var_os("S3UP_TEST_FAIRNESS").is_none() {
        println!("NOT RUN: the latency beside 1,000 requests: set S3UP_TEST_FAIRNESS=yes");
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let s3 = crate::process::s3(&root).await;
    let file = root.path().join("server.yaml");
    let text = config(&s3.endpoint(), &root.path().join("gateway.db"));
    std::fs::write(&file, format!("{text}\nadmin_keys: [{ADMIN_KEY}]\n")).unwrap();
    let gateway = Running::start_by(gateway_program(), &file, &[]);
    let put = Client::new().put(format!("{}/files/a", gateway.url)).bearer_auth(KEY).body("x");
    stored(put).await;
    let alone = latencies(&gateway.url).await;
    println!("alone: {alone:?}");
    let mut slower = Vec::new();
    for method in ["PUT"] {
        let busy = BusyClient::start(&gateway.url, method);
        until_in_flight(&gateway.url, IN_FLIGHT as u64 * 9 / 10..).await;

        let beside = latencies(&gateway.url).await;

        let in_flight = in_flight(&gateway.url).await;
        drop(busy);
        println!("beside {in_flight} requests {method} in flight: {beside:?}");
        if beside.p99 > 3 * alone.p99 {
            slower.push((method, beside));
        }
        until_in_flight(&gateway.url, ..10).await;
    }
    assert!(slower.is_empty(), "more than three times of {alone:?}: {slower:?}");
    assert!(gateway.stop().await.success());
    s3.stop().await;
}

/// Variable with the method of its requests.
const BUSY_METHOD: &str = "S3UP_FAIRNESS_METHOD";

/// The process of the busy client. Dropped, it ends.
struct BusyClient(Child);

impl BusyClient {
    fn start(url: &str, method: &str) -> BusyClient {
        let program = std::env::current_exe().expect("the tests");
        let mut command = Command::new("nice");
        command.args(["-n", "19"]).arg(program).env(BUSY_URL, url).env(BUSY_METHOD, method);
        command.args(["--exact", "fairness::a_busy_client_keeps_its_requests_in_flight"]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        BusyClient(command.spawn().expect("a process"))
    }
}

impl Drop for BusyClient {
    fn drop(&mut self) {
        self.0.kill().expect("it runs");
        self.0.wait().expect("its end");
    }
}

/// The busy client: it is no test, and ends with its process.
#[tokio::test]
async fn a_busy_client_keeps_its_requests_in_flight() {
    let Some(url) = std::env::var_os(BUSY_URL) else {
        println!("NOT RUN: it is a part of another test");
        return;
    };
    let (url, http) = (url.into_string().unwrap(), Client::new());
    let reads = std::env::var_os(BUSY_METHOD).is_some_and(|method| method == "GET");
    let busy = (0..IN_FLIGHT).map(|n| {
        let (put, get) = (format!("{url}/files/busy-{n}"), format!("{url}/exists?path=busy-{n}"));
        let (http, reads) = (http.clone(), reads);
        tokio::spawn(async move {
            loop {
                let request =
                    if reads { http.get(&get) } else { http.put(&put).body(vec![1; 1000]) };
                // 200, or 429 beyond the concurrent requests of the client. The gateway may close a connection
                // that is about to be used again, and then the request is sent again.
                if let Ok(response) = request.bearer_auth(KEY).send().await {
                    assert!(response.status().as_u16() < 500, "{response:?}");
                }
            }
        })
    });
    let (ended, ..) = futures::future::select_all(busy.collect::<Vec<_>>()).await;
    panic!("a request failed: {:?}", ended.map_or_else(|err| err.to_string(), |_| String::new()));
}

/// Waits until the gateway has a number of requests.
async fn until_in_flight(url: &str, wanted: impl RangeBounds<u64>) {
    let all = async {
        while !wanted.contains(&in_flight(url).await) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(300), all).await.expect("requests in flight");
}

async fn in_flight(url: &str) -> u64 {
    metric(url, "s3up_requests_in_flight ").await
}

async fn metric(url: &str, start: &str) -> u64 {
    let metrics = Client::new().get(format!("{url}/metrics")).bearer_auth(ADMIN_KEY);
    let text = metrics.send().await.expect("a response").text().await.expect("a text");
    let value = text.lines().find_map(|line| line.strip_prefix(start));
    let value = value.unwrap_or_else(|| panic!("no {start}in {text}"));
    value.parse::<f64>().expect("a number") as u64
}

#[derive(Debug)]
#[expect(dead_code, reason = "printed")]
struct Latencies {
    median: Duration,
    p99: Duration,
}

/// Measures the requests of another client, one after the other, in a thread of its own.
async fn latencies(url: &str) -> Latencies {
    let url = url.to_owned();
    let measured = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(measure(&url))
    });
    measured.await.expect("latencies")
}

async fn measure(url: &str) -> Latencies {
    let http = Client::new();
    let mut times = Vec::new();
    for _ in 0..MEASURED {
        let exists = http.get(format!("{url}/exists?path=a")).bearer_auth(READER_KEY);
        let began = CLOCK.start();
        let answer = exists.send().await.expect("a response");
        assert_eq!(answer.status().as_u16(), 200);
        times.push(began.elapsed());
    }
    times.sort();
    Latencies { median: times[MEASURED / 2], p99: times[MEASURED * 99 / 100] }
}
