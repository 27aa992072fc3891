//! Everything that a user does, on S3 servers that we did not write, and on the embedded
//! one while it behaves like them.
//!
//! Two differences are not asked here, because no answer of ours could hold on all of them:
//! classes (`STANDARD` is the only one that Swift has) and encryption.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use s3up_devstore::{DevStore, Like, Options, Versioning};
use s3up_testkit::{
    BtrfsFs, Foreign, ProcessTag, Tree, assert_same_tree, btrfs_or_skip, dir, file, noise, symlink,
    temp_dir, wait_until,
};
use tempfile::TempDir;
use tokio::process::Command;

use crate::fixture::{CHUNK, PART, Ran};

const FILESYSTEM_BYTES: u64 = 2 << 30;
const BUCKET: &str = "backups";
/// Parts of the backup that is interrupted.
const PARTS: u64 = 12;
/// Bytes per second while it is interrupted, so that it lasts.
const SLOWLY: &str = "s3.bandwidth_limit_bytes=8000000";
/// Time for the first parts at that speed, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// The endpoint of a server with the bucket, and its key.
struct Access {
    endpoint: String,
    key_id: String,
    secret: String,
}

/// A host whose backups go to a server.
struct Host {
    fs: BtrfsFs,
    access: Access,
    process_tag: ProcessTag,
    directory: TempDir,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_trip_on_ceph_rgw() {
    on(Foreign::Rgw).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_trip_on_swift() {
    on(Foreign::Swift).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_trip_on_seaweedfs() {
    on(Foreign::SeaweedFs).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_trip_on_the_embedded_server() {
    on_devstore(Options::new).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_trip_on_a_server_like_ceph_rgw() {
    on_devstore(|root| like(Like::Rgw, root)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_trip_on_a_server_like_swift() {
    on_devstore(|root| like(Like::Swift, root)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_trip_on_a_server_like_seaweedfs() {
    on_devstore(|root| like(Like::SeaweedFs, root)).await;
}

fn like(like: Like, root: PathBuf) -> Options {
    Options { behaviours: like.behaviours(), ..Options::new(root) }
}

async fn on(foreign: Foreign) {
    if !btrfs_or_skip() {
        return;
    }
    let Some(server) = foreign.start_or_print_why_not().await else { return };
    server.create_bucket(BUCKET).await;
    let access = Access {
        endpoint: server.endpoint.clone(),
        key_id: server.key_id.clone(),
        secret: server.secret.clone(),
    };

    round_trip(access).await;

    server.stop().await;
}

async fn on_devstore(options: impl FnOnce(PathBuf) -> Options) {
    if !btrfs_or_skip() {
        return;
    }
    let directory = temp_dir();
    let s3 = DevStore::start(options(directory.path().join("s3"))).await.expect("an S3 server");
    s3.create_bucket(BUCKET, Versioning::Off).await.expect("a new bucket");
    let access = Access {
        endpoint: s3.endpoint(),
        key_id: Options::ACCESS_KEY_ID.to_owned(),
        secret: Options::SECRET_ACCESS_KEY.to_owned(),
    };

    round_trip(access).await;

    s3.stop().await;
}

/// A full, an incremental, an incremental that is killed and resumed, a deep verification,
/// a restore, and a second generation after which the first is pruned.
async fn round_trip(access: Access) {
    let host = Host::new(access);
    let (data, target) = (host.fs.path().join("data"), host.fs.path().join("restored"));
    Tree::new([dir("a"), file("a/big", noise(CHUNK + PART)), file("small", "1")]).write(&data);
    host.succeeds(&["backup", "--once"]).await;
    Tree::new([file("small", "2"), symlink("link", "small")]).write(&data);
    host.succeeds(&["backup", "--once"]).await;
    Tree::new([file("a/new", noise(PARTS * PART))]).write(&data);
    host.is_killed_while_it_uploads().await;
    let resumed = host.succeeds(&["backup", "--once"]).await;
    assert!(resumed.stderr.contains("event=backup_resumed"), "{}", resumed.stderr);

    host.succeeds(&["verify", "--deep"]).await;
    let target_name = target.to_str().expect("UTF-8");
    host.succeeds(&["restore", "--subvolume", "data", "--target", target_name]).await;
    assert_same_tree(&data, &target);

    host.succeeds(&["backup", "--full"]).await;
    // After the resumed backup, an incremental of what changed since followed.
    let pruned = host.succeeds(&["backup", "--once"]).await;
    assert!(pruned.stderr.contains("event=pruned subvolume=data backups=4"), "{}", pruned.stderr);
    host.succeeds(&["verify", "--deep"]).await;
    host.succeeds(&["status", "--check"]).await;
    host.process_tag.assert_no_process_left();
}

impl Host {
    fn new(access: Access) -> Host {
        let (fs, directory) = (BtrfsFs::create(FILESYSTEM_BYTES), temp_dir());
        fs.subvolume("data");
        fs::create_dir(fs.path().join("snapshots")).expect("a new directory");
        let host = Host { fs, access, process_tag: ProcessTag::new(), directory };
        let config = format!(
            "[global]\nlock_path = {:?}\nstate_path = {:?}\n[snapshots]\nbase_dir = {:?}\n\
             [subvolumes]\npaths = [{:?}]\n[s3]\nbucket = {BUCKET:?}\nregion = {:?}\n\
             prefix = \"nas\"\nendpoint = {:?}\nstorage_class_chunks = \"STANDARD\"\nsse = \"none\"\n\
             part_size_bytes = {PART}\nchunk_size_bytes = {CHUNK}\nretry_hours = 0.02\n\
             [retention]\nkeep_days = 0\n",
            host.directory.path().join("lock"),
            host.directory.path().join("state.json"),
            host.fs.path().join("snapshots"),
            host.fs.path().join("data"),
            Foreign::REGION,
            host.access.endpoint,
        );
        fs::write(host.config(), config).expect("a written file");
        host
    }

    fn config(&self) -> PathBuf {
        self.directory.path().join("config.toml")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_btrfs-to-s3"));
        let (name, value) = self.process_tag.env();
        command
            .arg("--config")
            .arg(self.config())
            .args(["--log-format", "logfmt"])
            .args(arguments)
            .env("AWS_ACCESS_KEY_ID", &self.access.key_id)
            .env("AWS_SECRET_ACCESS_KEY", &self.access.secret)
            .env(name, value)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    async fn succeeds(&self, arguments: &[&str]) -> Ran {
        let ran = Ran::of(self.command(arguments).output().await.expect("the program"));
        assert_eq!(ran.code, Some(0), "{arguments:?}: {}{}", ran.stdout, ran.stderr);
        ran
    }

    /// Kills a backup once S3 has acknowledged two of its parts.
    async fn is_killed_while_it_uploads(&self) {
        let slowly = ["backup", "--once", "--set", SLOWLY, "--set", "s3.concurrency=1"];
        let mut run = self.command(&slowly).spawn().expect("the program");
        let records = self.fs.path().join("snapshots/.btrfs-to-s3");
        let are_noted = move || parts_in_journals(&records) >= 2;
        let waiting = tokio::task::spawn_blocking(move || wait_until(PATIENCE, are_noted));
        let were_noted = waiting.await.expect("no panic");
        let ended = run.try_wait().expect("a child of ours");
        run.kill().await.expect("a child of ours");
        assert!(were_noted && ended.is_none(), "it ended too early: {ended:?}");
    }
}

fn parts_in_journals(records: &Path) -> usize {
    let entries = fs::read_dir(records).into_iter().flatten().flatten().map(|entry| entry.path());
    let journals = entries.filter(|path| path.extension() == Some(OsStr::new("journal")));
    let texts = journals.filter_map(|path| fs::read_to_string(path).ok());
    texts.map(|text| text.matches(r#""line":"part""#).count()).sum()
}
