//! `[report]`: the state of all subvolumes reaches a gateway, whatever happens to the run, and nothing that
//! happens to the report changes the run.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use s3up_core::wire::{ClientState, ClientStatus, RunOutcome};
use s3up_devstore::{DevStore, Options, Versioning};
use s3up_server::{Gateway, ServeOptions, serve};
use s3up_testkit::{BtrfsFault, Calls, InjectedFault, StandIn};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::fixture::{Ran, World};

const KEY: &str = "sk_live_nas_0123456789012345678901234567890123";
const ADMIN_KEY: &str = "s3up_admin_0123456789012345678901234567890123";

/// A gateway with the client `nas`, on an S3 server of its own.
struct Fleet {
    root: TempDir,
    s3: DevStore,
    address: SocketAddr,
    gateway: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Fleet {
    async fn start() -> Fleet {
        let root = s3up_testkit::temp_dir();
        let s3 = DevStore::start(Options::new(root.path().join("s3"))).await.expect("a server");
        s3.create_bucket("files", Versioning::Enabled).await.expect("a new bucket");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let mut fleet = Fleet { root, s3, address, gateway: None };
        fs::write(fleet.key_file(), format!("{KEY}\n")).expect("a written file");
        fleet.serve(listener).await;
        fleet
    }

    async fn serve(&mut self, listener: TcpListener) {
        let text = format!(
            "server: {{ host: 127.0.0.1, port: 0 }}\n\
             s3: {{ endpoint: {:?}, region: us-east-1, bucket: files, access_key_id: {:?}, secret_access_key: {:?} }}\n\
             database: {{ path: {:?} }}\n\
             admin_keys: [{ADMIN_KEY}]\n\
             clients: [{{ name: nas, api_key: {KEY} }}]\n",
            self.s3.endpoint(),
            Options::ACCESS_KEY_ID,
            Options::SECRET_ACCESS_KEY,
            self.root.path().join("gateway.db"),
        );
        let config = s3up_server::Config::parse(Path::new("server.yaml"), &text, &|_| None);
        let gateway = Gateway::start(config.expect("a configuration")).await.expect("a gateway");
        let grace = s3up_server::SHUTDOWN_GRACE;
        let (stop, stopped) = oneshot::channel();
        let options = ServeOptions { listener, tls: None, connections_max: 100, grace };
        let task = tokio::spawn(async move {
            let stopped = async { drop(stopped.await) };
            serve(options, gateway, stopped).await.expect("a gateway that ends without an error");
        });
        self.gateway = Some((stop, task));
    }

    async fn go_away(&mut self) {
        let (stop, task) = self.gateway.take().expect("a running gateway");
        drop(stop);
        task.await.expect("no panic");
    }

    async fn come_again(&mut self) {
        let listener = TcpListener::bind(self.address).await.expect("its old port");
        self.serve(listener).await;
    }

    fn key_file(&self) -> PathBuf {
        self.root.path().join("key")
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Runs the program with reports to this gateway.
    async fn run(&self, world: &World, arguments: &[&str]) -> Ran {
        let url = format!("report.url={:?}", self.url());
        let key_file = format!("report.key_file={:?}", self.key_file());
        let set = ["--set", &url, "--set", &key_file];
        let ran = world.run(&[arguments, &set].concat()).await;
        assert!(!ran.stderr.contains(KEY) && !ran.stdout.contains(KEY), "{}", ran.stderr);
        ran
    }

    async fn nas(&self) -> ClientStatus {
        let request = reqwest::Client::new().get(format!("{}/clients/nas", self.url()));
        let answer = request.bearer_auth(ADMIN_KEY).send().await.expect("an answer");
        answer.json().await.expect("a client")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_run_reports_all_subvolumes_to_the_gateway() {
    let Some(world) = World::start(&["one", "two"]).await else { return };
    let fleet = Fleet::start().await;
    assert_eq!(fleet.nas().await.state, ClientState::Never);

    let first = fleet.run(&world, &["backup", "--subvolume", "one"]).await;
    let of_first = fleet.nas().await;
    let all = fleet.run(&world, &["backup"]).await;
    let again = fleet.run(&world, &["backup", "--once"]).await;

    for ran in [&first, &all, &again] {
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert!(!ran.stderr.contains("backup_report_not"), "{}", ran.stderr);
    }
    // A subvolume that was never backed up is reported, although the run was not about it.
    assert_eq!(of_first.state, ClientState::Late);
    assert_eq!(of_first.reason.as_deref(), Some("two: it has no backup yet"));
    let nas = fleet.nas().await;
    assert_eq!((nas.state, nas.reason.as_deref()), (ClientState::Ok, None));
    let names: Vec<_> = nas.subvolumes.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["one", "two"]);
    for subvolume in &nas.subvolumes {
        let run = subvolume.last_run.as_ref().expect("a run");
        assert_eq!((run.outcome, run.error.as_deref()), (RunOutcome::Published, None));
        assert_eq!((subvolume.chain_length, subvolume.restorable), (Some(2), Some(true)));
        // The next incremental is due in a week, at midnight.
        let overdue = subvolume.overdue_age_seconds.expect("a schedule") as f64 / 86_400.0;
        assert!((7.0..9.1).contains(&overdue), "{overdue}");
        assert!(subvolume.newest_backup_age_seconds.expect("an age") < 600);
        let (_, manifest) = world.newest(&subvolume.name).await;
        let at = subvolume.newest_backup_at.as_deref().expect("a time");
        let digits = at.replace(['-', ':'], "");
        let times = ["created_at", "started_at"].map(|key| manifest[key].as_str().expect("a time"));
        assert_eq!(times.into_iter().min(), Some(digits.as_str()));
    }
    fleet.s3.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_backup_and_a_bucket_that_is_away_are_reported_with_their_reasons() {
    let Some(mut world) = World::start(&["data"]).await else { return };
    let fleet = Fleet::start().await;
    assert_eq!(fleet.run(&world, &["backup"]).await.code, Some(0));
    let fault = BtrfsFault::FailsAfter { bytes: 50 };
    let stand_in = StandIn::new([InjectedFault { command: "send", call: Calls::Every, fault }]);
    world.path = Some(stand_in.path_var());

    let failed = fleet.run(&world, &["backup", "--full"]).await;

    assert_eq!(failed.code, Some(1), "{}", failed.stderr);
    let nas = fleet.nas().await;
    assert_eq!(nas.state, ClientState::Failing);
    assert!(nas.reason.as_deref().unwrap().contains(StandIn::ERROR_MESSAGE), "{:?}", nas.reason);
    assert_eq!(nas.subvolumes[0].restorable, Some(true), "the backup before is still good");
    // A run in which nothing is due hides no failure; a good one ends it.
    world.path = None;
    assert_eq!(fleet.run(&world, &["backup"]).await.code, Some(0));
    assert_eq!(fleet.nas().await.state, ClientState::Failing);
    assert_eq!(fleet.run(&world, &["backup", "--once"]).await.code, Some(0));
    assert_eq!(fleet.nas().await.state, ClientState::Ok);
    let before = fleet.nas().await.subvolumes;
    world.stop_s3().await;

    let away = fleet.run(&world, &["backup", "--once"]).await;

    assert_eq!(away.code, Some(1), "{}", away.stderr);
    let nas = fleet.nas().await;
    assert_eq!(nas.state, ClientState::Failing);
    let data = &nas.subvolumes[0];
    assert!(data.unreadable.is_some(), "{data:?}");
    // The facts are those that were seen, and are not taken for nothing.
    assert_eq!(data.observed_at, before[0].observed_at);
    assert_eq!(data.newest_backup_at, before[0].newest_backup_at);
    assert_eq!((data.chain_length, data.restorable), (Some(2), Some(true)));
    fleet.s3.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_chunk_is_reported_as_not_restorable() {
    let Some(world) = World::start(&["data"]).await else { return };
    let fleet = Fleet::start().await;
    assert_eq!(fleet.run(&world, &["backup"]).await.code, Some(0));
    let (_, manifest) = world.newest("data").await;
    world.delete(manifest["chunks"][0]["key"].as_str().expect("a key")).await;

    let ran = fleet.run(&world, &["verify"]).await;

    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    let nas = fleet.nas().await;
    assert_eq!(nas.state, ClientState::Failing);
    let data = &nas.subvolumes[0];
    assert_eq!(data.restorable, Some(false), "{data:?}");
    assert!(data.last_verify.as_ref().expect("a verify").error.is_some(), "{data:?}");
    assert!(nas.reason.as_deref().unwrap().starts_with("data: it cannot be restored: "));
    fleet.s3.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_away_fails_no_run_and_gets_the_state_later() {
    let Some(world) = World::start(&["data"]).await else { return };
    let mut fleet = Fleet::start().await;
    fleet.go_away().await;

    let unreported = fleet.run(&world, &["backup"]).await;

    assert_eq!(unreported.code, Some(0), "{}", unreported.stderr);
    assert!(
        unreported.stderr.contains("event=backup_report_not_delivered"),
        "{}",
        unreported.stderr
    );
    assert!(unreported.stderr.contains("host=127.0.0.1"), "{}", unreported.stderr);
    let kept = world.state().with_extension("report.json");
    let kept: serde_json::Value = serde_json::from_slice(&fs::read(kept).unwrap()).unwrap();
    assert_eq!(kept["subvolumes"]["data"]["chain_length"], 1);
    fleet.come_again().await;

    // Nothing is due, and the backup of the run before is reported.
    let ran = fleet.run(&world, &["backup"]).await;

    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let nas = fleet.nas().await;
    let data = &nas.subvolumes[0];
    assert_eq!(nas.state, ClientState::Ok);
    assert_eq!(data.last_run.as_ref().expect("a run").outcome, RunOutcome::Published);
    assert_eq!((data.chain_length, data.restorable), (Some(1), Some(true)));
    fleet.s3.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_is_reported_and_a_failed_one_is_remembered_until_the_next() {
    let Some(mut world) = World::start(&["data"]).await else { return };
    let mut fleet = Fleet::start().await;
    let scratch = s3up_testkit::temp_dir();
    let dir = format!("drill.scratch_dir={:?}", scratch.path());
    let (backup, drill) = (["backup", "--set", &dir], ["drill", "--set", &dir]);
    assert_eq!(fleet.run(&world, &backup).await.code, Some(0));
    let nas = fleet.nas().await;
    assert_eq!(
        (nas.state, nas.reason.as_deref()),
        (ClientState::Degraded, Some("data: no successful drill yet"))
    );

    let ran = fleet.run(&world, &drill).await;

    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let nas = fleet.nas().await;
    assert_eq!((nas.state, nas.reason.as_deref()), (ClientState::Ok, None));
    let good = nas.subvolumes[0].last_drill.clone().expect("a drill");
    assert_eq!((good.error.as_deref(), good.last_good_at.as_ref()), (None, Some(&good.at)));
    let fault = BtrfsFault::FailsAfter { bytes: 50 };
    let stand_in = StandIn::new([InjectedFault { command: "receive", call: Calls::Every, fault }]);
    world.path = Some(stand_in.path_var());
    fleet.go_away().await;
    assert_eq!(fleet.run(&world, &drill).await.code, Some(1));
    world.path = None;
    fleet.come_again().await;

    // The gateway did not get the report of the drill, so it is in the next one.
    assert_eq!(fleet.run(&world, &backup).await.code, Some(0));

    let nas = fleet.nas().await;
    let failed = nas.subvolumes[0].last_drill.clone().expect("a drill");
    assert_eq!(nas.state, ClientState::Degraded);
    assert!(failed.error.is_some(), "{failed:?}");
    assert_eq!(failed.last_good_at, good.last_good_at);
    fleet.s3.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_goes_to_the_gateway_only() {
    let Some(world) = World::start(&["data"]).await else { return };
    let fleet = Fleet::start().await;
    let check = |set: Vec<String>| {
        let world = &world;
        async move {
            let set: Vec<_> = set.iter().flat_map(|set| ["--set", set]).collect();
            world.run(&[&["check-config"][..], &set].concat()).await
        }
    };
    let url = |url: &str| format!("report.url={url:?}");
    let key_file = |path: &Path| format!("report.key_file={path:?}");
    let (ours, missing) = (fleet.key_file(), fleet.root.path().join("missing"));
    let empty = fleet.root.path().join("empty");
    fs::write(&empty, "\n").unwrap();
    let (https, http) = ("https://gw.example", "http://gw.example");
    #[rustfmt::skip]
    let cases = [
        (vec![url(http), key_file(&ours)],       "report.url: expected https, found http"),
        (vec![url("https://me@gw.example"), key_file(&ours)], "the key belongs in report.key_file"),
        (vec![url(https)],                       "report.url: expected `report.key_file` beside it"),
        (vec![key_file(&ours)],                  "report.key_file: expected `report.url` beside it"),
        (vec![url(https), key_file(&missing)],   "read report.key_file"),
        (vec![url(https), key_file(&empty)],     "expected a key of printable ASCII"),
    ];
    for (set, message) in cases {
        check(set).await.failed_with(2, &[message]);
    }
    let allowed = vec![url(http), key_file(&ours), "report.insecure=true".to_owned()];
    let checked = check(allowed).await;
    assert_eq!(checked.code, Some(0), "{}", checked.stderr);
    assert!(checked.stdout.contains("url = \"http://gw.example/\""), "{}", checked.stdout);
    assert!(!checked.stdout.contains(KEY) && !checked.stderr.contains(KEY));
    // A key that the gateway refuses, and a redirect, are no failures of the backup.
    fs::write(fleet.key_file(), "sk_live_of_somebody_else_0123456789012345678901234").unwrap();
    let refused = fleet.run(&world, &["backup"]).await;
    assert_eq!(refused.code, Some(0), "{}", refused.stderr);
    assert!(refused.stderr.contains("status 401"), "{}", refused.stderr);
    let (redirect, seen) = redirecting(&fleet.url()).await;
    let ran = world
        .run(&["backup", "--set", &url(&redirect), "--set", &key_file(&fleet.key_file())])
        .await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.contains("gateway redirects (status 307)"), "{}", ran.stderr);
    assert_eq!(seen.await.expect("no panic"), "POST /backup-report HTTP/1.1");
    assert_eq!(fleet.nas().await.state, ClientState::Never);
    fleet.s3.stop().await;
}

/// Starts a server that redirects one request to `target`, and returns its first line.
async fn redirecting(target: &str) -> (String, JoinHandle<String>) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let location = format!("{target}/backup-report");
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut head = vec![0; 64 << 10];
        let count = stream.read(&mut head).await.expect("a request");
        let answer = format!(
            "HTTP/1.1 307 Temporary Redirect\r\nlocation: {location}\r\ncontent-length: 0\r\n\
             connection: close\r\n\r\n"
        );
        stream.write_all(answer.as_bytes()).await.expect("a client that listens");
        let head = String::from_utf8_lossy(&head[..count]).into_owned();
        head.lines().next().unwrap_or_default().to_owned()
    });
    (url, task)
}
