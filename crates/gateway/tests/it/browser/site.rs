//! A gateway with a fleet in which most states, and most kinds of trouble, occur.

use std::path::{Path, PathBuf};

use jiff::{Timestamp, ToSpan};
use reqwest::{Client, StatusCode};
use s3up_devstore::DevStore;
use s3up_testkit::CLOCK;
use serde_json::{Value, json};
use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use tempfile::TempDir;

use crate::fixture::config;
use crate::process::s3;
use crate::running::Running;

pub const ADMIN_KEY: &str = "s3up_admin_0123456789012345678901234567890123";
pub const HOSTILE: &str =
    "<img src=x onerror=alert(1)>\"'&amp;</td>\u{202e}gpj.exe\n<script>alert(2)</script>";
/// The clients of the configuration.
const CLIENTS: [&str; 12] = [
    "blog", "cloud", "evil", "forum", "git", "mail", "nas", "new-host", "shop", "tickets",
    "web-07", "wiki",
];
const DAY_MS: i64 = 86_400_000;

pub struct Site {
    pub gateway: Running,
    pub url: String,
    http: Client,
    database: PathBuf,
    s3: DevStore,
    _root: TempDir,
}

fn key(client: &str) -> String {
    format!("s3up_{client:0>43}").replace(['-', '.'], "0")
}

fn now() -> Timestamp {
    Timestamp::try_from((CLOCK.wall)()).expect("a time")
}

fn ago(minutes: i64) -> String {
    now().checked_sub(minutes.minutes()).expect("a time").to_string()
}

/// Returns the totals of files: protected, pending, baseline, excluded, problems.
fn totals(counts: [u64; 5]) -> Value {
    let [protected, pending, baseline, excluded, problems] =
        counts.map(|files| json!({"files": files, "bytes": files * 483_201}));
    json!({"protected": protected, "pending": pending, "baseline": baseline, "excluded": excluded,
           "problems": problems})
}

fn heartbeat(host: &str, counts: [u64; 5]) -> Value {
    json!({
        "version": 1, "files": totals(counts), "last_scan_at": ago(34),
        "agent": {"version": "0.1.0", "host": host, "started_at": ago(9 * 1440)},
        "watcher": {"state": "ok"},
        "last_drill": {"at": ago(3 * 1440), "files": 200, "bytes": 91_000_000, "failed": 0,
                       "last_good_at": ago(3 * 1440)},
        "watches": {"total": 2, "list": [
            watch("/var/www/html/uploads", "uploads/", counts),
            watch(&format!("/srv/{host}/media"), "media/", [0; 5]),
        ]},
    })
}

fn watch(path: &str, prefix: &str, counts: [u64; 5]) -> Value {
    json!({"path": path, "prefix": prefix, "recursive": true, "mode": "events",
           "files": totals(counts), "last_scan_age_seconds": 2040})
}

impl Site {
    pub async fn start() -> Site {
        Site::with(&CLIENTS).await
    }

    /// Starts a site of which a picture can be shown.
    pub async fn without_hostile_client() -> Site {
        let clients: Vec<_> = CLIENTS.into_iter().filter(|client| *client != "evil").collect();
        Site::with(&clients).await
    }

    async fn with(clients: &[&str]) -> Site {
        let root = tempfile::tempdir().expect("a directory");
        let s3 = s3(&root).await;
        let database = root.path().join("gateway.db");
        let text = config(&s3.endpoint(), &database);
        let (before, _) = text.split_once("clients:").expect("clients");
        let mut text = format!(
            "{before}admin_keys: [{ADMIN_KEY}]\ndashboard: {{ downloads: true }}\nclients:\n"
        );
        for client in clients {
            let quota = if *client == "shop" { ", quota_gb: 40" } else { "" };
            text.push_str(&format!("  - {{ name: {client}, api_key: {}{quota} }}\n", key(client)));
        }
        let file = root.path().join("server.yaml");
        std::fs::write(&file, text).expect("a file");
        let gateway = Running::start(&file, &[]);
        let url = gateway.url.clone();
        let site = Site { gateway, url, http: Client::new(), database, s3, _root: root };
        site.fill().await;
        if clients.contains(&"evil") {
            site.hostile().await;
        }
        site.past().await;
        site
    }

    async fn send(&self, call: &str, client: &str, body: &Value) {
        let request = self.http.post(format!("{}{call}", self.url)).bearer_auth(key(client));
        let answer = request.json(body).send().await.expect("a response");
        assert_eq!(answer.status(), StatusCode::OK, "{call} {client}");
    }

    pub async fn put(&self, client: &str, path: &str, content: &str) {
        let url = format!("{}/files/{path}", self.url);
        let request = self.http.put(url).bearer_auth(key(client)).body(content.to_owned());
        let answer = request.send().await.expect("a response");
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
    }

    /// Sends a heartbeat and a report with these problems.
    pub async fn report(&self, client: &str, heartbeat: &Value, problems: Value) {
        self.send("/heartbeat", client, heartbeat).await;
        let mut report = heartbeat.clone();
        let day = now().to_zoned(jiff::tz::TimeZone::UTC).date();
        report["day"] = json!(day.to_string());
        report["uploaded"] = json!({"files": 31, "bytes": 18_000_000});
        report["problems"] = problems;
        self.send("/report", client, &report).await;
    }

    async fn fill(&self) {
        for (n, client) in ["shop", "forum", "git", "cloud", "tickets"].into_iter().enumerate() {
            let files = 5120 * (n as u64 + 1);
            self.put(client, "uploads/2026/a.jpg", "hello").await;
            self.report(client, &heartbeat(client, [files, 0, 0, 12, 0]), json!([])).await;
        }
        self.put("shop", "uploads/2026/a.jpg", "hello again").await;
        self.put("shop", "uploads/2026/invoice%20%22no%201%22.pdf", "x").await;
        self.put("shop", "config.php", "x").await;
        let mut late = heartbeat("blog.example.org", [880, 412, 0, 3, 0]);
        late["oldest_pending_seconds"] = json!(3 * 3600);
        self.report("blog", &late, json!([])).await;
        let mut degraded = heartbeat("mail", [91_204, 2, 0, 0, 0]);
        degraded["watcher"] =
            json!({"state": "degraded", "detail": "needs 91206 watches, has 65536"});
        self.report("mail", &degraded, json!([])).await;
        self.report("wiki", &heartbeat("wiki", [1204, 0, 20, 40, 3]), json!([
            {"path": "/srv/wiki/secret.key", "reason": "open: Permission denied (os error 13)"},
            {"path": "/srv/wiki/cache/index.db", "reason": "never settled"},
            {"path": "/srv/wiki/dump of it's \"all\".tar", "reason": "expected a file of at most 1.0 GiB (1073741824 bytes), found a longer one"},
        ])).await;
        self.report("web-07", &heartbeat("web-07", [640, 0, 0, 0, 0]), json!([])).await;
        self.put("web-07", "www/index.html", "hello").await;
        self.send("/backup-report", "nas", &json!({
            "version": 1, "command": "backup", "program": {"version": "0.1.0", "host": "nas"},
            "subvolumes": [
                {"name": "data", "last_run": {"at": ago(61), "outcome": "published"}, "observed_at": ago(60),
                 "newest_backup_at": ago(61), "newest_backup_age_seconds": 3660, "overdue_age_seconds": 691_200,
                 "chain_length": 4, "restorable": true,
                 "last_drill": {"at": ago(9 * 1440), "last_good_at": ago(9 * 1440)},
                 "last_verify": {"at": ago(2 * 1440), "last_good_at": ago(2 * 1440)}},
                {"name": "vm", "last_run": {"at": ago(62), "outcome": "not_due"}, "observed_at": ago(60),
                 "newest_backup_at": ago(4000), "newest_backup_age_seconds": 240_000,
                 "overdue_age_seconds": 691_200, "chain_length": 11, "restorable": true},
            ],
        })).await;
    }

    /// Sends hostile text in every place that takes one.
    async fn hostile(&self) {
        self.put("evil", "dir%3Cb%3E/%3Cscript%3Ealert(3)%3C%2Fscript%3E%22'%E2%80%AEgpj.exe", "x")
            .await;
        let text = HOSTILE;
        let mut evil = heartbeat(text, [3, 0, 0, 0, 1]);
        evil["watcher"] = json!({"state": text, "detail": text});
        evil["watch_error"] = json!(text);
        evil["last_scan_at"] = json!(text);
        evil["agent"] = json!({"version": text, "host": text, "started_at": text});
        evil["last_drill"] =
            json!({"at": text, "files": 1, "bytes": 1, "failed": 1, "last_good_at": text});
        self.report("evil", &evil, json!([{"path": text, "reason": text, "since": text}])).await;
        self.send("/backup-report", "evil", &json!({
            "version": 1, "command": text, "program": {"version": text, "host": text},
            "subvolumes": [{"name": text, "problem": text, "unreadable": text, "observed_at": text,
                            "last_run": {"at": text, "outcome": "failed", "error": text},
                            "last_drill": {"at": text, "error": text}, "last_verify": {"at": text, "error": text}}],
        })).await;
    }

    /// Writes what happened before this test, past the gateway.
    async fn past(&self) {
        let now = now().as_millisecond();
        let mut statements = vec![
            format!("UPDATE heartbeats SET received_at = {now} - 26 * 3600000 WHERE client = 'web-07'"),
            format!("UPDATE clients SET created_at = {now} - 40 * {DAY_MS} WHERE client <> 'new-host'"),
            "UPDATE totals SET bytes = bytes + 38000000000, files = files + 5100 WHERE client = 'shop'".to_owned(),
            format!("INSERT INTO alerts (id, topic, client, state, before, reason, at) VALUES \
                ('a1', 'state', 'web-07', 'silent', 'ok', 'no heartbeat for 26 h', {now} - 600000), \
                ('a2', 'quota', 'shop', 'begun', '', 'it has stored 35 GiB, 88 % of its quota of 40 GiB', {now} - 7200000), \
                ('a3', 'state', 'wiki', 'failing', 'ok', '3 files cannot be uploaded', {now} - 9000000), \
                ('a4', 'report', '', '', '', 'All 12 hosts are safe\n\nshop: ok; <b>5120</b> files', {now} - 86400000)"),
            format!("INSERT INTO deliveries (alert, channel, attempts, tried_at, delivered_at) VALUES \
                ('a1', 'webhook', 1, {now} - 590000, {now} - 590000), ('a1', 'mail', 3, {now} - 60000, NULL), \
                ('a2', 'webhook', 1, {now} - 7190000, {now} - 7190000)"),
            "INSERT INTO incidents (topic, subject, since, reason) VALUES \
                ('quota', 'shop', 1769860800000, 'it has stored 35 GiB, 88 % of its quota of 40 GiB')".to_owned(),
        ];
        for (n, client) in CLIENTS
            .iter()
            .enumerate()
            .filter(|(_, client)| **client != "new-host" && **client != "nas")
        {
            for back in 1..7_i64 {
                let at = Timestamp::from_millisecond(now - back * DAY_MS).expect("a time");
                let day = at.to_zoned(jiff::tz::TimeZone::UTC).date();
                let files = (n as i64 * 37 + back * 53) % 211;
                let bytes = files * 700_000 * (1 + back % 3);
                statements.push(format!(
                    "INSERT INTO activity (client, day, stored, stored_bytes, unchanged, refused, cancelled, \
                     downloads, downloaded_bytes) VALUES ('{client}', '{day}', {files}, {bytes}, 0, 0, 0, 0, 0)"
                ));
            }
        }
        for statement in statements {
            run(&self.database, statement).await;
        }
    }

    /// Makes `shop` fail, as one that has a problem.
    pub async fn break_shop(&self) {
        self.send("/heartbeat", "shop", &heartbeat("shop", [5120, 0, 0, 12, 7])).await;
    }

    pub async fn stop(self) {
        assert!(self.gateway.stop().await.success());
        self.s3.stop().await;
    }
}

async fn run(file: &Path, statement: String) {
    let options = SqliteConnectOptions::new().filename(file);
    let mut database = options.connect().await.expect("a database");
    let query = sqlx::query(sqlx::AssertSqlSafe(statement));
    query.execute(&mut database).await.expect("a change");
}
