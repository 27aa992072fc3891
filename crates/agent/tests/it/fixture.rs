//! A gateway on an embedded S3 server, and a host with a watched folder.

use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use s3up::agent::Agent;
use s3up::config::{Config, Raw};
use s3up::daemon::{self, Summary};
use s3up::gateway::client::GatewayClient;
use s3up::status::{Status, status};
use s3up_cli::config::Loaded;
use s3up_core::wire::StoredFile;
use s3up_core::{RemotePath, Sha256Digest, escape};
use s3up_devstore::{DevStore, Options, Versioning};
use s3up_server::{Gateway, ServeOptions, TlsFiles, serve};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub const KEY: &str = "sk_live_webapp_0123456789012345678901234567890";
pub const MIB: usize = 1 << 20;
/// Time limit of a wait, long enough for a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);
const CHECK_EVERY: Duration = Duration::from_millis(20);

/// An S3 server, and a gateway that can be stopped and started.
pub struct World {
    s3: DevStore,
    address: SocketAddr,
    tls: Option<TlsFiles>,
    gateway: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
    root: TempDir,
}

impl World {
    pub async fn start() -> World {
        World::with_tls(None).await
    }

    pub async fn with_tls(tls: Option<TlsFiles>) -> World {
        let root = tempfile::tempdir().expect("a temporary folder");
        let s3 = DevStore::start(Options::new(root.path())).await.expect("an S3 server");
        s3.create_bucket("backups", Versioning::Enabled).await.expect("a new bucket");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let mut world = World { s3, address, tls, gateway: None, root };
        world.serve(listener).await;
        world
    }

    /// Kills the gateway, whatever it is doing.
    pub async fn gateway_down(&mut self) {
        let (_, task) = self.gateway.take().expect("a running gateway");
        task.abort();
        // An error, because the task was aborted.
        drop(task.await);
    }

    /// Starts the gateway again under its old address.
    pub async fn gateway_up(&mut self) {
        let listener = TcpListener::bind(self.address).await.expect("its old port");
        self.serve(listener).await;
    }

    async fn serve(&mut self, listener: TcpListener) {
        let text = self.server_yaml();
        let config = s3up_server::Config::parse(Path::new("server.yaml"), &text, &|_| None)
            .unwrap_or_else(|err| panic!("{err}"));
        let gateway = Gateway::start(config).await.expect("a gateway");
        let (stop, stopped) = oneshot::channel();
        let tls = self.tls.clone();
        let task = tokio::spawn(async move {
            let grace = s3up_server::SHUTDOWN_GRACE;
            let options = ServeOptions { listener, tls, connections_max: 100, grace };
            let stopped = async { drop(stopped.await) };
            serve(options, gateway, stopped).await.expect("a server that ends well");
        });
        self.gateway = Some((stop, task));
    }

    fn server_yaml(&self) -> String {
        format!(
            r#"
server: {{ host: "127.0.0.1", port: 0 }}
s3:
  endpoint: "{}"
  region: "us-east-1"
  bucket: "backups"
  access_key_id: "devstore"
  secret_access_key: "devstore-secret"
database: {{ path: {:?} }}
clients:
  - {{ name: "webapp", api_key: "{KEY}", max_file_size_mb: 30 }}
"#,
            self.s3.endpoint(),
            self.root.path().join("gateway.db"),
        )
    }

    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }
}

/// A host with one watched folder, `up/`, mapped to `uploads/`.
pub struct Host {
    pub dir: TempDir,
    pub up: PathBuf,
    yaml: String,
}

impl Host {
    /// Files settle after 0.2 seconds, and existing ones are uploaded.
    pub fn new(url: &str) -> Host {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let up = dir.path().join("up");
        std::fs::create_dir(&up).expect("a new folder");
        let yaml = format!(
            r#"
server: {{ url: "{url}", api_key: "{KEY}" }}
database: {{ path: "{}" }}
watches:
  - {{ local_path: "{}", remote_prefix: "uploads/" }}
scan: {{ upload_existing: true }}
stability: {{ debounce_seconds: 0.2, max_attempts: 8 }}
upload: {{ retry_attempts: 3, retry_delay_seconds: 0.05 }}
"#,
            dir.path().join("state/client.db").display(),
            up.display()
        );
        Host { dir, up, yaml }
    }

    /// Replaces a part of the configuration.
    pub fn edit(&mut self, from: &str, to: &str) {
        assert!(self.yaml.contains(from), "{from:?} is not in the configuration");
        self.yaml = self.yaml.replace(from, to);
    }

    pub fn add(&mut self, lines: &str) {
        self.yaml.push_str(lines);
    }

    pub fn config(&self) -> Config {
        let loaded: Loaded<Raw> =
            s3up_cli::config::parse(Path::new("client.yaml"), &self.yaml, &|_| None)
                .unwrap_or_else(|err| panic!("{err}"));
        Config::check(loaded).unwrap_or_else(|err| panic!("{err}"))
    }

    /// Writes the configuration to a file, for the program itself.
    pub fn config_file(&self) -> PathBuf {
        let file = self.dir.path().join("client.yaml");
        std::fs::write(&file, &self.yaml).expect("a written file");
        file
    }

    pub async fn start(&self) -> Running {
        let agent = Agent::start(self.config()).await.unwrap_or_else(|err| panic!("{err}"));
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(daemon::run(agent, stopped));
        Running { stop, task }
    }

    /// Runs one pass, as `s3up scan` does.
    pub async fn scan(&self) -> Summary {
        let agent = Agent::start(self.config()).await.unwrap_or_else(|err| panic!("{err}"));
        daemon::scan_once(agent, std::future::pending::<()>()).await
    }

    pub async fn status(&self) -> Status {
        status(&self.config()).await.unwrap_or_else(|err| panic!("{err}"))
    }

    pub fn write(&self, path: impl AsRef<Path>, content: impl AsRef<[u8]>) {
        let path = self.up.join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a new folder");
        std::fs::write(path, content).expect("a written file");
    }

    /// Asks the gateway for a file of the watch.
    pub async fn stored(&self, path: impl AsRef<Path>) -> Option<StoredFile> {
        let client = GatewayClient::new(&self.config().server).expect("a client");
        let answer = client.exists(&remote(path.as_ref())).await;
        answer.unwrap_or_else(|err| panic!("{err}")).file
    }

    /// Downloads a file of the watch.
    pub async fn content(&self, path: impl AsRef<Path>) -> Vec<u8> {
        let client = GatewayClient::new(&self.config().server).expect("a client");
        let mut download = client.download(&remote(path.as_ref())).await.expect("a stored file");
        let mut content = Vec::new();
        while let Some(chunk) = download.next().await.expect("the rest of the file") {
            content.extend_from_slice(&chunk);
        }
        content
    }

    pub async fn until_stored(&self, path: impl AsRef<Path>, content: impl AsRef<[u8]>) {
        let (path, want) = (path.as_ref(), Some(Sha256Digest::of(content.as_ref())));
        until(&format!("{path:?} is stored"), async || {
            self.stored(path).await.is_some_and(|file| file.sha256 == want)
        })
        .await;
    }

    /// Waits until no file is pending.
    pub async fn until_nothing_is_pending(&self) -> Status {
        until("nothing is pending", async || self.status().await.total.pending.files == 0).await;
        self.status().await
    }
}

/// An agent that runs in this process.
pub struct Running {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Summary>,
}

impl Running {
    pub async fn stop(self) -> Summary {
        drop(self.stop);
        let stopped = tokio::time::timeout(Duration::from_secs(10), self.task).await;
        stopped.expect("it stops within ten seconds").expect("it does not panic")
    }
}

/// Waits for a condition.
pub async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let start = s3up_testkit::CLOCK.start();
    while !condition().await {
        assert!(start.elapsed() < DEADLINE, "timed out while waiting until {what}");
        tokio::time::sleep(CHECK_EVERY).await;
    }
}

pub fn remote(path: &Path) -> RemotePath {
    let text = format!("uploads/{}", escape::encode(path.as_os_str().as_bytes()));
    RemotePath::parse(&text).expect("a remote path")
}

/// Returns pseudo-random bytes, so that a shifted or swapped part is noticed.
pub fn noise(len: usize) -> Vec<u8> {
    s3up_testkit::noise(len as u64)
}
