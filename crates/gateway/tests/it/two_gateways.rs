//! Two gateways on one PostgreSQL database and one bucket, behind HAProxy with the settings of
//! `packaging/proxies`.

use std::time::Duration;

use futures::{StreamExt, stream};
use reqwest::{Client, RequestBuilder, StatusCode};
use s3up_core::wire::{REPR_DIGEST_HEADER, UploadResponse};
use s3up_core::{Code, Key, Sha256Digest};
use s3up_devstore::{DevStore, Op};
use s3up_store::{Overwrite, PutDocument, Store};
use s3up_testkit::{Postgres, postgres_or_skip};
use tempfile::TempDir;

use crate::concurrency::open_body;
use crate::fixture::{BUCKET, KEY, MIB, config, noise, problem, with_database};
use crate::process::{program, s3};
use crate::proxy::Proxy;
use crate::running::Running;

/// Longest time of a request, and of a wait for something that must happen.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// Pause before a request that failed is repeated, as an agent makes it, only shorter.
const RETRY_DELAY: Duration = Duration::from_millis(50);

const ADMIN_KEY: &str = "s3up_admin_0123456789012345678901234567890123";

struct Site {
    root: TempDir,
    s3: DevStore,
    postgres: Postgres,
    gateways: [Running; 2],
    proxy: Proxy,
    http: Client,
}

impl Site {
    /// Starts everything. `None`: PostgreSQL or HAProxy is not installed here.
    async fn start_or_skip() -> Option<Site> {
        let postgres = postgres_or_skip()?;
        let root = tempfile::tempdir().expect("a directory");
        let s3 = s3(&root).await;
        let text = config(&s3.endpoint(), &root.path().join("unused.db"));
        let text = with_database(&text, &format!("url: \"{}\"", postgres.url()));
        let text = text.replace("max_file_size_mb: 40", "quota_gb: 1");
        let text = format!("{text}\nadmin_keys: [{ADMIN_KEY}]\n");
        let file = root.path().join("server.yaml");
        std::fs::write(&file, text).expect("a file");
        let gateways = [Running::start(&file, &[]), Running::start(&file, &[])];
        let urls = [gateways[0].url.as_str(), gateways[1].url.as_str()];
        let proxy = Proxy::start_or_skip("haproxy", &urls)?;
        let http = proxy.client();
        Some(Site { root, s3, postgres, gateways, proxy, http })
    }

    fn put(&self, path: &str, body: impl Into<reqwest::Body>) -> RequestBuilder {
        let put = self.http.put(format!("{}/files/{path}", self.proxy.url()));
        put.bearer_auth(KEY).body(body).timeout(WAIT_MAX)
    }

    async fn stored(&self, request: RequestBuilder) -> UploadResponse {
        let response = self.in_time("an upload", request.send()).await;
        let response = response.unwrap_or_else(|err| panic!("{err}: {}", self.proxy.log()));
        let (status, text) = (response.status(), response.text().await.expect("a body"));
        assert_eq!(status, StatusCode::OK, "{text}: {}", self.proxy.log());
        serde_json::from_str(&text).expect("JSON")
    }

    async fn in_time<T>(&self, what: &str, work: impl Future<Output = T>) -> T {
        let done = tokio::time::timeout(WAIT_MAX, work).await;
        done.unwrap_or_else(|_| panic!("{what} takes too long: {}", self.proxy.log()))
    }

    async fn content(&self, path: &str) -> Vec<u8> {
        self.s3.object(BUCKET, &format!("sites/webapp/{path}")).await.expect("a stored file")
    }

    /// Asks one gateway, past the proxy, to change the mode of a file with this content.
    fn patch(&self, path: &str, content: &[u8]) -> RequestBuilder {
        let patch = self.http.patch(format!("{}/files/{path}", self.gateways[0].url));
        let digest = Sha256Digest::of(content).to_repr_digest();
        let patch = patch.bearer_auth(KEY).header(REPR_DIGEST_HEADER, digest);
        patch.header("X-Mode", "0600").timeout(WAIT_MAX)
    }

    /// Stores a file past the gateways.
    async fn s3_put(&self, path: &str, content: &[u8]) {
        let file = self.root.path().join("server.yaml");
        let text = std::fs::read_to_string(&file).expect("a configuration");
        let config = s3up_server::Config::parse(&file, &text, &|_| None).expect("a configuration");
        let store = Store::connect(config.store).await.expect("a connection");
        let document = PutDocument {
            key: Key::parse(&format!("sites/webapp/{path}")).expect("a key"),
            content_type: "text/plain",
            metadata: [("sha256".to_owned(), Sha256Digest::of(content).to_string())].into(),
            storage_class: None,
            overwrite: Overwrite::Allowed,
            retry_for: WAIT_MAX,
        };
        store.write(document, content).await.expect("a stored object");
    }

    async fn until(&self, what: &str, query: &str, want: &str) {
        let found = async {
            while self.postgres.query(query) != want {
                tokio::time::sleep(RETRY_DELAY).await;
            }
        };
        self.in_time(what, found).await;
    }

    /// Stops both gateways, so that all records are written.
    async fn stop_gateways(gateways: [Running; 2]) {
        for gateway in gateways {
            assert!(gateway.stop().await.success());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_one_gateway_freezes_is_frozen_at_the_other() {
    let Some(site) = Site::start_or_skip().await else { return };
    let put = |n: usize| {
        let put = site.http.put(format!("{}/files/a", site.gateways[n].url)).bearer_auth(KEY);
        put.body("x").timeout(WAIT_MAX).send()
    };
    let order = |n: usize, call: &str| {
        let url = format!("{}/clients/webapp/{call}", site.gateways[n].url);
        site.http.post(url).bearer_auth(ADMIN_KEY).timeout(WAIT_MAX).send()
    };
    for (call, by, want) in
        [("freeze", 0, StatusCode::SERVICE_UNAVAILABLE), ("release", 1, StatusCode::OK)]
    {
        assert_eq!(order(by, call).await.expect("a response").status(), StatusCode::OK);
        assert_eq!(put(by).await.expect("a response").status(), want, "at once");
        let noticed = async {
            while put(1 - by).await.expect("a response").status() != want {
                tokio::time::sleep(RETRY_DELAY).await;
            }
        };
        site.in_time("the other gateway", noticed).await;
    }
    Site::stop_gateways(site.gateways).await;
    site.s3.stop().await;
}

/// HAProxy gives a request to the gateway with the fewest ones, so the two uploads are at two gateways.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_upload_of_a_path_wins_across_two_gateways() {
    let Some(site) = Site::start_or_skip().await else { return };
    for newer in [noise(5), noise(10 * MIB)] {
        let parts = site.s3.faults().calls(Op::UploadPart);
        let (open, body) = open_body(noise(9 * MIB));
        let older = tokio::spawn(site.put("a", body).send());
        site.in_time("a part", site.s3.faults().called(Op::UploadPart, parts + 1)).await;

        site.stored(site.put("a", newer.clone())).await;
        drop(open);
        let older = site.in_time("the older upload", older).await.expect("no panic");

        let older = problem(older.expect("a response")).await;
        assert_eq!(older.code, Code::Superseded, "{older:?}");
        assert!(site.content("a").await == newer, "the older upload replaced the newer one");
    }
    let count = |gateway: &Running, event: &str| {
        gateway.log().iter().filter(|line| line.contains(event)).count()
    };
    let each = site
        .gateways
        .each_ref()
        .map(|gateway| count(gateway, "event=upload_done ") + count(gateway, "code=superseded "));
    assert_eq!(each.iter().sum::<usize>(), 4);
    assert!(each.iter().all(|uploads| *uploads > 0), "one gateway had all of them: {each:?}");

    // Each begins at another moment, and the last of them ends at another one.
    for round in 0..5 {
        let puts = (1..=8).map(|n| site.put("b", noise(round * 100 + n)).send());
        let answers = site.in_time("a round", futures::future::join_all(puts)).await;
        let statuses: Vec<_> =
            answers.into_iter().map(|it| it.expect("a response").status().as_u16()).collect();
        assert!(statuses.contains(&200), "{statuses:?}");
        assert!(statuses.iter().all(|status| [200, 409].contains(status)), "{statuses:?}");
    }
    let sizes = [site.content("a").await.len(), site.content("b").await.len()];
    let Site { s3, postgres, gateways, .. } = site;
    Site::stop_gateways(gateways).await;
    let rows = postgres.query("SELECT size FROM files ORDER BY path");
    assert_eq!(rows, format!("{}\n{}", sizes[0], sizes[1]), "the catalogue has another version");
    let total = postgres.query("SELECT files, bytes FROM totals");
    assert_eq!(total, format!("2|{}", sizes[0] + sizes[1]));
    assert_eq!(postgres.query("SELECT count(*) FROM turns"), "0");
    assert_eq!(s3.uploads(BUCKET), Vec::<String>::new());
    s3.stop().await;
}

const TURNS: &str = "SELECT count(*) FROM turns";

/// The upload of a third gateway holds the path, and becomes visible while the change waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metadata_is_never_put_on_content_of_another_gateway() {
    let Some(site) = Site::start_or_skip().await else { return };
    site.stored(site.put("a", "older")).await;
    site.until("the end of the upload", TURNS, "0").await;
    site.postgres.query(
        "INSERT INTO turns (client, path, newest, begun_at, holder, held_until) \
         VALUES ('webapp', 'a', 1, 9000000000000, 1, 9000000000000)",
    );
    let change = tokio::spawn(site.patch("a", b"older").send());
    site.until("the turn of the change", "SELECT newest <> 1 FROM turns", "t").await;
    site.s3_put("a", b"newer").await;
    site.postgres.query("UPDATE turns SET held_until = 0");

    let refused = site.in_time("the change", change).await.expect("no panic");

    let refused = problem(refused.expect("a response")).await;
    assert_eq!(refused.code, Code::DigestMismatch, "{refused:?}");
    assert_eq!(site.s3.faults().calls(Op::CopyObject), 0);
    assert_eq!(site.content("a").await, b"newer");
    site.until("the end of the change", TURNS, "0").await;
    let Site { s3, gateways, .. } = site;
    Site::stop_gateways(gateways).await;
    s3.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_ends_with_its_request_and_the_loss_of_one_is_logged() {
    let Some(site) = Site::start_or_skip().await else { return };
    site.stored(site.put("a", "content")).await;
    let wrong = Sha256Digest::of(b"other").to_repr_digest();
    for (request, status) in [
        (site.patch("a", b"content"), 200),
        (site.patch("a", b"content"), 200),
        (site.patch("a", b"other"), 422),
        (site.patch("none", b"content"), 404),
        (site.put("b", "content").header(REPR_DIGEST_HEADER, wrong), 422),
    ] {
        let answer = site.in_time("a request", request.send()).await.expect("a response");
        assert_eq!(answer.status().as_u16(), status);
    }
    let parts = site.s3.faults().calls(Op::UploadPart);
    let (open, body) = open_body(noise(9 * MIB));
    let broken = tokio::spawn(site.put("c", body).send());
    site.in_time("a part", site.s3.faults().called(Op::UploadPart, parts + 1)).await;
    assert_eq!(site.postgres.query("SELECT path FROM turns WHERE path = 'c'"), "c");
    broken.abort();
    drop(open);
    site.until("the end of all turns", TURNS, "0").await;

    let held = site.s3.faults().hold_op(Op::PutObject, 1);
    let slow = tokio::spawn(site.put("d", "slow").send());
    site.in_time("the upload", held.reached()).await;
    site.postgres.query("UPDATE turns SET holder = 1");
    let lost = async {
        let is_logged = |gateway: &Running| {
            let log = gateway.log();
            log.iter().any(|line| line.contains("event=turn_lost client=webapp path=d"))
        };
        while !site.gateways.iter().any(is_logged) {
            tokio::time::sleep(RETRY_DELAY).await;
        }
    };
    site.in_time("the loss", lost).await;
    held.release();
    let slow = site.in_time("the upload", slow).await.expect("no panic").expect("a response");
    assert_eq!(slow.status(), StatusCode::OK);
    let Site { s3, gateways, .. } = site;
    Site::stop_gateways(gateways).await;
    s3.stop().await;
}

/// Each gateway counts at once what it stores, and within seconds what the other one has stored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quota_holds_across_two_gateways() {
    const IN_FLIGHT: usize = 8;
    let Some(site) = Site::start_or_skip().await else { return };
    let left = 8 * MIB;
    site.stored(site.put("first", "x")).await;
    let quota = 1 << 30;
    let full = format!("UPDATE totals SET bytes = {}", quota - left);
    let recorded = async {
        while site.postgres.query("SELECT count(*) FROM totals") != "1" {
            tokio::time::sleep(RETRY_DELAY).await;
        }
    };
    site.in_time("the first record", recorded).await;
    site.postgres.query(&full);
    // Until both have read the new total.
    let verdict = async || {
        let file = serde_json::json!({"path": "c", "size": left + 1, "sha256": "0".repeat(64)});
        let body = serde_json::json!({"files": [file]}).to_string();
        let mut verdicts = Vec::new();
        for gateway in &site.gateways {
            let query = Client::new().post(format!("{}/exists", gateway.url)).bearer_auth(KEY);
            let answer = query.body(body.clone()).send().await.expect("a response");
            let answer: serde_json::Value = answer.json().await.expect("JSON");
            verdicts.push(answer["files"][0]["verdict"] == "quota");
        }
        verdicts.into_iter().all(|is_over| is_over)
    };
    let known = async {
        while !verdict().await {
            tokio::time::sleep(RETRY_DELAY).await;
        }
    };
    site.in_time("the new total", known).await;

    let puts = (0..40).map(|n| site.put(&format!("f{n}"), noise(MIB)).send());
    let statuses = stream::iter(puts)
        .buffer_unordered(IN_FLIGHT)
        .map(|answer| answer.expect("a response").status().as_u16());
    let statuses: Vec<_> = site.in_time("all uploads", statuses.collect()).await;

    let stored = statuses.iter().filter(|status| **status == 200).count();
    assert!(statuses.iter().all(|status| [200, 507].contains(status)), "{statuses:?}");
    assert!((8..40).contains(&stored), "{stored} of 8 MiB that were left: {statuses:?}");
    let Site { s3, postgres, gateways, .. } = site;
    Site::stop_gateways(gateways).await;
    let total = postgres.query("SELECT bytes FROM totals").parse::<usize>().expect("a number");
    assert_eq!(total, quota - left + stored * MIB, "everything is counted once");
    // Each gateway misses at most what the other one stores until it reads the total again.
    assert!(total <= quota + left, "{total} of {quota}");
    s3.stop().await;
}

/// A rebuild finds the files that the killed gateway had not recorded.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_one_of_two_gateways_is_killed() {
    const SENDERS: usize = 6;
    const FILES: usize = 20;
    let Some(site) = Site::start_or_skip().await else { return };
    let [one, other] = site.gateways;
    let put = {
        let (http, url) = (site.http.clone(), site.proxy.url());
        move |path: &str, body: Vec<u8>| {
            let put = http.put(format!("{url}/files/{path}")).bearer_auth(KEY).body(body);
            put.timeout(WAIT_MAX)
        }
    };
    let files =
        |sender: usize| (0..FILES).map(move |n| (format!("{sender}/{n}"), sender * 1000 + n));
    let senders = (0..SENDERS).map(|sender| {
        let put = put.clone();
        tokio::spawn(async move {
            let mut repeated = 0;
            for (path, size) in files(sender) {
                // One of them is long, so that the kill hits uploads of several parts, too.
                let size = if size % 10 == 0 { 9 * MIB + size } else { size };
                loop {
                    let answer = put(&path, noise(size)).send().await;
                    if answer.is_ok_and(|answer| answer.status() == StatusCode::OK) {
                        break;
                    }
                    repeated += 1;
                    tokio::time::sleep(RETRY_DELAY).await;
                }
            }
            repeated
        })
    });
    let senders: Vec<_> = senders.collect();
    // In the middle of it.
    let begun = site.s3.faults().called(Op::PutObject, (SENDERS * FILES / 4) as u64);
    let begun = tokio::time::timeout(WAIT_MAX, begun).await;
    assert!(begun.is_ok(), "too few uploads: {}", site.proxy.log());
    one.signal("KILL");

    let done = tokio::time::timeout(WAIT_MAX, futures::future::join_all(senders)).await;

    let done = done.unwrap_or_else(|_| panic!("uploads take too long: {}", site.proxy.log()));
    let repeated: usize = done.into_iter().map(|repeated| repeated.expect("no panic")).sum();
    for (path, size) in (0..SENDERS).flat_map(files) {
        let size = if size % 10 == 0 { 9 * MIB + size } else { size };
        let found = site.s3.object(BUCKET, &format!("sites/webapp/{path}")).await;
        assert!(found.is_some_and(|found| found == noise(size)), "{path} ({repeated} repeated)");
    }
    assert!(other.stop().await.success());
    drop(one);
    let mut rebuild = program();
    rebuild.arg("--config").arg(site.root.path().join("server.yaml"));
    rebuild.args(["rebuild", "--client", "webapp"]);
    let rebuilt = tokio::task::spawn_blocking(move || rebuild.output()).await.unwrap().unwrap();
    assert!(rebuilt.status.success(), "{rebuilt:?}");
    let objects = site.s3.objects(BUCKET);
    let sizes = objects.iter().filter(|(key, _)| key.starts_with("sites/webapp/"));
    let bytes: u64 = sizes.map(|(_, size)| *size).sum();
    let total = site.postgres.query("SELECT files, bytes FROM totals WHERE client = 'webapp'");
    assert_eq!(total, format!("{}|{bytes}", SENDERS * FILES));
    site.s3.stop().await;
}
