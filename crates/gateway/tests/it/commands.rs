//! The commands `doctor` and `sweep`.

use std::io::Write;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Output};

use s3up_devstore::{DevStore, Op};
use s3up_testkit::S3Client;
use tempfile::TempDir;

use crate::fixture::{BUCKET, KEY, MIB, config, noise};
use crate::process::{program, s3, spawn};

/// Writes a configuration for an S3 server, and runs `s3up-server --config FILE ARGS…`.
struct Setup {
    root: TempDir,
    s3: DevStore,
}

impl Setup {
    async fn start() -> Setup {
        let root = tempfile::tempdir().expect("a temporary directory");
        let s3 = s3(&root).await;
        let setup = Setup { root, s3 };
        setup.configure(&setup.s3.endpoint());
        setup
    }

    fn configure(&self, endpoint: &str) {
        let text = config(endpoint, &self.root.path().join("gateway.db"));
        std::fs::write(self.file(), text).expect("a written file");
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(self.file(), private).expect("a private file");
    }

    fn file(&self) -> PathBuf {
        self.root.path().join("server.yaml")
    }

    async fn run(&self, args: &[&str]) -> Output {
        let mut command = program();
        command.arg("--config").arg(self.file()).args(args);
        let run = tokio::task::spawn_blocking(move || command.output());
        run.await.expect("no panic").expect("a program that runs")
    }
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

/// Returns subject and result of each finding of `doctor --json`.
fn findings(output: &Output) -> Vec<(String, String)> {
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let findings = json["findings"].as_array().expect("a list");
    let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
    findings
        .iter()
        .map(|finding| (text(&finding["capability"]), text(&finding["severity"])))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_examines_configuration_certificate_database_and_s3() {
    let setup = Setup::start().await;

    let output = setup.run(&["doctor", "--json"]).await;
    let table = setup.run(&["doctor"]).await;

    let found = findings(&output);
    for want in [
        ("configuration file", "ok"),
        ("TLS certificate", "note"),
        ("limits of clients", "note"),
        ("database", "ok"),
        ("S3", "ok"),
        ("versions", "ok"),
        ("rule for abandoned uploads", "warning"),
        ("rules that delete files", "ok"),
        ("abandoned uploads", "ok"),
    ] {
        assert!(
            found.iter().any(|(subject, result)| (&**subject, &**result) == want),
            "{want:?}: {found:?}"
        );
    }
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(table.status.code(), Some(0));
    let table = stdout(&table);
    assert!(table.contains("rule for abandoned uploads"), "{table}");
    assert!(table.contains("lifecycle rule AbortIncompleteMultipartUpload of 7 days"), "{table}");
    assert!(!table.contains(KEY) && !table.contains("devstore-secret"), "{table}");
    S3Client::new(&setup.s3, BUCKET).expire_after("", 30).await;
    let output = setup.run(&["doctor", "--json"]).await;
    let found = findings(&output);
    let want = ("rules that delete files".to_owned(), "problem".to_owned());
    assert!(found.contains(&want), "{found:?}");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    setup.s3.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_that_fails_hides_no_other_from_the_doctor() {
    let setup = Setup::start().await;
    // Nothing listens there.
    setup.configure("http://127.0.0.1:1");
    std::fs::create_dir(setup.root.path().join("gateway.db")).unwrap();

    let output = setup.run(&["doctor", "--json"]).await;

    let found = findings(&output);
    let result = |subject: &str| found.iter().find(|(found, _)| found == subject).map(|it| &*it.1);
    assert_eq!(result("database"), Some("problem"), "{found:?}");
    assert_eq!(result("S3"), Some("problem"), "{found:?}");
    assert_eq!(result("configuration file"), Some("ok"), "{found:?}");
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("doctor: problems found: 2; see the fixes above"), "{error}");
    setup.s3.stop().await;
}

/// Begins an upload of several parts and returns when S3 has one of them.
async fn begin_upload(s3: &DevStore, url: &str) -> TcpStream {
    let host = url.strip_prefix("http://").expect("an http URL").to_owned();
    let begun = tokio::task::spawn_blocking(move || {
        let mut socket = TcpStream::connect(host).expect("a connection");
        let head = format!(
            "PUT /files/left HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n\
             Content-Length: {}\r\n\r\n",
            30 * MIB
        );
        socket.write_all(head.as_bytes()).expect("a head that is sent");
        socket.write_all(&noise(20 * MIB)).expect("a body that is sent");
        socket
    });
    s3.faults().called(Op::UploadPart, 1).await;
    begun.await.expect("no panic")
}

fn kill(mut child: Child) {
    child.kill().expect("a running program");
    child.wait().expect("an end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sweep_aborts_what_a_killed_gateway_left_behind() {
    let setup = Setup::start().await;
    let (child, _log, url) = spawn(&setup.file());
    let upload = begin_upload(&setup.s3, &url).await;
    kill(child);
    drop(upload);
    assert_eq!(setup.s3.uploads(BUCKET), ["sites/webapp/left"]);

    let young = setup.run(&["sweep"]).await;
    let dry = setup.run(&["sweep", "--older-than", "0", "--dry-run"]).await;
    assert_eq!(setup.s3.uploads(BUCKET), ["sites/webapp/left"]);
    let swept = setup.run(&["sweep", "--older-than", "0", "--json"]).await;
    let again = setup.run(&["sweep", "--older-than", "0"]).await;

    assert_eq!(stdout(&young), "aborted 0 multipart uploads older than 168 h\n");
    let dry = stdout(&dry);
    assert!(dry.contains("  sites/webapp/left\nfound 1 multipart upload "), "{dry}");
    let line: serde_json::Value = serde_json::from_str(stdout(&swept).trim()).expect("one line");
    assert_eq!((&line["key"], &line["aborted"]), (&"sites/webapp/left".into(), &true.into()));
    assert_eq!(stdout(&again), "aborted 0 multipart uploads older than 0 h\n");
    assert_eq!(setup.s3.uploads(BUCKET), Vec::<String>::new());
    setup.s3.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_aborts_no_young_upload_at_its_start() {
    let setup = Setup::start().await;
    let (child, _log, url) = spawn(&setup.file());
    let upload = begin_upload(&setup.s3, &url).await;
    kill(child);
    drop(upload);

    let looked_before = setup.s3.faults().calls(Op::ListMultipartUploads);
    let (child, _log, _url) = spawn(&setup.file());
    setup.s3.faults().called(Op::ListMultipartUploads, looked_before + 1).await;
    // It ends in order, so that what it had begun is done.
    let stopped = Command::new("kill").arg(child.id().to_string()).status().expect("kill");
    assert!(stopped.success());
    tokio::task::spawn_blocking(move || child.wait_with_output()).await.unwrap().unwrap();

    assert_eq!(setup.s3.uploads(BUCKET), ["sites/webapp/left"]);
    setup.s3.stop().await;
}

#[tokio::test]
async fn a_sweep_of_a_missing_bucket_fails() {
    let setup = Setup::start().await;
    let text = std::fs::read_to_string(setup.file()).unwrap();
    let text = text.replace(&format!("bucket: \"{BUCKET}\""), "bucket: \"missing\"");
    std::fs::write(setup.file(), text).unwrap();

    let output = setup.run(&["sweep"]).await;

    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("sweep abandoned multipart uploads"), "{error}");
    setup.s3.stop().await;
}
