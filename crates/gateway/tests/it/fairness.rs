//! One client with a thousand requests in flight, and another one beside it. It measures, so it has to be
//! asked for: `S3UP_TEST_FAIRNESS=yes cargo nextest run --workspace -E 'test(/^fairness::/)' --success-output
//! immediate`, best with `--release`. It prints what it measured.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use reqwest::Client;
use s3up_testkit::CLOCK;

use crate::fixture::{KEY, READER_KEY, config, stored};
use crate::running::Running;

const IN_FLIGHT: usize = 1000;
/// Requests whose latency is measured.
const MEASURED: usize = 1000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_is_hardly_slower_beside_one_with_a_thousand_requests_in_flight() {
    if std::env::var_os("S3UP_TEST_FAIRNESS").is_none() {
        println!("NOT RUN: the latency beside 1,000 requests: set S3UP_TEST_FAIRNESS=yes");
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let s3 = crate::process::s3(&root).await;
    let file = root.path().join("server.yaml");
    std::fs::write(&file, config(&s3.endpoint(), &root.path().join("gateway.db"))).unwrap();
    let gateway = Running::start(&file, &[]);
    let put = Client::new().put(format!("{}/files/a", gateway.url)).bearer_auth(KEY).body("x");
    stored(put).await;
    let alone = latencies(&gateway.url).await;
    let (is_over, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let busy: Vec<_> = (0..IN_FLIGHT)
        .map(|n| {
            let (is_over, count) = (is_over.clone(), count.clone());
            let url = format!("{}/files/busy-{n}", gateway.url);
            tokio::spawn(async move {
                let http = Client::new();
                while !is_over.load(Ordering::Relaxed) {
                    let put = http.put(&url).bearer_auth(KEY).body(vec![1; 1000]).send().await;
                    // 200, or 429 beyond the concurrent uploads of the client.
                    assert!(put.expect("a response").status().as_u16() < 500);
                    count.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    while count.load(Ordering::Relaxed) < IN_FLIGHT as u64 {
        tokio::task::yield_now().await;
    }

    let beside = latencies(&gateway.url).await;

    is_over.store(true, Ordering::Relaxed);
    for task in busy {
        task.await.unwrap();
    }
    let requests = count.load(Ordering::Relaxed);
    println!("alone: {alone:?}; beside {IN_FLIGHT} in flight ({requests} requests): {beside:?}");
    assert!(beside.p99 <= 3 * alone.p99, "p99 {:?} alone, {:?} beside", alone.p99, beside.p99);
    assert!(gateway.stop().await.success());
    s3.stop().await;
}

#[derive(Debug)]
#[expect(dead_code, reason = "printed")]
struct Latencies {
    median: Duration,
    p99: Duration,
}

/// Measures the requests of another client, one after the other.
async fn latencies(url: &str) -> Latencies {
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
