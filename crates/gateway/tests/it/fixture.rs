//! A gateway and an embedded S3 server, both on free ports.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use reqwest::{Client, RequestBuilder, Response, StatusCode};
use s3up_core::wire::{Problem, UploadResponse};
use s3up_core::{Code, Key};
use s3up_devstore::{Behaviours, DevStore, Op, Options, Versioning};
use s3up_server::{Config, Gateway, SHUTDOWN_GRACE, ServeOptions, Timeouts, TlsFiles, serve_with};
use s3up_store::{Overwrite, PutDocument, Settings, Store};
use s3up_testkit::{Postgres, postgres_or_skip};
use sqlx::sqlite::{SqliteConnectOptions, SqliteRow};
use sqlx::{ConnectOptions, Row};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub const KEY: &str = "sk_live_webapp_0123456789012345678901234567890";
pub const OTHER_KEY: &str = "sk_live_webapp-prod_012345678901234567890123456";
pub const READER_KEY: &str = "sk_live_reader_0123456789012345678901234567890";
pub const BUCKET: &str = "backups";
pub const MIB: usize = 1 << 20;
const PREFIX: &str = "sites/";
pub const DATABASE: &str = "gateway.db";
/// The object with which the store probes conditional writes.
const PROBE: &str = ".s3up-probe";

pub struct World {
    pub s3: DevStore,
    pub url: String,
    pub http: Client,
    /// Calls of the gateway's start, which probes conditional writes.
    calls_at_start: Vec<(Op, u64)>,
    stop: Option<oneshot::Sender<()>>,
    server: JoinHandle<()>,
    settings: Settings,
    /// The database of the gateway, if it is not SQLite.
    postgres: Option<Postgres>,
    pub root: TempDir,
}

/// The limits and the certificate of a gateway.
pub struct Serving {
    pub grace: Duration,
    pub timeouts: Timeouts,
    /// `None`: plain HTTP.
    pub tls: Option<TlsFiles>,
}

/// Returns a `server.yaml` with three clients: `webapp` may upload files of up to
/// 40 MiB, `webapp-prod` only pictures and may not overwrite any, `reader` may not
/// upload.
pub fn config(endpoint: &str, database: &Path) -> String {
    format!(
        r#"
server: {{ host: "127.0.0.1", port: 0 }}
s3:
  endpoint: "{endpoint}"
  region: "us-east-1"
  bucket: "{BUCKET}"
  path_prefix: "{PREFIX}"
  access_key_id: "devstore"
  secret_access_key: "devstore-secret"
database: {{ path: {database:?} }}
clients:
  - {{ name: "webapp", api_key: "{KEY}", max_file_size_mb: 40 }}
  - {{ name: "webapp-prod", api_key: "{OTHER_KEY}", overwrite: never, allowed_extensions: [jpg] }}
  - {{ name: "reader", api_key: "{READER_KEY}", allow: [exists, download] }}
"#
    )
}

/// Returns a PostgreSQL server if `S3UP_TEST_DATABASE` is `postgres`: `./check` runs the tests that need the
/// database on both.
fn postgres_if_asked() -> Option<Postgres> {
    let asked = std::env::var_os("S3UP_TEST_DATABASE")?;
    assert_eq!(asked, "postgres", "S3UP_TEST_DATABASE");
    Some(postgres_or_skip().expect("PostgreSQL, for which S3UP_TEST_DATABASE asks"))
}

/// Replaces the settings of the section `database`.
pub fn with_database(config: &str, settings: &str) -> String {
    let (before, rest) = config.split_once("database: {").expect("a database");
    let (_, after) = rest.split_once('}').expect("its end");
    format!("{before}database: {{ {settings} }}{after}")
}

/// Returns a `server.yaml` with the database of the test: PostgreSQL, or a file below `root`.
fn config_on(postgres: Option<&Postgres>, endpoint: &str, root: &Path) -> String {
    let text = config(endpoint, &root.join(DATABASE));
    match postgres {
        Some(postgres) => with_database(&text, &format!("url: \"{}\"", postgres.url())),
        None => text,
    }
}

impl World {
    pub async fn start() -> World {
        World::with(Versioning::Enabled, |config| config).await
    }

    pub async fn with(versioning: Versioning, edit: impl Fn(String) -> String) -> World {
        World::with_grace(SHUTDOWN_GRACE, versioning, edit).await
    }

    /// Starts a gateway that cancels requests in progress `grace` after its
    /// shutdown signal.
    pub async fn with_grace(
        grace: Duration,
        versioning: Versioning,
        edit: impl Fn(String) -> String,
    ) -> World {
        let behaviours = Behaviours::default();
        World::on(behaviours, grace, versioning, edit).await
    }

    /// Starts a gateway on an S3 server that differs from S3.
    pub async fn on(
        behaviours: Behaviours,
        grace: Duration,
        versioning: Versioning,
        edit: impl Fn(String) -> String,
    ) -> World {
        let serving = Serving { grace, timeouts: Timeouts::default(), tls: None };
        World::serving_on(behaviours, serving, versioning, edit).await
    }

    /// Starts a gateway that serves as `serving` says.
    pub async fn serving(
        serving: Serving,
        versioning: Versioning,
        edit: impl Fn(String) -> String,
    ) -> World {
        World::serving_on(Behaviours::default(), serving, versioning, edit).await
    }

    async fn serving_on(
        behaviours: Behaviours,
        serving: Serving,
        versioning: Versioning,
        edit: impl Fn(String) -> String,
    ) -> World {
        let Serving { grace, timeouts, tls } = serving;
        let root = tempfile::tempdir().expect("a temporary directory");
        let options = Options { behaviours, ..Options::new(root.path()) };
        let s3 = DevStore::start(options).await.expect("an S3 server");
        s3.create_bucket(BUCKET, versioning).await.expect("a new bucket");
        let postgres = postgres_if_asked();
        let text = edit(config_on(postgres.as_ref(), &s3.endpoint(), root.path()));
        let config = Config::parse(Path::new("server.yaml"), &text, &|_| None)
            .unwrap_or_else(|err| panic!("{err}"));
        let settings = config.store.clone();
        let gateway = Gateway::start(config).await.expect("a gateway");
        let calls_at_start = Op::ALL.iter().map(|op| (*op, s3.faults().calls(*op))).collect();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (stop, stopped) = oneshot::channel();
        let options = ServeOptions { listener, tls, connections_max: 100, grace };
        let server = tokio::spawn(async move {
            let stopped = async { drop(stopped.await) };
            let served = serve_with(options, timeouts, gateway, stopped).await;
            served.expect("a gateway that ends without an error");
        });
        let (http, stop) = (Client::new(), Some(stop));
        World { s3, url, http, calls_at_start, stop, server, settings, postgres, root }
    }

    /// Waits until all that the gateway has recorded so far is committed: a report is, and records
    /// are written in their order.
    pub async fn commit_records(&self) {
        let now = jiff::Timestamp::try_from((s3up_testkit::CLOCK.wall)()).expect("a time");
        let day = now.to_zoned(jiff::tz::TimeZone::UTC).date();
        let body = format!(
            r#"{{"version":1,"day":"{day}",
                "agent":{{"version":"0","host":"h","started_at":"{now}"}},
                "files":{{"protected":{{"files":0,"bytes":0}},"pending":{{"files":0,"bytes":0}},
                    "baseline":{{"files":0,"bytes":0}},"excluded":{{"files":0,"bytes":0}},
                    "problems":{{"files":0,"bytes":0}}}},
                "uploaded":{{"files":0,"bytes":0}},"watcher":{{"state":"ok"}}}}"#
        );
        let report = self.http.post(format!("{}/report", self.url)).bearer_auth(KEY).body(body);
        assert_eq!(report.send().await.expect("a response").status(), StatusCode::OK);
    }

    /// Returns a `server.yaml` with the database of this gateway, for a command that reads it.
    pub fn config(&self, endpoint: &str) -> String {
        config_on(self.postgres.as_ref(), endpoint, self.root.path())
    }

    /// Stores a file (`client/path`) past the gateway.
    pub async fn s3_put(&self, file: &str, content: &[u8]) {
        let store = Store::connect(self.settings.clone()).await.expect("a connection");
        let key = Key::parse(&format!("{PREFIX}{file}")).expect("a key");
        let document = PutDocument {
            key,
            content_type: "text/plain",
            metadata: BTreeMap::new(),
            storage_class: None,
            overwrite: Overwrite::Allowed,
            retry_for: Duration::from_secs(5),
        };
        store.write(document, content).await.expect("a stored object");
    }

    /// Returns the rows of a query, on a connection of its own: the values of a row separated by
    /// `|`.
    pub async fn rows(&self, sql: &'static str) -> Vec<String> {
        match &self.postgres {
            Some(postgres) => postgres.query(sql).lines().map(str::to_owned).collect(),
            None => sqlite_rows(&self.root.path().join(DATABASE), sql).await,
        }
    }

    /// Changes rows, on a connection of its own.
    pub async fn execute(&self, sql: &'static str) {
        match &self.postgres {
            Some(postgres) => drop(postgres.query(sql)),
            None => {
                let file = self.root.path().join(DATABASE);
                let options = SqliteConnectOptions::new().filename(file);
                let mut database = options.connect().await.expect("a database");
                sqlx::query(sql).execute(&mut database).await.expect("a change");
            }
        }
    }

    /// Stops the gateway and waits for its end. The S3 server keeps running.
    pub async fn stop_gateway(&mut self) {
        drop(self.stop.take());
        (&mut self.server).await.expect("the gateway ended without a panic");
    }

    /// Stops the gateway and checks that every injected fault fired.
    pub async fn stop(mut self) {
        self.stop_gateway().await;
        assert!(self.s3.faults().unfired().is_empty(), "a fault never fired");
    }

    /// Stops the gateway, so that its clean-up has ended, and checks that the
    /// bucket holds exactly `files` (`client/path`) and no unfinished upload.
    pub async fn stop_and_expect_files(mut self, files: &[&str]) {
        self.stop_gateway().await;
        assert!(self.s3.faults().unfired().is_empty(), "a fault never fired");
        let mut expected: Vec<_> = files.iter().map(|file| format!("{PREFIX}{file}")).collect();
        expected.sort();
        let mut found: Vec<_> = self.s3.objects(BUCKET).into_keys().collect();
        found.retain(|key| *key != format!("{PREFIX}{PROBE}"));
        assert_eq!(found, expected);
        assert_eq!(self.s3.uploads(BUCKET), Vec::<String>::new());
    }

    /// Returns the content of a file (`client/path`), read from the S3 server
    /// itself.
    pub async fn content(&self, file: &str) -> Option<Vec<u8>> {
        self.s3.object(BUCKET, &format!("{PREFIX}{file}")).await
    }

    /// Returns how often the gateway has called `op` since its start.
    pub fn calls(&self, op: Op) -> u64 {
        self.s3.faults().calls(op) - self.calls_at_start(op)
    }

    /// Waits until the gateway has called `op` this often since its start.
    pub async fn called(&self, op: Op, times: u64) {
        self.s3.faults().called(op, self.calls_at_start(op) + times).await;
    }

    fn calls_at_start(&self, op: Op) -> u64 {
        let at_start = self.calls_at_start.iter().find(|(counted, _)| *counted == op);
        at_start.map_or(0, |(_, calls)| *calls)
    }

    pub fn put(&self, path: &str, body: impl Into<reqwest::Body>) -> RequestBuilder {
        self.http.put(format!("{}/files/{path}", self.url)).bearer_auth(KEY).body(body)
    }

    pub fn patch(&self, path: &str) -> RequestBuilder {
        self.http.patch(format!("{}/files/{path}", self.url)).bearer_auth(KEY)
    }

    pub fn get(&self, path_and_query: &str) -> RequestBuilder {
        self.http.get(format!("{}{path_and_query}", self.url)).bearer_auth(KEY)
    }

    pub async fn download(&self, path: &str) -> Vec<u8> {
        let response =
            self.get(&format!("/download?path={path}")).send().await.expect("a response");
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        response.bytes().await.expect("a complete body").to_vec()
    }

    pub async fn exists(&self, path: &str) -> serde_json::Value {
        let response = self.get(&format!("/exists?path={path}")).send().await.expect("a response");
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        serde_json::from_slice(&response.bytes().await.expect("a body")).expect("JSON")
    }
}

pub async fn stored(request: RequestBuilder) -> UploadResponse {
    let response = request.send().await.expect("a response");
    let status = response.status();
    let text = response.text().await.expect("a body");
    assert_eq!(status, StatusCode::OK, "{text}");
    serde_json::from_str(&text).expect("a response in JSON")
}

/// Sends a request that must be refused, and returns its problem document.
pub async fn refused(request: RequestBuilder) -> Problem {
    problem(request.send().await.expect("a response")).await
}

pub async fn problem(response: Response) -> Problem {
    let status = response.status().as_u16();
    let content_type = response.headers()["content-type"].to_str().expect("plain text").to_owned();
    let text = response.text().await.expect("a body");
    assert_eq!(content_type, "application/problem+json", "{text}");
    let problem: Problem = serde_json::from_str(&text).expect("a problem in JSON");
    assert_eq!((problem.status, problem.code.status()), (status, status), "{text}");
    assert_ne!(problem.code, Code::Unknown);
    problem
}

/// Returns the rows of a query: the values of a row separated by `|`.
pub async fn sqlite_rows(file: &Path, sql: &'static str) -> Vec<String> {
    let options = SqliteConnectOptions::new().filename(file);
    let mut database = options.connect().await.expect("a database");
    let rows = sqlx::query(sql).fetch_all(&mut database).await.expect("rows");
    rows.iter().map(text_of).collect()
}

fn text_of(row: &SqliteRow) -> String {
    let values = (0..row.len()).map(|n| {
        let number = row.try_get_unchecked::<Option<i64>, _>(n);
        let text = row.try_get::<Option<String>, _>(n);
        text.unwrap_or_else(|_| number.expect("a number").map(|number| number.to_string()))
    });
    values.map(|value| value.unwrap_or_default()).collect::<Vec<_>>().join("|")
}

/// Returns pseudo-random bytes, so that a shifted or swapped part is noticed.
pub fn noise(len: usize) -> Vec<u8> {
    s3up_testkit::noise(len as u64)
}
