//! A slow network: calls wait, and the line is thin.
//!
//! A clock is looked at for what may not be faster, never for what may not be
//! slower.

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use crate::support::{Server, server};

#[tokio::test]
async fn a_call_waits_for_as_long_as_it_was_told() {
    let server = server().await;
    server.faults().set_latency(Duration::from_millis(80));

    assert!(time_of(server.put("key", b"x")).await >= Duration::from_millis(80));

    server.faults().set_latency(Duration::ZERO);
    server.put("key", b"x").await;
}

#[tokio::test]
async fn a_thin_line_is_thin_both_ways() {
    let server = server().await;
    let body = vec![7; 100_000];
    server.faults().set_bandwidth(NonZeroU64::new(400_000));

    // A quarter of a second, but for the piece that goes at once.
    let upload = time_of(server.put("key", &body)).await;
    let download = time_of(async { assert!(server.get("key").await == body) }).await;

    assert!(upload >= Duration::from_millis(200), "{upload:?}");
    assert!(download >= Duration::from_millis(200), "{download:?}");
}

#[tokio::test]
async fn the_line_is_shared_by_all_connections() {
    let server = server().await;
    let body = vec![7; 50_000];
    server.faults().set_bandwidth(NonZeroU64::new(400_000));

    let together = time_of(put_two(&server, &body)).await;

    assert!(together >= Duration::from_millis(200), "{together:?}");
    server.faults().set_bandwidth(None);
    assert!(server.get("one").await == body && server.get("two").await == body);
}

async fn put_two(server: &Server, body: &[u8]) {
    tokio::join!(server.put("one", body), server.put("two", body));
}

async fn time_of<T>(work: impl Future<Output = T>) -> Duration {
    let started_at = Instant::now();
    work.await;
    started_at.elapsed()
}
