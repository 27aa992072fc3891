//! `s3up-server rebuild`: the catalogue from the bucket, on SQLite and on PostgreSQL.

use std::collections::BTreeMap;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use futures::{StreamExt, stream};
use reqwest::RequestBuilder;
use s3up_core::{Key, Sha256Digest};
use s3up_devstore::{DevStore, Fault, Op};
use s3up_store::{Overwrite, PutDocument, Store};
use s3up_testkit::{Postgres, postgres_or_skip};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::fixture::{BUCKET, KEY, MIB, OTHER_KEY, config, noise, sqlite_rows, stored};
use crate::process::{program, s3};
use crate::running::Running;

const RETRY_FOR: Duration = Duration::from_secs(5);
const FILES: &str = "SELECT path, size FROM files WHERE client = 'webapp' ORDER BY path";
const TOTALS: &str = "SELECT client, files, bytes FROM totals ORDER BY client";

/// A bucket, a database and a configuration, in which `webapp` has a quota of 1 GiB.
struct Site {
    root: TempDir,
    s3: DevStore,
    store: Store,
    postgres: Option<Postgres>,
}

impl Site {
    /// Returns one site with SQLite, and one with PostgreSQL where it is installed.
    async fn all() -> Vec<Site> {
        let mut sites = vec![Site::start(None).await];
        if let Some(postgres) = postgres_or_skip() {
            sites.push(Site::start(Some(postgres)).await);
        }
        sites
    }

    async fn start(postgres: Option<Postgres>) -> Site {
        let root = tempfile::tempdir().expect("a directory");
        let s3 = s3(&root).await;
        let text = config(&s3.endpoint(), &root.path().join("gateway.db"));
        let text = text.replace("max_file_size_mb: 40", "quota_gb: 1");
        let text = match &postgres {
            None => text,
            Some(postgres) => {
                let (before, rest) = text.split_once("database: {").expect("a database");
                let (_, after) = rest.split_once('}').expect("its end");
                format!("{before}database: {{ url: \"{}\" }}{after}", postgres.url())
            }
        };
        let file = root.path().join("server.yaml");
        std::fs::write(&file, &text).expect("a file");
        let config = s3up_server::Config::parse(&file, &text, &|_| None).expect("a configuration");
        let store = Store::connect(config.store).await.expect("a connection");
        Site { root, s3, store, postgres }
    }

    fn gateway(&self) -> Running {
        Running::start(&self.root.path().join("server.yaml"), &[])
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = program();
        command.args(["--log-format", "logfmt", "--config"]);
        command.arg(self.root.path().join("server.yaml")).arg("rebuild").args(args);
        command
    }

    async fn run(&self, args: &[&str]) -> Output {
        let mut command = self.command(args);
        let run = tokio::task::spawn_blocking(move || command.output());
        run.await.expect("no panic").expect("a program that runs")
    }

    /// Runs the command for one client and returns its line.
    async fn rebuild(&self, client: &str) -> Value {
        let output = self.run(&["--json", "--client", client]).await;
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        serde_json::from_slice(&output.stdout).expect("one line of JSON")
    }

    async fn rows(&self, sql: &'static str) -> Vec<String> {
        match &self.postgres {
            Some(postgres) => postgres.query(sql).lines().map(str::to_owned).collect(),
            None => sqlite_rows(&self.root.path().join("gateway.db"), sql).await,
        }
    }

    fn lose_database(&self) {
        match &self.postgres {
            Some(postgres) => {
                postgres.query("DROP SCHEMA public CASCADE");
                postgres.query("CREATE SCHEMA public");
            }
            None => {
                for end in ["", "-wal", "-shm"] {
                    let file = self.root.path().join(format!("gateway.db{end}"));
                    // A database that was closed is one file.
                    std::fs::remove_file(file).ok();
                }
            }
        }
    }

    /// Stores a file past the gateway.
    async fn s3_put(&self, file: &str, content: &[u8]) {
        let document = PutDocument {
            key: Key::parse(&format!("sites/{file}")).expect("a key"),
            content_type: "text/plain",
            metadata: BTreeMap::new(),
            storage_class: None,
            overwrite: Overwrite::Allowed,
            retry_for: RETRY_FOR,
        };
        self.store.write(document, content).await.expect("a stored object");
    }

    async fn s3_put_many(&self, count: usize) {
        let puts = (0..count).map(|n| async move {
            self.s3_put(&format!("webapp/f{n:04}"), b"four").await;
        });
        stream::iter(puts).buffer_unordered(16).collect::<Vec<_>>().await;
    }

    async fn s3_delete(&self, file: &str) {
        let key = Key::parse(&format!("sites/{file}")).expect("a key");
        self.store.delete(&key, RETRY_FOR).await.expect("a deleted object");
    }
}

fn put(gateway: &Running, path: &str, content: Vec<u8>) -> RequestBuilder {
    let put = reqwest::Client::new().put(format!("{}/files/{path}", gateway.url));
    put.bearer_auth(KEY).body(content)
}

fn announced(request: RequestBuilder, content: &[u8]) -> RequestBuilder {
    request.header("repr-digest", Sha256Digest::of(content).to_repr_digest())
}

async fn get(gateway: &Running, call: &str) -> Value {
    let get = reqwest::Client::new().get(format!("{}{call}", gateway.url)).bearer_auth(KEY);
    get.send().await.expect("a response").json().await.expect("JSON")
}

/// Returns the verdict about a new file of `size` bytes.
async fn verdict(gateway: &Running, size: u64) -> Value {
    let file = json!({"path": "next", "size": size, "sha256": Sha256Digest::of(b"next")});
    let query = reqwest::Client::new().post(format!("{}/exists", gateway.url)).bearer_auth(KEY);
    let query = query.body(json!({"files": [file]}).to_string());
    let answer: Value = query.send().await.expect("a response").json().await.expect("JSON");
    answer["files"][0]["verdict"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_database_is_rebuilt_from_the_bucket() {
    for site in Site::all().await {
        let gateway = site.gateway();
        let (long, other) = (noise(9 * MIB), noise(9 * MIB + 1));
        let small = put(&gateway, "dir/small", b"hello".to_vec()).header("x-mtime-ns", "-7");
        stored(small.header("x-mode", "0640")).await;
        stored(announced(put(&gateway, "long", long.clone()), &long)).await;
        stored(put(&gateway, "unannounced", other.clone())).await;
        let jpg = reqwest::Client::new().put(format!("{}/files/a.jpg", gateway.url));
        stored(jpg.bearer_auth(OTHER_KEY).body("jpg")).await;
        let exists = get(&gateway, "/exists?path=dir/small").await;
        assert!(gateway.stop().await.success());
        let gateway = site.gateway();
        let mut listed = get(&gateway, "/list").await;
        assert!(gateway.stop().await.success());
        let (files, totals) = (site.rows(FILES).await, site.rows(TOTALS).await);
        site.lose_database();

        let output = site.run(&[]).await;

        let text = String::from_utf8(output.stdout.clone()).unwrap();
        let want = "webapp: 3 files, 18 MiB; added 3, updated 0, removed 0\n\
                    webapp-prod: 1 files, 3 B; added 1, updated 0, removed 0\n\
                    reader: 0 files, 0 B; added 0, updated 0, removed 0\n";
        assert_eq!((output.status.code(), text.as_str()), (Some(0), want), "{output:?}");
        assert_eq!(site.rows(FILES).await, files);
        let mut again = site.rows(TOTALS).await;
        again.retain(|row| !row.starts_with("reader|"));
        assert_eq!(again, totals);
        let gateway = site.gateway();
        assert_eq!(get(&gateway, "/exists?path=dir/small").await, exists);
        // Only the lost database knew it.
        listed["files"][2]["sha256"] = Value::Null;
        assert_eq!(get(&gateway, "/list").await, listed);
        assert!(stored(announced(put(&gateway, "long", long.clone()), &long)).await.unchanged);
        let left = (1 << 30) - (5 + long.len() + other.len()) as u64;
        let verdicts = (verdict(&gateway, left).await, verdict(&gateway, left + 1).await);
        assert_eq!(verdicts, (json!("missing"), json!("quota")));
        // The catalogue has all files, so it knows which paths are new.
        let heads = site.s3.faults().calls(Op::HeadObject);
        stored(announced(put(&gateway, "new", b"new".to_vec()), b"new")).await;
        assert_eq!(site.s3.faults().calls(Op::HeadObject), heads);
        assert!(gateway.stop().await.success());
        site.s3.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_came_changed_or_left_by_other_means_are_found() {
    for site in Site::all().await {
        let gateway = site.gateway();
        for path in ["changed", "kept", "left"] {
            stored(put(&gateway, path, path.into())).await;
        }
        assert!(gateway.stop().await.success());
        site.s3_put("webapp/came", b"came").await;
        site.s3_put("webapp/changed", b"changed by other means").await;
        site.s3_delete("webapp/left").await;
        let before = site.rows(FILES).await;

        let dry = site.run(&["--client", "webapp", "--dry-run"]).await;
        assert_eq!(site.rows(FILES).await, before);
        let rebuilt = site.rebuild("webapp").await;
        let heads = site.s3.faults().calls(Op::HeadObject);
        let again = site.rebuild("webapp").await;

        let text = String::from_utf8(dry.stdout).unwrap();
        let want = "webapp: 3 files in the bucket; to add 1, to update 1, to remove 1\n";
        assert_eq!(text, want);
        let numbers = |line: &Value| ["added", "updated", "removed"].map(|name| line[name].clone());
        assert_eq!(numbers(&rebuilt), [1, 1, 1].map(Value::from), "{rebuilt}");
        assert_eq!(numbers(&again), [0, 0, 0].map(Value::from), "{again}");
        assert_eq!(site.s3.faults().calls(Op::HeadObject), heads, "nothing differs");
        assert_eq!(site.rows(FILES).await, ["came|4", "changed|22", "kept|4"]);
        assert_eq!(site.rows(TOTALS).await, ["webapp|3|30"]);
        assert_eq!(site.s3.object(BUCKET, "sites/webapp/came").await.unwrap(), b"came");
        site.s3.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_that_is_killed_is_resumed() {
    for site in Site::all().await {
        site.s3_put_many(250).await;
        let held = site.s3.faults().hold_op(Op::ListObjectsV2, 2);
        let mut command = site.command(&[]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let reached = tokio::time::timeout(Duration::from_secs(60), held.reached()).await;
        assert!(reached.is_ok(), "the second page was not listed");
        child.kill().unwrap();
        child.wait().unwrap();
        held.release();
        let heads = site.s3.faults().calls(Op::HeadObject);
        assert_eq!(site.rows(TOTALS).await, ["webapp|100|400"], "one page is committed");

        let resumed = site.rebuild("webapp").await;

        assert_eq!((&resumed["resumed"], &resumed["listed"]), (&json!(true), &json!(150)));
        assert_eq!((&resumed["added"], &resumed["files"]), (&json!(150), &json!(250)));
        assert_eq!(site.s3.faults().calls(Op::HeadObject) - heads, 150);
        assert_eq!(site.rows(TOTALS).await, ["webapp|250|1000"]);
        assert_eq!(site.rebuild("webapp").await["resumed"], json!(false));
        site.s3.stop().await;
    }
}

/// Kills a rebuild at its `nth` listing or HEAD.
async fn kill_at(site: &Site, op: Op, nth: u64) {
    let held = site.s3.faults().hold_op(op, nth);
    let mut command = site.command(&["--client", "webapp"]);
    let mut child =
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a program that runs");
    let reached = tokio::time::timeout(Duration::from_secs(60), held.reached()).await;
    assert!(reached.is_ok(), "{op:?} {nth} was not called");
    child.kill().expect("a signal that is sent");
    child.wait().expect("an exit status");
    held.release();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resumed_rebuild_remembers_a_file_that_s3_did_not_describe() {
    let site = Site::start(None).await;
    site.s3_put_many(110).await;
    site.s3.faults().inject(Op::HeadObject, 2, Fault::AccessDenied);
    kill_at(&site, Op::ListObjectsV2, 2).await;

    let resumed = site.run(&["--json", "--client", "webapp"]).await;

    let line: Value = serde_json::from_slice(&resumed.stdout).expect("one line of JSON");
    assert_eq!((&line["resumed"], &line["not_examined"]), (&json!(true), &json!(1)), "{line}");
    assert_eq!((resumed.status.code(), &line["files"]), (Some(3), &json!(109)), "{resumed:?}");
    let complete = "SELECT client FROM clients WHERE complete_since IS NOT NULL";
    assert_eq!(site.rows(complete).await, Vec::<String>::new());
    assert_eq!(site.rebuild("webapp").await["added"], json!(1));
    assert_eq!(site.rows(complete).await, ["webapp"]);
    site.s3.stop().await;
}

/// The killed run had listed all files and was about to remove rows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_is_resumed_only_in_its_bucket_and_only_if_that_can_be_listed() {
    let site = Site::start(None).await;
    let gateway = site.gateway();
    for path in ["kept", "left"] {
        stored(put(&gateway, path, path.into())).await;
    }
    assert!(gateway.stop().await.success());
    site.s3_delete("webapp/left").await;
    kill_at(&site, Op::HeadObject, 1).await;
    site.s3.faults().inject(Op::ListObjectsV2, 1, Fault::AccessDenied);
    let denied = site.run(&["--client", "webapp"]).await;
    let file = site.root.path().join("server.yaml");
    let before = std::fs::read_to_string(&file).unwrap();
    let bucket = format!("bucket: \"{BUCKET}\"");

    std::fs::write(&file, before.replace(&bucket, "bucket: \"elsewhere\"")).unwrap();
    let elsewhere = site.run(&["--client", "webapp"]).await;
    let rows = site.rows(FILES).await;
    // The position of the killed run is gone.
    std::fs::write(&file, before).unwrap();
    let resumed = site.rebuild("webapp").await;

    for (run, error) in [(denied, "AccessDenied"), (elsewhere, "NoSuchBucket")] {
        let text = String::from_utf8_lossy(&run.stderr);
        assert!(!run.status.success() && text.contains(error), "{text}");
    }
    assert_eq!(rows, ["kept|4", "left|4"]);
    let numbers = ["resumed", "listed", "removed"].map(|name| resumed[name].clone());
    assert_eq!(numbers, [json!(false), json!(1), json!(1)], "{resumed}");
    assert_eq!(site.rows(FILES).await, ["kept|4"]);
    site.s3.stop().await;
}

/// The rebuild has read that the catalogue lacks the file when the gateway stores another version.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_running_gateway_stores_meanwhile_wins() {
    for site in Site::all().await {
        site.s3_put_many(20).await;
        let gateway = site.gateway();
        let held = site.s3.faults().hold_op(Op::HeadObject, 20);
        let mut command = site.command(&["--json", "--client", "webapp"]);
        let rebuild = tokio::task::spawn_blocking(move || command.output());
        let reached = tokio::time::timeout(Duration::from_secs(60), held.reached()).await;
        assert!(reached.is_ok(), "the files were not examined");
        for n in 0..20 {
            stored(put(&gateway, &format!("f{n:04}"), noise(100 + n))).await;
        }
        stored(put(&gateway, "new", noise(5))).await;
        let written = async {
            while site.rows(FILES).await.len() < 21 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), written).await.expect("written records");
        held.release();
        let output = rebuild.await.unwrap().unwrap();

        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let line: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&line["added"], &line["updated"]), (&json!(0), &json!(0)), "{line}");
        let mut want: Vec<_> = (0..20).map(|n| format!("f{n:04}|{}", 100 + n)).collect();
        want.push("new|5".to_owned());
        assert_eq!(site.rows(FILES).await, want);
        let known = "SELECT count(*) FROM files WHERE sha256 <> '' AND uploaded_at > 0";
        assert_eq!(site.rows(known).await, ["21"]);
        let bytes: usize = (0..20).map(|n| 100 + n).sum::<usize>() + 5;
        assert_eq!(site.rows(TOTALS).await, [format!("webapp|21|{bytes}")]);
        assert!(gateway.stop().await.success());
        site.s3.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_s3_cannot_describe_hides_no_other() {
    let site = Site::start(None).await;
    site.s3_put_many(3).await;
    site.s3.faults().inject(Op::HeadObject, 2, Fault::AccessDenied);

    let output = site.run(&["--client", "webapp"]).await;
    let unknown = site.run(&["--client", "stranger"]).await;

    let (text, log) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(text.contains("added 2,") && text.ends_with(", not examined 1\n"), "{text}");
    assert!(log.contains("event=file_not_examined client=webapp"), "{log}");
    let complete = "SELECT client FROM clients WHERE complete_since IS NOT NULL";
    assert_eq!(site.rows(complete).await, Vec::<String>::new());
    let error = String::from_utf8_lossy(&unknown.stderr);
    assert_eq!(unknown.status.code(), Some(2), "{error}");
    assert!(error.contains("(webapp, webapp-prod, reader), found stranger"), "{error}");
    site.s3.stop().await;
}
