//! The rights and limits of a client.

use std::time::Duration;

use futures::StreamExt;
use reqwest::{Method, RequestBuilder, StatusCode};
use s3up_core::{Code, Sha256Digest};
use s3up_devstore::{Op, Versioning};
use s3up_testkit::postgres_or_skip;
use serde_json::json;

use crate::fixture::{KEY, MIB, World, noise, problem, refused, stored};

/// Returns one request of each call that needs a key, with the right that it needs.
fn requests(world: &World) -> Vec<(&'static str, RequestBuilder)> {
    let request = |method, url: &str| {
        world.http.request(method, format!("{}{url}", world.url)).bearer_auth(KEY)
    };
    let query = json!({"files": []}).to_string();
    let proof = json!({"paths": ["a"]}).to_string();
    let digest = Sha256Digest::of(b"x").to_repr_digest();
    let patch = request(Method::PATCH, "/files/a").header("repr-digest", digest);
    let form = reqwest::multipart::Form::new().text("path", "a").text("file", "x");
    vec![
        ("upload", request(Method::PUT, "/files/a").body("x")),
        ("upload", patch.header("x-mode", "0600")),
        ("upload", request(Method::POST, "/upload").multipart(form)),
        ("upload", request(Method::POST, "/batch").body(crate::batch::frame("b", b"x"))),
        ("exists", request(Method::GET, "/exists?path=a")),
        ("exists", request(Method::POST, "/exists").body(query)),
        ("exists", request(Method::POST, "/proof").body(proof)),
        ("download", request(Method::GET, "/download?path=a")),
        ("download", request(Method::HEAD, "/download?path=a")),
        ("list", request(Method::GET, "/list")),
        ("list", request(Method::GET, "/versions?path=a")),
        ("list", request(Method::GET, "/versions?prefix=")),
    ]
}

#[tokio::test]
async fn each_call_needs_its_right_and_no_other() {
    for right in ["upload", "exists", "download", "list"] {
        let allow = format!("allow: [{right}]");
        let only = |config: String| config.replace("max_file_size_mb: 40", &allow);
        let world = World::with(Versioning::Enabled, only).await;
        world.s3_put("webapp/a", b"x").await;

        for (needed, request) in requests(&world) {
            let answer = request.send().await.unwrap();

            let want = if needed == right { StatusCode::OK } else { StatusCode::FORBIDDEN };
            let (status, url) = (answer.status(), answer.url().clone());
            assert_eq!(status, want, "{url}, a call of `{needed}`, with only `{right}`");
        }
        world.stop().await;
    }
}

#[tokio::test]
async fn requests_over_the_rate_are_refused_and_told_when_to_come_again() {
    let limited =
        |config: String| config.replace("max_file_size_mb: 40", "max_requests_per_second: 3");
    let world = World::with(Versioning::Enabled, limited).await;

    let requests = (0..20).map(|_| world.get("/exists?path=a").send());
    let answers = futures::future::join_all(requests).await;

    let (mut served, mut waits) = (0, Vec::new());
    for answer in answers {
        let answer = answer.unwrap();
        if answer.status() == StatusCode::OK {
            served += 1;
            continue;
        }
        let wait = answer.headers()["retry-after"].to_str().unwrap().parse::<u64>().unwrap();
        waits.push(wait);
        assert_eq!(problem(answer).await.code, Code::RateLimited);
    }
    assert!(served >= 3 && !waits.is_empty(), "{served} served, {waits:?}");
    assert!(waits.iter().all(|wait| (1..=2).contains(wait)), "{waits:?}");
    let other = world.http.get(format!("{}/exists?path=a", world.url));
    let other = other.bearer_auth(crate::fixture::READER_KEY).send().await.unwrap();
    assert_eq!(other.status(), StatusCode::OK, "another client has its own limit");
    world.stop().await;
}

const GIB: u64 = 1 << 30;

fn with_quota(config: String) -> String {
    config.replace("max_file_size_mb: 40", "quota_gb: 1")
}

/// The client has stored all but 1,000 bytes of its quota by other means.
#[tokio::test]
async fn a_quota_is_enforced_and_shown_in_verdicts() {
    let used =
        format!("INSERT INTO totals (client, files, bytes) VALUES ('webapp', 1, {})", GIB - 1000);
    let used: &'static str = used.leak();
    for on_postgres in [false, true] {
        let postgres = if on_postgres { postgres_or_skip() } else { None };
        if on_postgres && postgres.is_none() {
            continue;
        }
        let url = postgres.as_ref().map(|postgres| postgres.url());
        let world = World::with(Versioning::Enabled, |config| {
            let config = with_quota(config);
            let Some(url) = &url else { return config };
            let (before, rest) = config.split_once("database: {").unwrap();
            let (_, after) = rest.split_once('}').unwrap();
            format!("{before}database: {{ url: \"{url}\" }}{after}")
        })
        .await;
        world.commit_records().await;
        match &postgres {
            Some(postgres) => drop(postgres.query(used)),
            None => drop(world.rows(used).await),
        }

        stored(world.put("a", noise(600))).await;
        let over = refused(world.put("b", noise(401))).await;
        assert_eq!((over.code, over.status), (Code::Quota, 507), "{}", over.detail);
        assert_eq!(world.calls(Op::PutObject), 1, "the body was read and sent");
        // Without a length it is noticed while its bytes arrive.
        let chunked = futures::stream::iter([noise(200), noise(300)]).map(Ok::<_, std::io::Error>);
        let over = refused(world.put("b", reqwest::Body::wrap_stream(chunked))).await;
        assert_eq!(over.code, Code::Quota, "{}", over.detail);
        // A new version of a file needs only what it is longer.
        let longer = noise(900);
        let digest = Sha256Digest::of(&longer).to_repr_digest();
        stored(world.put("a", longer).header("repr-digest", digest)).await;

        let verdict = async |size: u64| {
            let file = json!({"path": "c", "size": size, "sha256": Sha256Digest::of(b"c")});
            let query = world.http.post(format!("{}/exists", world.url)).bearer_auth(KEY);
            let body = json!({"files": [file]}).to_string();
            let answer = query.body(body).send().await.unwrap().bytes().await.unwrap();
            let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
            answer["files"][0]["verdict"].clone()
        };
        assert_eq!((verdict(100).await, verdict(101).await), (json!("missing"), json!("quota")));
        stored(world.put("c", noise(100))).await;
        assert_eq!(refused(world.put("d", "x")).await.code, Code::Quota);
        // Nothing is left, but what is stored already needs nothing.
        let again = noise(100);
        let digest = Sha256Digest::of(&again).to_repr_digest();
        assert!(stored(world.put("c", again).header("repr-digest", digest)).await.unchanged);
        world.stop_and_expect_files(&["webapp/a", "webapp/c"]).await;
    }
}

#[tokio::test]
async fn uploads_in_progress_share_a_quota() {
    let world = World::with(Versioning::Enabled, with_quota).await;
    world.commit_records().await;
    let used = format!(
        "INSERT INTO totals (client, files, bytes) VALUES ('webapp', 1, {})",
        GIB - 10 * MIB as u64
    );
    world.rows(used.leak()).await;
    let host = world.url.strip_prefix("http://").unwrap();
    let mut socket = tokio::net::TcpStream::connect(host).await.unwrap();
    let head = format!(
        "PUT /files/first HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {KEY}\r\n\
         Content-Length: {}\r\n\r\n",
        9 * MIB
    );
    tokio::io::AsyncWriteExt::write_all(&mut socket, head.as_bytes()).await.unwrap();
    let part = noise(9 * MIB - 1);
    tokio::io::AsyncWriteExt::write_all(&mut socket, &part).await.unwrap();
    world.called(Op::UploadPart, 1).await;

    let second = refused(world.put("second", noise(2 * MIB))).await;
    drop(socket);
    world.called(Op::AbortMultipartUpload, 1).await;

    assert_eq!(second.code, Code::Quota, "{}", second.detail);
    // The first one was dropped, and its reservation with it, at about the time of the abort.
    let third = loop {
        let answer = world.put("third", noise(2 * MIB)).send().await.unwrap();
        if answer.status() != StatusCode::INSUFFICIENT_STORAGE {
            break answer.status();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert_eq!(third, StatusCode::OK);
    world.stop_and_expect_files(&["webapp/third"]).await;
}

#[tokio::test]
async fn a_client_sends_one_report_at_a_time() {
    let world = World::start().await;
    let (open, body) = crate::concurrency::open_body(b"{\"version\":1,".to_vec());
    let report = |body: reqwest::Body| {
        world.http.post(format!("{}/report", world.url)).bearer_auth(KEY).body(body)
    };
    let first = tokio::spawn(report(body).send());
    // The first one has taken its place once another is refused for it.
    let second = loop {
        let answer = report("{}".into()).send().await.unwrap();
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            break answer;
        }
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    };

    assert_eq!(problem(second).await.code, Code::RateLimited);
    drop(open);
    assert_eq!(problem(first.await.unwrap().unwrap()).await.code, Code::BadRequest);
    world.stop().await;
}

#[tokio::test]
async fn an_extension_of_two_parts_is_allowed_by_its_whole_name() {
    let archives = |config: String| {
        config.replace("max_file_size_mb: 40", "allowed_extensions: [.tar.GZ, png]")
    };
    let world = World::with(Versioning::Enabled, archives).await;
    for path in ["a.tar.gz", "b.TAR.gz", "c.png"] {
        stored(world.put(path, "x")).await;
    }
    for path in ["a.gz", "tar.gz", "a.tar", "png", "d/.png", "a.png.php"] {
        assert_eq!(refused(world.put(path, "x")).await.code, Code::Forbidden, "{path}");
    }
    world.stop().await;
}

/// One client may hold half of the buffers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_does_not_grow_with_the_uploads_in_progress() {
    const UPLOADS: usize = 8;
    let root = tempfile::tempdir().unwrap();
    let s3 = crate::process::s3(&root).await;
    let file = root.path().join("server.yaml");
    let text = crate::fixture::config(&s3.endpoint(), &root.path().join("gateway.db"));
    std::fs::write(&file, text.replace("port: 0", "port: 0, buffer_budget_mb: 32")).unwrap();
    let gateway = crate::running::Running::start(&file, &[]);
    let put = |path: String| {
        let put = reqwest::Client::new().put(format!("{}/files/{path}", gateway.url));
        put.bearer_auth(KEY).body(noise(10 * MIB))
    };
    stored(put("first".to_owned())).await;
    let before = gateway.memory_peak();

    // One that finds no buffer in time is repeated, as an agent does it.
    let uploads = (0..UPLOADS).map(|n| {
        let put = &put;
        async move {
            while put(format!("f{n}")).send().await.unwrap().status() != StatusCode::OK {}
        }
    });
    futures::future::join_all(uploads).await;

    let more = gateway.memory_peak() - before;
    assert!(more < 48 << 20, "{more} bytes more for {UPLOADS} uploads of 10 MiB");
    assert!(gateway.stop().await.success());
    s3.stop().await;
}
