//! An operator freezes a client: nothing of it is stored until it is released.

use std::process::Output;
use std::time::Duration;

use reqwest::multipart::{Form, Part};
use reqwest::{RequestBuilder, Response, StatusCode};
use s3up_core::wire::{ClientState, ClientStatus};
use s3up_core::{Code, Sha256Digest};
use s3up_devstore::{Op, Versioning};

use crate::concurrency::open_body;
use crate::fixture::{KEY, MIB, OTHER_KEY, World, config, noise, problem, refused, stored};
use crate::process::{program, s3};
use crate::running::Running;

const ADMIN_KEY: &str = "s3up_admin_0123456789012345678901234567890123";
/// Longest wait for a gateway to notice what another process recorded.
const WAIT_MAX: Duration = Duration::from_secs(30);

async fn world() -> World {
    let edit = |config: String| format!("{config}\nadmin_keys: [{ADMIN_KEY}]\n");
    World::with(Versioning::Enabled, edit).await
}

fn admin(world: &World, call: &str) -> RequestBuilder {
    world.http.post(format!("{}/clients/{call}", world.url)).bearer_auth(ADMIN_KEY)
}

async fn status_of(response: Response) -> ClientStatus {
    assert_eq!(response.status(), StatusCode::OK);
    response.json().await.expect("a client")
}

#[tokio::test]
async fn a_frozen_client_stores_nothing_and_everything_else_goes_on() {
    let world = world().await;
    stored(world.put("a", "hello")).await;
    let (open, body) = open_body(noise(9 * MIB));
    let running = tokio::spawn(world.put("running", body).send());
    world.called(Op::UploadPart, 1).await;

    let frozen = admin(&world, "webapp/freeze?reason=strange%20changes").send().await;
    let frozen = status_of(frozen.expect("a response")).await;
    drop(open);

    assert_eq!(frozen.frozen.expect("a freeze").reason, "strange changes");
    let running = running.await.expect("no panic").expect("a response");
    assert_eq!(problem(running).await.code, Code::Frozen);
    let put = world.put("b", "x").send().await.expect("a response");
    let wait: u64 = put.headers()["retry-after"].to_str().unwrap().parse().expect("a number");
    assert!(wait >= 60, "{wait}");
    let refusal = problem(put).await;
    assert_eq!((refusal.status, refusal.code), (503, Code::Frozen));
    assert!(refusal.detail.ends_with(": strange changes"), "{}", refusal.detail);
    let batch = world.http.post(format!("{}/batch", world.url)).bearer_auth(KEY);
    let batch = batch.body(crate::batch::frame("b", b"x")).send().await.expect("a response");
    let batch = batch.text().await.expect("a body");
    assert!(batch.contains(r#""code":"frozen""#) && batch.contains("retry_after"), "{batch}");
    let digest = Sha256Digest::of(b"hello").to_repr_digest();
    let patch = world.patch("a").header("repr-digest", digest).header("x-mode", "0600");
    assert_eq!(refused(patch).await.code, Code::Frozen);
    let form = Form::new().text("path", "c").part("file", Part::bytes(b"x".to_vec()));
    let form = world.http.post(format!("{}/upload", world.url)).bearer_auth(KEY).multipart(form);
    assert_eq!(refused(form).await.code, Code::Frozen);

    assert_eq!(world.download("a").await, b"hello");
    assert_eq!(world.exists("a").await["exists"], true);
    // It sends a report.
    world.commit_records().await;
    let other = world.http.put(format!("{}/files/p.jpg", world.url)).bearer_auth(OTHER_KEY);
    stored(other.body("x")).await;
    let seen = world.http.get(format!("{}/clients/webapp", world.url)).bearer_auth(ADMIN_KEY);
    let seen = status_of(seen.send().await.expect("a response")).await;
    assert_eq!(seen.state, ClientState::Failing);
    let reason = seen.reason.expect("a reason");
    assert!(reason.contains("uploads are frozen") && reason.ends_with("changes"), "{reason}");

    let released = status_of(admin(&world, "webapp/release").send().await.expect("one")).await;
    assert!(released.frozen.is_none() && released.state == ClientState::Ok, "{released:?}");
    stored(world.put("b", "x")).await;
    world.stop_and_expect_files(&["webapp/a", "webapp/b", "webapp-prod/p.jpg"]).await;
}

#[tokio::test]
async fn only_an_operator_freezes_a_client_that_exists() {
    let world = world().await;
    let long = format!("webapp/freeze?reason={}", "x".repeat(501));
    #[rustfmt::skip]
    let cases = [
        ("webapp/freeze",               KEY,       Code::Forbidden),
        ("webapp/release",              KEY,       Code::Forbidden),
        ("webapp/freeze",               "unknown", Code::Unauthorized),
        ("unknown/freeze",              ADMIN_KEY, Code::NotFound),
        ("unknown/release",             ADMIN_KEY, Code::NotFound),
        ("webapp/freeze?reason=a%0ab",  ADMIN_KEY, Code::BadRequest),
        (&long,                         ADMIN_KEY, Code::BadRequest),
    ];
    for (call, key, code) in cases {
        let request = world.http.post(format!("{}/clients/{call}", world.url)).bearer_auth(key);
        assert_eq!(refused(request).await.code, code, "{call}");
    }
    stored(world.put("a", "x")).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_stays_frozen_when_the_gateway_starts_without_its_database() {
    let root = tempfile::tempdir().expect("a directory");
    let s3 = s3(&root).await;
    let (file, database) = (root.path().join("server.yaml"), root.path().join("gateway.db"));
    let text = format!("{}admin_keys: [{ADMIN_KEY}]\n", config(&s3.endpoint(), &database));
    std::fs::write(&file, text).expect("a file");
    let http = reqwest::Client::new();
    let call = |url: &str, call: &str| {
        http.post(format!("{url}/clients/webapp/{call}")).bearer_auth(ADMIN_KEY).send()
    };
    let put = |url: &str, path: &str, key: &str| {
        http.put(format!("{url}/files/{path}")).bearer_auth(key).body("x")
    };
    let gateway = Running::start(&file, &[]);
    let frozen = call(&gateway.url, "freeze?reason=stolen").await.expect("a response");
    assert_eq!(frozen.status(), StatusCode::OK);
    assert!(gateway.stop().await.success());
    // A file that is no database.
    let (away, wal) = (root.path().join("away.db"), root.path().join("gateway.db-wal"));
    assert!(!wal.exists(), "the database is one file");
    std::fs::rename(&database, &away).expect("a database");
    std::fs::create_dir(&database).expect("a directory");

    let gateway = Running::start(&file, &[]);

    let warned = gateway.logged("freezes_not_read", 1);
    assert!(warned.contains("clients=1"), "{warned}");
    let refused = problem(put(&gateway.url, "a", KEY).send().await.expect("a response")).await;
    assert_eq!(refused.code, Code::Frozen);
    assert!(refused.detail.ends_with(": stolen"), "{}", refused.detail);
    stored(put(&gateway.url, "p.jpg", OTHER_KEY)).await;
    std::fs::remove_dir(&database).expect("an empty directory");
    std::fs::rename(&away, &database).expect("the database");
    let released = async {
        while call(&gateway.url, "release").await.expect("a response").status() != StatusCode::OK {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(WAIT_MAX, released).await.expect("the database answers again");
    stored(put(&gateway.url, "a", KEY)).await;
    assert!(gateway.stop().await.success());
    let kept = std::fs::read_to_string(root.path().join("gateway.db.freezes"));
    assert_eq!(kept.expect("the file with the freezes"), "[]");
    s3.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_commands_reach_a_running_gateway_and_a_restart_keeps_the_freeze() {
    let root = tempfile::tempdir().expect("a directory");
    let s3 = s3(&root).await;
    let file = root.path().join("server.yaml");
    std::fs::write(&file, config(&s3.endpoint(), &root.path().join("gateway.db"))).expect("a file");
    let run = |args: &[&str]| -> (Option<i32>, String, String) {
        let Output { status, stdout, stderr } =
            program().args(args).arg("--config").arg(&file).output().expect("a program that runs");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        (status.code(), text(stdout), text(stderr))
    };
    let http = reqwest::Client::new();
    let put = |url: &str| http.put(format!("{url}/files/a")).bearer_auth(KEY).body("x").send();
    let until = async |url: &str, want: StatusCode| {
        let found = async {
            while put(url).await.expect("a response").status() != want {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(WAIT_MAX, found).await.expect("the gateway notices it");
    };
    let gateway = Running::start(&file, &[]);
    until(&gateway.url, StatusCode::OK).await;

    let (code, text, err) = run(&["freeze", "webapp", "--reason", "strange changes"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(text.starts_with("webapp is frozen: "), "{text}");
    until(&gateway.url, StatusCode::SERVICE_UNAVAILABLE).await;
    assert!(gateway.stop().await.success());

    let gateway = Running::start(&file, &[]);
    let first = problem(put(&gateway.url).await.expect("a response")).await;
    assert_eq!(first.code, Code::Frozen, "{first:?}");
    let (_, fleet, _) = run(&["fleet"]);
    assert!(fleet.contains("uploads are frozen") && fleet.contains("strange changes"), "{fleet}");

    let (code, text, err) = run(&["release", "webapp"]);
    assert_eq!((code, text.starts_with("webapp is released: ")), (Some(0), true), "{text}{err}");
    until(&gateway.url, StatusCode::OK).await;
    assert_eq!(run(&["release", "webapp"]).1, "webapp was not frozen.\n");
    let (code, _, err) = run(&["freeze", "unknown"]);
    assert!(code == Some(1) && err.contains("expected a client of"), "{code:?} {err}");
    assert!(gateway.stop().await.success());
    s3.stop().await;
}
