//! Uploads that meet each other, break off, or are stopped.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use s3up_core::{Code, Sha256Digest};
use s3up_devstore::{Fault, Op};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::fixture::{KEY, MIB, World, noise, refused, stored};

/// A body that sends `first`, then whatever comes through the channel.
fn open_body(first: Vec<u8>) -> (mpsc::Sender<Bytes>, reqwest::Body) {
    let (tx, rx) = mpsc::channel::<Bytes>(1);
    let rest = futures::stream::unfold(rx, |mut rx| async move { Some((rx.recv().await?, rx)) });
    let first = futures::stream::once(async move { Bytes::from(first) });
    let body = first.chain(rest).map(Ok::<_, std::io::Error>);
    (tx, reqwest::Body::wrap_stream(body))
}

#[tokio::test]
async fn a_newer_upload_of_the_same_path_wins_over_one_that_hangs() {
    let world = World::start().await;
    let (open, body) = open_body(noise(9 * MIB));
    let older = tokio::spawn(world.put("a", body).send());
    world.s3.faults().called(Op::UploadPart, 1).await;

    stored(world.put("a", "newer")).await;

    let older = older.await.unwrap();
    if let Ok(response) = older {
        assert_eq!(crate::fixture::problem(response).await.code, Code::Superseded);
    }
    drop(open);
    assert_eq!(world.download("a").await, b"newer");
    assert_eq!(world.s3.faults().calls(Op::CompleteMultipartUpload), 0);
    world.s3.faults().called(Op::AbortMultipartUpload, 1).await;
    world.stop().await;
}

#[tokio::test]
async fn an_upload_that_changes_nothing_is_newer_all_the_same() {
    let world = World::start().await;
    let digest = Sha256Digest::of(b"one").to_repr_digest();
    stored(world.put("a", "one")).await;
    let (open, body) = open_body(noise(9 * MIB));
    let older = tokio::spawn(world.put("a", body).send());
    world.s3.faults().called(Op::UploadPart, 1).await;

    let newer = stored(world.put("a", "one").header("repr-digest", digest)).await;
    drop(open);

    assert!(newer.unchanged);
    if let Ok(response) = older.await.unwrap() {
        assert_eq!(crate::fixture::problem(response).await.code, Code::Superseded);
    }
    assert_eq!(world.download("a").await, b"one");
    world.stop().await;
}

#[tokio::test]
async fn a_second_try_takes_the_place_of_the_first_where_there_is_only_one() {
    let one = |config: String| config.replace("max_file_size_mb: 40", "max_concurrent_uploads: 1");
    let world = World::with(s3up_devstore::Versioning::Off, one).await;
    let (open, body) = open_body(noise(9 * MIB));
    let first = tokio::spawn(world.put("a", body).send());
    world.s3.faults().called(Op::UploadPart, 1).await;

    stored(world.put("a", "second")).await;

    drop((open, first.await));
    assert_eq!(world.download("a").await, b"second");
    world.stop().await;
}

#[tokio::test]
async fn a_client_that_hangs_up_leaves_nothing() {
    let world = World::start().await;
    let (open, body) = open_body(noise(9 * MIB));
    let upload = tokio::spawn(world.put("a", body).send());
    world.s3.faults().called(Op::UploadPart, 1).await;

    upload.abort();
    drop(open);

    world.s3.faults().called(Op::AbortMultipartUpload, 1).await;
    assert_eq!(world.exists("a").await["exists"], false);
    world.stop().await;
}

#[tokio::test]
async fn a_body_that_is_shorter_than_announced_is_not_stored() {
    let world = World::start().await;
    let host = world.url.strip_prefix("http://").unwrap();
    let mut socket = TcpStream::connect(host).await.unwrap();
    let request = format!(
        "PUT /files/short HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {KEY}\r\n\
         Content-Length: 100\r\n\r\nonly this"
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    socket.shutdown().await.unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.unwrap();

    assert!(!String::from_utf8_lossy(&answer).starts_with("HTTP/1.1 200"));
    assert_eq!(world.exists("short").await["exists"], false);
    world.stop().await;
}

#[tokio::test]
async fn a_refusal_comes_before_the_body_where_the_client_waits() {
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
        let mut answer = [0; 12];
        socket.read_exact(&mut answer).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&answer), format!("HTTP/1.1 {want}"));
    }
    world.stop().await;
}

#[tokio::test]
async fn many_uploads_at_once_stay_within_the_buffers() {
    let world = World::start().await;
    let body = noise(9 * MIB);
    let uploads = (0..30).map(|n| {
        let request = world.put(&format!("many/{n}"), body.clone());
        async move { stored(request).await }
    });
    let answers = futures::future::join_all(uploads).await;

    let digest = Sha256Digest::of(&body);
    assert!(answers.iter().all(|answer| answer.sha256 == digest));
    world.stop().await;
}

#[tokio::test]
async fn more_uploads_than_a_client_may_have_are_put_off() {
    let one = |config: String| config.replace("max_file_size_mb: 40", "max_concurrent_uploads: 1");
    let world = World::with(s3up_devstore::Versioning::Off, one).await;
    let (open, body) = open_body(noise(9 * MIB));
    let first = tokio::spawn(world.put("a", body).send());
    world.s3.faults().called(Op::UploadPart, 1).await;

    let response = world.put("b", "x").send().await.unwrap();

    assert!(response.headers().contains_key("retry-after"));
    assert_eq!(crate::fixture::problem(response).await.code, Code::RateLimited);
    drop(open);
    assert_eq!(first.await.unwrap().unwrap().status().as_u16(), 200);
    world.stop().await;
}

#[tokio::test]
async fn forms_with_the_file_first_count_as_uploads() {
    let one = |config: String| config.replace("max_file_size_mb: 40", "max_concurrent_uploads: 1");
    let world = World::with(s3up_devstore::Versioning::Off, one).await;
    let (open, body) = open_body(noise(9 * MIB));
    let first = tokio::spawn(world.put("a", body).send());
    world.s3.faults().called(Op::UploadPart, 1).await;

    let file = reqwest::multipart::Part::text("x").file_name("x");
    let form = reqwest::multipart::Form::new().part("file", file).text("path", "b");
    let form = world.http.post(format!("{}/upload", world.url)).bearer_auth(KEY).multipart(form);

    assert_eq!(refused(form).await.code, Code::RateLimited);
    drop(open);
    assert_eq!(first.await.unwrap().unwrap().status().as_u16(), 200);
    world.stop().await;
}

#[tokio::test]
async fn stopping_lets_what_is_under_way_finish() {
    let world = World::start().await;
    let body = noise(9 * MIB);
    let (open, sent) = open_body(body.clone());
    let upload = tokio::spawn(world.put("a", sent).send());
    world.s3.faults().called(Op::UploadPart, 1).await;
    let (url, http) = (world.url.clone(), world.http.clone());

    let stopping = tokio::spawn(world.stop());
    // The listener is gone once a connection is refused.
    while http.get(format!("{url}/health")).timeout(Duration::from_secs(5)).send().await.is_ok() {
        tokio::task::yield_now().await;
    }
    drop(open);

    assert_eq!(upload.await.unwrap().unwrap().status().as_u16(), 200);
    stopping.await.unwrap();
}

#[tokio::test]
async fn what_is_cut_at_the_end_leaves_nothing() {
    let mut world =
        World::with_grace(Duration::ZERO, s3up_devstore::Versioning::Off, |config| config).await;
    let (open, body) = open_body(noise(9 * MIB));
    let upload = tokio::spawn(world.put("a", body).send());
    world.s3.faults().called(Op::UploadPart, 1).await;

    world.stop_gateway().await;

    assert_eq!(world.s3.faults().calls(Op::AbortMultipartUpload), 1);
    drop((open, upload.await));
}

#[tokio::test]
async fn a_lost_answer_of_the_store_is_recognised() {
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
    world.stop().await;
}

#[tokio::test]
async fn a_broken_form_is_refused() {
    let world = World::start().await;
    let request = world.http.post(format!("{}/upload", world.url)).bearer_auth(KEY);
    let request =
        request.header("content-type", "multipart/form-data; boundary=X").body("--X\r\nrubbish");
    assert_eq!(refused(request).await.code, Code::BadRequest);
    world.stop().await;
}
