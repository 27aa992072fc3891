//! Two gateways with one PostgreSQL database and one bucket, behind HAProxy.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Child;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::StatusCode;
use s3up_devstore::DevStore;
use s3up_testkit::{Postgres, postgres_or_skip};
use tempfile::TempDir;

use crate::fixture::{BUCKET, KEY, config, noise};
use crate::process::{s3, spawn};
use crate::proxy::Proxy;

/// Files of the load, each by one of the [`SENDERS`].
const FILES: usize = 400;
const SENDERS: usize = 8;
/// One gateway is killed when this many files were acknowledged.
const KILL_AFTER: usize = 100;
/// A file is sent again at most this often, as an agent does until a gateway answers.
const TRIES: usize = 200;
/// Pause between two tries: HAProxy needs some seconds to notice that a gateway is gone.
const PAUSE: Duration = Duration::from_millis(100);

/// A gateway as a process of its own, killed when it is dropped.
struct Running {
    child: Child,
    url: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

struct Pair {
    // Dropped in this order: first what uses the others.
    gateways: Vec<Running>,
    postgres: Postgres,
    s3: DevStore,
    _root: TempDir,
}

impl Pair {
    async fn start_or_skip() -> Option<Pair> {
        let postgres = postgres_or_skip()?;
        let root = tempfile::tempdir().expect("a temporary directory");
        let s3 = s3(&root).await;
        let gateways = [0, 1].map(|n| {
            let file = root.path().join(format!("server-{n}.yaml"));
            let text = config(&s3.endpoint(), &PathBuf::from("/unused"));
            let database = format!("database: {{ url: {:?} }}", postgres.url());
            let lines = text.lines().map(|line| match line.starts_with("database:") {
                true => database.clone(),
                false => line.to_owned(),
            });
            std::fs::write(&file, lines.collect::<Vec<_>>().join("\n")).expect("a written file");
            let (mut child, log, url) = spawn(&file);
            // The log is read to its end, so that the gateway never waits for its reader.
            let mut log = log;
            std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
            let mut output = child.stdout.take().expect("its output");
            std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
            Running { child, url }
        });
        Some(Pair { gateways: gateways.into(), postgres, s3, _root: root })
    }

    fn proxy_or_skip(&self) -> Option<Proxy> {
        Proxy::start_or_skip("haproxy", &[&self.gateways[0].url, &self.gateways[1].url])
    }
}

fn content(n: usize) -> Vec<u8> {
    let mut bytes = noise(20_000 + 37 * n);
    bytes.extend_from_slice(n.to_string().as_bytes());
    bytes
}

/// Sends a file until a gateway acknowledges it.
async fn send(http: &reqwest::Client, url: &str, path: &str, body: Vec<u8>) {
    for _ in 0..TRIES {
        let put = http.put(format!("{url}/files/{path}")).bearer_auth(KEY).body(body.clone());
        match put.send().await {
            Ok(response) if response.status() == StatusCode::OK => {
                // Acknowledged is what arrives whole.
                if response.bytes().await.is_ok_and(|body| !body.is_empty()) {
                    return;
                }
            }
            Ok(response) => {
                let status = response.status().as_u16();
                assert!(status >= 500 || status == 409, "{path}: {status}");
            }
            Err(_) => {}
        }
        tokio::time::sleep(PAUSE).await;
    }
    panic!("{path}: not acknowledged");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_is_killed_under_load_loses_nothing_that_was_acknowledged() {
    let Some(mut pair) = Pair::start_or_skip().await else { return };
    let Some(proxy) = pair.proxy_or_skip() else { return };
    let (url, acknowledged) = (proxy.url(), Arc::new(Mutex::new(BTreeMap::new())));
    let next = Arc::new(AtomicUsize::new(0));
    let senders: Vec<_> = (0..SENDERS)
        .map(|_| {
            let (http, url) = (proxy.client(), url.clone());
            let (acknowledged, next) = (acknowledged.clone(), next.clone());
            tokio::spawn(async move {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= FILES {
                        return;
                    }
                    let path = format!("f{n:04}");
                    send(&http, &url, &path, content(n)).await;
                    acknowledged.lock().expect("no panic").insert(path, n);
                }
            })
        })
        .collect();

    while acknowledged.lock().expect("no panic").len() < KILL_AFTER {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(pair.gateways.remove(0));
    for sender in senders {
        sender.await.expect("no panic");
    }

    let acknowledged = acknowledged.lock().expect("no panic").clone();
    assert_eq!(acknowledged.len(), FILES);
    for (path, n) in acknowledged {
        let stored = pair.s3.object(BUCKET, &format!("sites/webapp/{path}")).await;
        assert!(stored == Some(content(n)), "{path} was acknowledged and is not stored");
    }
    drop(proxy);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_upload_of_a_path_wins_across_two_gateways() {
    let Some(pair) = Pair::start_or_skip().await else { return };
    let http = reqwest::Client::new();
    for n in 0..20 {
        let url = &pair.gateways[n % 2].url;
        send(&http, url, "a", content(n)).await;
        let stored = pair.s3.object(BUCKET, "sites/webapp/a").await;
        assert!(stored == Some(content(n)), "version {n}");
    }
    // The other gateway tells it, and so does the catalogue once it is written.
    let newest = s3up_core::Sha256Digest::of(&content(19)).to_string();
    for Running { url, .. } in &pair.gateways {
        let get = http.get(format!("{url}/exists?path=a")).bearer_auth(KEY);
        let text = get.send().await.expect("a response").text().await.expect("a body");
        assert!(text.contains(&newest), "{text}");
    }
    let select = "SELECT sha256 FROM files WHERE client = 'webapp' AND path = 'a'";
    let is_written =
        s3up_testkit::wait_until(Duration::from_secs(20), || pair.postgres.query(select) == newest);
    assert!(is_written, "expected {newest}, found {}", pair.postgres.query(select));
}
