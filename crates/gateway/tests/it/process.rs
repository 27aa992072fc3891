//! The program `s3up-server`: start, TLS, signals, exit codes, output.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Output, Stdio};

use s3up_devstore::{Behaviours, ConditionBehaviour, DevStore, Like, Op, Options, Versioning};
use tempfile::TempDir;

use crate::fixture::{BUCKET, KEY, READER_KEY, World, config};
use crate::running::Running;

pub fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_s3up-server"))
}

pub async fn s3(root: &TempDir) -> DevStore {
    let s3 = DevStore::start(Options::new(root.path().join("s3"))).await.expect("an S3 server");
    s3.create_bucket(BUCKET, Versioning::Enabled).await.expect("a new bucket");
    s3
}

async fn run(config: &Path) -> Output {
    let mut command = program();
    command.arg("--config").arg(config);
    tokio::task::spawn_blocking(move || command.output())
        .await
        .expect("no panic")
        .expect("a program that runs")
}

/// Starts the gateway and returns it, the rest of its log, and its URL.
pub fn spawn(config: &Path) -> (Child, BufReader<ChildStderr>, String) {
    let mut child = program()
        .args(["--log-format", "logfmt", "--config"])
        .arg(config)
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a program that runs");
    let mut log = BufReader::new(child.stderr.take().expect("its log"));
    let url = loop {
        let mut line = String::new();
        assert_ne!(log.read_line(&mut line).expect("a log line"), 0, "it ended before it served");
        if let Some((_, url)) = line.trim().split_once("url=") {
            break url.trim_matches('"').to_owned();
        }
    };
    (child, log, url)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_of_a_refusal_names_client_and_address() {
    let root = tempfile::tempdir().unwrap();
    let s3 = s3(&root).await;
    let file = root.path().join("server.yaml");
    std::fs::write(&file, config(&s3.endpoint(), &root.path().join("gateway.db"))).unwrap();
    let (mut child, mut log, url) = spawn(&file);
    let http = reqwest::Client::new();
    for key in [READER_KEY, "sk_live_wrong"] {
        let put = http.put(format!("{url}/files/a")).bearer_auth(key).body("x");
        put.send().await.unwrap();
    }
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    tokio::task::spawn_blocking(move || child.wait().unwrap()).await.unwrap();
    let mut rest = String::new();
    log.read_to_string(&mut rest).unwrap();

    let refused: Vec<_> =
        rest.lines().filter(|line| line.contains("event=request_refused")).collect();
    assert_eq!(refused.len(), 2, "{rest}");
    assert!(refused.iter().all(|line| line.contains(" peer=127.0.0.1 ")), "{refused:#?}");
    assert!(refused.iter().all(|line| !line.contains("cause=")), "{refused:#?}");
    assert!(refused[0].contains(" client=reader "), "{refused:#?}");
    assert!(!refused[1].contains("client="), "{refused:#?}");
    s3.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configuration_file_that_every_user_can_read_or_change_is_reported() {
    let root = tempfile::tempdir().unwrap();
    let s3 = s3(&root).await;
    let file = root.path().join("server.yaml");
    std::fs::write(&file, config(&s3.endpoint(), &root.path().join("gateway.db"))).unwrap();
    for (mode, open) in [(0o600, false), (0o640, false), (0o644, true), (0o602, true)] {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();

        let gateway = Running::start(&file, &[]);

        let log = gateway.log().join("\n");
        assert_eq!(log.contains("run chmod 600 on it"), open, "{mode:o}: {log}");
        assert!(gateway.stop().await.success());
    }
    s3.stop().await;
}

// Two threads, because blocking calls read the log while the S3 server runs in
// this process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_serves_tls_and_exits_with_0_on_sigterm() {
    let root = tempfile::tempdir().unwrap();
    let s3 = s3(&root).await;
    let cert = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (cert_file, key_file) = (root.path().join("cert.pem"), root.path().join("key.pem"));
    std::fs::write(&cert_file, cert.cert.pem()).unwrap();
    std::fs::write(&key_file, cert.signing_key.serialize_pem()).unwrap();
    let tls = format!(
        "port: 0, tls: {{ enabled: true, cert_file: {:?}, key_file: {:?} }}",
        cert_file, key_file
    );
    let file = root.path().join("server.yaml");
    let text = config(&s3.endpoint(), &root.path().join("gateway.db"));
    std::fs::write(&file, text.replace("port: 0", &tls)).unwrap();
    let (mut child, mut log, url) = spawn(&file);
    let url = url.replace("127.0.0.1", "localhost");
    let pinned = reqwest::Certificate::from_pem(cert.cert.pem().as_bytes()).unwrap();
    let http = reqwest::Client::builder().tls_certs_only([pinned]).build().unwrap();

    let put = http.put(format!("{url}/files/a")).bearer_auth(KEY).body("over TLS").send().await;
    let untrusting = reqwest::Client::new().get(format!("{url}/health")).send().await;
    let stopped = Command::new("kill").arg(child.id().to_string()).status().unwrap();
    let status = tokio::task::spawn_blocking(move || child.wait().unwrap()).await.unwrap();

    assert_eq!(put.unwrap().status().as_u16(), 200);
    assert!(untrusting.is_err(), "an unknown CA was trusted");
    assert!(stopped.success());
    assert_eq!(status.code(), Some(0));
    let stored = s3.object(BUCKET, "sites/webapp/a").await;
    assert_eq!(stored.unwrap(), b"over TLS");
    let mut rest = String::new();
    log.read_to_string(&mut rest).unwrap();
    assert!(!rest.contains(KEY) && !rest.contains("devstore-secret"), "{rest}");
    s3.stop().await;
}

#[tokio::test]
async fn a_wrong_configuration_is_reported_in_one_line() {
    let root = tempfile::tempdir().unwrap();
    let s3 = s3(&root).await;
    let good = config(&s3.endpoint(), &root.path().join("gateway.db"));
    let tls = "host: \"127.0.0.1\", tls: { enabled: true, cert_file: \"/no/cert.pem\", key_file: \"/no/key.pem\" }";
    #[rustfmt::skip]
    let cases = [
        // wrong value                                 exit  the error contains
        ("bucket: \"backups\"", "bucket: \"nowhere\"", 1, "no such bucket"),
        ("\"devstore-secret\"", "\"wrong\"",           1, "does not accept these credentials"),
        ("access_key_id: \"devstore\"", "access_key_id: \"stranger\"", 1, "does not accept these credentials"),
        ("region:", "regoin:",                         2, "did you mean `region`"),
        ("\"devstore-secret\"", "\"${NO_SUCH_VARIABLE}\"", 2, "NO_SUCH_VARIABLE"),
        ("port: 0", "port: many",                      2, "server.port"),
        ("host: \"127.0.0.1\"", "host: \"0.0.0.0\"",   2, "server.host: expected a loopback address"),
        ("host: \"127.0.0.1\"", tls,                   2, "server.tls.cert_file: read /no/cert.pem"),
    ];
    for (old, new, exit, want) in cases {
        let file = root.path().join("server.yaml");
        assert!(good.contains(old), "{old}");
        std::fs::write(&file, good.replace(old, new)).unwrap();

        let output = run(&file).await;

        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(exit), "{new}: {text}");
        let line = text.lines().last().unwrap_or_default();
        assert!(line.contains(want), "{new}: {text}");
        assert!(!text.contains("devstore-secret") && !text.contains("panicked"), "{text}");
        let errors = text.lines().filter(|line| line.starts_with("s3up-server:")).count();
        assert_eq!(errors, 1, "{text}");
    }
    let missing = run(&root.path().join("none.yaml")).await;
    assert_eq!(missing.status.code(), Some(2));
    s3.stop().await;
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_is_refused_with_its_reason() {
    let root = tempfile::tempdir().unwrap();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let (old, old_key) = (data.join("version-1-cert.pem"), data.join("version-1-key.pem"));
    let one = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (cert, damaged) = (root.path().join("cert.pem"), root.path().join("damaged.pem"));
    std::fs::write(&cert, one.cert.pem()).unwrap();
    let der = one.cert.der();
    let cut = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", {
        use base64::Engine;
        base64::engine::general_purpose::STANDARD.encode(&der[..der.len() / 2])
    });
    std::fs::write(&damaged, cut).unwrap();
    #[rustfmt::skip]
    let cases = [
        (&old,     "server.tls.cert_file: expected an X.509 certificate of version 3 in"),
        (&damaged, "server.tls.cert_file: the certificate in"),
        (&cert,    "server.tls.key_file: the private key in"),
    ];
    for (cert, want) in cases {
        let tls = format!(
            "port: 0, tls: {{ enabled: true, cert_file: {cert:?}, key_file: {old_key:?} }}"
        );
        let file = root.path().join("server.yaml");
        std::fs::write(
            &file,
            config("http://127.0.0.1:1", &root.path().join("gateway.db")).replace("port: 0", &tls),
        )
        .unwrap();

        let output = run(&file).await;

        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(want), "{text}");
    }
}

/// RGW ignores the condition of completions: one gateway can still look before it
/// completes an upload.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_starts_with_a_warning_if_only_completions_ignore_conditions() {
    let root = tempfile::tempdir().unwrap();
    let options = Options::new(root.path().join("s3"));
    let behaviours =
        Behaviours { completion_conditions: ConditionBehaviour::Ignored, ..Behaviours::default() };
    let s3 = DevStore::start(Options { behaviours, ..options }).await.unwrap();
    s3.create_bucket(BUCKET, Versioning::Enabled).await.unwrap();
    let file = root.path().join("server.yaml");
    std::fs::write(&file, config(&s3.endpoint(), &root.path().join("gateway.db"))).unwrap();
    let mut child = program()
        .args(["--log-format", "logfmt", "--config"])
        .arg(&file)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let log = BufReader::new(child.stderr.take().unwrap());

    let warned = tokio::task::spawn_blocking(move || {
        let lines = log.lines().map_while(Result::ok);
        lines.take_while(|line| !line.contains("event=started")).collect::<Vec<_>>().join("\n")
    });

    let warned = warned.await.unwrap();
    assert!(warned.contains("event=overwrite_never_by_one_gateway"), "{warned}");
    child.kill().unwrap();
    child.wait().unwrap();
    s3.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_config_online_says_what_the_server_does() {
    let root = tempfile::tempdir().unwrap();
    let options = Options::new(root.path().join("s3"));
    let behaviours = Like::Rgw.behaviours();
    let s3 = DevStore::start(Options { behaviours, ..options }).await.unwrap();
    s3.create_bucket(BUCKET, Versioning::Enabled).await.unwrap();
    let file = root.path().join("server.yaml");
    for (sse, code, found) in [("", 0, "not requested"), ("sse: AES256", 1, "found none")] {
        let text = config(&s3.endpoint(), &root.path().join("gateway.db"))
            .replace("bucket:", &format!("{sse}\n  bucket:"));
        std::fs::write(&file, text).unwrap();

        let online =
            program().args(["check-config", "--online", "--config"]).arg(&file).output().unwrap();

        let text = String::from_utf8_lossy(&online.stdout).into_owned();
        assert_eq!(online.status.code(), Some(code), "{online:?}");
        assert!(text.contains("honoured, for an ETag without quotes"), "{text}");
        let encryption = text.lines().find(|line| line.starts_with("encryption"));
        assert!(encryption.is_some_and(|line| line.contains(found)), "{text}");
    }
    s3.stop().await;
}

#[tokio::test]
async fn it_refuses_to_start_without_versioning_if_that_is_required() {
    let root = tempfile::tempdir().unwrap();
    let s3 = DevStore::start(Options::new(root.path().join("s3"))).await.unwrap();
    s3.create_bucket(BUCKET, Versioning::Off).await.unwrap();
    let file = root.path().join("server.yaml");
    let text = config(&s3.endpoint(), &root.path().join("gateway.db"))
        .replace("bucket:", "require_versioning: true\n  bucket:");
    std::fs::write(&file, text).unwrap();

    let output = run(&file).await;

    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    let line = "s3up-server: error: bucket backups: expected versioning enabled \
                (`s3.require_versioning`), found off; enable it on the bucket";
    assert_eq!(text.lines().last(), Some(line));
    s3.stop().await;
}

#[tokio::test]
async fn conditional_writes_are_probed_only_for_a_client_that_needs_them() {
    let no_condition = |config: String| config.replace("overwrite: never, ", "");
    let no_upload_right = |config: String| {
        config.replace("overwrite: never, ", "overwrite: never, allow: [exists, download], ")
    };
    for edit in [no_condition, no_upload_right] {
        let world = World::with(Versioning::Enabled, edit).await;
        assert_eq!(world.s3.faults().calls(Op::PutObject), 0);
        world.stop().await;
    }
}

#[test]
fn keygen_prints_a_key_and_its_digest() {
    let output = program().args(["keygen", "--name", "shop"]).output().unwrap();
    let wrong = program().args(["keygen", "--name", "Shop!"]).output().unwrap();

    assert_eq!(wrong.status.code(), Some(2), "{wrong:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("{ name: \"shop\", api_key_sha256: "), "{text}");
    let quoted = |start: &str| {
        let from = text.find(start).unwrap() + start.len();
        text[from..].split('"').next().unwrap().to_owned()
    };
    let key = quoted("api_key: \"");
    let digest = quoted("api_key_sha256: \"");
    assert!(key.starts_with("s3up_"), "{key}");
    assert_eq!(s3up_core::Sha256Digest::of(key.as_bytes()).to_string(), digest);
}
