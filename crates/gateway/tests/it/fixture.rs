//! A gateway on an embedded S3, both on free ports.

use std::path::Path;
use std::time::Duration;

use reqwest::{Client, RequestBuilder, Response, StatusCode};
use s3up_core::Code;
use s3up_core::wire::{Problem, UploadAnswer};
use s3up_devstore::{DevStore, Op, Options, Versioning};
use s3up_server::{Config, Front, GRACE, Gateway, serve};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub const KEY: &str = "sk_live_webapp_0123456789012345678901234567890";
pub const OTHER_KEY: &str = "sk_live_webapp-prod_012345678901234567890123456";
pub const READER_KEY: &str = "sk_live_reader_0123456789012345678901234567890";
pub const BUCKET: &str = "backups";
pub const MIB: usize = 1 << 20;

pub struct World {
    pub s3: DevStore,
    pub url: String,
    pub http: Client,
    /// Of the start of the gateway, which asks what the store honours.
    puts_at_start: u64,
    stop: Option<oneshot::Sender<()>>,
    server: JoinHandle<()>,
    _root: TempDir,
}

/// The clients of a world: `webapp` may store up to 40 MiB, `webapp-prod` may
/// not overwrite, `reader` may only read and stores only pictures.
pub fn config(endpoint: &str) -> String {
    format!(
        r#"
server: {{ host: "127.0.0.1", port: 0 }}
s3:
  endpoint: "{endpoint}"
  region: "us-east-1"
  bucket: "{BUCKET}"
  path_prefix: "sites/"
  access_key_id: "devstore"
  secret_access_key: "devstore-secret"
clients:
  - {{ name: "webapp", api_key: "{KEY}", max_file_size_mb: 40 }}
  - {{ name: "webapp-prod", api_key: "{OTHER_KEY}", overwrite: never, allowed_extensions: [jpg] }}
  - {{ name: "reader", api_key: "{READER_KEY}", allow: [exists, download] }}
"#
    )
}

impl World {
    pub async fn start() -> World {
        World::with(Versioning::Enabled, |config| config).await
    }

    pub async fn with(versioning: Versioning, edit: impl Fn(String) -> String) -> World {
        World::with_grace(GRACE, versioning, edit).await
    }

    /// A world that cuts what is under way `grace` after it was stopped.
    pub async fn with_grace(
        grace: Duration,
        versioning: Versioning,
        edit: impl Fn(String) -> String,
    ) -> World {
        let root = tempfile::tempdir().expect("a temporary folder");
        let s3 = DevStore::start(Options::new(root.path())).await.expect("an S3 server");
        s3.create_bucket(BUCKET, versioning).await.expect("a new bucket");
        let text = edit(config(&s3.endpoint()));
        let config = Config::parse(Path::new("server.yaml"), &text, &|_| None)
            .unwrap_or_else(|err| panic!("{err}"));
        let gateway = Gateway::start(config).await.expect("a gateway");
        let puts_at_start = s3.faults().calls(Op::PutObject);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (stop, stopped) = oneshot::channel();
        let front = Front { listener, tls: None, connections_max: 100, grace };
        let server = tokio::spawn(async move {
            let stopped = async { drop(stopped.await) };
            serve(front, gateway, stopped).await.expect("a server that ends well");
        });
        let (http, stop) = (Client::new(), Some(stop));
        World { s3, url, http, puts_at_start, stop, server, _root: root }
    }

    /// Stops the gateway and waits for its end; the S3 server stays.
    pub async fn stop_gateway(&mut self) {
        drop(self.stop.take());
        (&mut self.server).await.expect("the server ended");
    }

    pub async fn stop(mut self) {
        self.stop_gateway().await;
        assert!(self.s3.faults().unfired().is_empty(), "a fault never fired");
    }

    /// How often the store was asked for it since the gateway serves.
    pub fn calls(&self, op: Op) -> u64 {
        let at_start = if op == Op::PutObject { self.puts_at_start } else { 0 };
        self.s3.faults().calls(op) - at_start
    }

    pub fn put(&self, path: &str, body: impl Into<reqwest::Body>) -> RequestBuilder {
        self.http.put(format!("{}/files/{path}", self.url)).bearer_auth(KEY).body(body)
    }

    pub fn get(&self, address: &str) -> RequestBuilder {
        self.http.get(format!("{}{address}", self.url)).bearer_auth(KEY)
    }

    pub async fn download(&self, path: &str) -> Vec<u8> {
        let response = self.get(&format!("/download?path={path}")).send().await.expect("an answer");
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        response.bytes().await.expect("a whole body").to_vec()
    }

    pub async fn exists(&self, path: &str) -> serde_json::Value {
        let response = self.get(&format!("/exists?path={path}")).send().await.expect("an answer");
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        serde_json::from_slice(&response.bytes().await.expect("a body")).expect("JSON")
    }
}

pub async fn stored(request: RequestBuilder) -> UploadAnswer {
    let response = request.send().await.expect("an answer");
    let status = response.status();
    let text = response.text().await.expect("a body");
    assert_eq!(status, StatusCode::OK, "{text}");
    serde_json::from_str(&text).expect("an answer in JSON")
}

/// The problem that a request is refused with; checks its form.
pub async fn refused(request: RequestBuilder) -> Problem {
    problem(request.send().await.expect("an answer")).await
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

/// Bytes that no two offsets share.
pub fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}
