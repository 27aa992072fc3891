//! `s3up init` writes a configuration and checks it with the gateway.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use s3up_testkit::golden::{Redactions, assert_golden};
use tempfile::TempDir;

use crate::fixture::{KEY, World};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/output/init.yaml");

/// A host with a directory to watch and a file with the client key.
fn host(key: &str) -> TempDir {
    let host = tempfile::tempdir().expect("a directory");
    fs::create_dir(host.path().join("uploads")).expect("a new directory");
    fs::write(host.path().join("uploads/hello.txt"), "hello\n").expect("a written file");
    fs::write(host.path().join("key"), format!("{key}\n")).expect("a written file");
    host
}

/// Runs `s3up ARGS… --config FILE`.
async fn run(host: &TempDir, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_s3up"));
    command.args(args).arg("--config").arg(host.path().join("client.yaml")).stdin(Stdio::null());
    tokio::task::spawn_blocking(move || command.output()).await.expect("no panic").expect("it runs")
}

/// Runs `init` with these options besides the files.
async fn init(host: &TempDir, options: &[&str]) -> Output {
    let path = |name: &str| host.path().join(name).display().to_string();
    let (key, database) = (path("key"), path("state/client.db"));
    let files = ["init", "--key-file", &key, "--database", &database];
    run(host, &[&files[..], options].concat()).await
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test]
async fn the_agent_that_init_configures_uploads_and_gets_a_file() {
    let world = World::start().await;
    let host = host(KEY);
    let (url, uploads) = (world.url(), host.path().join("uploads").display().to_string());
    let options = ["--url", &url, "--watch", &uploads];

    let written = init(&host, &options).await;

    assert_eq!(written.status.code(), Some(0), "{written:?}");
    let file = host.path().join("client.yaml");
    let stdout = text(&written.stdout);
    let name = file.display();
    assert_eq!(
        stdout,
        format!(
            "wrote {name}\nthe gateway is ready, and knows the key\nnext:\n  s3up scan --config {name}\n"
        )
    );
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let config = fs::read_to_string(&file).unwrap();
    let redactions = Redactions::new()
        .text("[URL]", url.clone())
        .text("[KEY]", KEY)
        .text("[DIR]", host.path().display().to_string());
    assert_golden(Path::new(GOLDEN), &config, &redactions);
    let scanned = run(&host, &["scan"]).await;
    assert!(text(&scanned.stdout).starts_with("1 file uploaded"), "{scanned:?}");
    let got = run(&host, &["get", "uploads/hello.txt", "-o", "-"]).await;
    assert_eq!(text(&got.stdout), "hello\n");

    fs::remove_file(&file).unwrap();
    let json = init(&host, &[&options[..], &["--json"]].concat()).await;
    assert_eq!(text(&json.stdout), format!("{{\"file\":\"{name}\",\"gateway_checked\":true}}\n"));

    let again = init(&host, &options).await;

    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).contains("the file exists"), "{again:?}");
    assert_eq!(fs::read_to_string(&file).unwrap(), config);
}

#[tokio::test]
async fn what_is_wrong_is_said_and_only_a_valid_file_is_written() {
    let world = World::start().await;
    let url = world.url();
    let closed = "http://127.0.0.1:1";
    #[rustfmt::skip]
    let cases = [
        // key          url                           watch            code  says                                 written
        (KEY,           None,                         Some("uploads"), 2,    "--url: expected a value",           false),
        (KEY,           Some(url.as_str()),           None,            2,    "--watch: expected a value",         false),
        (KEY,           Some(url.as_str()),           Some("missing"), 2,    "expected a directory, found none",  false),
        (KEY,           Some("http://example.org"),   Some("uploads"), 2,    "server.url: expected https",        false),
        ("",            Some(url.as_str()),           Some("uploads"), 2,    "server.api_key",                    false),
        ("sk_live_not", Some(url.as_str()),           Some("uploads"), 1,    "is written, but this check failed", true),
        (KEY,           Some(closed),                 Some("uploads"), 1,    "cannot reach the gateway",          true),
    ];
    for (key, url, watch, code, says, is_written) in cases {
        let host = host(key);
        let watch = watch.map(|name| host.path().join(name).display().to_string());
        let url = url.iter().flat_map(|url| ["--url", url]);
        let watch = watch.iter().flat_map(|watch| ["--watch", watch]);

        let output = init(&host, &url.chain(watch).collect::<Vec<_>>()).await;

        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{says}: {stderr}");
        assert!(stderr.contains(says) && !stderr.contains(KEY), "{says}: {stderr}");
        assert_eq!(host.path().join("client.yaml").exists(), is_written, "{says}");
    }
}

#[tokio::test]
async fn a_key_without_the_right_to_ask_is_known_and_the_right_is_named() {
    let mut world = World::start().await;
    world.restart_with("allow: [upload]").await;
    let host = host(KEY);
    let (url, uploads) = (world.url(), host.path().join("uploads").display().to_string());

    let output = init(&host, &["--url", &url, "--watch", &uploads]).await;

    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let stderr = text(&output.stderr);
    assert!(
        stderr.contains("the gateway knows the key, which lacks the right `exists`"),
        "{stderr}"
    );
}
