//! `s3up get`: where a download goes, and what it leaves alone.

use std::fs::{self, Permissions};
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Output};

use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::fixture::{Host, World, noise, until};
use crate::process::Process;

#[tokio::test]
async fn a_file_with_the_longest_name_is_fetched_under_it() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    for len in [232, 233, 255] {
        host.write("n".repeat(len), format!("{len}"));
    }
    assert!(host.scan().await.is_clean());

    for len in [232, 233, 255] {
        let name = "n".repeat(len);
        let output = get(&host, &[&format!("uploads/{name}")]).await;
        assert_eq!(output.status.code(), Some(0), "{len}: {output:?}");
        assert_eq!(fs::read(host.dir.path().join(name)).unwrap(), format!("{len}").as_bytes());
    }
}

#[tokio::test]
async fn a_pipe_and_a_device_are_written_to_and_not_replaced() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    host.write("file", noise(300_000));
    host.scan().await;
    let fifo = host.dir.path().join("fifo");
    mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let reading = fifo.clone();
    let reader = tokio::task::spawn_blocking(move || {
        let mut content = Vec::new();
        fs::File::open(reading).unwrap().read_to_end(&mut content).unwrap();
        content
    });

    let to_fifo = get(&host, &["uploads/file", "-o", fifo.to_str().unwrap()]).await;
    let to_device = get(&host, &["uploads/file", "-o", "/dev/null"]).await;
    let to_stdout = get(&host, &["uploads/file", "-o", "/dev/stdout"]).await;

    for output in [&to_fifo, &to_device, &to_stdout] {
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }
    assert!(reader.await.unwrap() == noise(300_000));
    assert!(to_stdout.stdout == noise(300_000));
    assert!(fs::metadata(&fifo).unwrap().file_type().is_fifo());
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
}

#[tokio::test]
async fn what_exists_is_replaced_only_on_request_and_keeps_its_mode_if_none_is_recorded() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    host.write("file", "content of S3");
    fs::set_permissions(host.up.join("file"), Permissions::from_mode(0o640)).unwrap();
    host.scan().await;
    world.put_object("uploads/bare", b"of another tool").await;
    let bare = host.dir.path().join("bare");
    fs::write(&bare, "content of the host").unwrap();
    fs::set_permissions(&bare, Permissions::from_mode(0o604)).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    let target = host.dir.path().join("file");
    let link = host.dir.path().join("link");
    fs::write(&target, "content of the host").unwrap();
    fs::set_permissions(&target, Permissions::from_mode(0o600)).unwrap();
    std::os::unix::fs::symlink("file", &link).unwrap();

    for arguments in [&["uploads/file"][..], &["uploads/file", "-o", link.to_str().unwrap()]] {
        let refused = get(&host, arguments).await;
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        let message = String::from_utf8(refused.stderr).unwrap();
        assert!(message.contains("it exists; pass --overwrite to replace it"), "{message}");
    }
    assert_eq!(fs::read(&target).unwrap(), b"content of the host");
    assert_eq!(mode(&target), 0o600);

    let replaced = get(&host, &["uploads/file", "-o", link.to_str().unwrap(), "--overwrite"]).await;
    let without_mode = get(&host, &["uploads/bare", "--overwrite"]).await;

    assert_eq!(replaced.status.code(), Some(0), "{replaced:?}");
    assert_eq!(fs::read(&target).unwrap(), b"content of S3");
    assert_eq!(mode(&target), 0o640, "the recorded mode");
    assert_eq!(without_mode.status.code(), Some(0), "{without_mode:?}");
    assert_eq!(fs::read(&bare).unwrap(), b"of another tool");
    assert_eq!(mode(&bare), 0o604, "the mode of the replaced file");
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink(), "the link was replaced");
    assert_eq!(leftovers(host.dir.path()), 0);
}

#[tokio::test]
async fn the_time_and_the_mode_that_the_file_had_on_its_host_are_set() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    host.write("file", "content");
    let file = fs::File::options().write(true).open(host.up.join("file")).unwrap();
    let date = std::time::UNIX_EPOCH + std::time::Duration::new(1_000_000_000, 123_456_789);
    file.set_modified(date).unwrap();
    file.set_permissions(Permissions::from_mode(0o640)).unwrap();
    host.scan().await;

    let output = get(&host, &["uploads/file"]).await;

    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let fetched = fs::metadata(host.dir.path().join("file")).unwrap();
    assert_eq!(fetched.modified().unwrap(), date);
    assert_eq!(fetched.permissions().mode() & 0o7777, 0o640);
}

#[tokio::test]
async fn a_key_that_may_only_list_and_download_gets_and_restores_files() {
    let mut world = World::start().await;
    let host = Host::new(&world.url());
    host.write("file", "content");
    host.scan().await;
    world.restart_with("allow: [list, download]").await;
    let target = host.dir.path().join("target");

    let got = get(&host, &["uploads/file", "-o", "-"]).await;
    let missing = get(&host, &["uploads/none", "-o", "-"]).await;
    let restored = crate::restore::restore(&host, &["uploads"], &target).await;

    assert_eq!((got.status.code(), got.stdout.as_slice()), (Some(0), &b"content"[..]), "{got:?}");
    assert_eq!(missing.status.code(), Some(1));
    let message = String::from_utf8_lossy(&missing.stderr).into_owned();
    assert!(message.contains("the gateway has no such file"), "{message}");
    assert_eq!(restored.code, Some(0), "{restored:?}");
    assert_eq!(fs::read(target.join("file")).unwrap(), b"content");
}

#[tokio::test]
async fn a_restore_key_restores_the_files_of_a_client_that_may_only_upload() {
    const RESTORE_KEY: &str = "sk_restore_0123456789012345678901234567890123";
    let mut world = World::start().await;
    let client = format!("allow: [upload, exists], restore_keys: [{RESTORE_KEY}]");
    world.restart_with(&client).await;
    let mut host = Host::new(&world.url());
    host.write("file", "content");
    let uploaded = host.scan().await;
    let target = host.dir.path().join("target");

    let refused = crate::restore::restore(&host, &["uploads"], &target).await;
    host.edit(crate::fixture::KEY, RESTORE_KEY);
    let restored = crate::restore::restore(&host, &["uploads"], &target).await;
    let drill = Process::output(&host, &["drill"]).await;
    host.write("other", "not uploaded with this key");
    let not_uploaded = Process::output(&host, &["scan"]).await;

    assert!(uploaded.is_clean(), "{uploaded:?}");
    assert!(refused.stderr.contains("403"), "{refused:?}");
    assert_eq!(restored.code, Some(0), "{restored:?}");
    assert_eq!(fs::read(target.join("file")).unwrap(), b"content");
    assert_eq!(drill.code, Some(0), "{drill:?}");
    assert!(not_uploaded.stdout.contains("0 files uploaded (0 B), 1 problem"), "{not_uploaded:?}");
    // It may not say that the host is well, either.
    for call in ["heartbeat", "report", "backup-report"] {
        let sent = reqwest::Client::new().post(format!("{}/{call}", world.url()));
        let refused = sent.bearer_auth(RESTORE_KEY).body("{}").send().await.unwrap();
        assert_eq!(refused.status(), 403, "{call}");
    }
}

#[tokio::test]
async fn other_users_cannot_read_a_private_file_while_it_arrives() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    host.write("secret", noise(20 << 20));
    let secret = host.up.join("secret");
    fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
    host.scan().await;
    world.slow(std::time::Duration::from_millis(100));
    let into = host.dir.path().join("into");
    fs::create_dir(&into).unwrap();
    let target = into.join("secret");

    let mut fetching =
        Process::start(&host, &["get", "uploads/secret", "-o", target.to_str().unwrap()]);
    let mut modes = std::collections::BTreeSet::new();
    until("it is fetched", async || {
        for entry in fs::read_dir(&into).unwrap() {
            // It may get its name meanwhile.
            modes.extend(entry.unwrap().metadata().map(|found| found.permissions().mode() & 0o777));
        }
        target.exists()
    })
    .await;

    assert_eq!(fetching.wait().await, Some(0), "{}", fetching.log());
    assert_eq!(modes, [0o600].into(), "the modes of the unfinished file");
    assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn an_earlier_version_is_fetched_by_its_id_or_by_a_time() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    host.write("file", "old");
    host.scan().await;
    let at = crate::restore::next_second().await;
    host.write("file", "newer");
    host.scan().await;
    let listed = Process::output(&host, &["list", "uploads/file", "--versions", "--json"]).await;
    let version: serde_json::Value =
        serde_json::from_str(listed.stdout.lines().nth(1).unwrap()).unwrap();
    let id = version["version_id"].as_str().unwrap();

    let by_id = get(&host, &["uploads/file", "-o", "-", "--version", id]).await;
    let by_time = get(&host, &["uploads/file", "-o", "-", "--at", &at]).await;
    let before = get(&host, &["uploads/file", "-o", "-", "--at", "2001-01-01"]).await;
    let unknown = get(&host, &["uploads/file", "-o", "-", "--version", "none"]).await;

    for output in [by_id, by_time] {
        assert_eq!(String::from_utf8_lossy(&output.stdout), "old", "{output:?}");
    }
    let messages = [
        (before, "s3up: error: download \"uploads/file\": it did not exist at 2001-01-01T23:59:59"),
        (unknown, "s3up: error: download \"uploads/file\": it has no version \"none\"; `s3up list"),
    ];
    for (output, want) in messages {
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && message.starts_with(want), "{message}");
    }
}

#[tokio::test]
async fn a_script_reads_what_was_written_as_json() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    host.write("file", "content");
    host.scan().await;

    let output = get(&host, &["uploads/file", "-o", "copy", "--json"]).await;
    let stdout = get(&host, &["uploads/file", "-o", "-", "--json"]).await;

    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let line: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let want = serde_json::json!({
        "path": "uploads/file", "file": "copy", "bytes": 7, "verified": true,
        "sha256": s3up_core::Sha256Digest::of(b"content").to_string(),
    });
    assert_eq!(line, want);
    assert_eq!(fs::read(host.dir.path().join("copy")).unwrap(), b"content");
    assert_eq!(stdout.status.code(), Some(2), "{stdout:?}");
    assert!(stdout.stdout.is_empty());
}

async fn get(host: &Host, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_s3up"));
    command.arg("--config").arg(host.config_file()).arg("get").args(arguments);
    command.current_dir(host.dir.path());
    let output = tokio::task::spawn_blocking(move || command.output()).await;
    output.expect("a thread").expect("a program that runs")
}

fn leftovers(dir: &Path) -> usize {
    let entries = fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry"));
    entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(".s3up-")).count()
}
