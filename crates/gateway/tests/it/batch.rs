//! `POST /batch`: each file of a batch is judged, stored and answered by itself.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::RequestBuilder;
use s3up_core::wire::{
    BATCH_FILE_BYTES_MAX, BATCH_FILES_MAX, BatchAnswer, BatchFile, BatchOutcome, UploadResponse,
};
use s3up_core::{Code, Sha256Digest};
use s3up_devstore::{Fault, Op, Versioning};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::fixture::{KEY, OTHER_KEY, READER_KEY, World, noise, problem, stored};

/// Returns the header of a file.
pub fn header(path: &str, content: &[u8]) -> BatchFile {
    BatchFile {
        path: path.to_owned(),
        size: content.len() as u64,
        sha256: Sha256Digest::of(content),
        mtime_ns: Some(-5),
        mode: Some("0640".to_owned()),
        hot: false,
    }
}

/// Returns the frame of a file.
pub fn frame(path: &str, content: &[u8]) -> Vec<u8> {
    [header(path, content).to_frame_head(), content.to_vec()].concat()
}

fn frames<'f>(files: impl IntoIterator<Item = (&'f str, &'f [u8])>) -> Vec<u8> {
    files.into_iter().flat_map(|(path, content)| frame(path, content)).collect()
}

fn post(world: &World, key: &str, body: Vec<u8>) -> RequestBuilder {
    world.http.post(format!("{}/batch", world.url)).bearer_auth(key).body(body)
}

/// The answers to a batch: to each file by its number, and to the rest.
#[derive(Debug, Default)]
struct Answers {
    files: BTreeMap<usize, Result<UploadResponse, Code>>,
    rest: Option<Code>,
}

impl Answers {
    fn of(text: &str) -> Answers {
        let mut answers = Answers::default();
        for line in text.lines() {
            let answer: BatchAnswer = serde_json::from_str(line).expect("an answer in JSON");
            let outcome = match answer.outcome {
                BatchOutcome::Stored(stored) => Ok(stored),
                BatchOutcome::Refused(problem) => Err(problem.code),
            };
            match answer.file {
                Some(file) => {
                    let earlier = answers.files.insert(file, outcome);
                    assert!(earlier.is_none(), "two answers to {file}: {text}");
                }
                None => {
                    assert_eq!(answers.rest, None, "{text}");
                    answers.rest = outcome.err();
                }
            }
        }
        answers
    }

    /// Returns the code of each refusal, in the order of the files.
    fn codes(&self) -> Vec<Option<Code>> {
        self.files.values().map(|outcome| outcome.as_ref().err().copied()).collect()
    }
}

async fn send(world: &World, key: &str, body: Vec<u8>) -> Answers {
    let response = post(world, key, body).send().await.expect("a response");
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/x-ndjson");
    Answers::of(&response.text().await.expect("a whole body"))
}

/// A new file costs one request to S3 once it is known that the catalogue has all files.
#[tokio::test]
async fn every_file_of_a_batch_is_stored_with_its_metadata_by_one_request_to_s3() {
    let world = World::start().await;
    let digest = Sha256Digest::of(b"first").to_repr_digest();
    stored(world.put("first", "first").header("repr-digest", digest)).await;
    world.commit_records().await;
    let before = [Op::HeadObject, Op::PutObject, Op::ListObjectsV2].map(|op| world.calls(op));
    let contents: Vec<(String, Vec<u8>)> =
        (0..100).map(|n| (format!("d/{n} \u{e9}.jpg"), noise(n * 331))).collect();
    let body = frames(contents.iter().map(|(path, content)| (path.as_str(), content.as_slice())));

    let answers = send(&world, KEY, body.clone()).await;

    assert_eq!((answers.files.len(), answers.rest), (100, None));
    for (n, (path, content)) in contents.iter().enumerate() {
        let stored = answers.files[&n].as_ref().unwrap();
        assert_eq!((stored.size, stored.sha256), (content.len() as u64, Sha256Digest::of(content)));
        assert_eq!(stored.s3_key, format!("sites/webapp/{path}"));
        assert!(stored.version_id.is_some() && !stored.unchanged);
        assert_eq!(world.content(&format!("webapp/{path}")).await.as_ref(), Some(content));
    }
    let after = [Op::HeadObject, Op::PutObject, Op::ListObjectsV2].map(|op| world.calls(op));
    assert_eq!(after, [before[0], before[1] + 100, before[2]]);
    let response = world.get("/download?path=d/7%20%C3%A9.jpg").send().await.unwrap();
    let field = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(
        [field("x-mtime-ns"), field("x-mode"), field("content-type")],
        ["-5", "0640", "image/jpeg"]
    );

    let again = send(&world, KEY, body).await;

    assert_eq!(again.files.len(), 100);
    assert!(again.files.values().all(|outcome| outcome.as_ref().unwrap().unchanged));
    assert_eq!(world.calls(Op::PutObject), after[1], "nothing is written twice");
    world.stop().await;
}

#[tokio::test]
async fn each_file_of_a_batch_is_judged_by_itself() {
    let world = World::start().await;
    let taken = frame("taken.jpg", b"kept");
    assert_eq!(send(&world, OTHER_KEY, taken).await.codes(), [None]);
    let mut wrong_digest = header("wrong.jpg", b"announced");
    wrong_digest.sha256 = Sha256Digest::of(b"other");
    let wrong_digest = [wrong_digest.to_frame_head(), b"announced".to_vec()].concat();
    let mut bad_mode = header("mode.jpg", b"x");
    bad_mode.mode = Some("rw-".to_owned());
    let bad_mode = [bad_mode.to_frame_head(), b"x".to_vec()].concat();
    let body = [
        frame("a.jpg", b"one"),
        frame("../webapp/b.jpg", b"two"),
        frame("shell.php", b"three"),
        frame("taken.jpg", b"other content"),
        frame("taken.jpg", b"kept"),
        wrong_digest,
        bad_mode,
        frame("", b""),
        frame("z.jpg", b""),
    ];

    let answers = send(&world, OTHER_KEY, body.concat()).await;

    let want = [
        None,
        Some(Code::BadPath),
        Some(Code::Forbidden),
        Some(Code::Exists),
        None,
        Some(Code::DigestMismatch),
        Some(Code::BadRequest),
        Some(Code::BadPath),
        None,
    ];
    assert_eq!((answers.codes(), answers.rest), (want.to_vec(), None));
    assert!(answers.files[&4].as_ref().unwrap().unchanged);
    let files = ["a.jpg", "taken.jpg", "z.jpg"].map(|name| format!("webapp-prod/{name}"));
    world.stop_and_expect_files(&files.each_ref().map(String::as_str)).await;
}

#[tokio::test]
async fn a_batch_needs_a_key_with_the_right_to_upload() {
    let world = World::start().await;
    for (key, code) in [(READER_KEY, Code::Forbidden), ("sk_live_wrong", Code::Unauthorized)] {
        let response = post(&world, key, frame("a", b"x")).send().await.unwrap();
        assert_eq!(problem(response).await.code, code);
    }
    world.stop_and_expect_files(&[]).await;
}

#[tokio::test]
async fn a_body_that_is_no_batch_is_refused_as_a_whole() {
    let world = World::start().await;
    let cut = frame("a", b"x")[..10].to_vec();
    let cases = [
        (b"path=a&file=x".to_vec(), Code::BadRequest),
        (b"\0\0\0\x02{}".to_vec(), Code::BadRequest),
        (cut, Code::Incomplete),
        (Vec::new(), Code::BadRequest),
    ];
    for (body, code) in cases {
        assert_eq!(problem(post(&world, KEY, body).send().await.unwrap()).await.code, code);
    }
    let encoded = post(&world, KEY, frame("a", b"x")).header("content-encoding", "gzip");
    assert_eq!(problem(encoded.send().await.unwrap()).await.code, Code::UnsupportedEncoding);
    world.stop_and_expect_files(&[]).await;
}

/// The files before that point are stored and answered.
#[tokio::test]
async fn a_batch_ends_where_it_cannot_be_read() {
    let world = World::start().await;
    let mut endless = header("long", b"");
    endless.size = BATCH_FILE_BYTES_MAX + 1;
    let mut without_end = frame("no end", b"content");
    without_end.truncate(without_end.len() - 3);
    let cases = [
        ("garbage", vec![b'x'; 100], None, Some(Code::BadRequest)),
        ("cut", frame("cut", b"content")[..20].to_vec(), None, Some(Code::Incomplete)),
        ("no end", without_end, None, Some(Code::Incomplete)),
        ("long", endless.to_frame_head(), Some(Code::TooLarge), None),
    ];
    for (name, end, of_file, of_rest) in cases {
        let first = format!("before {name}");
        let answers = send(&world, KEY, [frame(&first, b"x"), end].concat()).await;
        assert!(answers.files[&0].is_ok(), "{name}: {answers:?}");
        let second = answers.files.get(&1).and_then(|outcome| outcome.as_ref().err().copied());
        assert_eq!((second, answers.rest), (of_file, of_rest), "{name}");
    }
    let many = (0..=BATCH_FILES_MAX).flat_map(|_| frame("../x", b"")).collect();
    let answers = send(&world, KEY, many).await;
    assert_eq!((answers.files.len(), answers.rest), (BATCH_FILES_MAX, Some(Code::BadRequest)));
    let files = ["cut", "garbage", "long", "no end"].map(|name| format!("webapp/before {name}"));
    world.stop_and_expect_files(&files.each_ref().map(String::as_str)).await;
}

/// Returns a connection on which the head of a batch of unknown length was sent.
async fn connect(world: &World) -> TcpStream {
    let host = world.url.strip_prefix("http://").expect("an http URL");
    let mut socket = TcpStream::connect(host).await.expect("a connection");
    let head = format!(
        "POST /batch HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {KEY}\r\n\
         Transfer-Encoding: chunked\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).await.expect("a head that is sent");
    socket
}

async fn send_chunk(socket: &mut TcpStream, bytes: &[u8]) {
    let chunk = [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
    socket.write_all(&chunk).await.expect("a chunk that is sent");
}

/// Reads from the connection until `end` was received.
async fn read_until(socket: &mut TcpStream, end: &str) -> String {
    let mut received = Vec::new();
    let mut buffer = [0; 4096];
    while !String::from_utf8_lossy(&received).contains(end) {
        let read = tokio::time::timeout(Duration::from_secs(20), socket.read(&mut buffer));
        let count = read.await.expect("an answer in time").expect("a connection");
        assert_ne!(count, 0, "{}", String::from_utf8_lossy(&received));
        received.extend_from_slice(&buffer[..count]);
    }
    String::from_utf8(received).expect("UTF-8")
}

#[tokio::test]
async fn files_are_answered_while_the_batch_is_sent_and_a_broken_one_loses_only_the_others() {
    let world = World::start().await;
    let mut socket = connect(&world).await;

    send_chunk(&mut socket, &frame("a", b"one")).await;
    let first = read_until(&mut socket, "sites/webapp/a").await;
    assert!(first.contains(r#"{"file":0,"stored":{"success":true"#), "{first}");
    send_chunk(&mut socket, &[frame("b", b"two"), frame("c", b"three")[..50].to_vec()].concat())
        .await;
    read_until(&mut socket, "sites/webapp/b").await;
    drop(socket);

    world.stop_and_expect_files(&["webapp/a", "webapp/b"]).await;
}

#[tokio::test]
async fn the_connection_serves_the_next_request_after_a_batch() {
    let world = World::start().await;
    let mut socket = connect(&world).await;
    send_chunk(&mut socket, &frame("a", b"one")).await;
    send_chunk(&mut socket, b"").await;
    let first = read_until(&mut socket, "0\r\n\r\n").await;
    assert!(!first.to_lowercase().contains("connection: close"), "{first}");

    let head =
        format!("GET /exists?path=a HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n\r\n");
    socket.write_all(head.as_bytes()).await.unwrap();

    read_until(&mut socket, r#""exists":true"#).await;
    world.stop().await;
}

#[tokio::test]
async fn the_files_of_a_batch_wait_for_the_rate_of_requests_and_are_not_refused() {
    let limited =
        |config: String| config.replace("max_file_size_mb: 40", "max_requests_per_second: 10");
    let world = World::with(Versioning::Enabled, limited).await;
    let body: Vec<u8> = (0..20).flat_map(|n| frame(&format!("{n}"), b"x")).collect();
    let began = s3up_testkit::CLOCK.start();

    let answers = send(&world, KEY, body).await;

    assert_eq!(answers.codes(), vec![None; 20]);
    assert!(began.elapsed() >= Duration::from_millis(900), "20 requests at 10 per second");
    world.stop().await;
}

#[tokio::test]
async fn a_batch_is_one_of_the_concurrent_uploads_of_its_client() {
    let limited =
        |config: String| config.replace("max_file_size_mb: 40", "max_concurrent_uploads: 1");
    let world = World::with(Versioning::Enabled, limited).await;
    let body: Vec<u8> = (0..20).flat_map(|n| frame(&format!("{n}"), b"x")).collect();
    assert_eq!(send(&world, KEY, body).await.codes(), vec![None; 20]);

    let mut socket = connect(&world).await;
    send_chunk(&mut socket, &frame("first of a batch", b"x")).await;
    read_until(&mut socket, "sites/webapp/first of a batch").await;
    let beside = world.put("beside", "x").send().await.unwrap();
    assert_eq!(problem(beside).await.code, Code::RateLimited);
    let second = post(&world, KEY, frame("beside", b"x")).send().await.unwrap();
    assert_eq!(problem(second).await.code, Code::RateLimited);
    send_chunk(&mut socket, b"").await;
    read_until(&mut socket, "0\r\n\r\n").await;

    stored(world.put("beside", "x")).await;
    world.stop().await;
}

#[tokio::test]
async fn a_batch_does_not_exceed_the_quota() {
    let limited = |config: String| config.replace("max_file_size_mb: 40", "quota_gb: 1");
    let world = World::with(Versioning::Enabled, limited).await;
    world.commit_records().await;
    let used = "INSERT INTO totals (client, files, bytes) VALUES ('webapp', 1, 1073741824 - 1000)";
    world.rows(used).await;
    let body = [frame("a", &noise(600)), frame("b", &noise(401)), frame("c", &noise(400))];

    let answers = send(&world, KEY, body.concat()).await;

    // Whichever of the two longer ones was reserved first.
    let codes = answers.codes();
    let refused: Vec<_> = codes.iter().flatten().collect();
    assert_eq!((refused, codes[2]), (vec![&Code::Quota], None), "{codes:?}");
    world.stop().await;
}

#[tokio::test]
async fn a_failure_of_s3_fails_one_file_and_not_the_batch() {
    let world = World::start().await;
    world.s3.faults().inject(Op::PutObject, 2, Fault::AccessDenied);
    let body: Vec<u8> = (0..5).flat_map(|n| frame(&format!("{n}"), b"x")).collect();

    let answers = send(&world, KEY, body).await;

    let refused: Vec<_> = answers.codes().into_iter().flatten().collect();
    assert_eq!((answers.files.len(), refused), (5, vec![Code::StoreRefused]));
    assert_eq!(world.s3.objects(crate::fixture::BUCKET).len() - 1, 4, "and the probe");
    world.stop().await;
}

/// The last one of a path wins, as with uploads one after the other.
#[tokio::test]
async fn a_path_may_be_in_a_batch_twice() {
    let world = World::start().await;
    let contents: Vec<Vec<u8>> = (0..30).map(|n| format!("content {n}").into_bytes()).collect();
    let body = frames(contents.iter().map(|content| ("same", content.as_slice())));

    let answers = send(&world, KEY, body).await;

    assert_eq!(answers.files.len(), 30);
    let last = answers.files[&29].as_ref().unwrap();
    assert_eq!(last.sha256, Sha256Digest::of(&contents[29]));
    assert_eq!(answers.codes(), vec![None; 30]);
    assert_eq!(world.content("webapp/same").await.unwrap(), contents[29]);
    world.stop().await;
}
