//! A fleet of a thousand clients with ten million rows. It takes minutes, and so it has to be asked for:
//! `S3UP_TEST_SCALE=yes cargo nextest run --workspace -E 'test(/^scale::/)' --success-output immediate`, and with
//! `S3UP_TEST_DATABASE=postgres` on PostgreSQL. It prints what it measured. With `S3UP_PROGRAMS=DIR` it measures the
//! `s3up-server` of that directory, such as an optimized one. `S3UP_TEST_SCALE` may also be the number of uploads, and
//! of files, in place of five million.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use reqwest::{Client, StatusCode};
use s3up_core::Stopwatch;
use s3up_core::wire::ClientList;
use s3up_testkit::{CLOCK, Postgres, postgres_or_skip};
use serde_json::{Value, json};
use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;

use crate::dashboard::Browser;
use crate::fixture::{config, with_database};
use crate::process::s3;
use crate::running::Running;

const ADMIN_KEY: &str = "s3up_admin_0123456789012345678901234567890123";
/// Number of uploads, and of files.
const ROWS: u64 = 5_000_000;
/// Files of one client in addition, so that a search does not read all of them at once.
const FILES_OF_ONE: u64 = 200_000;
/// Days with a report and with activity of each client.
const DAYS: u64 = 30;
const ALERTS: u64 = 10_000;
/// Rows of one statement.
const STEP: u64 = 1_000_000;

/// The database of the fleet, past the gateway.
enum Database<'d> {
    Sqlite(&'d Path),
    Postgres(&'d Postgres),
}

impl Database<'_> {
    async fn run(&self, sql: String) {
        match self {
            Database::Sqlite(file) => {
                let options = SqliteConnectOptions::new().filename(file);
                let mut database = options.connect().await.expect("a database");
                let query = sqlx::query(sqlx::AssertSqlSafe(sql));
                query.execute(&mut database).await.expect("rows");
            }
            Database::Postgres(postgres) => {
                postgres.query(&sql);
            }
        }
    }

    async fn bytes(&self) -> u64 {
        match self {
            Database::Sqlite(file) => {
                self.run("PRAGMA wal_checkpoint(TRUNCATE)".to_owned()).await;
                std::fs::metadata(file).expect("the database").len()
            }
            Database::Postgres(postgres) => {
                let size = postgres.query("SELECT pg_database_size(current_database())");
                size.parse().expect("a number")
            }
        }
    }

    /// Adds rows of uploads or files for the numbers of a range.
    async fn add(&self, insert: &str, clients: u64, from: u64, count: u64) {
        let to = from + count;
        let numbers = format!(
            "WITH RECURSIVE numbers(n) AS (SELECT CAST({from} AS BIGINT) UNION ALL \
             SELECT n + 1 FROM numbers WHERE n + 1 < {to}) "
        );
        let now = jiff::Timestamp::try_from((CLOCK.wall)()).expect("a time").as_millisecond();
        let client = format!("'client-' || CAST(n % {clients} AS TEXT)");
        let path =
            "'uploads/2026/' || CAST(n % 977 AS TEXT) || '/photo-' || CAST(n AS TEXT) || '.jpg'";
        let statement = insert.replace("CLIENT", &client).replace("PATH", path);
        let statement = statement.replace("NOW", &now.to_string());
        // Both databases take the numbers in front of the insert.
        self.run(format!("{numbers}{statement}")).await;
    }
}

const INSERT_UPLOADS: &str = "INSERT INTO uploads (client, path, started_at, elapsed_ms, size, result) \
    SELECT CLIENT, PATH, NOW - n * 100, 30, 51234, 'stored' FROM numbers";
const INSERT_FILES: &str = "INSERT INTO files (client, path, size, sha256, mtime_ns, mode, etag, version_id, \
                                               uploaded_at, replaced_at) \
    SELECT CLIENT, PATH, 51234, '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08', \
           1700000000123456789, 420, '\"9f86d081884c7d659a2feaa0c55ad015\"', 'jw8v3kq2n5x7c9m1', NOW, NOW \
    FROM numbers";

const INSERT_REPORTS: &str = "INSERT INTO reports (client, day, received_at, body) \
    SELECT CLIENT, DAY, NOW - n, BODY FROM numbers";
const INSERT_ACTIVITY: &str = "INSERT INTO activity (client, day, stored, stored_bytes, unchanged, refused, cancelled, \
                                                     downloads, downloaded_bytes) \
    SELECT CLIENT, DAY, 40, 51234, 1, 0, 0, 1, 9 FROM numbers";
const INSERT_ALERTS: &str = "INSERT INTO alerts (id, client, state, before, reason, at) \
    SELECT 'alert-' || CAST(n AS TEXT), CLIENT, 'late', 'ok', 'a file waits for 2 h', NOW - n * 1000 FROM numbers";

fn key(n: u64) -> String {
    format!("s3up_{n:043}")
}

/// Returns the configuration of a fleet.
fn fleet(text: &str, clients: u64) -> String {
    let (before, _) = text.split_once("clients:").expect("clients");
    let mut text = format!("{before}admin_keys: [{ADMIN_KEY}]\nclients:\n");
    for n in 0..clients {
        writeln!(text, "  - {{ name: client-{n}, api_key: {} }}", key(n)).expect("a text");
    }
    text
}

/// Returns the median and the 99th percentile.
fn percentiles(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort();
    (times[times.len() / 2], times[times.len() * 99 / 100])
}

pub fn gateway_program() -> Command {
    let dir = std::env::var_os("S3UP_PROGRAMS").map(PathBuf::from);
    let built = || PathBuf::from(env!("CARGO_BIN_EXE_s3up-server"));
    Command::new(dir.map_or_else(built, |dir| dir.join("s3up-server")))
}

/// The pages of the dashboard.
const PAGES: [&str; 8] = [
    "/",
    "/?state=attention",
    "/dashboard/clients/client-7",
    "/dashboard/clients/client-7/files",
    "/dashboard/clients/client-7/files?find=photo-9",
    "/dashboard/gateway",
    "/dashboard/reports",
    "/dashboard/alerts",
];
/// Longest median of a page.
const PAGE_MAX: Duration = Duration::from_millis(200);

/// Returns the median and the 99th percentile of each page.
async fn measure_pages(url: &str) -> Vec<(&'static str, (Duration, Duration))> {
    let mut browser = Browser::new(url);
    browser.sign_in(ADMIN_KEY).await;
    let mut pages = Vec::new();
    for page in PAGES {
        let mut times = Vec::new();
        for _ in 0..20 {
            let began = CLOCK.start();
            browser.page(page).await;
            times.push(began.elapsed());
        }
        pages.push((page, percentiles(times)));
    }
    pages
}

fn agent() -> Value {
    json!({"version": "0.1.0", "host": "web", "started_at": "2026-01-01T00:00:00Z"})
}

fn files() -> Value {
    let none = json!({"files": 0, "bytes": 0});
    json!({"protected": none, "pending": none, "baseline": none, "excluded": none,
           "problems": none})
}

/// A host with five watches.
fn heartbeat() -> Value {
    let watch = json!({"path": "/var/www/webapp/uploads", "prefix": "uploads/", "recursive": true,
                       "mode": "events", "files": files(), "last_scan_age_seconds": 1800});
    json!({"version": 1, "agent": agent(), "files": files(), "watcher": {"state": "ok"},
           "last_scan_at": "2026-01-01T00:00:00Z",
           "watches": {"total": 5, "list": vec![watch; 5]}})
}

fn report() -> Value {
    json!({"version": 1, "day": "2026-01-01", "agent": agent(), "files": files(),
           "watcher": {"state": "ok"}, "uploaded": {"files": 1, "bytes": 2}, "problems": []})
}

struct Measured {
    list: (Duration, Duration),
    pages: Vec<(&'static str, (Duration, Duration))>,
    heartbeat: (Duration, Duration),
    memory: u64,
}

async fn measure(config: &Path, clients: u64) -> Measured {
    let gateway = Running::start_by(gateway_program(), config, &[]);
    let http = Client::new();
    let heartbeat = heartbeat();
    let mut beats = Vec::new();
    for n in 0..2 * clients.max(500) {
        let request = http.post(format!("{}/heartbeat", gateway.url)).json(&heartbeat);
        let began: Stopwatch = CLOCK.start();
        let answer = request.bearer_auth(key(n % clients)).send().await.expect("a response");
        beats.push(began.elapsed());
        assert_eq!(answer.status(), StatusCode::OK);
    }
    let mut lists = Vec::new();
    for _ in 0..100 {
        let request = http.get(format!("{}/clients", gateway.url)).bearer_auth(ADMIN_KEY);
        let began = CLOCK.start();
        let body = request.send().await.expect("a response").bytes().await.expect("a body");
        lists.push(began.elapsed());
        let list: ClientList = serde_json::from_slice(&body).expect("a list");
        assert_eq!(list.clients.len() as u64, clients);
    }
    let pages = measure_pages(&gateway.url).await;
    let memory = gateway.memory_peak();
    assert!(gateway.stop().await.success());
    Measured { list: percentiles(lists), pages, heartbeat: percentiles(beats), memory }
}

/// Adds many files of one client, and a month of activity, reports and alerts.
async fn add_the_rest(database: &Database<'_>, clients: u64, rows: u64) {
    let of_one = INSERT_FILES.replace("CLIENT,", "'client-7',");
    database.add(&of_one, clients, rows, FILES_OF_ONE).await;
    let report = report().to_string();
    let today = jiff::Timestamp::try_from((CLOCK.wall)()).expect("a time");
    let mut day = today.to_zoned(jiff::tz::TimeZone::UTC).date();
    for _ in 0..DAYS {
        for insert in [INSERT_ACTIVITY, INSERT_REPORTS] {
            let insert = insert.replace("DAY", &format!("'{day}'"));
            let insert = insert.replace("BODY", &format!("'{report}'"));
            database.add(&insert, clients, 0, clients).await;
        }
        day = day.yesterday().expect("a day");
    }
    database.add(INSERT_ALERTS, clients, 0, ALERTS).await;
    database
        .run(
            "INSERT INTO totals (client, files, bytes) \
             SELECT client, count(*), sum(size) FROM files GROUP BY client"
                .to_owned(),
        )
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_clients_with_ten_million_rows_are_listed_as_fast_as_ten() {
    let Some(rows) = std::env::var_os("S3UP_TEST_SCALE") else {
        println!("NOT RUN: S3UP_TEST_SCALE is not set");
        return;
    };
    let rows = rows.to_str().and_then(|rows| rows.parse().ok()).unwrap_or(ROWS);
    let root = tempfile::tempdir().expect("a directory");
    let s3 = s3(&root).await;
    let postgres = std::env::var_os("S3UP_TEST_DATABASE").map(|_| postgres_or_skip().expect("one"));
    let file = root.path().join("gateway.db");
    let text = config(&s3.endpoint(), &file);
    let (text, database) = match &postgres {
        Some(postgres) => {
            let url = format!("url: \"{}\"", postgres.url());
            (with_database(&text, &url), Database::Postgres(postgres))
        }
        None => (text, Database::Sqlite(&file)),
    };
    let config = root.path().join("server.yaml");
    let (mut results, mut slow) = (String::new(), Vec::new());
    for clients in [10, 1000] {
        std::fs::write(&config, fleet(&text, clients)).expect("a file");
        let made = gateway_program().arg("fleet").arg("--config").arg(&config).output();
        assert!(made.expect("a program that runs").status.success());
        if clients == 1000 {
            let before = database.bytes().await;
            for from in (0..rows).step_by(STEP as usize) {
                database.add(INSERT_UPLOADS, clients, from, STEP.min(rows - from)).await;
            }
            let uploads = (database.bytes().await - before) * STEP / rows;
            let before = database.bytes().await;
            for from in (0..rows).step_by(STEP as usize) {
                database.add(INSERT_FILES, clients, from, STEP.min(rows - from)).await;
            }
            let files = (database.bytes().await - before) * STEP / rows;
            let mib = |bytes: u64| bytes >> 20;
            writeln!(
                results,
                "a million uploads: {} MiB; a million files: {} MiB",
                mib(uploads),
                mib(files)
            )
            .expect("a text");
            add_the_rest(&database, clients, rows).await;
        }
        let Measured { list, pages, heartbeat, memory } = measure(&config, clients).await;
        writeln!(
            results,
            "{clients} clients: GET /clients {:?} (p99 {:?}), heartbeat {:?} (p99 {:?}), memory {} MiB",
            list.0,
            list.1,
            heartbeat.0,
            heartbeat.1,
            memory >> 20
        )
        .expect("a text");
        for (page, (median, p99)) in &pages {
            writeln!(results, "{clients} clients: GET {page} {median:?} (p99 {p99:?})")
                .expect("a text");
        }
        slow.extend(pages.into_iter().filter(|(_, (median, _))| *median > PAGE_MAX));
    }
    println!("{results}");
    assert!(slow.is_empty(), "slower than {PAGE_MAX:?}: {slow:?}");
    s3.stop().await;
}
