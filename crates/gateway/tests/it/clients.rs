//! The fleet from outside: states, reports and metrics for an admin key, and `s3up-server fleet`.

use std::process::{Command, Stdio};

use reqwest::{Response, StatusCode};
use s3up_core::Code;
use s3up_core::wire::{ClientList, ClientState, ClientStatus, ReportList};
use s3up_devstore::Versioning;
use s3up_testkit::find_program;
use serde_json::{Value, json};

use crate::backup_reports;
use crate::fixture::{KEY, OTHER_KEY, READER_KEY, World, config, problem, stored};

const ADMIN_KEY: &str = "s3up_admin_0123456789012345678901234567890123";

async fn world() -> World {
    let edit = |config: String| format!("{config}\nadmin_keys: [{ADMIN_KEY}]\n");
    World::with(Versioning::Enabled, edit).await
}

async fn get(world: &World, call: &str, key: &str) -> Response {
    let request = world.http.get(format!("{}{call}", world.url)).bearer_auth(key);
    request.send().await.expect("a response")
}

async fn clients(world: &World) -> ClientList {
    get(world, "/clients", ADMIN_KEY).await.json().await.expect("a list")
}

fn files(problems: u64) -> Value {
    let none = json!({"files": 0, "bytes": 0});
    json!({"protected": {"files": 2, "bytes": 9}, "pending": none, "baseline": none,
           "excluded": none, "problems": {"files": problems, "bytes": 1}})
}

/// Sends a report, which is committed with all records before it, and then a heartbeat.
async fn report(world: &World, key: &str, problems: u64) {
    let now = jiff::Timestamp::try_from((s3up_testkit::CLOCK.wall)()).expect("a time");
    let day = now.to_zoned(jiff::tz::TimeZone::UTC).date();
    let agent = json!({"version": "0.1.0", "host": "web1", "started_at": now.to_string()});
    let watcher = json!({"state": "ok"});
    let heartbeat = json!({"version": 1, "agent": agent, "files": files(problems),
                           "last_scan_at": now.to_string(), "last_scan_age_seconds": 5,
                           "running_seconds": 60, "watcher": watcher,
                           "last_drill": {"at": now.to_string(), "files": 20, "bytes": 9,
                                          "failed": 0, "last_good_at": "2026-01-01T00:00:00Z"}});
    let mut report = heartbeat.clone();
    report["day"] = json!(day.to_string());
    report["uploaded"] = json!({"files": 2, "bytes": 9});
    report["problems"] = json!([{"path": "/srv/<a>", "reason": "never settled"}]);
    for (call, body) in [("/heartbeat", heartbeat), ("/report", report)] {
        let request = world.http.post(format!("{}{call}", world.url)).bearer_auth(key).json(&body);
        assert_eq!(request.send().await.expect("a response").status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn a_new_fleet_was_never_heard_of_and_a_report_changes_that() {
    let world = world().await;
    world.commit_records().await;
    stored(world.put("a.txt", "hello")).await;
    report(&world, READER_KEY, 2).await;
    report(&world, KEY, 0).await;

    let list = clients(&world).await;

    let states: Vec<_> = list.clients.iter().map(|it| (it.name.as_str(), it.state)).collect();
    let want = [
        ("reader", ClientState::Failing),
        ("webapp-prod", ClientState::Never),
        ("webapp", ClientState::Ok),
    ];
    assert_eq!(states, want);
    let reason = list.clients[0].reason.as_deref();
    assert_eq!(reason, Some("2 files cannot be uploaded; its report names them"));
    let webapp: ClientStatus =
        get(&world, "/clients/webapp", ADMIN_KEY).await.json().await.expect("a client");
    assert_eq!((webapp.stored.files, webapp.stored.bytes), (1, 5));
    assert!(webapp.last_stored_at.is_some() && webapp.reason.is_none(), "{webapp:?}");
    assert_eq!(webapp.agent.expect("an agent").host, "web1");
    let drill = webapp.last_drill.expect("a drill");
    assert_eq!((drill.files, drill.failed), (20, 0));
    assert_eq!(drill.last_good_at.as_deref(), Some("2026-01-01T00:00:00Z"));
    world.stop().await;
}

/// Sends a heartbeat of a host whose clock is `ahead_hours` ahead of this one.
async fn heartbeat_of(world: &World, ahead_hours: i64, scan_hours: i64, drill_days: i64) {
    let now = jiff::Timestamp::try_from((s3up_testkit::CLOCK.wall)()).expect("a time");
    let at = |hours_ago: i64| {
        let hours = jiff::SignedDuration::from_hours(ahead_hours - hours_ago);
        now.checked_add(hours).expect("a time").to_string()
    };
    let drill = json!({"at": at(24 * drill_days), "age_seconds": 86_400 * drill_days, "files": 20,
                       "bytes": 9, "failed": 0, "last_good_at": at(24 * drill_days),
                       "last_good_age_seconds": 86_400 * drill_days});
    let agent = json!({"version": "0.1.0", "host": "web1", "started_at": at(30 * 24)});
    let heartbeat = json!({"version": 1, "agent": agent, "files": files(0),
                           "last_scan_at": at(scan_hours),
                           "last_scan_age_seconds": 3600 * scan_hours,
                           "running_seconds": 30 * 86_400, "watcher": {"state": "ok"},
                           "last_drill": drill});
    let request = world.http.post(format!("{}/heartbeat", world.url)).bearer_auth(KEY);
    let sent = request.json(&heartbeat).send().await.expect("a response");
    assert_eq!(sent.status(), StatusCode::OK);
    // Records are written in their order.
    world.commit_records().await;
}

#[tokio::test]
async fn a_host_with_a_wrong_clock_is_judged_by_the_clock_of_the_gateway() {
    let world = world().await;
    let now = jiff::Timestamp::try_from((s3up_testkit::CLOCK.wall)()).expect("a time");
    let days = 48;
    for (ahead, scan_hours, want) in [
        (0, 1, ClientState::Ok),
        (0, 27, ClientState::Late),
        (-days, 1, ClientState::Ok),
        (-days, 27, ClientState::Late),
        (days, 1, ClientState::Ok),
        (days, 27, ClientState::Late),
    ] {
        heartbeat_of(&world, ahead, scan_hours, 10).await;

        let found = get(&world, "/clients/webapp", ADMIN_KEY).await;

        let found: ClientStatus = found.json().await.expect("a client");
        assert_eq!(found.state, want, "{ahead} {scan_hours}: {found:?}");
        let agent = found.agent.as_ref().expect("an agent");
        let drill = found.last_drill.as_ref().expect("a drill");
        let times = [
            (found.last_scan_at.as_deref(), scan_hours),
            (drill.last_good_at.as_deref(), 240),
            (Some(drill.at.as_str()), 240),
            (Some(agent.started_at.as_str()), 30 * 24),
        ];
        for (text, hours_ago) in times {
            let at: jiff::Timestamp = text.expect("a time").parse().expect("a time");
            let shown = now.duration_since(at).as_secs();
            let wrong = (shown - hours_ago * 3600).abs();
            assert!(wrong <= 600, "{ahead} {scan_hours}: {text:?}");
        }
        if let Some(reason) = found.reason {
            let since = found.last_scan_at.expect("a scan");
            assert_eq!(reason, format!("no complete scan since {since}"));
        }
    }
    world.stop().await;
}

#[tokio::test]
async fn the_watches_of_a_client_are_those_of_its_last_heartbeat() {
    let world = world().await;
    let watch = json!({"path": "/srv/www", "prefix": "www/", "recursive": true, "mode": "events",
                       "files": files(0), "last_scan_age_seconds": 60});
    let send = async |watches: Option<Value>| {
        let agent =
            json!({"version": "0.1.0", "host": "web1", "started_at": "2026-01-01T00:00:00Z"});
        let mut body = json!({"version": 1, "agent": agent, "files": files(0),
                              "watcher": {"state": "ok"}});
        if let Some(watches) = watches {
            body["watches"] = watches;
        }
        let url = format!("{}/heartbeat", world.url);
        let answer = world.http.post(url).bearer_auth(KEY).json(&body).send().await;
        let status = answer.expect("a response").status();
        world.commit_records().await;
        status
    };
    let seen = async || {
        let client = get(&world, "/clients/webapp", ADMIN_KEY).await;
        client.json::<ClientStatus>().await.expect("a client").watches
    };

    let watches = json!({"total": 3, "list": [watch.clone()]});
    assert_eq!(send(Some(watches)).await, StatusCode::OK);
    let watches = seen().await.expect("watches");
    assert_eq!((watches.total, watches.list[0].path.as_str()), (3, "/srv/www"));
    let age = watches.list[0].last_scan_age_seconds.expect("an age");
    assert!((60..120).contains(&age), "{age}");
    assert_eq!(clients(&world).await.clients[0].watches, None, "the list has none");
    let too_many = json!({"total": 101, "list": vec![watch; 101]});
    assert_eq!(send(Some(too_many)).await, StatusCode::BAD_REQUEST);
    assert!(seen().await.is_some());
    // An older agent took over.
    assert_eq!(send(None).await, StatusCode::OK);
    assert_eq!(seen().await, None);
    world.stop().await;
}

#[tokio::test]
async fn only_an_admin_key_reads_the_fleet_and_it_reads_nothing_else() {
    let world = world().await;
    for call in ["/clients", "/clients/webapp", "/reports", "/metrics"] {
        let refused = problem(get(&world, call, KEY).await).await;
        assert_eq!((call, refused.code), (call, Code::Forbidden));
        let refused = problem(get(&world, call, "wrong").await).await;
        assert_eq!((call, refused.code), (call, Code::Unauthorized));
    }
    let of_files = problem(get(&world, "/exists?path=a", ADMIN_KEY).await).await;
    assert_eq!(of_files.code, Code::Unauthorized);
    let unknown = problem(get(&world, "/clients/unknown", ADMIN_KEY).await).await;
    assert_eq!(unknown.code, Code::NotFound);
    let day = problem(get(&world, "/reports?day=today", ADMIN_KEY).await).await;
    assert_eq!(day.detail, "`day`: expected a day like 2026-01-31, found \"today\"");
    world.stop().await;
}

#[tokio::test]
async fn reports_are_found_by_day_and_client() {
    let world = world().await;
    report(&world, READER_KEY, 1).await;
    report(&world, KEY, 0).await;
    for (query, want) in [
        ("", &["reader", "webapp"][..]),
        ("?client=webapp", &["webapp"]),
        ("?day=2020-01-01", &[]),
        ("?client=reader&day=2020-01-01", &[]),
    ] {
        let list: ReportList = get(&world, &format!("/reports{query}"), ADMIN_KEY)
            .await
            .json()
            .await
            .expect("reports");
        let found: Vec<_> = list.reports.iter().map(|it| it.client.as_str()).collect();
        assert_eq!(found, want, "{query}");
        assert!(list.reports.iter().all(|it| it.report.problems[0].path == "/srv/<a>"));
    }
    world.stop().await;
}

#[tokio::test]
async fn an_answer_with_reports_is_as_long_as_32_mib_of_them() {
    let world = world().await;
    let today = jiff::Timestamp::try_from((s3up_testkit::CLOCK.wall)()).expect("a time");
    let today = today.to_zoned(jiff::tz::TimeZone::UTC).date();
    let problem = json!({"path": "/srv/a", "reason": "x".repeat(12_000)});
    let agent = json!({"version": "0.1.0", "host": "web1", "started_at": "2026-01-01T00:00:00Z"});
    for days_ago in 0..12 {
        let day = today.checked_sub(jiff::Span::new().days(days_ago)).expect("a day");
        let report = json!({"version": 1, "day": day.to_string(), "agent": agent, "files": files(0),
                            "uploaded": {"files": 0, "bytes": 0}, "watcher": {"state": "ok"},
                            "problems": vec![problem.clone(); 300]});
        let request = world.http.post(format!("{}/report", world.url)).bearer_auth(KEY);
        let sent = request.json(&report).send().await.expect("a response");
        assert_eq!(sent.status(), StatusCode::OK);
    }

    let list: ReportList = get(&world, "/reports", ADMIN_KEY).await.json().await.expect("reports");

    // The newest nine, of 3.6 million bytes each.
    let days: Vec<_> = list.reports.into_iter().map(|it| it.report.day).collect();
    assert_eq!((days.len(), &days[0]), (9, &today.to_string()), "{days:?}");
    world.stop().await;
}

#[tokio::test]
async fn metrics_have_every_client_and_pass_the_check_of_prometheus() {
    let world = world().await;
    stored(world.put("a.txt", "hello")).await;
    report(&world, KEY, 0).await;
    backup_reports::send(&world, OTHER_KEY, &backup_reports::report()).await;

    let answer = get(&world, "/metrics", ADMIN_KEY).await;

    assert_eq!(answer.status(), StatusCode::OK);
    let text = answer.text().await.expect("text");
    let calls = "s3up_s3_calls_total{result=\"ok\"} ";
    let calls = text.lines().find_map(|line| line.strip_prefix(calls)).expect("a series");
    assert!(calls.parse::<f64>().expect("a number") >= 1.0, "{text}");
    for line in [
        "s3up_ready 1.0",
        "s3up_client_state{client=\"webapp\",state=\"ok\"} 1.0",
        "s3up_client_state{client=\"webapp\",state=\"silent\"} 0.0",
        "s3up_client_state{client=\"reader\",state=\"never\"} 1.0",
        "s3up_client_files{client=\"webapp\",state=\"protected\"} 2.0",
        "s3up_client_last_heartbeat_timestamp_seconds{client=\"webapp-prod\"} 0.0",
        "s3up_uploads_total{client=\"webapp\",result=\"stored\"} 1.0",
        "s3up_uploads_total{client=\"reader\",result=\"refused\"} 0.0",
        "s3up_uploaded_bytes_total{client=\"webapp\"} 5.0",
        "s3up_requests_in_flight 1.0",
        "s3up_certificate_end_timestamp_seconds 0.0",
        "s3up_client_frozen{client=\"webapp\"} 0.0",
        "s3up_client_incident{client=\"webapp\",topic=\"changes\"} 0.0",
        "s3up_gateway_incident{topic=\"authentication\"} 0.0",
        "s3up_failed_keys_total 0.0",
        "s3up_client_backup_chain_length{client=\"webapp-prod\"} 3.0",
        "s3up_client_subvolumes{client=\"webapp-prod\",result=\"restorable\"} 1.0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
    let Some(promtool) = find_program("promtool") else {
        println!("SKIPPED: promtool is not installed");
        return world.stop().await;
    };
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("metrics");
    std::fs::write(&file, &text).expect("a file");
    let input = Stdio::from(std::fs::File::open(&file).expect("the file"));
    let mut check = Command::new(promtool);
    let checked = check.args(["check", "metrics"]).stdin(input).output().expect("promtool runs");
    assert!(checked.status.success(), "{checked:?}");
    world.stop().await;
}

#[test]
fn the_alert_rules_are_valid_and_use_metrics_that_exist() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let file = root.join("packaging/prometheus/s3up.rules.yml");
    let rules = std::fs::read_to_string(&file).expect("the rules");
    assert_metrics_exist(&rules);
    let Some(promtool) = find_program("promtool") else {
        println!("SKIPPED: promtool is not installed");
        return;
    };
    let checked = Command::new(promtool).args(["check", "rules"]).arg(&file).output();
    let checked = checked.expect("promtool runs");
    assert!(checked.status.success(), "{checked:?}");
}

#[test]
fn the_dashboard_uses_metrics_that_exist_and_its_queries_are_valid() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = std::fs::read_to_string(root.join("packaging/grafana/s3up.json"));
    let text = text.expect("the dashboard");
    assert_metrics_exist(&text);
    let dashboard: Value = serde_json::from_str(&text).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().expect("targets"));
    let queries: Vec<_> = targets.map(|it| it["expr"].as_str().expect("a query")).collect();
    assert!(queries.len() > 15, "{queries:?}");
    let Some(promtool) = find_program("promtool") else {
        println!("SKIPPED: promtool is not installed");
        return;
    };
    // promtool checks the queries of rules.
    let rules = queries.iter().map(|query| json!({"record": "query", "expr": query}));
    let rules = rules.enumerate().map(|(n, mut rule)| {
        rule["record"] = json!(format!("query_{n}"));
        rule
    });
    let rules = json!({"groups": [{"name": "panels", "rules": rules.collect::<Vec<_>>()}]});
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), rules.to_string()).expect("a file");
    let checked = Command::new(promtool).args(["check", "rules"]).arg(file.path()).output();
    let checked = checked.expect("promtool runs");
    assert!(checked.status.success(), "{checked:?}");
}

/// Checks that the gateway has each metric that a text names.
fn assert_metrics_exist(text: &str) {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let code = std::fs::read_to_string(root.join("src/handlers/metrics.rs")).expect("the metrics");
    let word = regex::Regex::new(r"\bs3up_([a-z0-9_]+)").expect("an expression");
    let names: Vec<_> = word.captures_iter(text).map(|found| found[1].to_owned()).collect();
    assert!(names.len() > 6, "{names:?}");
    for name in names {
        // The format adds it to the names of counters.
        let registered = name.strip_suffix("_total").unwrap_or(&name);
        assert!(code.contains(&format!("\"{registered}\"")), "{name}");
    }
}

#[test]
fn the_command_prints_the_fleet_and_its_check_fails_while_a_client_is_not_safe() {
    let root = tempfile::tempdir().expect("a directory");
    let file = root.path().join("server.yaml");
    let text = config("http://127.0.0.1:9", &root.path().join("gateway.db"));
    std::fs::write(&file, text).expect("a file");
    let fleet = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_s3up-server"));
        let output = command.arg("fleet").arg("--config").arg(&file).args(args).output();
        let output = output.expect("a program that runs");
        let text = String::from_utf8(output.stdout).expect("text");
        (output.status.code(), text)
    };

    let (code, text) = fleet(&["--check"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.starts_with("PROBLEM: 0 of 3 clients are safe; reader: no request since"),
        "{text}"
    );
    let (code, text) = fleet(&["--json"]);
    let list: ClientList = serde_json::from_str(&text).expect("JSON");
    assert_eq!((code, list.clients.len()), (Some(0), 3));
    let (code, text) = fleet(&[]);
    assert_eq!(code, Some(0));
    let table: Vec<_> = text.lines().take(4).collect();
    assert!(table.iter().all(|line| line.len() <= 80), "{text}");
    assert!(text.contains("webapp-prod  never"), "{text}");
}
