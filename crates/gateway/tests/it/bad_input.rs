//! Requests that are refused, and the problem documents that they get.

use reqwest::multipart::{Form, Part};
use s3up_core::Code;
use s3up_devstore::{Fault, Op};

use crate::fixture::{KEY, OTHER_KEY, READER_KEY, World, problem, refused, stored};

#[tokio::test]
async fn a_missing_key_and_an_unknown_key_get_the_same_response() {
    let world = World::start().await;
    let url = format!("{}/exists?path=a", world.url);
    let requests = [
        world.http.get(&url),
        world.http.get(&url).bearer_auth("sk_live_wrong"),
        world.http.get(&url).bearer_auth(""),
        world.http.get(&url).bearer_auth(format!("{KEY}x")),
        world.http.get(&url).basic_auth("webapp", Some(KEY)),
        world.http.put(format!("{}/files/a", world.url)).body("x"),
        world.http.post(format!("{}/upload", world.url)).body("x"),
        world.http.get(format!("{}/download?path=a", world.url)),
    ];
    let mut details = Vec::new();
    for request in requests {
        let response = request.send().await.unwrap();
        assert_eq!(response.headers()["www-authenticate"], "Bearer");
        let problem = problem(response).await;
        assert_eq!(problem.code, Code::Unauthorized);
        details.push(problem.detail);
    }
    details.dedup();
    assert_eq!(details.len(), 1);
    world.stop_and_expect_files(&[]).await;
}

/// Behind a proxy that is trusted, each client has an address of its own.
#[tokio::test]
async fn an_address_without_a_valid_key_is_limited_and_a_valid_key_never() {
    let trusted =
        |config: String| config.replace("port: 0", "port: 0, trusted_proxies: [\"127.0.0.0/8\"]");
    let world = World::with(s3up_devstore::Versioning::Enabled, trusted).await;
    let get = |key: &str, address: &str| {
        let get = world.http.get(format!("{}/exists?path=a", world.url)).bearer_auth(key);
        get.header("x-forwarded-for", address.to_owned())
    };
    let mut codes = Vec::new();
    for _ in 0..120 {
        let response = get("wrong", "192.0.2.1").send().await.unwrap();
        let wait = response.headers().contains_key("retry-after");
        let code = problem(response).await.code;
        assert_eq!(wait, code == Code::RateLimited);
        codes.push(code);
    }

    assert!(codes[..100].iter().all(|code| *code == Code::Unauthorized), "{codes:?}");
    assert_eq!(codes[119], Code::RateLimited, "{codes:?}");
    assert_eq!(get(KEY, "192.0.2.1").send().await.unwrap().status().as_u16(), 200);
    let spoofed = refused(get("wrong", "192.0.2.9, 192.0.2.1")).await;
    assert_eq!(spoofed.code, Code::RateLimited);
    assert_eq!(refused(get("wrong", "192.0.2.2")).await.code, Code::Unauthorized);
    world.stop().await;
}

#[tokio::test]
async fn a_key_has_only_its_rights() {
    let world = World::start().await;
    stored(world.put("a.jpg", "x")).await;
    let put = |key: &str, path: &str| {
        world.http.put(format!("{}/files/{path}", world.url)).bearer_auth(key).body("x")
    };
    let form = Form::new().text("path", "a").part("file", Part::bytes(vec![1]));
    let form = world.http.post(format!("{}/upload", world.url)).multipart(form);

    assert_eq!(refused(put(READER_KEY, "a.jpg")).await.code, Code::Forbidden);
    assert_eq!(refused(form.bearer_auth(READER_KEY)).await.code, Code::Forbidden);
    let php = refused(put(OTHER_KEY, "shell.php")).await;
    assert_eq!(php.code, Code::Forbidden);
    assert!(php.detail.contains("jpg"), "{}", php.detail);
    world.stop_and_expect_files(&["webapp/a.jpg"]).await;
}

#[tokio::test]
async fn an_unknown_url_or_method_is_refused_and_changes_nothing() {
    let world = World::start().await;
    stored(world.put("a", "x")).await;
    let delete = |url: &str| world.http.delete(format!("{}{url}", world.url)).bearer_auth(KEY);
    assert_eq!(refused(world.get("/nothing")).await.code, Code::NotFound);
    for url in ["/files/a", "/download?path=a", "/exists?path=a", "/upload", "/health"] {
        assert_eq!(refused(delete(url)).await.code, Code::MethodNotAllowed, "{url}");
    }
    assert_eq!(world.content("webapp/a").await.unwrap(), b"x");
    world.stop_and_expect_files(&["webapp/a"]).await;
}

#[tokio::test]
async fn a_wrong_form_is_refused_by_field_and_not_stored() {
    let world = World::start().await;
    let file = || Part::bytes(vec![1, 2, 3]).file_name("x");
    #[rustfmt::skip]
    let cases = [
        (Form::new().text("path", "a"),                                        "a form field `file`, found none"),
        (Form::new().part("file", file()),                                     "a form field `path`, found none"),
        (Form::new().text("path", "a").part("file", file()).text("x", "y"),    "unknown form field \"x\""),
        (Form::new().text("path", "a").text("path", "b").part("file", file()), "`path`: expected once, found twice"),
        (Form::new().text("path", "a").text("sha256", "abc").part("file", file()), "`sha256`"),
        (Form::new().text("path", "a").text("mode", "rwx").part("file", file()),   "`mode`"),
        (Form::new().text("path", "a").part("file", file()).text("mtime_ns", "1"), "`mtime_ns`: expected before `file`"),
        (Form::new().text("path", "x".repeat(5000)).part("file", file()),      "`path`: expected at most 4096 bytes"),
    ];
    for (form, want) in cases {
        let request = world.http.post(format!("{}/upload", world.url)).bearer_auth(KEY);
        let problem = refused(request.multipart(form)).await;
        assert_eq!(problem.code, Code::BadRequest, "{want}");
        assert!(problem.detail.contains(want), "{want}: {}", problem.detail);
    }
    let no_form = world.http.post(format!("{}/upload", world.url)).bearer_auth(KEY).body("x");
    assert_eq!(refused(no_form).await.code, Code::BadRequest);
    world.stop_and_expect_files(&[]).await;
}

#[tokio::test]
async fn a_single_failure_of_s3_does_not_fail_a_request() {
    let world = World::start().await;
    let faults = world.s3.faults();
    faults.inject(Op::HeadObject, 1, Fault::InternalError);
    faults.inject(Op::PutObject, 1, Fault::LateInternalError);
    faults.inject(Op::PutObject, 2, Fault::SlowDown { retry_after_seconds: None });

    assert_eq!(world.exists("a").await["exists"], false);
    let response = stored(world.put("a", "once")).await;

    assert_eq!(response.size, 4);
    assert_eq!(world.download("a").await, b"once");
    world.stop().await;
}

#[tokio::test]
async fn health_needs_no_key() {
    let world = World::start().await;
    let health = world.http.get(format!("{}/health", world.url)).send().await.unwrap();
    assert_eq!(health.status().as_u16(), 200);
    assert_eq!(health.text().await.unwrap(), r#"{"status":"UP"}"#);
    world.stop().await;
}

#[tokio::test]
async fn an_admin_key_neither_reads_nor_writes_a_file() {
    const ADMIN_KEY: &str = "s3up_admin_0123456789012345678901234567890123";
    let admin = |config: String| format!("admin_keys: [{ADMIN_KEY}]\n{config}");
    let world = World::with(s3up_devstore::Versioning::Enabled, admin).await;
    stored(world.put("a", "x")).await;
    let (http, url) = (&world.http, &world.url);
    let form = Form::new().text("path", "b").part("file", Part::bytes(vec![1]));
    let requests = [
        http.put(format!("{url}/files/a")).body("y"),
        http.patch(format!("{url}/files/a")),
        http.post(format!("{url}/upload")).multipart(form),
        http.post(format!("{url}/batch")).body(crate::batch::frame("b", b"y")),
        http.post(format!("{url}/exists")).body(r#"{"files":[]}"#),
        http.post(format!("{url}/proof")).body(r#"{"paths":["a"]}"#),
        http.get(format!("{url}/exists?path=a")),
        http.get(format!("{url}/download?path=a")),
        http.get(format!("{url}/list")),
        http.get(format!("{url}/versions?path=a")),
    ];
    for request in requests {
        let request = request.bearer_auth(ADMIN_KEY).build().unwrap();
        let call = format!("{} {}", request.method(), request.url());
        let refused = problem(http.execute(request).await.unwrap()).await;
        assert_eq!(refused.code, Code::Unauthorized, "{call}");
    }
    assert_eq!(world.content("webapp/a").await.unwrap(), b"x");
    world.stop_and_expect_files(&["webapp/a"]).await;
}

#[tokio::test]
async fn a_client_chooses_nothing_of_its_object_but_content_and_metadata() {
    let world = World::start().await;
    let put = world.put("a", "x");
    let fields = [
        ("x-amz-storage-class", "GLACIER"),
        ("x-amz-object-lock-mode", "COMPLIANCE"),
        ("x-amz-acl", "public-read"),
        ("x-amz-server-side-encryption", "aws:kms"),
        ("x-amz-meta-sha256", "0"),
        ("x-amz-tagging", "a=b"),
        ("x-amz-website-redirect-location", "/b"),
    ];
    stored(fields.into_iter().fold(put, |put, (name, value)| put.header(name, value))).await;

    let faults = world.s3.faults();
    let sent = faults.headers(Op::PutObject, faults.calls(Op::PutObject)).expect("a call");
    for (name, value) in fields {
        let found = sent.get(name).map(|found| found.to_str().unwrap().to_owned());
        assert_ne!(found.as_deref(), Some(value), "{name} reached S3");
    }
    world.stop_and_expect_files(&["webapp/a"]).await;
}
