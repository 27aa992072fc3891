//! The gateway is killed (SIGKILL) at random moments while clients upload files to it, and started again.
//!
//! `S3UP_KILL_ROUNDS` is the number of kills, which `./check --full` sets to 100. `S3UP_KILL_SEED` repeats the decisions
//! of a run; the seed is printed.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use reqwest::Client;
use reqwest::multipart::{Form, Part};
use s3up_core::Sha256Digest;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::fixture::{BUCKET, KEY, MIB, config, noise, sqlite_rows};
use crate::process::{program, s3};
use crate::running::Running;

const ROUNDS: &str = "S3UP_KILL_ROUNDS";
const SEED: &str = "S3UP_KILL_SEED";
/// Kills of each run of the tests.
const ROUNDS_FEW: u64 = 5;
/// Longest life of a gateway, in milliseconds.
const LIFE_MAX_MS: u64 = 500;
const CLIENTS: u64 = 4;
/// Paths of each client. Few, so that they are overwritten.
const PATHS: u64 = 6;
const PREFIX: &str = "sites/webapp/";
/// Pause of a client whose gateway is away.
const PAUSE: Duration = Duration::from_millis(20);

/// Returns the number in an environment variable.
fn number(name: &str) -> Option<u64> {
    let text = std::env::var_os(name)?;
    let number = text.to_str().and_then(|text| text.parse().ok());
    Some(number.unwrap_or_else(|| panic!("{name}: expected a number, found {text:?}")))
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// The contents that a path may have: the last one that was acknowledged, and those that were sent since then.
#[derive(Debug, Default)]
struct Sent {
    acknowledged: Option<Sha256Digest>,
    since: Vec<Sha256Digest>,
}

/// Uploads one file after the other until the storm ends. Returns what it sent, by path.
async fn client(
    number: u64,
    seed: u64,
    mut url: watch::Receiver<Option<String>>,
) -> BTreeMap<String, Sent> {
    let mut random = Random(seed ^ (number << 40));
    let mut sent: BTreeMap<String, Sent> = BTreeMap::new();
    loop {
        let Some(url) = url.borrow_and_update().clone() else { return sent };
        let path = format!("client-{number}/file-{}", random.below(PATHS));
        // One buffer, one part, several parts.
        let len = [1000, 300_000, 9 * MIB + 1][random.below(3) as usize];
        let mut content = noise(len);
        content.truncate(len);
        content[..8].copy_from_slice(&random.0.to_be_bytes());
        let digest = Sha256Digest::of(&content);
        let of_path = sent.entry(path.clone()).or_default();
        of_path.since.push(digest);
        let http = Client::new();
        let request = match random.below(3) {
            0 => http.put(format!("{url}/files/{path}")).body(content),
            1 => {
                let put = http.put(format!("{url}/files/{path}")).body(content);
                put.header("repr-digest", digest.to_repr_digest())
            }
            // It waits on the disk of the gateway.
            _ => {
                let form = Form::new().part("file", Part::bytes(content)).text("path", path);
                http.post(format!("{url}/upload")).multipart(form)
            }
        };
        match request.bearer_auth(KEY).send().await {
            Ok(response) if response.status().is_success() => {
                *of_path = Sent { acknowledged: Some(digest), since: Vec::new() };
            }
            Ok(response) => {
                assert_eq!(response.status(), 503, "{response:?}")
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

fn start(root: &Path) -> Running {
    let mut command = program();
    command.env("TMPDIR", root.join("forms"));
    Running::start_by(command, &root.join("server.yaml"), &[])
}

fn run(root: &Path, args: &[&str]) {
    let mut command: Command = program();
    command.arg("--config").arg(root.join("server.yaml")).args(args);
    let output = command.output().expect("a program that runs");
    assert!(output.status.success(), "{args:?}: {output:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_is_killed_at_random_moments_stores_files_whole_or_not_at_all() {
    let seed = number(SEED).unwrap_or_else(|| u64::from(std::process::id()));
    let rounds = number(ROUNDS).unwrap_or(ROUNDS_FEW);
    println!("{SEED}={seed}");
    let mut random = Random(seed);
    let root = tempfile::tempdir().expect("a directory");
    let (s3, forms) = (s3(&root).await, root.path().join("forms"));
    std::fs::create_dir(&forms).expect("a directory");
    let database = root.path().join("gateway.db");
    std::fs::write(root.path().join("server.yaml"), config(&s3.endpoint(), &database)).unwrap();
    let mut gateway = start(root.path());
    let (url, received) = watch::channel(Some(gateway.url.clone()));
    let clients: JoinSet<_> = (0..CLIENTS).map(|n| client(n, seed, received.clone())).collect();
    for _ in 0..rounds {
        tokio::time::sleep(Duration::from_millis(random.below(LIFE_MAX_MS))).await;
        drop(gateway);
        gateway = start(root.path());
        let left: Vec<_> = std::fs::read_dir(&forms).unwrap().collect();
        assert!(left.is_empty(), "seed {seed}: temporary files are left: {left:?}");
        url.send_replace(Some(gateway.url.clone()));
    }
    // The last one is killed as well, and its clients give up.
    url.send_replace(None);
    drop(gateway);
    let sent: BTreeMap<_, _> = clients.join_all().await.into_iter().flatten().collect();

    let stored = s3.objects(BUCKET);
    let mut contents = BTreeMap::new();
    for key in stored.keys().filter_map(|key| key.strip_prefix(PREFIX)) {
        let content = s3.object(BUCKET, &format!("{PREFIX}{key}")).await.expect("an object");
        contents.insert(key.to_owned(), (Sha256Digest::of(&content), content.len()));
    }
    for (path, (digest, _)) in &contents {
        let Sent { acknowledged, since } = &sent[path];
        let is_whole = *acknowledged == Some(*digest) || since.contains(digest);
        assert!(is_whole, "seed {seed}: {path} is neither the last upload nor one that was cut");
    }
    let acknowledged = sent.iter().filter(|(_, sent)| sent.acknowledged.is_some());
    for (path, _) in acknowledged {
        assert!(contents.contains_key(path), "seed {seed}: {path} was acknowledged and is gone");
    }
    // Without a rebuild: the catalogue has no file that S3 lacks, and answers are those of S3.
    let known = sqlite_rows(&database, "SELECT path FROM files WHERE client = 'webapp'").await;
    for path in &known {
        assert!(contents.contains_key(path), "seed {seed}: the catalogue has {path}, S3 has not");
    }
    let gateway = start(root.path());
    for (path, (digest, len)) in &contents {
        let get = Client::new().get(format!("{}/exists?path={path}", gateway.url));
        let answer: Value = get.bearer_auth(KEY).send().await.unwrap().json().await.unwrap();
        assert_eq!((&answer["exists"], &answer["size"]), (&true.into(), &(*len).into()), "{path}");
        // A long file that was not announced has its digest in the catalogue only.
        let known = &answer["sha256"];
        assert!(known.is_null() || *known == digest.to_string(), "seed {seed}: {path}: {answer}");
    }
    assert!(gateway.stop().await.success());
    run(root.path(), &["rebuild"]);
    let rows = sqlite_rows(&database, "SELECT path, size FROM files ORDER BY path").await;
    let want: Vec<_> = contents.iter().map(|(path, (_, len))| format!("{path}|{len}")).collect();
    assert_eq!(rows, want, "seed {seed}: the catalogue after a rebuild");
    let abandoned = s3.uploads(BUCKET).len();
    run(root.path(), &["sweep", "--older-than", "0"]);
    assert_eq!(s3.uploads(BUCKET), Vec::<String>::new(), "seed {seed}");
    println!(
        "{rounds} kills: {} files in S3, {} of them not in the catalogue until the rebuild, {abandoned} multipart \
         uploads swept",
        contents.len(),
        contents.len() - known.len()
    );
    s3.stop().await;
}
