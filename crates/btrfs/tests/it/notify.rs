//! `notify.url`: a ping for the end of each run, whose secret never appears in a log.

use std::sync::{Arc, Mutex};

use s3up_testkit::{BtrfsFault, Calls, InjectedFault, StandIn};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::fixture::{Ran, World};

const SECRET: &str = "d5c1a0e8-secret";

/// A server that answers and remembers every request.
struct Watcher {
    url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Watcher {
    async fn answering(status: &'static str) -> Watcher {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/ping/{SECRET}", listener.local_addr().expect("an address"));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let kept = requests.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let request = read(&mut stream).await;
                kept.lock().expect("no panic").push(request);
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.expect("a client that listens");
            }
        });
        Watcher { url, requests }
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.requests.lock().expect("no panic"))
    }
}

/// Reads a whole request.
async fn read(stream: &mut tokio::net::TcpStream) -> String {
    let mut text = String::new();
    let mut piece = [0; 4096];
    loop {
        let count = stream.read(&mut piece).await.expect("a request");
        text.push_str(&String::from_utf8_lossy(&piece[..count]));
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if count == 0 || body.len() >= length.map_or(0, |text| text.parse().expect("a number")) {
            return text;
        }
    }
}

async fn run(world: &World, watcher: &Watcher, arguments: &[&str]) -> Ran {
    let url = format!("notify.url={:?}", watcher.url);
    let ran = world.run(&[arguments, &["--log-level", "debug", "--set", &url]].concat()).await;
    assert!(!ran.stderr.contains(SECRET) && !ran.stdout.contains(SECRET), "{}", ran.stderr);
    ran
}

#[tokio::test(flavor = "multi_thread")]
async fn success_and_failure_are_reported_differently() {
    let Some(mut world) = World::start(&["data"]).await else { return };
    let watcher = Watcher::answering("200 OK").await;
    for _ in ["a full", "nothing due"] {
        let ran = run(&world, &watcher, &["backup"]).await;
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        let requests = watcher.take();
        assert_eq!(requests.len(), 1, "{requests:?}");
        assert!(requests[0].starts_with(&format!("GET /ping/{SECRET} HTTP/1.1")), "{requests:?}");
    }
    let fault = BtrfsFault::FailsAfter { bytes: 50 };
    let stand_in = StandIn::new([InjectedFault { command: "send", call: Calls::Every, fault }]);
    world.path = Some(stand_in.path_var());

    let failed = run(&world, &watcher, &["backup", "--full"]).await;

    assert_eq!(failed.code, Some(1), "{}", failed.stderr);
    let told = watcher.take();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with(&format!("POST /ping/{SECRET}/fail HTTP/1.1")), "{told:?}");
    assert!(told[0].contains(StandIn::ERROR_MESSAGE), "{told:?}");
    let refused = run(&world, &watcher, &["backup", "--set", "s3.bucket=no-such-bucket"]).await;
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert!(watcher.take()[0].contains("no such bucket"));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_backups_are_reported() {
    let Some(world) = World::start(&["data"]).await else { return };
    let watcher = Watcher::answering("200 OK").await;
    for arguments in [vec!["plan"], vec!["backup", "--dry-run"], vec!["backup", "--no-s3"]] {
        assert_eq!(run(&world, &watcher, &arguments).await.code, Some(0));
    }
    let held = world.s3.faults().hold(1);
    let mut first = world.command(&["backup", "--once"]).spawn().unwrap();
    held.reached().await;
    assert_eq!(run(&world, &watcher, &["backup", "--once"]).await.code, Some(75));
    first.kill().await.unwrap();

    assert_eq!(watcher.take(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_notification_is_a_warning() {
    let Some(world) = World::start(&["data"]).await else { return };
    let mut unreachable = Watcher::answering("200 OK").await;
    unreachable.url = format!("http://127.0.0.1:1/{SECRET}");
    for watcher in [Watcher::answering("404 Not Found").await, unreachable] {
        let ran = run(&world, &watcher, &["backup"]).await;
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert!(ran.stderr.contains("event=notify_failed host=127.0.0.1"), "{}", ran.stderr);
    }
}
