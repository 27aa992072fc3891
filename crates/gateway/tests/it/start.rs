//! The start of the gateway: while S3 is away, under a service manager, with few open files.

use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Duration;

use s3up_core::Code;
use s3up_core::wire::Part;
use s3up_devstore::{DevStore, Options, Versioning};

use crate::fixture::{BUCKET, KEY, OTHER_KEY, config, problem};
use crate::running::Running;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_s3_it_starts_waits_and_refuses_uploads_until_s3_answers() {
    let root = tempfile::tempdir().unwrap();
    let listen = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let file = root.path().join("server.yaml");
    let text = config(&format!("http://{listen}"), &root.path().join("gateway.db"));
    std::fs::write(&file, text).unwrap();

    let gateway = Running::start(&file, &[]);

    let line = gateway.logged("s3_not_reached", 1);
    assert!(line.contains("level=warn"), "{line}");
    let (status, ready) = gateway.ready().await;
    assert_eq!((status, ready.ready, ready.s3), (503, false, Part::Failing));
    let put = |key| {
        let put = reqwest::Client::new().put(format!("{}/files/a.jpg", gateway.url));
        put.bearer_auth(key).body("x").send()
    };
    let response = put(KEY).await.unwrap();
    assert!(response.headers().contains_key("retry-after"));
    assert_eq!(problem(response).await.code, Code::StoreUnavailable);
    let options = Options { listen, ..Options::new(root.path().join("s3")) };
    let s3 = DevStore::start(options).await.unwrap();
    // S3 answers, but the bucket does not exist yet.
    let line = gateway.logged("s3_not_reached", 2);
    assert!(line.contains("level=error") && line.contains("no such bucket"), "{line}");
    s3.create_bucket(BUCKET, Versioning::Enabled).await.unwrap();
    gateway.logged("s3_reached", 1);
    assert_eq!(put(KEY).await.unwrap().status().as_u16(), 200);
    assert_eq!(put(OTHER_KEY).await.unwrap().status().as_u16(), 200);
    let (status, ready) = gateway.ready().await;
    assert_eq!((status, ready.s3), (200, Part::Ok));
    assert!(gateway.stop().await.success());
    s3.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_dns_it_starts_and_stops() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("server.yaml");
    let text = config("http://s3.example.invalid:9000", &root.path().join("gateway.db"));
    std::fs::write(&file, text).unwrap();

    let gateway = Running::start(&file, &[]);

    gateway.logged("s3_not_reached", 1);
    assert_eq!(gateway.ready().await.0, 503);
    assert!(gateway.stop().await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_manager_is_told_of_start_reload_and_stop() {
    let root = tempfile::tempdir().unwrap();
    let s3 = DevStore::start(Options::new(root.path().join("s3"))).await.unwrap();
    s3.create_bucket(BUCKET, Versioning::Enabled).await.unwrap();
    let file = root.path().join("server.yaml");
    let text = config(&s3.endpoint(), &root.path().join("gateway.db"));
    std::fs::write(&file, &text).unwrap();
    let socket = root.path().join("notify");
    let manager = UnixDatagram::bind(&socket).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let told = || {
        let mut message = [0; 4096];
        loop {
            let len = manager.recv(&mut message).expect("a message");
            let text = String::from_utf8_lossy(&message[..len]).trim_end().to_owned();
            if text != "WATCHDOG=1" {
                break text;
            }
        }
    };
    let mut command = Command::new(env!("CARGO_BIN_EXE_s3up-server"));
    command.env("NOTIFY_SOCKET", &socket).env("WATCHDOG_USEC", "200000");

    let gateway = Running::start_by(command, &file, &[]);

    assert_eq!(told(), "READY=1");
    let mut message = [0; 64];
    let len = manager.recv(&mut message).unwrap();
    assert_eq!(&message[..len], b"WATCHDOG=1\n");
    for text in [text.as_str(), "not: valid"] {
        gateway.reload(text);
        let reloading = told();
        assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
        assert_eq!(told(), "READY=1");
    }
    assert!(gateway.stop().await.success());
    assert_eq!(told(), "STOPPING=1");
    s3.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_of_open_files_that_is_too_low_is_raised_or_reported() {
    let root = tempfile::tempdir().unwrap();
    let s3 = DevStore::start(Options::new(root.path().join("s3"))).await.unwrap();
    s3.create_bucket(BUCKET, Versioning::Enabled).await.unwrap();
    let file = root.path().join("server.yaml");
    let text = config(&s3.endpoint(), &root.path().join("gateway.db"));
    std::fs::write(&file, text.replace("port: 0", "port: 0, max_connections: 100")).unwrap();
    for (limits, is_reported) in [("ulimit -Sn 300", false), ("ulimit -n 300", true)] {
        let mut command = Command::new("bash");
        let program = env!("CARGO_BIN_EXE_s3up-server");
        command.args(["-c", &format!("{limits} && exec \"$0\" \"$@\""), program]);

        let gateway = Running::start_by(command, &file, &[]);

        let log = gateway.log();
        let line = log.iter().find(|line| line.contains("event=open_files_limited"));
        assert_eq!(line.is_some(), is_reported, "{log:#?}");
        assert!(line.is_none_or(|line| line.contains("limit=300 needed=680")), "{line:?}");
        assert!(gateway.stop().await.success());
    }
    s3.stop().await;
}
