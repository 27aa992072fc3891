//! A bucket, a btrfs filesystem with subvolumes, a configuration, and the program.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use s3up_core::Key;
use s3up_devstore::{Behaviours, ConditionBehaviour, DevStore, Like, Options, Versioning};
use s3up_store::{
    Bandwidth, Credentials, Overwrite, Profile, PutDocument, Settings, Sse, Store, Timeouts,
};
use s3up_testkit::{BtrfsFs, ProcessTag};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

pub const RETRY_FOR: Duration = Duration::from_secs(20);
const MOUNT: &str = "noatime";
const FILESYSTEM_BYTES: u64 = 2 << 30;
pub const PART: u64 = 5 << 20;
/// Length of a chunk: a little more than two parts.
pub const CHUNK: u64 = 11 << 20;

pub struct World {
    pub s3: DevStore,
    pub fs: BtrfsFs,
    pub store: Store,
    pub process_tag: ProcessTag,
    /// The PATH that the program runs with, unless it is that of the test.
    pub path: Option<OsString>,
    directory: TempDir,
}

/// The result of a run of the program.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl World {
    /// Starts a world with these subvolumes. Returns `None`, and prints why, if this machine
    /// cannot run the test.
    pub async fn start(subvolumes: &[&str]) -> Option<World> {
        World::make(|options| options, MOUNT, subvolumes).await
    }

    /// Starts a world whose S3 server treats conditional writes like this.
    pub async fn start_with(conditions: ConditionBehaviour, subvolumes: &[&str]) -> Option<World> {
        World::start_behaving(Behaviours::with_conditions(conditions), subvolumes).await
    }

    /// Starts a world whose S3 server behaves like this.
    pub async fn start_behaving(behaviours: Behaviours, subvolumes: &[&str]) -> Option<World> {
        World::make(|options| Options { behaviours, ..options }, MOUNT, subvolumes).await
    }

    /// Starts a world whose S3 server behaves like another one.
    pub async fn start_like(like: Like, subvolumes: &[&str]) -> Option<World> {
        World::start_behaving(like.behaviours(), subvolumes).await
    }

    /// Starts a world whose filesystem is mounted with these options.
    pub async fn start_mounted(options: &str, subvolumes: &[&str]) -> Option<World> {
        World::make(|options| options, options, subvolumes).await
    }

    /// Starts a world whose S3 server has a clock that is behind.
    pub async fn start_behind(clock_behind: Duration, subvolumes: &[&str]) -> Option<World> {
        World::make(|options| Options { clock_behind, ..options }, MOUNT, subvolumes).await
    }

    async fn make(
        options: impl FnOnce(Options) -> Options,
        mount: &str,
        subvolumes: &[&str],
    ) -> Option<World> {
        if !s3up_testkit::btrfs_or_skip() {
            return None;
        }
        let directory = s3up_testkit::temp_dir();
        let options = options(Options::new(directory.path().join("s3")));
        let s3 = DevStore::start(options).await.expect("an S3 server");
        s3.create_bucket("backups", Versioning::Off).await.expect("a new bucket");
        let store = Store::connect(settings(s3.endpoint())).await.expect("a store");
        note_probe_upload(&s3).await;
        let fs = BtrfsFs::create_with(FILESYSTEM_BYTES, mount);
        fs::create_dir(fs.path().join("snapshots")).expect("a new directory");
        let world = World { s3, fs, store, process_tag: ProcessTag::new(), path: None, directory };
        let paths: Vec<_> = subvolumes.iter().map(|name| world.fs.subvolume(name)).collect();
        let paths: Vec<_> = paths.iter().map(|path| format!("{path:?}")).collect();
        world.configure(&format!("paths = [{}]", paths.join(", ")), "");
        Some(world)
    }

    /// Makes the bucket unreachable, and returns its address.
    pub async fn stop_s3(&mut self) -> SocketAddr {
        let address = self.s3.endpoint().trim_start_matches("http://").parse();
        // The world keeps a server: another one, at another address, without the bucket.
        let other = DevStore::start(Options::new(self.directory.path().join("other-s3"))).await;
        let s3 = std::mem::replace(&mut self.s3, other.expect("an S3 server"));
        s3.stop().await;
        address.expect("an address")
    }

    pub async fn start_s3_again(&mut self, listen: SocketAddr) {
        let options = Options { listen, ..Options::new(self.directory.path().join("s3")) };
        self.s3 = DevStore::start(options).await.expect("an S3 server");
    }

    /// Writes the configuration with these lines of `[subvolumes]` and `[s3]`. `run_at` is
    /// midnight, so that what is due on a day is due whenever a test runs. There is no restore
    /// window, so that a prune deletes backups of today.
    pub fn configure(&self, subvolumes: &str, s3: &str) {
        let retention =
            if s3.contains("[retention]") { "" } else { "[retention]\nkeep_days = 0\n" };
        let text = format!(
            "[global]\nlock_path = {:?}\nstate_path = {:?}\n[snapshots]\nbase_dir = {:?}\n\
             [schedule]\nrun_at = \"00:00\"\n[subvolumes]\n{subvolumes}\n[s3]\nbucket = \"backups\"\nregion = \"us-east-1\"\n\
             prefix = \"nas\"\nendpoint = {:?}\nstorage_class_chunks = \"STANDARD\"\n\
             part_size_bytes = {PART}\nchunk_size_bytes = {CHUNK}\nretry_hours = 0.002\n{s3}\n{retention}",
            self.lock(),
            self.state(),
            self.snapshots_dir(),
            self.s3.endpoint(),
        );
        fs::write(self.config(), text).expect("a written file");
    }

    pub fn lock(&self) -> PathBuf {
        self.directory.path().join("lock")
    }

    pub fn state(&self) -> PathBuf {
        self.directory.path().join("state.json")
    }

    pub fn config(&self) -> PathBuf {
        self.directory.path().join("config.toml")
    }

    /// Replaces a text in the configuration.
    pub fn reconfigure(&self, from: &str, to: &str) {
        let text = fs::read_to_string(self.config()).expect("the configuration");
        assert!(text.contains(from), "{from} is not in the configuration");
        fs::write(self.config(), text.replace(from, to)).expect("a written file");
    }

    pub fn snapshots_dir(&self) -> PathBuf {
        self.fs.path().join("snapshots")
    }

    pub fn subvolume(&self, name: &str) -> PathBuf {
        self.fs.path().join(name)
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_btrfs-to-s3"));
        let (name, value) = self.process_tag.env();
        command
            .arg("--config")
            .arg(self.config())
            .args(["--log-format", "logfmt"])
            .args(arguments)
            .env("AWS_ACCESS_KEY_ID", Options::ACCESS_KEY_ID)
            .env("AWS_SECRET_ACCESS_KEY", Options::SECRET_ACCESS_KEY)
            .env(name, value)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        if let Some(path) = &self.path {
            command.env("PATH", path);
        }
        command
    }

    pub async fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(arguments).output().await.expect("the program"))
    }

    /// Backs everything up, which must succeed.
    pub async fn backup(&self) -> Ran {
        let ran = self.run(&["backup", "--once"]).await;
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        ran
    }

    pub async fn restore(&self, subvolume: &str, target: &Path) -> Ran {
        let target = target.to_str().expect("a target in UTF-8");
        self.run(&["restore", "--subvolume", subvolume, "--target", target]).await
    }

    /// Returns the names of the snapshots on disk, without the directory of records.
    pub fn snapshots(&self) -> Vec<String> {
        let mut names = names_in(&self.snapshots_dir());
        names.retain(|name| !name.starts_with('.'));
        names
    }

    /// Returns the names of the snapshots that have a record.
    pub fn records(&self) -> Vec<String> {
        let names = names_in(&self.snapshots_dir().join(".btrfs-to-s3"));
        names.iter().map(|name| name.trim_end_matches(".json").to_owned()).collect()
    }

    /// Returns all keys of backups.
    pub async fn keys(&self) -> Vec<String> {
        self.keys_below("nas/subvol/").await
    }

    /// Returns all keys in the bucket.
    pub async fn all_keys(&self) -> Vec<String> {
        self.keys_below("").await
    }

    async fn keys_below(&self, prefix: &str) -> Vec<String> {
        let mut listing = self.store.list(prefix, RETRY_FOR);
        let mut keys = Vec::new();
        while let Some(page) = listing.next_page().await.expect("a page") {
            keys.extend(page.into_iter().map(|listed| listed.key));
        }
        keys
    }

    pub async fn read(&self, key: &str) -> Option<Vec<u8>> {
        let document = self.store.read(&parse(key), 1 << 30, RETRY_FOR).await;
        document.expect("an answer").map(|document| document.bytes)
    }

    pub async fn json(&self, key: &str) -> Value {
        let bytes = self.read(key).await.unwrap_or_else(|| panic!("{key} is missing"));
        serde_json::from_slice(&bytes).expect("JSON")
    }

    pub async fn write(&self, key: &str, bytes: &[u8]) {
        let put = PutDocument {
            key: parse(key),
            content_type: "application/octet-stream",
            metadata: BTreeMap::new(),
            storage_class: None,
            overwrite: Overwrite::Allowed,
            retry_for: RETRY_FOR,
        };
        self.store.write(put, bytes).await.expect("a stored object");
    }

    pub async fn delete(&self, key: &str) {
        self.store.delete(&parse(key), RETRY_FOR).await.expect("a deleted object");
    }

    /// Returns the manifest that the pointer of a subvolume names, with its key.
    pub async fn newest(&self, subvolume: &str) -> (String, Value) {
        let pointer = self.json(&format!("nas/subvol/{subvolume}/current.json")).await;
        let key = pointer["manifest_key"].as_str().expect("a key").to_owned();
        let manifest = self.json(&key).await;
        (key, manifest)
    }

    /// Makes every manifest of a subvolume older by `days`.
    pub async fn age(&self, subvolume: &str, days: i64) {
        let manifests = self.keys().await.into_iter().filter(|key| {
            key.starts_with(&format!("nas/subvol/{subvolume}/"))
                && key.contains("/manifest-")
                && key.ends_with("Z.json")
        });
        for key in manifests {
            let mut manifest = self.json(&key).await;
            for field in ["created_at", "started_at"] {
                manifest[field] = days_before(manifest[field].as_str().expect("a time"), days);
            }
            self.write(&key, manifest.to_string().as_bytes()).await;
        }
    }

    /// Asserts that no process of the program or its children is left.
    pub fn assert_nothing_runs(&self) {
        self.process_tag.assert_no_process_left();
    }
}

impl Ran {
    pub fn of(output: Output) -> Ran {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Asserts that it failed with this code and one error line that contains these texts.
    #[track_caller]
    pub fn failed_with(&self, code: i32, texts: &[&str]) {
        assert_eq!(self.code, Some(code), "{}", self.stderr);
        let lines: Vec<_> = self.stderr.lines().filter(|line| line.contains("error:")).collect();
        assert_eq!(lines.len(), 1, "{}", self.stderr);
        for text in texts {
            assert!(lines[0].contains(text), "{text:?} is not in {}", lines[0]);
        }
        assert!(!self.stderr.contains("skipped") && !self.stderr.contains("panicked"));
    }
}

/// Returns the key of the index of a backup, from that of its manifest or of its part index.
pub fn index_of(key: &str) -> String {
    let stem = key.strip_suffix("-parts.json").or_else(|| key.strip_suffix(".json"));
    format!("{}-index.bin", stem.expect("the key of a document"))
}

pub fn names_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a directory");
    let name = |entry: std::io::Result<fs::DirEntry>| entry.expect("an entry").file_name();
    let mut names: Vec<_> =
        entries.map(|entry| name(entry).into_string().expect("UTF-8")).collect();
    names.sort();
    names
}

fn days_before(stamp: &str, days: i64) -> Value {
    let format = "%Y%m%dT%H%M%SZ";
    let time = jiff::civil::DateTime::strptime(format, stamp).expect("a time");
    let days = jiff::Span::new().days(days);
    time.checked_sub(days).expect("a time").strftime(format).to_string().into()
}

fn parse(key: &str) -> Key {
    Key::parse(key).expect("a key")
}

/// Stores the note that an earlier run made its probe upload, so that tests count only
/// the calls of backups; returns whether the server took it. `server_checks.rs` tests
/// that upload.
async fn note_probe_upload(s3: &DevStore) -> bool {
    let settings = Settings { sse: Sse::Aes256, ..settings(s3.endpoint()) };
    let store = Store::connect(settings).await.expect("a store");
    let put = PutDocument {
        key: parse("nas/.s3up-probe-STANDARD-AES256"),
        content_type: "application/octet-stream",
        metadata: BTreeMap::new(),
        storage_class: None,
        overwrite: Overwrite::Allowed,
        retry_for: Duration::ZERO,
    };
    // A server that refuses the encryption keeps no note, and gets no such upload.
    store.write(put, b"").await.is_ok()
}

fn settings(endpoint: String) -> Settings {
    Settings {
        endpoint: Some(endpoint),
        region: "us-east-1".to_owned(),
        bucket: "backups".to_owned(),
        credentials: Credentials::Explicit {
            access_key_id: Options::ACCESS_KEY_ID.to_owned(),
            secret_access_key: Options::SECRET_ACCESS_KEY.to_owned(),
        },
        profile: Profile::Generic,
        ca_file: None,
        storage_class: None,
        sse: Sse::Unset,
        buffer_budget_bytes: 64 << 20,
        timeouts: Timeouts::default(),
        bandwidth: Bandwidth::default(),
    }
}
