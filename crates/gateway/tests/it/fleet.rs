//! The database of the gateway from outside: heartbeats, reports and uploads are recorded; and the
//! answers while the database or S3 is away.

use reqwest::{RequestBuilder, StatusCode};
use s3up_core::wire::{PROBLEMS_MAX, Part, Readiness};
use s3up_core::{Code, Sha256Digest};
use s3up_devstore::{Fault, Op, Versioning};
use serde_json::{Value, json};

use crate::fixture::{
    KEY, MIB, OTHER_KEY, READER_KEY, World, noise, refused, stored, with_database,
};

pub fn heartbeat() -> Value {
    let none = json!({"files": 0, "bytes": 0});
    json!({
        "version": 1, "from_the_future": true,
        "agent": {"version": "0.1.0", "host": "web1", "started_at": "2026-01-01T00:00:00Z"},
        "files": {"protected": {"files": 2, "bytes": 9}, "pending": none, "baseline": none,
                  "excluded": none, "problems": none},
        "watcher": {"state": "ok"}
    })
}

fn report(day: &str) -> Value {
    let mut report = heartbeat();
    report["day"] = json!(day);
    report["uploaded"] = json!({"files": 2, "bytes": 9});
    report["problems"] = json!([{"path": "/srv/a", "reason": "never settled"}]);
    report
}

fn post(world: &World, call: &str, key: &str, body: impl ToString) -> RequestBuilder {
    let url = format!("{}{call}", world.url);
    world.http.post(url).bearer_auth(key).body(body.to_string())
}

/// Returns the day of the gateway, which runs in this process.
fn today() -> String {
    let now = jiff::Timestamp::try_from((s3up_testkit::CLOCK.wall)()).expect("a time");
    now.to_zoned(jiff::tz::TimeZone::UTC).date().to_string()
}

async fn ok(request: RequestBuilder) {
    let response = request.send().await.expect("a response");
    let (status, text) = (response.status(), response.text().await.expect("a body"));
    assert_eq!((status, text.as_str()), (StatusCode::OK, r#"{"success":true}"#));
}

#[tokio::test]
async fn heartbeats_and_reports_of_any_client_are_recorded() {
    let mut world = World::start().await;
    let day = today();

    ok(post(&world, "/heartbeat", KEY, heartbeat())).await;
    ok(post(&world, "/heartbeat", READER_KEY, heartbeat())).await;
    ok(post(&world, "/report", READER_KEY, report(&day))).await;

    // A report is committed before its answer; a heartbeat is, once the gateway has stopped.
    let reports = world.rows("SELECT client, day, body FROM reports").await;
    assert_eq!(reports.len(), 1);
    assert!(reports[0].starts_with(&format!("reader|{day}|{{\"version\":1,")), "{reports:?}");
    assert!(reports[0].contains("never settled") && !reports[0].contains("future"), "{reports:?}");
    world.stop_gateway().await;
    let clients = world.rows("SELECT client FROM heartbeats ORDER BY client").await;
    assert_eq!(clients, ["reader", "webapp"]);
    let seen = "SELECT client FROM clients WHERE last_seen_at > 0 ORDER BY client";
    assert_eq!(world.rows(seen).await, ["reader", "webapp"]);
    let all = world.rows("SELECT client FROM keys ORDER BY client").await;
    assert_eq!(all, ["reader", "webapp", "webapp-prod"]);
}

#[tokio::test]
async fn a_restore_key_makes_no_host_look_alive() {
    const RESTORE_KEY: &str = "sk_restore_webapp_01234567890123456789012345";
    let own = format!("api_key: \"{KEY}\"");
    let both = format!("{own}, restore_keys: [{RESTORE_KEY}]");
    let mut world =
        World::with(Versioning::Enabled, |config: String| config.replace(&own, &both)).await;

    let list = world.http.get(format!("{}/list", world.url)).bearer_auth(RESTORE_KEY);
    assert_eq!(list.send().await.expect("a response").status(), StatusCode::OK);

    world.stop_gateway().await;
    let seen = "SELECT count(*) FROM clients WHERE last_seen_at IS NOT NULL";
    assert_eq!(world.rows(seen).await, ["0"]);
    let used = "SELECT client FROM keys WHERE last_used_at > 0";
    assert_eq!(world.rows(used).await, ["webapp"]);
}

#[tokio::test]
async fn an_integer_may_have_a_fraction_of_zeros_in_every_body() {
    let mut world = World::start().await;
    let mut body = heartbeat();
    body["version"] = json!(1.0);
    body["files"]["protected"]["files"] = json!(2.0);
    ok(post(&world, "/heartbeat", KEY, &body)).await;
    let mut day = report(&today());
    day["uploaded"]["bytes"] = json!(9.0);
    ok(post(&world, "/report", KEY, &day)).await;
    let queried = json!({"path": "a", "size": 1.0, "sha256": Sha256Digest::of(b"x").to_string()});
    let query = post(&world, "/exists", KEY, json!({"files": [queried]}));
    let verdicts: Value = query.send().await.expect("a response").json().await.expect("JSON");
    assert_eq!(verdicts["files"][0]["verdict"], "missing");

    body["files"]["protected"]["files"] = json!(2.5);
    let problem = refused(post(&world, "/heartbeat", KEY, &body)).await;

    assert!(problem.detail.contains("floating point `2.5`"), "{problem:?}");
    world.stop_gateway().await;
    let bodies = world.rows("SELECT body FROM heartbeats").await;
    assert!(bodies[0].contains(r#""protected":{"files":2,"bytes":9}"#), "{bodies:?}");
}

#[tokio::test]
async fn a_malformed_heartbeat_or_report_is_refused_and_not_recorded() {
    let mut world = World::start().await;
    let edit = |path: &str, value: Value| {
        let mut report = report(&today());
        *report.pointer_mut(path).expect("a field") = value;
        report
    };
    let problem = json!({"path": "a", "reason": "b"});
    #[rustfmt::skip]
    let cases = [
        (edit("/version", json!(2)),                            Code::BadRequest, "expected 1, found 2"),
        (edit("/day", json!("2020-01-01")),                     Code::BadRequest, "`day`: expected a day from"),
        (edit("/agent/host", json!("h".repeat(12_289))),        Code::BadRequest, "`agent.host`"),
        (edit("/files/protected/files", json!(-1)),             Code::BadRequest, "the body is not valid"),
        (edit("/problems", json!(vec![problem; PROBLEMS_MAX + 1])), Code::BadRequest, "found 1001"),
        (edit("/watcher", json!(null)),                         Code::BadRequest, "the body is not valid"),
        (edit("/agent/version", json!("v".repeat(5 * MIB))),    Code::TooLarge,   "at most 4.0 MiB"),
    ];
    for (body, code, detail) in cases {
        let problem = refused(post(&world, "/report", KEY, body)).await;
        assert_eq!(problem.code, code, "{}", problem.detail);
        assert!(problem.detail.contains(detail), "{}", problem.detail);
    }
    let garbage = refused(post(&world, "/heartbeat", KEY, "{\"version\":")).await;
    assert_eq!(garbage.code, Code::BadRequest);
    let stranger = refused(post(&world, "/heartbeat", "x", heartbeat())).await;
    assert_eq!(stranger.code, Code::Unauthorized);

    world.stop_gateway().await;
    assert_eq!(world.rows("SELECT client FROM reports").await, Vec::<String>::new());
    assert_eq!(world.rows("SELECT client FROM heartbeats").await, Vec::<String>::new());
}

#[tokio::test]
async fn every_end_of_an_upload_is_recorded() {
    let mut world = World::start().await;
    let digest = Sha256Digest::of(b"hello");
    let put = || world.put("a.txt", "hello").header("x-mtime-ns", "7").header("x-mode", "0640");
    let announced = |body: &'static str| {
        world.put("a.txt", body).header("repr-digest", digest.to_repr_digest())
    };

    let first = stored(put()).await;
    assert!(stored(announced("hello")).await.unchanged);
    assert_eq!(refused(announced("other")).await.code, Code::DigestMismatch);
    let url = format!("{}/files/b.txt", world.url);
    let forbidden = refused(world.http.put(url).bearer_auth(OTHER_KEY).body("b")).await;
    assert_eq!(forbidden.code, Code::Forbidden);
    world.download("a.txt").await;

    world.stop_gateway().await;
    let results = world.rows("SELECT path, result FROM uploads ORDER BY result").await;
    let want = ["a.txt|digest_mismatch", "b.txt|forbidden", "a.txt|stored", "a.txt|unchanged"];
    assert_eq!(results, want);
    let file = "SELECT client, path, size, sha256, mtime_ns, mode, version_id FROM files";
    let version = first.version_id.expect("a version");
    let want = format!("webapp|a.txt|5|{digest}|7|{}|{version}", 0o640);
    assert_eq!(world.rows(file).await, [want]);
    let activity = "SELECT stored, stored_bytes, unchanged, refused, cancelled, downloads, \
                    downloaded_bytes FROM activity ORDER BY client";
    assert_eq!(world.rows(activity).await, ["1|5|1|1|0|1|5", "0|0|0|1|0|0|0"]);
}

#[tokio::test]
async fn exists_returns_the_digest_of_a_long_file_that_announced_none() {
    let world = World::start().await;
    let content = noise(9 * MIB);
    stored(world.put("long", content.clone())).await;
    // A report is written after all that was recorded before it.
    ok(post(&world, "/report", KEY, report(&today()))).await;

    let facts = world.exists("long").await;

    assert_eq!(facts["sha256"], json!(Sha256Digest::of(&content)));
    world.stop().await;
}

#[tokio::test]
async fn a_database_that_cannot_be_opened_stops_no_upload() {
    let not_a_dir = |yaml: String| with_database(&yaml, "path: \"/dev/null/gateway.db\"");
    let world = World::with(Versioning::Enabled, not_a_dir).await;

    stored(world.put("a", "hello")).await;
    let long = noise(9 * MIB);
    stored(world.put("long", long.clone())).await;

    assert_eq!(world.download("a").await, b"hello");
    assert_eq!(world.exists("long").await["sha256"], Value::Null, "it is not known here");
    assert_eq!(
        readiness(&world).await,
        (StatusCode::SERVICE_UNAVAILABLE, Part::Ok, Part::Failing, "enabled".to_owned())
    );
    world.stop().await;
}

#[tokio::test]
async fn ready_says_whether_s3_and_the_database_answer() {
    let world = World::with(Versioning::Off, |config| config).await;

    let before = readiness(&world).await;
    let again = readiness(&world).await;

    assert_eq!(before, (StatusCode::OK, Part::Ok, Part::Ok, "off".to_owned()));
    assert_eq!(again, before);
    let lists = world.calls(Op::ListObjectsV2);
    assert_eq!(lists, 1, "one for both answers");
    world.stop().await;
}

#[tokio::test]
async fn ready_names_s3_while_it_is_away() {
    let world = World::start().await;
    world.s3.faults().inject(Op::ListObjectsV2, 1, Fault::AccessDenied);

    let found = readiness(&world).await;

    let (unavailable, versioning) = (StatusCode::SERVICE_UNAVAILABLE, "unknown".to_owned());
    assert_eq!(found, (unavailable, Part::Failing, Part::Ok, versioning));
    world.stop().await;
}

async fn readiness(world: &World) -> (StatusCode, Part, Part, String) {
    let url = format!("{}/ready", world.url);
    let response = world.http.get(url).send().await.expect("a response");
    let status = response.status();
    let body: Readiness = response.json().await.expect("JSON");
    assert_eq!(body.ready, status == StatusCode::OK);
    (status, body.s3, body.database, body.versioning)
}
