//! The control endpoint, used like another process does.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use s3up_devstore::{Fault, Op};
use serde_json::{Value, json};

use crate::support::{self, BUCKET, Server, bytes, is_broken, server};

#[tokio::test]
async fn a_fault_is_injected_listed_and_removed() {
    let server = server().await;
    let fault = json!({ "op": "PutObject", "nth": 2, "fault": { "kind": "internal_error" } });

    let (status, injected) = send(&server, Method::POST, "faults", fault).await;
    assert_eq!(status, StatusCode::CREATED);
    assert_eq!(injected["call"], 2);
    server.put("first", b"x").await;
    assert_eq!(query(&server, "faults").await["unfired"], json!([injected]));
    let second = server.client.put_object().bucket(BUCKET).key("second").send().await;
    assert_eq!(support::status(second), 500);
    assert_eq!(query(&server, "faults").await["unfired"], json!([]));

    let never = json!({ "op": "GetObject", "nth": 9, "fault": { "kind": "stall" } });
    send(&server, Method::POST, "faults", never).await;
    assert_eq!(
        server.faults().unfired().len(),
        1,
        "the endpoint and the Rust API share their faults"
    );
    send(&server, Method::DELETE, "faults", Value::Null).await;
    assert_eq!(server.faults().unfired(), []);
}

#[tokio::test]
async fn calls_are_counted_but_commands_are_not() {
    let server = server().await;
    server.put("key", b"x").await;
    server.put("key", b"y").await;
    server.keys().await;

    let calls = query(&server, "calls").await;

    let by_operation = json!({ "PutObject": 2, "ListObjectsV2": 1 });
    assert_eq!(calls, json!({ "total": 3, "by_operation": by_operation }));
}

#[tokio::test]
async fn a_call_is_held_awaited_and_released() {
    let server = server().await;
    let (status, hold) = send(&server, Method::POST, "holds", json!({ "nth": 1 })).await;
    let hold = format!("holds/{}", hold["id"]);
    assert_eq!(status, StatusCode::CREATED);
    assert_eq!(query(&server, &hold).await, json!({ "has_fired": false }));

    let put = server.client.put_object().bucket(BUCKET).key("key").body(bytes(b"x"));
    let putting = tokio::spawn(put.send());
    assert_eq!(query(&server, &format!("{hold}/reached")).await, json!({ "has_fired": true }));
    assert_eq!(query(&server, &hold).await, json!({ "has_fired": true }));
    assert!(!putting.is_finished());
    assert_eq!(server.keys().await, ["key"]);

    let (released, _) = send(&server, Method::DELETE, &hold, Value::Null).await;
    assert_eq!(released, StatusCode::NO_CONTENT);
    assert!(is_broken(&putting.await.unwrap()));
    let (gone, _) = send(&server, Method::GET, &hold, Value::Null).await;
    assert_eq!(gone, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_clock_is_advanced_and_the_delay_of_restores_is_set() {
    let server = server().await;
    let before = server.s3.now();

    let (moved, _) =
        send(&server, Method::POST, "clock", json!({ "advance_seconds": 86400 })).await;
    let (set, _) = send(&server, Method::PUT, "restore", json!({ "delay_seconds": 60 })).await;

    assert_eq!((moved, set), (StatusCode::OK, StatusCode::NO_CONTENT));
    assert!(server.s3.now() >= before + Duration::from_secs(86400));
    assert!(query(&server, "clock").await["now"].is_string());
}

#[tokio::test]
async fn the_network_is_made_slow_and_fast_again() {
    let server = server().await;
    let slow = json!({ "latency_ms": 1, "bytes_per_second": 1_000_000 });

    let (made_slow, _) = send(&server, Method::PUT, "network", slow).await;
    server.put("key", b"x").await;
    let (made_fast, _) = send(&server, Method::PUT, "network", json!({})).await;

    assert_eq!((made_slow, made_fast), (StatusCode::NO_CONTENT, StatusCode::NO_CONTENT));
}

#[tokio::test]
async fn a_wrong_command_is_refused_with_its_reason() {
    let server = server().await;
    let wrong = json!({ "op": "PutObject", "nth": 1, "fault": { "kind": "nonsense" } });

    let (malformed, answer) = send(&server, Method::POST, "faults", wrong).await;
    let (unknown, _) = send(&server, Method::GET, "nonsense", Value::Null).await;

    assert_eq!((malformed, unknown), (StatusCode::BAD_REQUEST, StatusCode::NOT_FOUND));
    assert!(answer["error"].as_str().unwrap().contains("nonsense"), "{answer}");
    assert_eq!(server.faults().unfired(), []);
}

#[tokio::test]
async fn the_endpoint_hides_no_bucket_and_no_object() {
    let server = server().await;
    server.faults().inject(Op::CreateBucket, 1, Fault::InternalError);
    server.faults().clear();

    let refused = server.client.create_bucket().bucket("_control").send().await;
    server.put("_control/faults", b"an object").await;

    assert!(refused.is_err());
    assert_eq!(server.get("_control/faults").await, b"an object");
}

async fn query(server: &Server, path: &str) -> Value {
    let (status, answer) = send(server, Method::GET, path, Value::Null).await;
    assert_eq!(status, StatusCode::OK, "{path}: {answer}");
    answer
}

/// Sends a command; returns the status and the document, or null.
async fn send(server: &Server, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
    let url = format!("{}/_control/{path}", server.s3.endpoint());
    let request = reqwest::Client::new().request(method, url);
    let request = if body.is_null() { request } else { request.json(&body) };
    let answer = request.send().await.expect("an answer");
    let status = answer.status();
    let text = answer.text().await.expect("the text of the answer");
    (status, serde_json::from_str(&text).unwrap_or(Value::Null))
}
