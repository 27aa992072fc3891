//! A gateway on an embedded S3 server, and a host with a watched directory.

use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use s3up::agent::Agent;
use s3up::config::{Config, Raw};
use s3up::daemon::{self, Summary};
use s3up::gateway::client::GatewayClient;
use s3up::status::{Status, status};
use s3up_cli::config::LoadedConfig;
use s3up_core::wire::StoredFile;
use s3up_core::{RemotePath, Sha256Digest, escape};
use s3up_devstore::{DevStore, Fault, Op, Options, Versioning};
use s3up_server::{Gateway, ServeOptions, TlsFiles, serve};
use s3up_testkit::S3Client;
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
    /// Settings of the client, as in `server.yaml`.
    client: String,
    bucket: &'static str,
    key: String,
}

impl World {
    pub async fn start() -> World {
        World::with_tls(None).await
    }

    pub async fn with_tls(tls: Option<TlsFiles>) -> World {
        World::with(tls, Versioning::Enabled).await
    }

    pub async fn with(tls: Option<TlsFiles>, versioning: Versioning) -> World {
        let root = tempfile::tempdir().expect("a temporary directory");
        let s3 = DevStore::start(Options::new(root.path())).await.expect("an S3 server");
        s3.create_bucket("backups", versioning).await.expect("a new bucket");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let client = "max_file_size_mb: 30".to_owned();
        let bucket = "backups";
        let mut world =
            World { s3, address, tls, gateway: None, root, client, bucket, key: KEY.to_owned() };
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

    /// Starts the gateway again with other settings of the client.
    pub async fn restart_with(&mut self, client: &str) {
        self.gateway_down().await;
        self.set_client(client);
        self.gateway_up().await;
    }

    /// Starts the gateway again on a bucket without objects.
    pub async fn restart_on_empty_bucket(&mut self) {
        self.gateway_down().await;
        self.bucket = "empty";
        self.s3.create_bucket(self.bucket, Versioning::Enabled).await.expect("a new bucket");
        self.gateway_up().await;
    }

    /// Starts the gateway again with another key of the client; the previous one is not valid.
    pub async fn restart_with_key(&mut self, key: &str) {
        self.gateway_down().await;
        key.clone_into(&mut self.key);
        self.gateway_up().await;
    }

    /// Changes the settings of the client for the next start of the gateway.
    pub fn set_client(&mut self, client: &str) {
        self.client = client.to_owned();
    }

    /// Starts the gateway again under its old address.
    pub async fn gateway_up(&mut self) {
        let listener = TcpListener::bind(self.address).await.expect("its old port");
        self.serve(listener).await;
    }

    /// Returns the path of the gateway's database.
    pub fn database(&self) -> PathBuf {
        self.root.path().join("gateway.db")
    }

    /// Returns a client that changes the bucket past the gateway.
    pub fn s3_client(&self) -> S3Client {
        S3Client::new(&self.s3, self.bucket)
    }

    /// Stores an object of the client past the gateway, as another tool does: without a SHA-256.
    pub async fn put_object(&self, path: &str, content: &[u8]) {
        let file = self.root.path().join("object");
        std::fs::write(&file, content).expect("a written file");
        let url = format!("{}/{}/webapp/{path}", self.s3.endpoint(), self.bucket);
        let mut curl = tokio::process::Command::new("curl");
        curl.args(["--silent", "--show-error", "--fail", "--aws-sigv4", "aws:amz:us-east-1:s3"]);
        curl.args(["--user", "devstore:devstore-secret"]);
        curl.args(["--header", "x-amz-content-sha256: UNSIGNED-PAYLOAD", "--upload-file"]);
        curl.arg(file).arg(url);
        let stored = curl.status().await.expect("curl is installed");
        assert!(stored.success(), "put {path}: {stored}");
    }

    /// Returns the number of calls of S3 so far.
    pub fn calls(&self, op: Op) -> u64 {
        self.s3.faults().calls(op)
    }

    /// Lets a call of S3 fail, counted from now on.
    pub fn fail(&self, op: Op, nth: u64, fault: Fault) {
        self.s3.faults().inject(op, nth, fault);
    }

    /// Delays each call of S3.
    pub fn slow(&self, latency: Duration) {
        self.s3.faults().set_latency(latency);
    }

    async fn serve(&mut self, listener: TcpListener) {
        let (stop, stopped) = oneshot::channel();
        let (text, tls) = (self.server_yaml(), self.tls.clone());
        let config = s3up_server::Config::parse(Path::new("server.yaml"), &text, &|_| None)
            .unwrap_or_else(|err| panic!("{err}"));
        let gateway = Gateway::start(config).await.expect("a gateway");
        let stopped = async { drop(stopped.await) };
        let task = tokio::spawn(serve_started(gateway, listener, tls, stopped));
        self.gateway = Some((stop, task));
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn server_yaml(&self) -> String {
        format!(
            r#"
server: {{ host: "127.0.0.1", port: 0 }}
s3:
  endpoint: "{}"
  region: "us-east-1"
  bucket: "{}"
  access_key_id: "devstore"
  secret_access_key: "devstore-secret"
database: {{ path: {:?} }}
clients:
  - {{ name: "webapp", api_key: "{}", {} }}
"#,
            self.s3.endpoint(),
            self.bucket,
            self.root.path().join("gateway.db"),
            self.key,
            self.client,
        )
    }

    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }
}

/// Serves a gateway until `stopped`.
pub async fn serve_gateway(
    yaml: &str,
    listener: TcpListener,
    tls: Option<TlsFiles>,
    stopped: impl Future<Output = ()> + Send + 'static,
) {
    let config = s3up_server::Config::parse(Path::new("server.yaml"), yaml, &|_| None)
        .unwrap_or_else(|err| panic!("{err}"));
    let gateway = Gateway::start(config).await.expect("a gateway");
    serve_started(gateway, listener, tls, stopped).await;
}

async fn serve_started(
    gateway: Gateway,
    listener: TcpListener,
    tls: Option<TlsFiles>,
    stopped: impl Future<Output = ()> + Send + 'static,
) {
    let grace = s3up_server::SHUTDOWN_GRACE;
    let options = ServeOptions { listener, tls, connections_max: 100, grace };
    serve(options, gateway, stopped).await.expect("a server that ends well");
}

/// A host with one watched directory, `up/`, mapped to `uploads/`.
pub struct Host {
    pub dir: TempDir,
    pub up: PathBuf,
    prefix: String,
    yaml: String,
}

impl Host {
    /// Files settle after 0.2 seconds, and existing ones are uploaded.
    pub fn new(url: &str) -> Host {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let up = dir.path().join("up");
        std::fs::create_dir(&up).expect("a new directory");
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
        Host { dir, up, prefix: "uploads".to_owned(), yaml }
    }

    /// A host whose watched directory is `up/` in `place`. Each `name` has remote
    /// paths of its own.
    pub fn on(url: &str, place: &Path, name: &str) -> Host {
        let mut host = Host::new(url);
        let up = place.join("up");
        std::fs::create_dir_all(&up).expect("a new directory");
        host.edit(&host.up.display().to_string(), &up.display().to_string());
        let prefix: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
        host.edit("remote_prefix: \"uploads/\"", &format!("remote_prefix: \"{prefix}/\""));
        (host.up, host.prefix) = (up, prefix);
        host
    }

    /// The same host with another way to the gateway.
    pub fn at(host: &Host, url: &str) -> Host {
        let mut other = Host::new(url);
        other.prefix.clone_from(&host.prefix);
        other
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
        let loaded: LoadedConfig<Raw> =
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
        self.start_with(self.config()).await
    }

    pub async fn start_with(&self, config: Config) -> Running {
        let agent = Agent::start(config).await.unwrap_or_else(|err| panic!("{err}"));
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(async move { daemon::run(agent, stopped).await.summary });
        Running { stop, task }
    }

    /// Starts an agent, and waits until its first scan is complete and it watches.
    pub async fn started(&self) -> Running {
        let agent = self.start().await;
        until("the first scan is complete", async || {
            self.status().await.watches[0].last_scan_at.is_some()
        })
        .await;
        self.write("marker", "marker");
        self.until_stored("marker", "marker").await;
        agent
    }

    /// Runs one pass, as `s3up scan` does.
    pub async fn scan(&self) -> Summary {
        let agent = Agent::start(self.config()).await.unwrap_or_else(|err| panic!("{err}"));
        daemon::scan_once(agent, std::future::pending::<()>()).await.summary
    }

    pub async fn status(&self) -> Status {
        status(&self.config()).await.unwrap_or_else(|err| panic!("{err}"))
    }

    /// Returns true if the first scan is complete.
    pub async fn scanned_once(&self) -> bool {
        let scanned = |status: Status| status.watches.iter().all(|it| it.last_scan_at.is_some());
        self.try_status().await.is_some_and(scanned)
    }

    /// Returns the status; `None` while the agent has not created its database.
    pub async fn try_status(&self) -> Option<Status> {
        status(&self.config()).await.ok()
    }

    pub fn write(&self, path: impl AsRef<Path>, content: impl AsRef<[u8]>) {
        let path = self.up.join(path);
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("a new directory");
        std::fs::write(path, content).expect("a written file");
    }

    /// Asks the gateway for a file of the watch.
    pub async fn stored(&self, path: impl AsRef<Path>) -> Option<StoredFile> {
        let client = GatewayClient::new(&self.config().server).expect("a client");
        let answer = client.exists(&self.remote(path.as_ref())).await;
        answer.unwrap_or_else(|err| panic!("{err}")).file
    }

    /// Downloads a file of the watch.
    pub async fn content(&self, path: impl AsRef<Path>) -> Vec<u8> {
        let client = GatewayClient::new(&self.config().server).expect("a client");
        let mut download =
            client.download(&self.remote(path.as_ref())).await.expect("a stored file");
        let mut content = Vec::new();
        while let Some(chunk) = download.next().await.expect("the rest of the file") {
            content.extend_from_slice(&chunk);
        }
        content
    }

    pub fn remote(&self, path: &Path) -> RemotePath {
        let text = format!("{}/{}", self.prefix, escape::encode(path.as_os_str().as_bytes()));
        RemotePath::parse(&text).expect("a remote path")
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

/// Returns pseudo-random bytes, so that a shifted or swapped part is noticed.
pub fn noise(len: usize) -> Vec<u8> {
    s3up_testkit::noise(len as u64)
}
