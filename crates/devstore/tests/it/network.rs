//! A slow network: latency and limited bandwidth.
//!
//! These tests only measure that something is not too fast, never that it is not
//! too slow.

use std::num::NonZeroU64;
use std::time::Duration;

use crate::support::{Server, server, time_of};

#[tokio::test]
async fn every_call_is_delayed_by_the_latency() {
    let server = server().await;
    server.faults().set_latency(Duration::from_millis(80));

    assert!(time_of(server.put("key", b"x")).await >= Duration::from_millis(80));

    server.faults().set_latency(Duration::ZERO);
    server.put("key", b"x").await;
}

#[tokio::test]
async fn the_bandwidth_is_limited_in_both_directions() {
    let server = server().await;
    let body = vec![7; 100_000];
    server.faults().set_bandwidth(NonZeroU64::new(400_000));

    // A quarter of a second, minus the first piece, which is sent immediately.
    let upload = time_of(server.put("key", &body)).await;
    let download = time_of(async { assert!(server.get("key").await == body) }).await;

    assert!(upload >= Duration::from_millis(200), "{upload:?}");
    assert!(download >= Duration::from_millis(200), "{download:?}");
}

#[tokio::test]
async fn all_connections_share_the_bandwidth() {
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
