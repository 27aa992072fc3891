//! S3 in trouble: slow, busy, away, or with wrong answers. Clients are refused at once where it is known,
//! S3 gets no storm of requests, the gateway recovers by itself, and nothing is left half-written.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::{RequestBuilder, Response, StatusCode};
use s3up_core::Code;
use s3up_devstore::{DevStore, Fault, Op, Options};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::concurrency::open_body;
use crate::fixture::{BUCKET, KEY, MIB, World, config, noise, problem, stored};
use crate::running::Running;

/// Longest time until a request is refused while S3 is known to be away.
const REFUSED_WITHIN: Duration = Duration::from_secs(2);
/// Longest time until a server that never answers is known to be away. Each call waits 60 s.
const SILENT_FOR: Duration = Duration::from_secs(120);
/// Time for which the connections to an S3 server that is away are counted.
const COUNTED_FOR: Duration = Duration::from_secs(6);
/// The gateway asks each 2 s. Each call may take two connections.
const CONNECTIONS_MAX: u64 = 8;

/// A gateway as a process, and an S3 server that can stop and start again.
struct Outage {
    root: TempDir,
    s3: Option<DevStore>,
    address: SocketAddr,
    gateway: Running,
}

/// The answer at the address of an S3 server that is away.
#[derive(Clone, Copy, Debug)]
enum Away {
    /// Each connection is closed at once.
    Closing,
    /// Connections are accepted and never answered.
    Silent,
}

/// The server at the address of S3 while it is away. It counts connections.
struct InPlaceOfS3 {
    connections: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl InPlaceOfS3 {
    async fn start(address: SocketAddr, away: Away) -> InPlaceOfS3 {
        let listener = TcpListener::bind(address).await.expect("the address of S3");
        let connections = Arc::new(AtomicU64::new(0));
        let count = connections.clone();
        let task = tokio::spawn(async move {
            let mut open = Vec::new();
            while let Ok((socket, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                if matches!(away, Away::Silent) {
                    open.push(socket);
                }
            }
        });
        InPlaceOfS3 { connections, task }
    }

    fn count(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    async fn end(self) {
        self.task.abort();
        self.task.await.expect_err("it was aborted");
    }
}

impl Outage {
    async fn new() -> Outage {
        let root = tempfile::tempdir().expect("a directory");
        let s3 = crate::process::s3(&root).await;
        let address = s3.endpoint().strip_prefix("http://").expect("an http URL").parse();
        let file: PathBuf = root.path().join("server.yaml");
        let text = config(&s3.endpoint(), &root.path().join("gateway.db"));
        std::fs::write(&file, text).expect("a file");
        let gateway = Running::start(&file, &[]);
        Outage { root, s3: Some(s3), address: address.expect("an address"), gateway }
    }

    fn s3(&self) -> &DevStore {
        self.s3.as_ref().expect("an S3 server that is there")
    }

    async fn s3_goes(&mut self) {
        self.s3.take().expect("an S3 server that is there").stop().await;
    }

    async fn s3_comes_back(&mut self) {
        let options = Options::new(self.root.path().join("s3"));
        let options = Options { listen: self.address, ..options };
        self.s3 = Some(DevStore::start(options).await.expect("an S3 server"));
    }

    fn put(&self, path: &str) -> RequestBuilder {
        let http = reqwest::Client::new();
        http.put(format!("{}/files/{path}", self.gateway.url)).bearer_auth(KEY)
    }

    /// Returns a request of each call that needs S3.
    fn requests(&self) -> Vec<RequestBuilder> {
        let (http, url) = (reqwest::Client::new(), &self.gateway.url);
        let digest = s3up_core::Sha256Digest::of(b"x");
        let (hex, digest) = (digest.to_string(), digest.to_repr_digest());
        let form = reqwest::multipart::Form::new().text("path", "b");
        let file = reqwest::multipart::Part::bytes(b"x".to_vec());
        let requests = [
            http.put(format!("{url}/files/b")).body("x"),
            http.patch(format!("{url}/files/a")).header("repr-digest", digest),
            http.post(format!("{url}/upload")).multipart(form.part("file", file)),
            http.get(format!("{url}/exists?path=a")),
            http.post(format!("{url}/exists"))
                .body(format!(r#"{{"files":[{{"path":"a","size":1,"sha256":"{hex}"}}]}}"#))
                .header("content-type", "application/json"),
            http.post(format!("{url}/proof"))
                .body(r#"{"paths":["a"]}"#)
                .header("content-type", "application/json"),
            http.get(format!("{url}/download?path=a")),
            http.get(format!("{url}/list")),
            http.get(format!("{url}/versions?path=a")),
            http.get(format!("{url}/versions?prefix=")),
        ];
        requests.map(|request| request.bearer_auth(KEY)).into()
    }

    /// Asks for all calls at once, each of which is refused in time.
    async fn all_are_refused_at_once(&self) {
        let answers = self.requests().into_iter().map(|request| async move {
            let answer = request.timeout(REFUSED_WITHIN).send().await;
            assert_away(answer.expect("an answer within the time")).await;
        });
        futures::future::join_all(answers).await;
    }

    /// Sends requests until S3 is known to be away.
    async fn until_away(&self) {
        let requests = (0..3).map(|n| self.put(&format!("lost-{n}")).body("x").send());
        for answer in futures::future::join_all(requests).await {
            assert_away(answer.expect("a response")).await;
        }
        let gateway = &self.gateway;
        let line = tokio::task::block_in_place(|| gateway.logged("s3_away", 1));
        assert!(line.contains("level=error"), "{line}");
    }
}

async fn assert_away(answer: Response) {
    assert!(answer.headers().contains_key("retry-after"), "{answer:?}");
    let problem = problem(answer).await;
    assert_eq!((problem.code, problem.status), (Code::StoreUnavailable, 503), "{problem:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_s3_is_away_requests_are_refused_at_once_and_s3_is_asked_seldom() {
    let mut outage = Outage::new().await;
    stored(outage.put("a").body("x")).await;
    // An upload whose first part is in S3 when it goes away.
    let (open, body) = open_body(noise(9 * MIB));
    let before = outage.s3().faults().calls(Op::UploadPart);
    let running = tokio::spawn(outage.put("running").body(body).send());
    outage.s3().faults().called(Op::UploadPart, before + 1).await;
    outage.s3_goes().await;
    let in_place = InPlaceOfS3::start(outage.address, Away::Closing).await;

    drop(open);
    assert_away(running.await.unwrap().unwrap()).await;
    outage.until_away().await;

    let before = in_place.count();
    let asking = async {
        loop {
            outage.all_are_refused_at_once().await;
        }
    };
    tokio::time::timeout(COUNTED_FOR, asking).await.expect_err("it asks without an end");
    let count = in_place.count() - before;
    assert!(count <= CONNECTIONS_MAX, "{count} connections in {COUNTED_FOR:?}");
    let health = reqwest::get(format!("{}/health", outage.gateway.url)).await.unwrap();
    assert_eq!(health.status(), StatusCode::OK);
    assert_eq!(outage.gateway.ready().await.0, 503);

    in_place.end().await;
    outage.s3_comes_back().await;
    let gateway = &outage.gateway;
    tokio::task::block_in_place(|| gateway.logged("s3_back", 1));
    stored(outage.put("after").body("x")).await;
    // The part of the upload that failed is removed.
    tokio::task::block_in_place(|| gateway.logged("uploads_aborted", 1));
    assert_eq!(outage.s3().uploads(BUCKET), Vec::<String>::new());
    let mut files: Vec<_> = outage.s3().objects(BUCKET).into_keys().collect();
    files.retain(|key| !key.ends_with(".s3up-probe"));
    assert_eq!(files, ["sites/webapp/a", "sites/webapp/after"]);
    assert!(outage.gateway.stop().await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_s3_server_that_never_answers_is_noticed_and_refused_at_once() {
    let mut outage = Outage::new().await;
    stored(outage.put("a").body("x")).await;
    outage.s3_goes().await;
    let in_place = InPlaceOfS3::start(outage.address, Away::Silent).await;
    let waiting: Vec<_> =
        (0..3).map(|n| tokio::spawn(outage.put(&format!("lost-{n}")).body("x").send())).collect();
    let gateway = &outage.gateway;
    tokio::task::block_in_place(|| gateway.logged_within(SILENT_FOR, "s3_away", 1));

    outage.all_are_refused_at_once().await;

    in_place.end().await;
    outage.s3_comes_back().await;
    let gateway = &outage.gateway;
    tokio::task::block_in_place(|| gateway.logged("s3_back", 1));
    stored(outage.put("after").body("x")).await;
    for put in waiting {
        put.abort();
    }
    assert!(outage.gateway.stop().await.success());
}

/// Each call of an upload of two parts meets each fault once.
#[tokio::test]
async fn an_upload_survives_each_fault_of_s3_once_or_leaves_nothing() {
    let faults = [
        Fault::InternalError,
        Fault::SlowDown { retry_after_seconds: Some(1) },
        Fault::LoseAnswer,
        Fault::LateInternalError,
        Fault::CutUpload { after_bytes: 100 },
        Fault::AccessDenied,
    ];
    let ops =
        [Op::CreateMultipartUpload, Op::UploadPart, Op::ListParts, Op::CompleteMultipartUpload];
    let body = noise(9 * MIB);
    for fault in faults {
        let world = World::start().await;
        let mut files = Vec::new();
        for op in ops {
            let cuts_a_body = matches!(fault, Fault::CutUpload { .. });
            if cuts_a_body && op != Op::UploadPart {
                continue;
            }
            world.s3.faults().inject(op, 1, fault.clone());
            let path = format!("{op:?}");
            let answer = world.put(&path, body.clone()).send().await.expect("a response");
            match answer.status() {
                StatusCode::OK => files.push((format!("webapp/{path}"), op)),
                status => {
                    assert_eq!(fault, Fault::AccessDenied, "{op:?}: {status}");
                    assert_eq!(problem(answer).await.code, Code::StoreRefused, "{op:?}");
                }
            }
        }
        assert_eq!(files.is_empty(), fault == Fault::AccessDenied, "{fault:?}: {files:?}");
        for (file, _) in &files {
            assert!(world.content(file).await.as_deref() == Some(&body[..]), "{fault:?}: {file}");
        }
        let files: Vec<_> = files.iter().map(|(file, _)| file.as_str()).collect();
        world.stop_and_expect_files(&files).await;
    }
}

/// While the answers of S3 are late, the clients wait, and all of their files are stored.
#[tokio::test]
async fn a_slow_s3_slows_uploads_down_and_loses_none() {
    let world = World::start().await;
    world.s3.faults().set_latency(Duration::from_millis(700));
    let uploads = (0..20).map(|n| stored(world.put(&format!("f{n}"), n.to_string())));

    futures::future::join_all(uploads).await;

    world.s3.faults().set_latency(Duration::ZERO);
    for n in 0..20 {
        assert_eq!(world.download(&format!("f{n}")).await, n.to_string().as_bytes());
    }
    world.stop().await;
}
