//! Heartbeats and daily reports, as the gateway records them.

use s3up::reporting::schedule::HEARTBEAT_EVERY;
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};

use crate::fixture::{Host, World, noise, until};
use crate::process::Process;

#[tokio::test]
async fn the_gateway_hears_of_the_five_states_and_of_the_last_scan() {
    let mut world = World::start().await;
    world.restart_with("max_file_size_mb: 1").await;
    let mut host = Host::new(&world.url());
    host.add("exclude: [\"*.tmp\"]\n");
    host.write("good", "12345");
    host.write("large", noise(2 << 20));
    host.write("x.tmp", "");
    let mut agent = Process::start(&host, &["run"]);

    let mut heartbeat = Value::Null;
    until("the heartbeat arrives", async || {
        heartbeat = stored(&world, "SELECT body FROM heartbeats").await;
        !heartbeat.is_null()
    })
    .await;

    let files = &heartbeat["files"];
    let total: u64 = ["protected", "pending", "baseline", "excluded", "problems"]
        .iter()
        .map(|state| files[*state]["files"].as_u64().unwrap())
        .sum();
    assert_eq!(total, 3, "{heartbeat}");
    assert_eq!(files["excluded"]["files"], 1);
    assert_eq!(heartbeat["watcher"]["state"], "ok");
    assert_eq!(heartbeat["agent"]["version"], env!("CARGO_PKG_VERSION"));
    assert!(heartbeat["last_scan_at"].as_str().unwrap().ends_with('Z'), "{heartbeat}");
    agent.terminate();
    assert_eq!(agent.wait().await, Some(0));
}

#[tokio::test]
async fn a_host_whose_clock_is_two_days_behind_tells_true_ages() {
    let Some(faketime) = s3up_testkit::find_program("faketime") else {
        println!("SKIPPED: faketime is not installed");
        return;
    };
    let world = World::start().await;
    let host = Host::new(&world.url());
    host.write("good", "12345");
    // It would run the agent as a child of its own, which gets no signal. So only its library is used.
    let mut library = std::process::Command::new(faketime);
    let library = library.args(["-f", "-2d", "printenv", "LD_PRELOAD"]).output();
    let library = library.expect("a program that runs").stdout;
    let library = String::from_utf8(library).expect("a path");
    let mut command = std::process::Command::new("env");
    command.arg(format!("LD_PRELOAD={}", library.trim())).arg("FAKETIME=-2d");
    // Only the clock that can be set is wrong, and not that of the files.
    command.args(["FAKETIME_DONT_FAKE_MONOTONIC=1", "NO_FAKE_STAT=1"]);
    let mut agent = Process::start_through(&host, command, &["run"]);

    let mut heartbeat = Value::Null;
    until("the heartbeat arrives", async || {
        heartbeat = stored(&world, "SELECT body FROM heartbeats").await;
        !heartbeat.is_null()
    })
    .await;

    let now = jiff::Timestamp::try_from(s3up_testkit::CLOCK.now()).unwrap();
    let scanned_at: jiff::Timestamp = heartbeat["last_scan_at"].as_str().unwrap().parse().unwrap();
    let behind = now.duration_since(scanned_at).as_secs();
    assert!((172_800..180_000).contains(&behind), "its clock is not behind: {heartbeat}");
    for age in ["last_scan_age_seconds", "running_seconds"] {
        assert!(heartbeat[age].as_u64().is_some_and(|seconds| seconds <= 120), "{heartbeat}");
    }
    agent.terminate();
    assert_eq!(agent.wait().await, Some(0));
}

#[tokio::test]
async fn the_gateway_hears_how_long_a_file_is_pending() {
    let world = World::start().await;
    let mut host = Host::new(&world.url());
    host.edit("debounce_seconds: 0.2", "debounce_seconds: 3600");
    host.write("growing", "12345");
    let mut agent = Process::start(&host, &["run"]);

    let mut heartbeat = Value::Null;
    until("the heartbeat arrives", async || {
        heartbeat = stored(&world, "SELECT body FROM heartbeats").await;
        !heartbeat.is_null()
    })
    .await;

    assert_eq!(heartbeat["files"]["pending"], json!({ "files": 1, "bytes": 5 }));
    let pending_for = heartbeat["oldest_pending_seconds"].as_u64();
    let changed = std::fs::metadata(host.up.join("growing")).unwrap().modified().unwrap();
    let age = s3up_testkit::CLOCK.now().duration_since(changed).unwrap().as_secs();
    assert!(pending_for.is_some_and(|seconds| seconds <= age + 1), "{heartbeat} after {age} s");
    agent.terminate();
    assert_eq!(agent.wait().await, Some(0));
}

#[tokio::test]
async fn a_scan_sends_a_heartbeat_at_its_end() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    host.write("good", "12345");

    host.scan().await;

    let mut heartbeat = Value::Null;
    until("the heartbeat arrives", async || {
        heartbeat = stored(&world, "SELECT body FROM heartbeats").await;
        !heartbeat.is_null()
    })
    .await;
    assert_eq!(heartbeat["files"]["protected"], json!({ "files": 1, "bytes": 5 }));
    assert_eq!(heartbeat["files"]["pending"]["files"], 0);
    assert_eq!(heartbeat["oldest_pending_seconds"], Value::Null);
    assert_eq!(heartbeat["watcher"], json!({ "state": "off", "detail": null }));
    assert!(heartbeat["last_scan_at"].is_string(), "{heartbeat}");
}

#[tokio::test]
async fn a_scan_that_finds_nothing_to_do_walks_the_tree_once() {
    use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
    let world = World::start().await;
    let host = Host::new(&world.url());
    host.write("dir/file", "12345");
    let opened = inotify::init(CreateFlags::NONBLOCK).unwrap();
    inotify::add_watch(&opened, &*host.up.join("dir"), WatchFlags::OPEN).unwrap();
    let walks = || {
        let mut buffer = [const { std::mem::MaybeUninit::uninit() }; 4096];
        let mut reader = inotify::Reader::new(&opened, &mut buffer);
        let mut count = 0;
        while let Ok(event) = reader.next() {
            count += u32::from(event.events().contains(ReadFlags::ISDIR));
        }
        count
    };

    host.scan().await;
    let with_an_upload = walks();
    host.scan().await;
    let unchanged = walks();

    assert_eq!(unchanged, 1);
    assert!(with_an_upload > 1, "the files are counted again after uploads: {with_an_upload}");
    let heartbeat = stored(&world, "SELECT body FROM heartbeats").await;
    assert_eq!(heartbeat["files"]["protected"], json!({ "files": 1, "bytes": 5 }));
    assert!(heartbeat["last_scan_at"].is_string(), "{heartbeat}");
}

#[tokio::test]
async fn the_gateway_hears_of_a_watch_that_cannot_be_scanned() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    host.write("good", "12345");
    host.scan().await;
    let elsewhere = host.dir.path().join("elsewhere");
    std::fs::rename(&host.up, &elsewhere).unwrap();
    let heard = async || stored(&world, "SELECT body FROM heartbeats").await["watch_error"].clone();

    host.scan().await;

    until("the gateway knows it", async || heard().await.is_string()).await;
    let error = heard().await;
    let root = host.up.display().to_string();
    assert!(error.as_str().unwrap().starts_with(&format!("{root}: ")), "{error}");
    std::fs::rename(&elsewhere, &host.up).unwrap();
    host.scan().await;
    until("the gateway knows that it is over", async || heard().await.is_null()).await;
}

#[tokio::test]
async fn a_daemon_tells_the_gateway_at_once_of_a_root_that_is_gone() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    host.write("good", "12345");
    host.scan().await;
    let mut agent = Process::start(&host, &["run"]);
    let heard = async || stored(&world, "SELECT body FROM heartbeats").await;
    until("the agent runs", async || heard().await["watcher"]["state"] == "ok").await;
    let start = s3up_testkit::CLOCK.start();
    let elsewhere = host.dir.path().join("elsewhere");

    std::fs::rename(&host.up, &elsewhere).unwrap();
    until("the gateway knows it", async || heard().await["watch_error"].is_string()).await;
    std::fs::rename(&elsewhere, &host.up).unwrap();
    until("the gateway knows that it is over", async || heard().await["watch_error"].is_null())
        .await;

    assert_eq!(heard().await["files"]["protected"]["files"], 1);
    // Two heartbeats of their own, not those of two minutes.
    assert!(start.elapsed() < HEARTBEAT_EVERY, "after {:?}", start.elapsed());
    agent.terminate();
    assert_eq!(agent.wait().await, Some(0));
}

#[tokio::test]
async fn a_report_of_each_day_is_kept_while_the_gateway_is_away_and_sent_later() {
    let mut world = World::start().await;
    world.restart_with("max_file_size_mb: 1").await;
    let mut host = Host::new(&world.url());
    host.add("report: { time: \"00:00\" }\n");
    host.write("good", "12345");
    host.write("large", noise(2 << 20));
    host.scan().await;
    // As if the agent had been installed and had uploaded this the day before yesterday.
    let mut database = connect(&host.dir.path().join("state/client.db")).await;
    for statement in [
        "UPDATE watch_state SET known_since_ns = known_since_ns - 3 * 86400 * 1000000000",
        "UPDATE days SET day = date('now', '-1 day')",
    ] {
        sqlx::query(statement).execute(&mut database).await.unwrap();
    }
    let yesterday: String =
        sqlx::query_scalar("SELECT date('now', '-1 day')").fetch_one(&mut database).await.unwrap();
    database.close().await.unwrap();
    world.gateway_down().await;
    host.write("pending", "1234567");

    let mut agent = Process::start(&host, &["run"]);
    let waits = host.dir.path().join("state/client.db");
    until("the report waits", async || {
        let mut database = connect(&waits).await;
        let count = sqlx::query_scalar("SELECT count(*) FROM reports WHERE sent_at IS NULL")
            .fetch_one(&mut database)
            .await;
        count.is_ok_and(|count: i64| count == 1)
    })
    .await;
    agent.kill();
    world.gateway_up().await;
    let mut agent = Process::start(&host, &["run"]);
    let mut report = Value::Null;
    until("the report arrives", async || {
        report = stored(&world, "SELECT body FROM reports").await;
        !report.is_null()
    })
    .await;
    agent.terminate();
    assert_eq!(agent.wait().await, Some(0), "{}", agent.log());

    assert_eq!(report["day"], yesterday.as_str());
    assert_eq!(report["uploaded"], json!({"files": 1, "bytes": 5}));
    assert_eq!(report["agent"]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(report["watcher"], json!({"state": "ok", "detail": null}));
    assert!(report["last_scan_at"].as_str().unwrap().ends_with('Z'), "{report}");
    assert_eq!(report["files"]["pending"], json!({"files": 1, "bytes": 7}));
    assert!(report["oldest_pending_seconds"].is_u64(), "{report}");
    assert_eq!(report["files"]["protected"], json!({"files": 1, "bytes": 5}));
    assert_eq!(report["files"]["problems"]["files"], 1);
    let problem = &report["problems"][0];
    assert!(problem["path"].as_str().unwrap().ends_with("/up/large"), "{report}");
    assert!(problem["reason"].as_str().unwrap().contains("413"), "{report}");
}

/// Returns the JSON that a query of the gateway's database yields; null if there is none.
pub async fn stored(world: &World, query: &'static str) -> Value {
    let mut database = connect(&world.database()).await;
    let text: Option<Option<String>> =
        sqlx::query_scalar(query).fetch_optional(&mut database).await.expect("success");
    text.flatten().map_or(Value::Null, |text| serde_json::from_str(&text).expect("success"))
}

async fn connect(path: &std::path::Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(path);
    SqliteConnection::connect_with(&options).await.expect("success")
}
