//! Alerts from outside: their delivery by each channel, and its repetition.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::fixture::config;
use crate::running::Running;

const ADMIN_KEY: &str = "s3up_admin_0123456789012345678901234567890123";
/// Longest wait for the second delivery: it is due after 15 s, and looked for each 10 s.
const RETRY_WAIT_MAX: Duration = Duration::from_secs(60);

/// Time for which no ping must come.
const NO_PING_FOR: Duration = Duration::from_secs(3);

/// A gateway with one alert in its database, and the S3 server that it needs.
pub struct Alerting {
    root: tempfile::TempDir,
    s3: s3up_devstore::DevStore,
    pub gateway: Running,
    database: sqlx::SqliteConnection,
}

impl Alerting {
    pub async fn start(alerts: &str) -> Alerting {
        Alerting::start_by(Command::new(env!("CARGO_BIN_EXE_s3up-server")), alerts).await
    }

    /// Starts the gateway by a command to which its arguments are added.
    pub async fn start_by(command: Command, alerts: &str) -> Alerting {
        let root = tempfile::tempdir().expect("a directory");
        let s3 = crate::process::s3(&root).await;
        let (file, database) = (root.path().join("server.yaml"), root.path().join("gateway.db"));
        let text = config(&s3.endpoint(), &database);
        let text = format!("{text}admin_keys: [{ADMIN_KEY}]\nalerts: {alerts}\n");
        std::fs::write(&file, text).expect("a file");
        // It makes the tables.
        let mut fleet = Command::new(env!("CARGO_BIN_EXE_s3up-server"));
        let made = fleet.args(["fleet", "--config"]).arg(&file).output();
        let made = made.expect("a program that runs");
        assert!(made.status.success(), "{made:?}");
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&database);
        let mut database = sqlx::ConnectOptions::connect(&options).await.expect("a database");
        let at = jiff::Timestamp::try_from((s3up_testkit::CLOCK.wall)()).expect("a time");
        let row = "INSERT INTO alerts (id, client, state, before, reason, at) \
             VALUES ('web-5-silent', 'web', 'silent', 'ok', 'no heartbeat', $1)";
        let row = sqlx::query(row).bind(at.as_millisecond());
        row.execute(&mut database).await.expect("a row");
        Alerting { s3, gateway: Running::start_by(command, &file, &[]), root, database }
    }

    /// Returns the number of alerts that wait for the webhook, as `GET /metrics` tells it.
    async fn undelivered(&self) -> f64 {
        let request = reqwest::Client::new().get(format!("{}/metrics", self.gateway.url));
        let answer = request.bearer_auth(ADMIN_KEY).send().await.expect("a response");
        let text = answer.text().await.expect("text");
        let series = "s3up_alerts_undelivered{channel=\"webhook\"} ";
        let value = text.lines().find_map(|line| line.strip_prefix(series));
        value.unwrap_or_else(|| panic!("{text}")).parse().expect("a number")
    }

    /// Stops the gateway, and returns the channel of each delivery with the number of attempts.
    pub async fn stop(mut self) -> Vec<(String, i64)> {
        assert!(self.gateway.stop().await.success());
        let rows = "SELECT channel, attempts FROM deliveries WHERE delivered_at IS NOT NULL";
        let rows = sqlx::query_as(rows).fetch_all(&mut self.database).await.expect("rows");
        self.s3.stop().await;
        drop(self.root);
        rows
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alert_is_delivered_once_and_a_ready_gateway_pings() {
    let (sender, mut received) = tokio::sync::mpsc::unbounded_channel();
    let url = receiver(sender, 0).await;
    let alerts = format!("{{ webhook_url: \"{url}/alert/secret\", ping_url: \"{url}/ping\" }}");

    let alerting = Alerting::start(&alerts).await;

    let mut seen = Vec::new();
    while seen.len() < 2 {
        seen.push(received.recv().await.expect("a request"));
    }
    seen.sort();
    let [(alert_path, alert), (ping_path, ping)] = &seen[..] else { unreachable!("two requests") };
    assert_eq!((alert_path.as_str(), ping_path.as_str()), ("/alert/secret", "/ping"));
    let alert: Value = serde_json::from_str(alert).expect("JSON");
    assert_eq!(alert["text"], "web is silent: no heartbeat");
    assert_eq!((&alert["id"], &alert["before"]), (&json!("web-5-silent"), &json!("ok")));
    assert_eq!(ping, "");
    let delivered = alerting.gateway.logged("alert_delivered", 1);
    assert!(!delivered.contains("secret"), "{delivered}");
    assert_eq!(alerting.stop().await, [("webhook".to_owned(), 1)]);
}

/// The first ping of a ready gateway comes at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_is_not_ready_does_not_ping() {
    let (sender, mut received) = tokio::sync::mpsc::unbounded_channel();
    let url = receiver(sender, 0).await;
    let root = tempfile::tempdir().expect("a directory");
    let s3 = crate::process::s3(&root).await;
    let file = root.path().join("server.yaml");
    let no_file = root.path().join("server.yaml/gateway.db");
    let text =
        format!("{}alerts: {{ ping_url: \"{url}/ping\" }}\n", config(&s3.endpoint(), &no_file));
    std::fs::write(&file, text).expect("a file");
    let gateway = Running::start(&file, &[]);

    let (status, readiness) = gateway.ready().await;

    assert_eq!((status, readiness.ready), (503, false), "{readiness:?}");
    let ping = tokio::time::timeout(NO_PING_FOR, received.recv()).await;
    assert!(ping.is_err(), "{ping:?}");
    assert!(gateway.stop().await.success());
    s3.stop().await;
}

/// The first attempt fails, and the schedule of the product decides when the second one follows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alert_that_its_receiver_refuses_is_delivered_later() {
    let (sender, mut received) = tokio::sync::mpsc::unbounded_channel();
    let url = receiver(sender, 1).await;
    let alerting = Alerting::start(&format!("{{ webhook_url: \"{url}/alert\" }}")).await;

    let first = received.recv().await.expect("a request");
    let refused = alerting.gateway.logged("alert_not_delivered", 1);
    assert!(refused.contains("500") && refused.contains("id=web-5-silent"), "{refused}");
    assert_eq!(alerting.undelivered().await, 1.0);

    let second = tokio::time::timeout(RETRY_WAIT_MAX, received.recv()).await;
    assert_eq!(second.expect("a second attempt"), Some(first), "the same alert");
    // It is logged before it is recorded.
    alerting.gateway.logged("alert_delivered", 1);
    let recorded = async { while alerting.undelivered().await > 0.0 {} };
    tokio::time::timeout(RETRY_WAIT_MAX, recorded).await.expect("the delivery is recorded");
    assert_eq!(alerting.stop().await, [("webhook".to_owned(), 2)]);
}

/// Returns the URL of a server that sends the path and the body of each request to `sender`, and
/// answers the first `failures` requests with 500.
async fn receiver(
    sender: tokio::sync::mpsc::UnboundedSender<(String, String)>,
    failures: usize,
) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let requests = Arc::new(AtomicUsize::new(0));
    let app = axum::Router::new().fallback(move |request: axum::extract::Request| {
        let sender = sender.clone();
        let fails = requests.fetch_add(1, Ordering::Relaxed) < failures;
        async move {
            let path = request.uri().path().to_owned();
            let body = axum::body::to_bytes(request.into_body(), 10_000).await.expect("a body");
            sender.send((path, String::from_utf8_lossy(&body).into_owned())).expect("a test");
            if fails { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK }
        }
    });
    tokio::spawn(async move { axum::serve(listener, app).await });
    format!("http://{address}")
}
