//! Backup reports of btrfs hosts from outside: what is refused, and what an admin sees.

use std::process::Command;

use reqwest::{RequestBuilder, StatusCode};
use s3up_core::Code;
use s3up_core::wire::{ClientList, ClientState, ClientStatus, SUBVOLUMES_MAX};
use s3up_devstore::Versioning;
use serde_json::{Value, json};

use crate::fixture::{KEY, READER_KEY, World, refused};

const ADMIN_KEY: &str = "s3up_admin_0123456789012345678901234567890123";
const DAY: u64 = 24 * 3600;

async fn world() -> World {
    let edit = |config: String| format!("{config}\nadmin_keys: [{ADMIN_KEY}]\n");
    World::with(Versioning::Enabled, edit).await
}

/// The report of a host whose subvolume `data` is well and two days old.
pub fn report() -> Value {
    json!({
        "version": 1, "from_the_future": true, "command": "backup",
        "program": {"version": "0.1.0", "host": "nas"},
        "subvolumes": [{
            "name": "data", "from_the_future": true,
            "last_run": {"at": "2026-01-31T02:00:00Z", "outcome": "published"},
            "observed_at": "2026-01-31T02:10:00Z",
            "newest_backup_at": "2026-01-31T02:00:00Z", "newest_backup_age_seconds": 2 * DAY,
            "overdue_age_seconds": 8 * DAY, "chain_length": 3, "restorable": true,
            "last_drill": {"at": "2026-01-30T04:00:00Z", "last_good_at": "2026-01-30T04:00:00Z"}
        }]
    })
}

fn edited(path: &str, value: Value) -> Value {
    let mut report = report();
    *report.pointer_mut(path).expect("a field") = value;
    report
}

fn post(world: &World, key: &str, body: &Value) -> RequestBuilder {
    world.http.post(format!("{}/backup-report", world.url)).bearer_auth(key).json(body)
}

pub async fn send(world: &World, key: &str, body: &Value) {
    let response = post(world, key, body).send().await.expect("a response");
    let (status, text) = (response.status(), response.text().await.expect("a body"));
    assert_eq!((status, text.as_str()), (StatusCode::OK, r#"{"success":true}"#));
}

async fn get(world: &World, call: &str) -> String {
    let request = world.http.get(format!("{}{call}", world.url)).bearer_auth(ADMIN_KEY);
    request.send().await.expect("a response").text().await.expect("a body")
}

async fn client(world: &World, name: &str) -> ClientStatus {
    serde_json::from_str(&get(world, &format!("/clients/{name}")).await).expect("a client")
}

#[tokio::test]
async fn an_admin_sees_the_subvolumes_of_the_newest_report() {
    let mut world = world().await;
    send(&world, READER_KEY, &edited("/subvolumes/0/chain_length", json!(2))).await;
    send(&world, READER_KEY, &report()).await;

    let list: ClientList = serde_json::from_str(&get(&world, "/clients").await).expect("a list");
    let nas = list.clients.iter().find(|client| client.name == "reader").expect("the client");
    let data = &nas.subvolumes[0];

    assert_eq!((nas.state, nas.reason.as_deref()), (ClientState::Ok, None));
    assert_eq!(nas.backup_program.as_ref().expect("a program").host, "nas");
    assert!(nas.last_backup_report_at.is_some() && nas.last_heartbeat_at.is_none(), "{nas:?}");
    assert_eq!((data.name.as_str(), data.chain_length), ("data", Some(3)));
    assert!((2 * DAY..2 * DAY + 60).contains(&data.newest_backup_age_seconds.expect("an age")));
    assert_eq!(client(&world, "reader").await.subvolumes.len(), 1);
    assert_eq!(client(&world, "webapp").await.subvolumes, []);
    let metrics = get(&world, "/metrics").await;
    for line in [
        r#"s3up_client_backup_chain_length{client="reader"} 3.0"#,
        r#"s3up_client_subvolumes{client="reader",result="restorable"} 1.0"#,
        r#"s3up_client_subvolumes{client="reader",result="not_restorable"} 0.0"#,
        r#"s3up_client_subvolume_runs{client="reader",result="published"} 1.0"#,
        r#"s3up_client_subvolume_runs{client="reader",result="failed"} 0.0"#,
        r#"s3up_client_state{client="reader",state="ok"} 1.0"#,
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line}: {metrics}");
    }
    assert!(!metrics.contains(r#"client_subvolumes{client="webapp""#), "{metrics}");
    // A report is committed before its answer.
    let rows = world.rows("SELECT client, body FROM backup_reports").await;
    assert_eq!(rows.len(), 1);
    assert!(rows[0].starts_with("reader|{\"version\":1,") && !rows[0].contains("future"));
    world.stop_gateway().await;
}

#[tokio::test]
async fn the_state_of_a_client_is_that_of_its_worst_subvolume() {
    use ClientState::{Degraded, Failing, Late, Ok};
    let world = world().await;
    let run = |outcome: &str| json!({"at": "T", "outcome": outcome, "error": "no space"});
    let subvolume = |key: &str| format!("/subvolumes/0/{key}");
    let checked = json!({"at": "T", "error": "content differs"});
    #[rustfmt::skip]
    let cases = [
        (edited(&subvolume("last_run"), run("failed")),                Failing,  "data: the backup of T failed: no space"),
        (edited(&subvolume("restorable"), json!(false)),               Failing,  "data: it cannot be restored: no reason is known"),
        (edited(&subvolume("newest_backup_age_seconds"), json!(9 * DAY)), Late,  "data: its newest backup is 9 d old, of 2026-01-31T02:00:00Z"),
        (edited(&subvolume("last_drill"), checked),                    Degraded, "data: the drill of T failed: content differs"),
        (report(),                                                     Ok,       ""),
    ];
    for (body, state, reason) in cases {
        send(&world, KEY, &body).await;

        let found = client(&world, "webapp").await;

        assert_eq!((found.state, found.reason.as_deref().unwrap_or_default()), (state, reason));
    }
    world.stop().await;
}

#[tokio::test]
async fn a_malformed_backup_report_is_refused_and_not_recorded() {
    let mut world = world().await;
    let long = json!("h".repeat(12_289));
    let many = json!(vec![report()["subvolumes"][0].clone(); SUBVOLUMES_MAX + 1]);
    #[rustfmt::skip]
    let cases = [
        (edited("/version", json!(2)),                             Code::BadRequest, "expected 1, found 2"),
        (edited("/program/host", long.clone()),                    Code::BadRequest, "`program.host`"),
        (edited("/subvolumes/0/name", long),                       Code::BadRequest, "`subvolumes[].name`"),
        (edited("/subvolumes", many),                              Code::BadRequest, "found 1001"),
        (edited("/subvolumes/0/last_run/outcome", json!("maybe")), Code::BadRequest, "the body is not valid"),
        (edited("/subvolumes/0/chain_length", json!(-1)),          Code::BadRequest, "the body is not valid"),
        (edited("/command", json!("c".repeat(5 << 20))),           Code::TooLarge,   "at most 4.0 MiB"),
    ];
    for (body, code, detail) in cases {
        let problem = refused(post(&world, KEY, &body)).await;
        assert_eq!(problem.code, code, "{}", problem.detail);
        assert!(problem.detail.contains(detail), "{}", problem.detail);
    }
    for key in ["x", ADMIN_KEY] {
        assert_eq!(refused(post(&world, key, &report())).await.code, Code::Unauthorized);
    }
    world.stop_gateway().await;
    assert_eq!(world.rows("SELECT client FROM backup_reports").await, Vec::<String>::new());
}

#[tokio::test]
async fn the_command_prints_the_subvolumes_and_a_silent_host() {
    let mut world = world().await;
    send(&world, READER_KEY, &report()).await;
    world.stop_gateway().await;
    let file = world.root.path().join("server.yaml");
    std::fs::write(&file, world.config("http://127.0.0.1:9")).expect("a file");
    let fleet = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_s3up-server"));
        let output = command.args(["fleet", "--config"]).arg(&file).output();
        let output = output.expect("a program that runs");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    };

    let text = fleet();

    assert!(text.contains("CLIENT  SUBVOLUME  NEWEST BACKUP"), "{text}");
    // The age of the last good drill follows.
    let row = "reader  data       2026-01-31T02:00:00Z  2 d  3      yes         ";
    assert!(text.lines().any(|line| line.starts_with(row) && line.ends_with(" d")), "{text}");
    // The host was not heard of for two days.
    world.rows("UPDATE backup_reports SET received_at = received_at - 172800000").await;
    let text = fleet();
    assert!(text.contains("reader: no backup report for 2 d, since "), "{text}");
    assert!(text.contains("2026-01-31T02:00:00Z  4 d  3"), "the age grows: {text}");
}
