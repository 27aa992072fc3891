//! `s3up list` and `s3up find`: the files that the gateway has.

use s3up_core::wire::LIST_LIMIT_MAX;

use crate::fixture::{Host, KEY, World};
use crate::process::Process;

#[tokio::test]
async fn files_are_listed_with_size_time_and_path_or_as_json() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    host.write("2026/a.jpg", vec![1; 300_000]);
    host.write("2026/b.txt", "hello");
    host.write("new\nline.txt", "x");
    assert!(host.scan().await.is_clean());

    let all = Process::output(&host, &["list"]).await;
    let below = Process::output(&host, &["list", "uploads/2026", "--json"]).await;
    let one = Process::output(&host, &["list", "uploads/2026/b.txt"]).await;
    let none = Process::output(&host, &["list", "uploads/none"]).await;

    assert_eq!(all.code, Some(0), "{all:?}");
    let lines: Vec<_> = all.stdout.lines().collect();
    assert_eq!(lines[0], "     SIZE  UPLOADED              PATH");
    assert!(lines[1].starts_with("  293 KiB  20") && lines[1].ends_with("  uploads/2026/a.jpg"));
    assert!(lines[3].ends_with("  uploads/new%0Aline.txt"), "{lines:?}");
    assert_eq!(lines[4], "3 files, 293 KiB");
    assert!(lines.iter().all(|line| line.len() <= 80), "{lines:?}");
    let json: Vec<serde_json::Value> =
        below.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(json.len(), 2);
    assert_eq!((&json[1]["path"], &json[1]["size"]), (&"uploads/2026/b.txt".into(), &5.into()));
    assert!(json[1]["sha256"].as_str().unwrap().starts_with("2cf24dba"), "{json:?}");
    assert!(one.stdout.ends_with("  uploads/2026/b.txt\n1 file, 5 B\n"), "{one:?}");
    assert_eq!((none.code, none.stdout.as_str()), (Some(0), "0 files, 0 B\n"));
}

#[tokio::test]
async fn versions_are_listed_with_those_of_deleted_files() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    host.write("a", "old");
    host.write("b", "b");
    host.scan().await;
    host.write("a", "newer");
    host.scan().await;
    world.s3_client().delete("webapp/uploads/b").await;

    let all = Process::output(&host, &["list", "uploads", "--versions"]).await;
    let one = Process::output(&host, &["list", "uploads/a", "--versions", "--json"]).await;
    let files = Process::output(&host, &["list"]).await;

    let lines: Vec<_> = all.stdout.lines().collect();
    let facts = |line: &str| line.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    assert_eq!(lines.len(), 7, "{all:?}");
    assert_eq!((lines[0], lines[3]), ("uploads/a", "uploads/b"));
    assert!(facts(lines[1]).starts_with("5 B") && lines[1].contains("  newest  "), "{lines:?}");
    assert!(facts(lines[2]).starts_with("3 B") && !lines[2].contains("newest"), "{lines:?}");
    assert!(lines[4].starts_with("  deleted  ") && lines[5].trim_start().starts_with("1 B"));
    assert!(one.stdout.lines().count() == 2 && one.stdout.contains("\"version_id\""), "{one:?}");
    assert!(!files.stdout.contains("uploads/b"), "{files:?}");
}

#[tokio::test]
async fn more_files_than_a_page_has_are_listed_found_and_restored_once() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    let files = LIST_LIMIT_MAX + 100;
    let mut want: Vec<_> = (0..files).map(|n| format!("uploads/{n}")).collect();
    want.sort_unstable();
    (0..files).for_each(|n| host.write(n.to_string(), n.to_string()));
    assert!(host.scan().await.is_clean());
    let target = host.dir.path().join("target");

    for arguments in [
        &["list", "--json"][..],
        &["list", "uploads", "--versions", "--json"],
        &["find", "*", "--json"],
    ] {
        let output = Process::output(&host, arguments).await;
        assert_eq!(output.code, Some(0), "{arguments:?}");
        let path = |line: &str| {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            value["path"].as_str().unwrap().to_owned()
        };
        let paths: Vec<_> = output.stdout.lines().map(path).collect();
        assert_eq!(paths, want, "{arguments:?}");
    }
    let target_dir = target.to_str().unwrap();
    let restored =
        Process::output(&host, &["restore", "uploads", "--json", "--target", target_dir]).await;

    assert_eq!(restored.code, Some(0), "{restored:?}");
    let summary: serde_json::Value = serde_json::from_str(&restored.stdout).unwrap();
    assert_eq!(summary["restored"]["files"], files, "{summary}");
    for n in 0..files {
        let content = std::fs::read(target.join(n.to_string())).unwrap();
        assert_eq!(content, n.to_string().as_bytes());
    }
}

#[tokio::test]
async fn a_reader_that_closes_the_pipe_ends_the_listing_without_an_error() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    (0..300).for_each(|n| host.write(format!("a-rather-long-name-of-a-file-{n}"), "x"));
    host.scan().await;
    let program = env!("CARGO_BIN_EXE_s3up");
    let script = format!(
        "set -o pipefail; {program:?} --config {:?} list --json | head -n 1",
        host.config_file()
    );

    let mut command = tokio::process::Command::new("bash");
    let output = command.args(["-c", &script]).output().await.unwrap();

    assert!(output.status.success(), "{output:?}");
    assert_eq!(output.stdout.iter().filter(|byte| **byte == b'\n').count(), 1);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[tokio::test]
async fn files_are_found_by_a_pattern_of_their_name_or_path() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    for path in ["a.pdf", "2026/b.pdf", "2026/01/c.pdf", "2026/01/c.txt"] {
        host.write(path, path);
    }
    host.scan().await;

    let found = async |pattern: &str| {
        let output = Process::output(&host, &["find", pattern, "--json"]).await;
        let path = |line: &str| {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            value["path"].as_str().unwrap().to_owned()
        };
        (output.code, output.stdout.lines().map(path).collect::<Vec<_>>().join(" "))
    };

    let all = "uploads/2026/01/c.pdf uploads/2026/b.pdf uploads/a.pdf".to_owned();
    assert_eq!(found("*.pdf").await, (Some(0), all));
    assert_eq!(found("uploads/*/*.pdf").await, (Some(0), "uploads/2026/b.pdf".to_owned()));
    assert_eq!(found("*.gif").await, (Some(1), String::new()));
    let broken = Process::output(&host, &["find", "a["]).await;
    assert_eq!(broken.code, Some(2));
    assert!(broken.stderr.starts_with("s3up: error: parse the pattern \"a[\": "), "{broken:?}");
}

#[tokio::test]
async fn a_host_without_a_configuration_needs_only_the_address_and_a_key() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    host.write("a", "a");
    host.scan().await;
    let key = host.dir.path().join("key");
    std::fs::write(&key, format!("{KEY}\n")).unwrap();
    let (url, key) = (world.url(), key.to_str().unwrap());

    let by_file = bare(&["list", "--url", &url, "--key-file", key], None).await;
    let by_variable = bare(&["list", "--url", &url], Some(KEY)).await;
    let without = bare(&["list", "--url", &url], None).await;
    let wrong = bare(&["list", "--url", &url], Some("not a key")).await;
    let plain = bare(&["list", "--url", "http://backup.example"], Some(KEY)).await;

    for output in [by_file, by_variable] {
        assert_eq!(output.0, Some(0), "{output:?}");
        assert!(output.1.contains("  uploads/a\n"), "{output:?}");
    }
    #[rustfmt::skip]
    let refused = [
        (without, "s3up: error: --url: no client key; pass --key-file, or set the variable S3UP_API_KEY\n"),
        (wrong,   "s3up: error: environment variable S3UP_API_KEY: expected a key of printable ASCII without spaces; create one with `s3up-server keygen`\n"),
        (plain,   "s3up: error: --url: expected https, found http, which would send the client key in the clear; to allow that, pass --insecure\n"),
    ];
    for ((code, _, message), want) in refused {
        assert_eq!((code, message.as_str()), (Some(2), want));
    }
}

/// Runs the program without a configuration file.
async fn bare(arguments: &[&str], key: Option<&str>) -> (Option<i32>, String, String) {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_s3up"));
    command.args(arguments).env_remove("S3UP_API_KEY");
    if let Some(key) = key {
        command.env("S3UP_API_KEY", key);
    }
    let output = command.output().await.expect("the program");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}
