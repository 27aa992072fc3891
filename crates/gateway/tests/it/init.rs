//! `s3up-server init` writes a configuration and a client key, and checks both.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

use reqwest::StatusCode;
use s3up_devstore::Options;
use s3up_testkit::golden::{Redactions, assert_golden};
use tempfile::TempDir;

use crate::fixture::BUCKET;
use crate::process::{program, s3};
use crate::running::Running;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/output/init.yaml");

fn credentials(root: &TempDir) -> String {
    let file = root.path().join("credentials.env");
    let (id, secret) = (Options::ACCESS_KEY_ID, Options::SECRET_ACCESS_KEY);
    fs::write(&file, format!("S3_ACCESS_KEY_ID={id}\nS3_SECRET_ACCESS_KEY={secret}\n"))
        .expect("a file");
    file.to_str().expect("UTF-8").to_owned()
}

/// Runs `init` with these options besides the files.
async fn init(root: &TempDir, options: &[&str]) -> Output {
    let mut command = program();
    command.arg("init").arg("--config").arg(root.path().join("server.yaml"));
    command.args(["--env-file", &credentials(root), "--port", "0"]);
    command.arg("--database").arg(root.path().join("gateway.db")).args(options);
    tokio::task::spawn_blocking(move || command.output()).await.expect("no panic").expect("it runs")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gateway_that_init_configures_takes_the_files_of_its_client() {
    let root = tempfile::tempdir().unwrap();
    let s3 = s3(&root).await;
    let endpoint = s3.endpoint();
    let options = ["--endpoint", &endpoint, "--bucket", BUCKET, "--path-prefix", "sites/"];

    let written = init(&root, &options).await;

    assert_eq!(written.status.code(), Some(0), "{written:?}");
    let file = root.path().join("server.yaml");
    let key_file = root.path().join("web-01.key");
    let key = fs::read_to_string(&key_file).unwrap();
    let stdout = String::from_utf8(written.stdout).unwrap();
    for line in [
        format!("wrote {}\n", file.display()),
        format!("wrote {}, the key of the client web-01\n", key_file.display()),
        "CAPABILITY".to_owned(),
        format!(
            "next:\n  s3up-server --config {} --env-file {}\n",
            file.display(),
            root.path().join("credentials.env").display()
        ),
    ] {
        assert!(stdout.contains(&line), "{line:?}: {stdout}");
    }
    assert!(!root.path().join("gateway.db").exists(), "the service creates its database");
    assert!(!stdout.contains(key.trim()), "the key is a secret: {stdout}");
    for file in [&file, &key_file] {
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let text = fs::read_to_string(&file).unwrap();
    let redactions = Redactions::new()
        .text("[ENDPOINT]", endpoint.clone())
        .text("[DIR]", root.path().display().to_string());
    assert_golden(Path::new(GOLDEN), &text, &redactions);
    let gateway = Running::start(&file, &["--env-file", &credentials(&root)]);
    let put = reqwest::Client::new().put(format!("{}/files/a", gateway.url));
    let stored = put.bearer_auth(key.trim()).body("x").send().await.unwrap();
    assert_eq!(stored.status(), StatusCode::OK);
    assert_eq!(s3.object(BUCKET, "sites/web-01/a").await.unwrap(), b"x");
    assert!(gateway.stop().await.success());

    let again = init(&root, &options).await;

    assert_eq!(again.status.code(), Some(1));
    assert!(stderr(&again).contains("the file exists"), "{again:?}");
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
    s3.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_is_said_and_only_a_valid_file_is_written() {
    let root = tempfile::tempdir().unwrap();
    let s3 = s3(&root).await;
    let endpoint = s3.endpoint();
    #[rustfmt::skip]
    let cases: [(&[&str], i32, &str, bool); 5] = [
        // options                                                       code  says                               written
        (&[],                                                            2,    "--bucket: expected a value",       false),
        (&["--bucket", "b", "--region", "r", "--client", "a b"],         2,    "--client: ",                       false),
        (&["--bucket", "b", "--region", "r", "--host", "0.0.0.0"],       2,    "server.host",                      false),
        (&["--bucket", "missing", "--endpoint", &endpoint],              1,    "is written, but this check failed", true),
        (&["--bucket", "b", "--region", "r", "--cert-file", "/c.pem"],   2,    "--key-file",                       false),
    ];
    for (options, code, says, is_written) in cases {
        let output = init(&root, options).await;

        assert_eq!(output.status.code(), Some(code), "{options:?}: {output:?}");
        assert!(stderr(&output).contains(says), "{options:?}: {output:?}");
        for file in ["server.yaml", "web-01.key"] {
            let file = root.path().join(file);
            assert_eq!(file.exists(), is_written, "{options:?}: {file:?}");
            fs::remove_file(file).ok();
        }
    }
    s3.stop().await;
}
