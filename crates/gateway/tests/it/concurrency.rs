//! Uploads that compete, that are interrupted, or that a shutdown cancels.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use s3up_core::{Code, Sha256Digest};
use s3up_devstore::{Fault, Op};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::fixture::{KEY, MIB, World, noise, refused, stored};

/// Returns a body that sends `first`, then what the channel receives, and ends
/// when the channel is dropped.
pub fn open_body(first: Vec<u8>) -> (mpsc::Sender<Bytes>, reqwest::Body) {
    let (tx, rx) = mpsc::channel::<Bytes>(1);
    let rest = futures::stream::unfold(rx, |mut rx| async move { Some((rx.recv().await?, rx)) });
    let first = futures::stream::once(async move { Bytes::from(first) });
    let body = first.chain(rest).map(Ok::<_, std::io::Error>);
    (tx, reqwest::Body::wrap_stream(body))
}

#[tokio::test]
async fn a_newer_upload_of_a_path_supersedes_one_that_hangs() {
    let world = World::start().await;
    let (open, body) = open_body(noise(9 * MIB));
    let older = tokio::spawn(world.put("a", body).send());
    world.called(Op::UploadPart, 1).await;

    stored(world.put("a", "newer")).await;

    let older = older.await.unwrap().unwrap();
    assert_eq!(crate::fixture::problem(older).await.code, Code::Superseded);
    drop(open);
    assert_eq!(world.download("a").await, b"newer");
    assert_eq!(world.calls(Op::CompleteMultipartUpload), 0);
    world.stop_and_expect_files(&["webapp/a"]).await;
}

#[tokio::test]
async fn an_upload_that_writes_nothing_supersedes_an_older_one_too() {
    let world = World::start().await;
    let digest = Sha256Digest::of(b"one").to_repr_digest();
    stored(world.put("a", "one")).await;
    let (open, body) = open_body(noise(9 * MIB));
    let older = tokio::spawn(world.put("a", body).send());
    world.called(Op::UploadPart, 1).await;

    let newer = stored(world.put("a", "one").header("repr-digest", digest)).await;
    drop(open);

    assert!(newer.unchanged);
    let older = older.await.unwrap().unwrap();
    assert_eq!(crate::fixture::problem(older).await.code, Code::Superseded);
    assert_eq!(world.download("a").await, b"one");
    world.stop_and_expect_files(&["webapp/a"]).await;
}

#[tokio::test]
async fn a_second_attempt_gets_the_only_upload_slot_from_the_first() {
    let one = |config: String| config.replace("max_file_size_mb: 40", "max_concurrent_uploads: 1");
    let world = World::with(s3up_devstore::Versioning::Off, one).await;
    let (open, body) = open_body(noise(9 * MIB));
    let first = tokio::spawn(world.put("a", body).send());
    world.called(Op::UploadPart, 1).await;

    stored(world.put("a", "second")).await;

    drop((open, first.await));
    assert_eq!(world.download("a").await, b"second");
    world.stop_and_expect_files(&["webapp/a"]).await;
}

#[tokio::test]
async fn a_client_that_disconnects_leaves_nothing_in_the_bucket() {
    let world = World::start().await;
    let (open, body) = open_body(noise(9 * MIB));
    let upload = tokio::spawn(world.put("a", body).send());
    world.called(Op::UploadPart, 1).await;

    upload.abort();
    drop(open);

    world.called(Op::AbortMultipartUpload, 1).await;
    assert_eq!(world.exists("a").await["exists"], false);
    world.stop_and_expect_files(&[]).await;
}

#[tokio::test]
async fn a_body_that_is_shorter_than_announced_is_not_stored() {
    let world = World::start().await;
    let host = world.url.strip_prefix("http://").unwrap();
    // A file of one part, and one whose first part is in S3 when its body ends.
    for (announced, sent) in [(100, 9), (20 * MIB, 9 * MIB)] {
        let mut socket = TcpStream::connect(host).await.unwrap();
        let head = format!(
            "PUT /files/short HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {KEY}\r\n\
             Content-Length: {announced}\r\n\r\n"
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        socket.write_all(&noise(sent)).await.unwrap();
        socket.shutdown().await.unwrap();
        let mut response = Vec::new();
        socket.read_to_end(&mut response).await.unwrap();

        let response = String::from_utf8_lossy(&response).into_owned();
        assert!(response.starts_with("HTTP/1.1 400 "), "{response}");
        assert!(response.contains(r#""code":"incomplete""#), "{response}");
        assert_eq!(world.exists("short").await["exists"], false);
    }
    assert_eq!(world.calls(Op::CreateMultipartUpload), 1);
    world.stop_and_expect_files(&[]).await;
}

#[tokio::test]
async fn a_client_that_waits_for_continue_is_refused_before_its_body() {
    let world = World::start().await;
    let host = world.url.strip_prefix("http://").unwrap();
    for (head, want) in [
        (
            format!(
                "PUT /files/a HTTP/1.1\r\nAuthorization: Bearer {KEY}\r\nContent-Length: 99999999999\r\n"
            ),
            "413",
        ),
        (
            "PUT /files/a HTTP/1.1\r\nAuthorization: Bearer wrong\r\nContent-Length: 5\r\n"
                .to_owned(),
            "401",
        ),
        (
            format!(
                "PUT /files/.. HTTP/1.1\r\nAuthorization: Bearer {KEY}\r\nContent-Length: 5\r\n"
            ),
            "400",
        ),
    ] {
        let mut socket = TcpStream::connect(host).await.unwrap();
        let head = format!("{head}Host: {host}\r\nExpect: 100-continue\r\n\r\n");
        socket.write_all(head.as_bytes()).await.unwrap();
        let mut status_line = [0; 12];
        socket.read_exact(&mut status_line).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&status_line), format!("HTTP/1.1 {want}"));
    }
    world.stop_and_expect_files(&[]).await;
}

#[tokio::test]
async fn concurrent_uploads_that_exceed_the_buffer_budget_all_succeed() {
    let world = World::start().await;
    let body = noise(9 * MIB);
    let uploads = (0..30).map(|n| {
        let request = world.put(&format!("many/{n}"), body.clone());
        async move { stored(request).await }
    });
    let responses = futures::future::join_all(uploads).await;

    let digest = Sha256Digest::of(&body);
    assert!(responses.iter().all(|response| response.sha256 == digest));
    let files: Vec<_> = (0..30).map(|n| format!("webapp/many/{n}")).collect();
    for file in &files {
        assert!(world.content(file).await.unwrap() == body, "{file}");
    }
    let files: Vec<_> = files.iter().map(String::as_str).collect();
    world.stop_and_expect_files(&files).await;
}

#[tokio::test]
async fn an_upload_over_the_concurrency_limit_is_refused_and_not_stored() {
    let one = |config: String| config.replace("max_file_size_mb: 40", "max_concurrent_uploads: 1");
    let world = World::with(s3up_devstore::Versioning::Off, one).await;
    let (open, body) = open_body(noise(9 * MIB));
    let first = tokio::spawn(world.put("a", body).send());
    world.called(Op::UploadPart, 1).await;

    let response = world.put("b", "x").send().await.unwrap();

    assert!(response.headers().contains_key("retry-after"));
    assert_eq!(crate::fixture::problem(response).await.code, Code::RateLimited);
    drop(open);
    assert_eq!(first.await.unwrap().unwrap().status().as_u16(), 200);
    world.stop_and_expect_files(&["webapp/a"]).await;
}

#[tokio::test]
async fn a_form_with_the_file_first_counts_against_the_concurrency_limit() {
    let one = |config: String| config.replace("max_file_size_mb: 40", "max_concurrent_uploads: 1");
    let world = World::with(s3up_devstore::Versioning::Off, one).await;
    let (open, body) = open_body(noise(9 * MIB));
    let first = tokio::spawn(world.put("a", body).send());
    world.called(Op::UploadPart, 1).await;

    let file = reqwest::multipart::Part::text("x").file_name("x");
    let form = reqwest::multipart::Form::new().part("file", file).text("path", "b");
    let form = world.http.post(format!("{}/upload", world.url)).bearer_auth(KEY).multipart(form);

    assert_eq!(refused(form).await.code, Code::RateLimited);
    drop(open);
    assert_eq!(first.await.unwrap().unwrap().status().as_u16(), 200);
    world.stop_and_expect_files(&["webapp/a"]).await;
}

#[tokio::test]
async fn uploads_in_progress_finish_before_the_gateway_stops() {
    let mut world = World::start().await;
    let body = noise(9 * MIB);
    let (open, sent) = open_body(body.clone());
    let upload = tokio::spawn(world.put("a", sent).send());
    world.called(Op::UploadPart, 1).await;
    let (url, http) = (world.url.clone(), world.http.clone());

    let stopping = tokio::spawn(async move {
        world.stop_gateway().await;
        world
    });
    // The listener is closed once a connection is refused.
    while http.get(format!("{url}/health")).timeout(Duration::from_secs(5)).send().await.is_ok() {
        tokio::task::yield_now().await;
    }
    drop(open);

    assert_eq!(upload.await.unwrap().unwrap().status().as_u16(), 200);
    let world = stopping.await.unwrap();
    assert!(world.content("webapp/a").await.unwrap() == body);
}

#[tokio::test]
async fn an_upload_that_the_shutdown_cancels_leaves_nothing() {
    let world =
        World::with_grace(Duration::ZERO, s3up_devstore::Versioning::Off, |config| config).await;
    let (open, body) = open_body(noise(9 * MIB));
    let upload = tokio::spawn(world.put("a", body).send());
    world.called(Op::UploadPart, 1).await;

    world.stop_and_expect_files(&[]).await;

    drop((open, upload.await));
}

#[tokio::test]
async fn an_upload_succeeds_although_the_response_of_s3_is_lost() {
    let world = World::start().await;
    let faults = world.s3.faults();
    faults.inject(Op::CompleteMultipartUpload, 1, Fault::LoseAnswer);
    faults.inject(Op::UploadPart, 1, Fault::LoseAnswer);
    faults.inject(Op::PutObject, 1, Fault::LoseAnswer);
    let body = noise(9 * MIB);

    let long = stored(world.put("long", body.clone())).await;
    let put = world.http.put(format!("{}/files/a.jpg", world.url));
    let once = stored(put.bearer_auth(crate::fixture::OTHER_KEY).body("x")).await;

    assert_eq!(long.sha256, Sha256Digest::of(&body));
    assert!(long.version_id.is_some() && !once.unchanged);
    assert!(world.download("long").await == body);
    assert_eq!(world.content("webapp-prod/a.jpg").await.unwrap(), b"x");
    world.stop_and_expect_files(&["webapp-prod/a.jpg", "webapp/long"]).await;
}

#[tokio::test]
async fn a_malformed_form_is_refused_and_not_stored() {
    let world = World::start().await;
    let request = world.http.post(format!("{}/upload", world.url)).bearer_auth(KEY);
    let request =
        request.header("content-type", "multipart/form-data; boundary=X").body("--X\r\nrubbish");
    assert_eq!(refused(request).await.code, Code::BadRequest);
    world.stop_and_expect_files(&[]).await;
}
