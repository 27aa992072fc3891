//! A gateway behind the proxies that docs/gateway.md describes. `scripts/early-answers.sh` measures
//! more clients and proxies than are tested here.

use std::io::{Read, Write};
use std::sync::Arc;

use reqwest::StatusCode;
use s3up_devstore::Op;

use crate::fixture::{KEY, MIB, READER_KEY, World, noise};
use crate::proxy::Proxy;

/// Sends head and body, and only then reads. Returns the status of the response.
fn status_after_sending(proxy: &Proxy, head: &str, body: &[u8]) -> u16 {
    let mut connection = proxy.connect();
    connection.write_all(head.as_bytes()).expect("a head that is sent");
    connection.write_all(body).expect("a body that is sent to its end");
    connection.flush().expect("a body that is sent to its end");
    let mut response = Vec::new();
    // Without a close_notify at its end the response is read as well.
    connection.read_to_end(&mut response).ok();
    let response = String::from_utf8_lossy(&response);
    let status = response.strip_prefix("HTTP/1.1 ").and_then(|rest| rest[..3].parse().ok());
    status.unwrap_or_else(|| panic!("no response: {response:?}; {}", proxy.log()))
}

async fn refusals_reach_a_client_that_is_still_sending(name: &str) {
    let world = World::start().await;
    let Some(proxy) = Proxy::start_or_skip(name, &[&world.url]) else { return };
    let body = noise(41 * MIB);
    let proxy = Arc::new(proxy);
    for (path, key, status) in [
        ("a", KEY, 413),
        ("a", "sk_live_wrong", 401),
        ("a", READER_KEY, 403),
        ("a%5Cb", KEY, 400),
        ("a/../../b", KEY, 400),
    ] {
        let head = format!(
            "PUT /files/{path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        let (proxy, body) = (proxy.clone(), body.clone());
        let found = tokio::task::spawn_blocking(move || status_after_sending(&proxy, &head, &body));
        assert_eq!(found.await.expect("no panic"), status, "{name}: {path} with {key}");
    }
    drop(proxy);
    world.stop_and_expect_files(&[]).await;
}

#[tokio::test]
async fn refusals_reach_a_client_behind_nginx() {
    refusals_reach_a_client_that_is_still_sending("nginx").await;
}

#[tokio::test]
async fn refusals_reach_a_client_behind_haproxy() {
    refusals_reach_a_client_that_is_still_sending("haproxy").await;
}

#[tokio::test]
async fn refusals_reach_a_client_behind_apache() {
    refusals_reach_a_client_that_is_still_sending("apache").await;
}

/// A proxy that waits for the whole body keeps a copy on its disk, and a client sees no progress.
async fn an_upload_streams(name: &str) {
    let world = World::start().await;
    let Some(proxy) = Proxy::start_or_skip(name, &[&world.url]) else { return };
    let file = noise(20 * MIB);
    let (first, rest) = file.split_at(15 * MIB);
    let head = format!(
        "PUT /files/a HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        file.len()
    );
    let mut connection = proxy.connect();
    let first = [head.as_bytes(), first].concat();
    let mut connection = tokio::task::spawn_blocking(move || {
        connection.write_all(&first).expect("the first part is sent");
        connection.flush().expect("the first part is sent");
        connection
    })
    .await
    .expect("no panic");

    world.called(Op::UploadPart, 1).await;
    let rest = rest.to_vec();
    let response = tokio::task::spawn_blocking(move || {
        connection.write_all(&rest).expect("the rest is sent");
        let mut response = Vec::new();
        connection.read_to_end(&mut response).ok();
        String::from_utf8_lossy(&response).into_owned()
    });

    let response = response.await.expect("no panic");
    assert!(response.starts_with("HTTP/1.1 200 "), "{name}: {response}");
    assert!(world.content("webapp/a").await.expect("a file") == file);
    drop(proxy);
    world.stop_and_expect_files(&["webapp/a"]).await;
}

#[tokio::test]
async fn an_upload_behind_nginx_streams_into_s3() {
    an_upload_streams("nginx").await;
}

#[tokio::test]
async fn an_upload_behind_haproxy_streams_into_s3() {
    an_upload_streams("haproxy").await;
}

#[tokio::test]
async fn an_upload_behind_apache_streams_into_s3() {
    an_upload_streams("apache").await;
}

#[tokio::test]
async fn an_upload_behind_caddy_streams_into_s3() {
    an_upload_streams("caddy").await;
}

#[tokio::test]
async fn a_path_passes_nginx_as_it_was_sent() {
    a_path_passes_as_it_was_sent("nginx").await;
}

#[tokio::test]
async fn a_path_passes_haproxy_as_it_was_sent() {
    a_path_passes_as_it_was_sent("haproxy").await;
}

#[tokio::test]
async fn a_path_passes_apache_as_it_was_sent() {
    a_path_passes_as_it_was_sent("apache").await;
}

#[tokio::test]
async fn a_path_passes_caddy_as_it_was_sent() {
    a_path_passes_as_it_was_sent("caddy").await;
}

async fn a_path_passes_as_it_was_sent(name: &str) {
    let world = World::start().await;
    let Some(proxy) = Proxy::start_or_skip(name, &[&world.url]) else { return };
    let http = proxy.client();
    for path in
        ["a%20b", "a+b", "a%2Bb", "100%25", "a%3Fb%23c", "caf%C3%A9", "a%2Fb", "a;b=c", "a%255Cb"]
    {
        let put = http.put(format!("{}/files/{path}", proxy.url())).bearer_auth(KEY).body(path);
        let response = put.send().await.expect("a response");
        let (status, text) = (response.status(), response.text().await.expect("a body"));
        assert_eq!(status, StatusCode::OK, "{name}: {path}: {text}");
        let get = format!("{}/download?path={}", proxy.url(), path.replace('+', "%2B"));
        let found = http.get(get).bearer_auth(KEY).send().await.expect("a response");
        assert_eq!(found.text().await.expect("a body"), path);
        assert_eq!(world.download(&path.replace('+', "%2B")).await, path.as_bytes(), "{path}");
    }
    for path in ["a//b", "/a", "a%2f%2fb", "a%01b"] {
        let put = http.put(format!("{}/files/{path}", proxy.url())).bearer_auth(KEY).body(path);
        assert_eq!(
            put.send().await.expect("a response").status(),
            StatusCode::BAD_REQUEST,
            "{path}"
        );
    }
    drop(proxy);
    world.stop().await;
}
