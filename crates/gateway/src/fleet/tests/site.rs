//! A gateway whose fleet is judged and whose alerts are delivered when a test says so.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use s3up_cli::config::ConfigError;
use s3up_core::ClientName;
use s3up_devstore::{DevStore, Options, Versioning};
use serde_json::Value;
use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

use crate::alert::{Channel, Topic};
use crate::clock::Millis;
use crate::config::Config;
use crate::fleet::deliver::Delivery;
use crate::fleet::incidents;
use crate::fleet::observe::Observer;
use crate::fleet::watch::judge_once;
use crate::gateway::Gateway;
use crate::reload::Reloader;
use crate::server::{SHUTDOWN_GRACE, ServeOptions, serve};

pub(super) const KEY: &str = "sk_live_webapp_0123456789012345678901234567890";
pub(super) const BUCKET: &str = "backups";
/// Longest wait for a record, or for an answer of S3 that is not kept any more.
const WAIT_MAX: Duration = Duration::from_secs(60);
const POLL_EVERY: Duration = Duration::from_millis(20);

/// The gateway, its S3 server, and the receiver of its alerts.
pub(super) struct Site {
    pub gateway: Gateway,
    pub url: String,
    pub s3: DevStore,
    observer: Observer,
    delivery: Delivery,
    received: mpsc::UnboundedReceiver<Value>,
    stop: oneshot::Sender<()>,
    served: tokio::task::JoinHandle<()>,
    database: PathBuf,
    /// The configuration.
    text: String,
    pub root: tempfile::TempDir,
}

impl Site {
    /// `more` are further keys of the section `alerts`.
    pub(super) async fn start(more: &str) -> Site {
        let root = tempfile::tempdir().unwrap();
        let s3 = DevStore::start(Options::new(root.path().join("s3"))).await.unwrap();
        s3.create_bucket(BUCKET, Versioning::Enabled).await.unwrap();
        let database = root.path().join("gateway.db");
        let (sender, received) = mpsc::unbounded_channel();
        let text = format!(
            "server: {{ host: \"127.0.0.1\", port: 0 }}\n\
             s3: {{ endpoint: \"{}\", region: us-east-1, bucket: {BUCKET}, access_key_id: devstore, \
                    secret_access_key: devstore-secret }}\n\
             database: {{ path: {database:?} }}\n\
             clients: [{{ name: webapp, api_key: \"{KEY}\", quota_gb: 1, changed_percent: 50, \
                         changed_files_min: 5 }}]\n\
             alerts: {{ webhook_url: \"{}\"{more} }}\n",
            s3.endpoint(),
            receiver(sender).await,
        );
        let gateway = Gateway::start(parse(&text).unwrap()).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let options =
            ServeOptions { listener, tls: None, connections_max: 100, grace: SHUTDOWN_GRACE };
        let served = gateway.clone();
        let served = tokio::spawn(async move {
            serve(options, served, async { drop(stopped.await) }).await.unwrap();
        });
        let (observer, delivery) = (Observer::new().await, Delivery::by(Channel::Webhook));
        Site { gateway, url, s3, observer, delivery, received, stop, served, database, text, root }
    }

    /// Puts a changed configuration into force.
    pub(super) async fn reload(&self, edit: impl Fn(String) -> String) {
        let text = edit(self.text.clone());
        let load = move || Ok(parse(&text)?.into_loaded());
        let fixed = parse(&self.text).unwrap().fixed_settings();
        let gateway = self.gateway.clone();
        Reloader { gateway, env_file: None, load: Arc::new(load), fixed }.reload().await;
        assert_eq!(self.gateway.reloads().refusals(), 0);
    }

    pub(super) async fn put(&self, path: &str, content: &str) {
        let put = reqwest::Client::new().put(format!("{}/files/{path}", self.url)).bearer_auth(KEY);
        let response = put.body(content.to_owned()).send().await.unwrap();
        assert_eq!(response.status(), reqwest::StatusCode::OK);
    }

    pub(super) async fn heartbeat(&self, body: &Value) {
        let post = reqwest::Client::new().post(format!("{}/heartbeat", self.url)).bearer_auth(KEY);
        let response = post.json(body).send().await.unwrap();
        assert_eq!(response.status(), reqwest::StatusCode::OK);
        self.committed().await;
    }

    /// Waits until all records are in the database.
    async fn committed(&self) {
        let committed = async {
            while self.gateway.database().record_counts().pending > 0 {
                tokio::time::sleep(POLL_EVERY).await;
            }
        };
        tokio::time::timeout(WAIT_MAX, committed).await.expect("the records");
    }

    /// Waits until `files` files are recorded.
    pub(super) async fn recorded(&self, files: u64) {
        let client = ClientName::parse("webapp").unwrap();
        let recorded = async {
            loop {
                let facts = self.gateway.database().client_facts().await.unwrap();
                let facts = facts.iter().find(|facts| facts.name == client);
                if facts.is_some_and(|facts| facts.stored.files == files) {
                    return;
                }
                tokio::time::sleep(POLL_EVERY).await;
            }
        };
        tokio::time::timeout(WAIT_MAX, recorded).await.expect("the records");
        self.committed().await;
    }

    pub(super) async fn sql(&self, statement: &'static str) {
        let options = SqliteConnectOptions::new().filename(&self.database);
        let mut database = options.connect().await.unwrap();
        sqlx::query(statement).execute(&mut database).await.unwrap();
    }

    pub(super) async fn judge(&mut self) {
        judge_once(&self.gateway, &mut self.observer).await;
        self.committed().await;
    }

    /// Judges and delivers, twice, and returns all alerts that the receiver got since the last call.
    pub(super) async fn alerts(&mut self) -> Vec<Value> {
        for _ in 0..2 {
            self.judge().await;
            self.deliver_at(self.gateway.database().now()).await;
        }
        self.received_alerts()
    }

    /// Delivers the alerts that are due at `now`.
    pub(super) async fn deliver_at(&mut self, now: Millis) {
        self.delivery.deliver_once(&self.gateway, now).await;
    }

    /// Returns the alerts that the receiver got since the last call.
    pub(super) fn received_alerts(&mut self) -> Vec<Value> {
        std::iter::from_fn(|| self.received.try_recv().ok()).collect()
    }

    /// Returns the only alert, which must have this topic.
    pub(super) async fn alert(&mut self, topic: &str) -> Value {
        let alerts = self.alerts().await;
        let [alert] = &alerts[..] else { panic!("expected one alert `{topic}`: {alerts:#?}") };
        assert_eq!(alert["topic"], topic, "{alert}");
        alert.clone()
    }

    /// Returns the only alert, once there is one: an answer of S3 counts for some seconds.
    pub(super) async fn alert_soon(&mut self, topic: &str) -> Value {
        let found = async {
            loop {
                let alerts = self.alerts().await;
                if !alerts.is_empty() {
                    return alerts;
                }
                tokio::time::sleep(POLL_EVERY).await;
            }
        };
        let alerts = tokio::time::timeout(WAIT_MAX, found).await.expect("an alert");
        let [alert] = &alerts[..] else { panic!("expected one alert `{topic}`: {alerts:#?}") };
        assert_eq!(alert["topic"], topic, "{alert}");
        alert.clone()
    }

    pub(super) async fn open(&self) -> Vec<Topic> {
        let rows = self.gateway.database().open_incidents().await.unwrap();
        incidents::by_subject(rows).into_keys().map(|(topic, _)| topic).collect()
    }

    pub(super) async fn stop(self) {
        drop(self.stop);
        self.served.await.unwrap();
        self.s3.stop().await;
    }
}

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(Path::new("server.yaml"), text, &|_| None)
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
