//! Uploads that end in a message to the operator, without the pauses between two looks.

use std::path::{Path, PathBuf};
use std::time::Duration;

use s3up_core::ClientName;
use s3up_devstore::{DevStore, Options, Versioning};
use serde_json::Value;
use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

use super::observe::Observer;
use super::watch::judge_once;
use super::{deliver, incidents};
use crate::alert::{Channel, Topic};
use crate::config::Config;
use crate::gateway::Gateway;
use crate::server::{SHUTDOWN_GRACE, ServeOptions, serve};

const KEY: &str = "sk_live_webapp_0123456789012345678901234567890";
const WAIT_MAX: Duration = Duration::from_secs(60);

/// A gateway whose fleet is judged when a test says so, and a receiver of its alerts.
struct Site {
    gateway: Gateway,
    url: String,
    received: mpsc::UnboundedReceiver<Value>,
    stop: oneshot::Sender<()>,
    served: tokio::task::JoinHandle<()>,
    database: PathBuf,
    s3: DevStore,
    _root: tempfile::TempDir,
}

impl Site {
    async fn start(more: &str) -> Site {
        let root = tempfile::tempdir().unwrap();
        let s3 = DevStore::start(Options::new(root.path().join("s3"))).await.unwrap();
        s3.create_bucket("backups", Versioning::Enabled).await.unwrap();
        let database = root.path().join("gateway.db");
        let (sender, received) = mpsc::unbounded_channel();
        let text = format!(
            "server: {{ host: \"127.0.0.1\", port: 0 }}\n\
             s3: {{ endpoint: \"{}\", region: us-east-1, bucket: backups, access_key_id: devstore, \
                    secret_access_key: devstore-secret }}\n\
             database: {{ path: {database:?} }}\n\
             clients: [{{ name: webapp, api_key: \"{KEY}\", changed_percent: 50, changed_files_min: 5 }}]\n\
             alerts: {{ webhook_url: \"{}\"{more} }}\n",
            s3.endpoint(),
            receiver(sender).await,
        );
        let config = Config::parse(Path::new("server.yaml"), &text, &|_| None).unwrap();
        let gateway = Gateway::start(config).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let options =
            ServeOptions { listener, tls: None, connections_max: 100, grace: SHUTDOWN_GRACE };
        let served = gateway.clone();
        let served = tokio::spawn(async move {
            serve(options, served, async { drop(stopped.await) }).await.unwrap();
        });
        gateway.spawn(deliver::deliver_all(gateway.clone(), Channel::Webhook));
        Site { gateway, url, received, stop, served, database, s3, _root: root }
    }

    async fn put(&self, path: &str, content: &str) {
        let put = reqwest::Client::new().put(format!("{}/files/{path}", self.url)).bearer_auth(KEY);
        let response = put.body(content.to_owned()).send().await.unwrap();
        assert_eq!(response.status(), reqwest::StatusCode::OK);
    }

    /// Waits until `files` files are recorded.
    async fn recorded(&self, files: u64) {
        let client = ClientName::parse("webapp").unwrap();
        let recorded = async {
            loop {
                let facts = self.gateway.database().client_facts().await.unwrap();
                let facts = facts.iter().find(|facts| facts.name == client);
                if facts.is_some_and(|facts| facts.stored.files == files) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(WAIT_MAX, recorded).await.expect("the records");
    }

    async fn sql(&self, statement: &'static str) {
        let options = SqliteConnectOptions::new().filename(&self.database);
        let mut database = options.connect().await.unwrap();
        sqlx::query(statement).execute(&mut database).await.unwrap();
    }

    async fn judge(&self, observer: &mut Observer) {
        judge_once(&self.gateway, observer).await;
    }

    /// Waits for the next alert with a topic.
    async fn alert(&mut self, topic: &str) -> Value {
        let found = async {
            loop {
                let alert = self.received.recv().await.expect("a receiver");
                if alert["topic"] == topic {
                    return alert;
                }
            }
        };
        tokio::time::timeout(WAIT_MAX, found).await.unwrap_or_else(|_| panic!("no alert: {topic}"))
    }

    async fn open(&self) -> Vec<Topic> {
        let rows = self.gateway.database().open_incidents().await.unwrap();
        incidents::by_subject(rows).into_keys().map(|(topic, _)| topic).collect()
    }

    async fn stop(self) {
        drop(self.stop);
        self.served.await.unwrap();
        self.s3.stop().await;
    }
}

async fn receiver(sender: mpsc::UnboundedSender<Value>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = axum::Router::new().fallback(move |request: axum::extract::Request| {
        let sender = sender.clone();
        async move {
            let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
            // The test may have ended.
            sender.send(serde_json::from_slice(&body).unwrap()).ok();
        }
    });
    tokio::spawn(async move { axum::serve(listener, app).await });
    format!("http://{address}/alert")
}

#[tokio::test]
async fn files_that_are_replaced_like_by_ransomware_are_an_alert_and_its_end_is_one() {
    let mut site = Site::start("").await;
    let mut observer = Observer::new().await;
    for n in 0..10 {
        site.put(&format!("{n}.jpg"), &format!("picture {n}")).await;
    }
    site.recorded(10).await;
    // They are from the day before yesterday.
    site.sql("UPDATE files SET replaced_at = replaced_at - 172800000").await;
    site.sql("UPDATE extensions SET first_at = first_at - 172800000").await;
    site.sql("DELETE FROM changes").await;
    site.judge(&mut observer).await;
    assert_eq!(site.open().await, []);

    // Those that are sent again with the same content are not suspicious.
    for n in 0..10 {
        site.put(&format!("{n}.jpg"), &format!("picture {n}")).await;
    }
    site.put("0.jpg", "encrypted").await;
    site.put("new.jpg", "picture").await;
    site.recorded(11).await;
    site.judge(&mut observer).await;
    assert_eq!(site.open().await, []);
    for n in 1..5 {
        site.put(&format!("{n}.jpg"), "encrypted").await;
    }
    site.put("5.jpg", "").await;
    // One file that changes all the time counts once.
    for n in 0..10 {
        site.put("0.jpg", &format!("again {n}")).await;
    }
    site.put("READ_ME.html", "pay").await;
    site.recorded(12).await;
    site.judge(&mut observer).await;
    site.judge(&mut observer).await;

    let alert = site.alert("changes").await;
    let text = alert["text"].as_str().unwrap();
    assert!(text.starts_with("webapp: 6 of its 10 files (60 %) were replaced"), "{text}");
    assert!(text.contains(", 1 of them are empty now") && text.contains("freeze webapp"), "{text}");
    assert_eq!((&alert["client"], &alert["is_over"]), (&"webapp".into(), &false.into()));
    assert_eq!(site.open().await, [Topic::Changes]);
    site.sql("UPDATE changes SET period = period - 7200000").await;
    site.judge(&mut observer).await;
    let over = site.alert("changes").await;
    assert_eq!((&over["is_over"], site.open().await), (&true.into(), vec![]));
    site.stop().await;
}

#[tokio::test]
async fn new_files_with_unfamiliar_extensions_are_an_alert() {
    let mut site = Site::start("").await;
    let mut observer = Observer::new().await;
    for n in 0..8 {
        site.put(&format!("{n}.jpg"), "picture").await;
    }
    site.recorded(8).await;
    site.judge(&mut observer).await;
    assert_eq!(site.open().await, [], "all files of a new client are new");
    site.sql("UPDATE extensions SET first_at = first_at - 172800000").await;
    site.sql("DELETE FROM changes").await;
    for n in 0..6 {
        site.put(&format!("{n}.jpg.locked"), "encrypted").await;
    }
    site.recorded(14).await;
    site.judge(&mut observer).await;

    let text = site.alert("changes").await["text"].as_str().unwrap().to_owned();
    assert!(text.starts_with("webapp: 6 new files within an hour have extensions"), "{text}");
    site.stop().await;
}

#[tokio::test]
async fn the_daily_report_comes_once_a_day_and_names_every_client() {
    let mut site = Site::start(", report_at: \"00:00\"").await;
    let mut observer = Observer::new().await;
    site.put("a", "hello").await;
    site.recorded(1).await;
    for _ in 0..2 {
        site.judge(&mut observer).await;
    }

    let report = site.alert("report").await;

    let text = report["text"].as_str().unwrap();
    assert_eq!(text, "1 of 1 client is safe\n\nwebapp: ok; 1 file, 5 B");
    assert_eq!(report["client"], Value::Null);
    // As if it were the report of a day before: the next one tells the difference.
    site.sql("UPDATE reported_clients SET day = '2026-01-31', files = 3, state = 'silent'").await;
    site.sql("DELETE FROM alerts").await;
    site.sql("DELETE FROM deliveries").await;
    site.judge(&mut observer).await;
    let text = site.alert("report").await["text"].as_str().unwrap().to_owned();
    assert!(text.contains("webapp: ok (was silent); 1 file, 5 B (-2, +0 B)\n"), "{text}");
    assert!(text.ends_with("Changes are those since the report of 2026-01-31."), "{text}");
    site.stop().await;
}

#[tokio::test]
async fn many_requests_without_a_key_are_an_alert() {
    let mut site = Site::start("").await;
    let mut observer = Observer::new().await;
    site.judge(&mut observer).await;
    let http = reqwest::Client::new();
    for _ in 0..100 {
        let list = http.get(format!("{}/list", site.url)).bearer_auth("wrong").send().await;
        assert!(list.unwrap().status().is_client_error());
    }
    site.judge(&mut observer).await;
    assert_eq!(site.open().await, [Topic::Authentication]);

    let alert = site.alert("authentication").await;
    let text = alert["text"].as_str().unwrap();
    assert!(text.contains("100 requests within ten minutes had no valid key"), "{text}");
    assert_eq!(alert["client"], Value::Null);
    site.stop().await;
}
