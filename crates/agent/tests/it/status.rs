//! `s3up status` from outside: its lines, its exit codes, and one file.

use crate::fixture::{Host, KEY, World, noise, until};
use crate::process::Process;

#[tokio::test]
async fn status_shows_an_unavailable_gateway_and_a_refused_key() {
    let mut world = World::start().await;
    let mut host = Host::new(&world.url());
    host.write("file", "1");
    let mut agent = Process::start(&host, &["run"]);
    check(&host, &["--max-age", "1h"], 0, "OK: 1 file protected, 0 pending, all watches").await;

    world.gateway_down().await;
    host.write("other", "2");
    let unavailable = check(&host, &[], 1, "PROBLEM: gateway: unavailable since ").await;
    assert!(unavailable.contains("cannot reach the gateway"), "{unavailable}");
    let text = Process::output(&host, &["status"]).await.stdout;
    assert!(
        text.contains("\ngateway: unavailable since 2") && text.contains("\noldest pending: "),
        "{text}"
    );
    let json: serde_json::Value =
        serde_json::from_str(&Process::output(&host, &["status", "--json"]).await.stdout).unwrap();
    assert_eq!(json["gateway"]["status"], "unavailable");
    check(&host, &["--max-age", "0s"], 1, "1 file, the oldest since ").await;
    world.gateway_up().await;
    check(&host, &[], 0, "OK: 2 files protected").await;
    agent.terminate();
    assert_eq!(agent.wait().await, Some(0));
    check(&host, &[], 1, "PROBLEM: agent: not running").await;

    host.edit(KEY, &KEY.replace("webapp", "strange"));
    let mut agent = Process::start(&host, &["run"]);
    // An upload shows it at once; the next heartbeat may be a minute away.
    host.write("third", "3");
    check(&host, &[], 1, "PROBLEM: gateway: key refused since ").await;
    agent.terminate();
    assert_eq!(agent.wait().await, Some(0));
}

#[tokio::test]
async fn each_problem_has_its_reason_and_the_next_step() {
    let mut world = World::start().await;
    world.restart_with("max_file_size_mb: 1").await;
    let mut host = Host::new(&world.url());
    host.edit("retry_attempts: 3,", "retry_attempts: 3, max_file_size_mb: 2,");
    host.write("good", "good");
    host.write("large", noise(3 << 19));
    host.write("larger", noise(5 << 19));
    std::os::unix::fs::symlink("good", host.up.join("link")).unwrap();
    host.scan().await;

    let text = Process::output(&host, &["status"]).await.stdout;
    let mut of = Vec::new();
    for name in ["good", "large", "larger", "link", "none"] {
        let path = host.up.join(name);
        of.push(Process::output(&host, &["status", path.to_str().unwrap()]).await.stdout);
    }
    let outside = Process::output(&host, &["status", "/etc/hostname"]).await;

    assert!(text.contains("then run s3up retry"), "{text}");
    assert!(text.contains("raise upload.max_file_size_mb"), "{text}");
    let up = host.up.display();
    assert_eq!(of[0], format!("{up}/good: protected\n  remote path: uploads/good\n"));
    assert!(of[1].starts_with(&format!("{up}/large: problem: ")), "{}", of[1]);
    assert!(of[1].ends_with("then run s3up retry; or exclude it\n"), "{}", of[1]);
    assert!(of[2].contains("/larger: problem: too large: expected at most 2.0 MiB"), "{}", of[2]);
    assert!(of[3].starts_with(&format!("{up}/link: excluded: symlink\n")), "{}", of[3]);
    assert!(of[4].starts_with(&format!("{up}/none: missing\n")), "{}", of[4]);
    assert_eq!(outside.code, Some(2), "{outside:?}");
    check(&host, &[], 1, "2 problems (s3up status lists them)").await;
}

#[tokio::test]
async fn a_directory_has_the_numbers_of_the_files_below_it() {
    let world = World::start().await;
    let mut host = Host::new(&world.url());
    host.add("exclude: [cache/]\n");
    for path in ["other", "site/one", "site/deep/two", "site/pend", "site/cache/junk"] {
        host.write(path, path);
    }
    std::os::unix::fs::symlink("one", host.up.join("site/link")).unwrap();
    host.scan().await;
    host.write("site/pend", "longer than before");
    let status = async |path: &str, more: &[&str]| {
        let path = host.up.join(path);
        let arguments = [&["status", path.to_str().unwrap()], more].concat();
        Process::output(&host, &arguments).await.stdout
    };

    let text = status("site", &[]).await;
    let lines: Vec<Vec<_>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    let site = format!("{}/site", host.up.display());
    let want: [&[&str]; 8] = [
        &[&site],
        &["protected", "2", "21", "B"],
        &["pending", "1", "18", "B"],
        &["excluded", "2"],
        &["problems", "0", "0", "B"],
        &["total", "5"],
        &["excluded", "(symlink):", "1"],
        &["excluded", "(exclude", "pattern):", "1"],
    ];
    assert_eq!(lines, want.map(<[_]>::to_vec), "{text}");

    let json = status("site/deep", &["--json"]).await;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["local_path"], format!("{site}/deep"));
    assert_eq!(json["counts"]["protected"], serde_json::json!({ "files": 1, "bytes": 13 }));
    let excluded = status("site/cache", &[]).await;
    assert!(
        excluded.starts_with(&format!("{site}/cache: excluded: exclude pattern\n")),
        "{excluded}"
    );
    let root = status("", &["--json"]).await;
    let root: serde_json::Value = serde_json::from_str(&root).unwrap();
    assert_eq!(root["counts"]["protected"]["files"], 3);
}

#[tokio::test]
async fn a_baseline_is_no_problem_and_a_watch_that_is_gone_is_one() {
    let world = World::start().await;
    let mut host = Host::new(&world.url());
    host.edit("upload_existing: true", "upload_existing: false");
    host.write("old", "old");
    let mut agent = Process::start(&host, &["run"]);
    check(&host, &[], 0, "OK: 0 files protected, 0 pending").await;

    std::fs::rename(&host.up, host.dir.path().join("away")).unwrap();

    check(&host, &[], 1, "open watched directory").await;
    agent.terminate();
    assert_eq!(agent.wait().await, Some(0));
}

/// Waits until `s3up status --check` exits with `code` and prints `part`.
async fn check(host: &Host, arguments: &[&str], code: i32, part: &str) -> String {
    let arguments: Vec<_> = ["status", "--check"].iter().chain(arguments).copied().collect();
    let mut line = String::new();
    until(&format!("{arguments:?} exits with {code}: {part}"), async || {
        let output = Process::output(host, &arguments).await;
        line = output.stdout.clone();
        output.code == Some(code) && output.stdout.contains(part)
    })
    .await;
    assert_eq!(line.lines().count(), 1, "{line}");
    line
}
