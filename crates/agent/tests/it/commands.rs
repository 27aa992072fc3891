//! The program from outside: its output and its exit codes.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use crate::fixture::{Host, KEY, World, noise};

#[tokio::test]
async fn get_downloads_a_file_byte_for_byte() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    let odd = OsStr::from_bytes(b"caf\xe9 100%41.jpg");
    host.write(odd, noise(300_000));
    assert_eq!(run(&host, &["scan"]).await.status.code(), Some(0));
    let remote = "uploads/caf%E9 100%2541.jpg";

    let target = host.dir.path().join("target");
    fs::write(&target, "content from before").unwrap();
    let to_file = run(&host, &["get", remote, "-o", target.to_str().unwrap(), "--overwrite"]).await;
    let to_stdout = run(&host, &["get", remote, "--output", "-"]).await;
    let by_name = run(&host, &["get", remote]).await;

    for output in [&to_file, &to_stdout, &by_name] {
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }
    assert!(fs::read(&target).unwrap() == noise(300_000));
    assert!(to_stdout.stdout == noise(300_000));
    assert!(fs::read(host.dir.path().join(odd)).unwrap() == noise(300_000));
}

#[tokio::test]
async fn a_failed_get_names_the_cause_and_does_not_change_the_target() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    let target = host.dir.path().join("target");
    fs::write(&target, "content from before").unwrap();
    let output = target.to_str().unwrap();

    #[rustfmt::skip]
    let cases: [(&[&str], &str); 3] = [
        (&["get", "uploads/none", "-o", output],  "s3up: error: download \"uploads/none\": the gateway has no such file; list the files with s3up list, or restore"),
        (&["get", "../etc/passwd", "-o", output], "s3up: error: remote path \"../etc/passwd\": expected no segment \".\" or \"..\", found one; send the resolved path"),
        (&["get", "/uploads", "-o", output],      "s3up: error: remote path \"/uploads\": expected a relative path, found a slash at its start"),
    ];
    for (arguments, want) in cases {
        let output = run(&host, arguments).await;
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(message.starts_with(want), "{message}");
    }
    assert_eq!(fs::read(&target).unwrap(), b"content from before");
    let left: Vec<_> = fs::read_dir(host.dir.path()).unwrap().map(|e| e.unwrap().path()).collect();
    assert!(!left.iter().any(|path| path.to_string_lossy().contains(".s3up-")), "{left:?}");
}

#[tokio::test]
async fn a_get_that_cannot_write_names_the_path_that_was_given() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    host.write("a", "a");
    host.scan().await;
    let target = host.dir.path().join("none/a");

    let output = run(&host, &["get", "uploads/a", "-o", target.to_str().unwrap()]).await;

    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let message = String::from_utf8(output.stderr).unwrap();
    let want = format!("s3up: error: write {target:?}: No such file or directory");
    assert!(message.starts_with(&want), "{message}");
}

#[tokio::test]
async fn a_configuration_file_that_every_user_can_read_or_change_is_reported() {
    let mut host = Host::new("http://127.0.0.1:1");
    host.edit("retry_attempts: 3", "retry_attempts: 0");
    let file = host.config_file();
    for (mode, open) in [(0o600, false), (0o640, false), (0o644, true), (0o602, true)] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();

        let output = run_with(&host, &file, &["--log-format", "logfmt", "scan"]).await;

        let log = String::from_utf8(output.stderr).unwrap();
        assert_eq!(log.contains("event=config_world_readable"), open, "{mode:o}: {log}");
        assert!(!open || log.contains("run chmod 600 on it"), "{log}");
    }
}

#[tokio::test]
async fn status_counts_the_five_states_while_an_agent_runs() {
    let world = World::start().await;
    let mut host = Host::new(&world.url());
    host.add("exclude: [\"*.tmp\"]\n");
    host.edit("upload_existing: true", "upload_existing: false");
    host.write("old", "12345");
    let before = run(&host, &["status"]).await;
    assert_eq!(before.status.code(), Some(1));
    let message = String::from_utf8_lossy(&before.stderr).into_owned();
    assert!(message.contains("start the agent (s3up run) first"), "{message}");

    host.scan().await;
    host.write("new", "123");
    host.write("x.tmp", "");
    let agent = host.start().await;
    host.until_stored("new", "123").await;
    host.until_nothing_is_pending().await;
    let text = run(&host, &["status"]).await;
    let json = run(&host, &["status", "--json"]).await;
    agent.stop().await;

    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.starts_with("agent: running\nwatcher: ok\n"), "{text}");
    assert!(
        text.contains("baseline           1       5 B  not protected: existed before the agent"),
        "{text}"
    );
    assert!(text.contains("excluded (exclude pattern): 1"), "{text}");
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    let total = &json["total"];
    assert_eq!(total["protected"], serde_json::json!({"files": 1, "bytes": 3}));
    assert_eq!(total["baseline"], serde_json::json!({"files": 1, "bytes": 5}));
    assert_eq!((&total["excluded"]["files"], &total["pending"]["files"]), (&1.into(), &0.into()));
}

#[tokio::test]
async fn scan_exits_with_3_if_some_files_failed_and_lists_them() {
    let world = World::start().await;
    let mut host = Host::new(&world.url());
    host.edit("retry_attempts: 3,", "retry_attempts: 3, max_file_size_mb: 1,");
    host.write("good", "good");
    host.write("too\nlong", noise(2 << 20));

    let some = run(&host, &["scan"]).await;
    let again = run(&host, &["scan"]).await;
    fs::remove_file(host.up.join("good")).unwrap();
    let none = run(&host, &["scan"]).await;

    assert_eq!(some.status.code(), Some(3), "{some:?}");
    let listed = String::from_utf8(some.stdout).unwrap();
    assert!(listed.contains("/up/too%0Along: too large: expected at most 1.0 MiB (upload.max_file_size_mb), found 2.0 MiB"), "{listed}");
    assert!(listed.ends_with("1 file uploaded (4 B), 1 problem, 0 pending\n"), "{listed}");
    assert_eq!(again.status.code(), Some(3), "one file is protected, one is not");
    assert_eq!(none.status.code(), Some(1), "no file is protected");
}

#[tokio::test]
async fn an_invalid_configuration_exits_with_2_and_names_file_line_and_key() {
    let mut host = Host::new("https://backup.example");
    host.edit("max_attempts: 8", "max_atempts: 8");

    let output = run(&host, &["check-config"]).await;

    assert_eq!(output.status.code(), Some(2));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("client.yaml:7: stability.max_atempts: "), "{message}");
    assert!(message.contains("max_attempts"), "{message}");
}

#[tokio::test]
async fn check_config_prints_the_effective_values_and_masks_the_key() {
    let host = Host::new("https://backup.example");

    let output = run(&host, &["check-config"]).await;

    assert_eq!(output.status.code(), Some(0));
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(shown.contains("interval_minutes: 60\n"), "{shown}");
    assert!(!shown.contains(KEY) && shown.contains("***"), "{shown}");
}

async fn run(host: &Host, arguments: &[&str]) -> Output {
    run_with(host, &host.config_file(), arguments).await
}

async fn run_with(host: &Host, config: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_s3up"));
    command.arg("--config").arg(config).args(arguments).current_dir(host.dir.path());
    let output = tokio::task::spawn_blocking(move || command.output()).await;
    output.expect("a thread").expect("a program that runs")
}

#[test]
fn the_program_under_test_has_an_absolute_path() {
    assert!(Path::new(env!("CARGO_BIN_EXE_s3up")).is_absolute());
}
