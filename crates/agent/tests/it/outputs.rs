//! Compares the outputs of `s3up` with the golden files in `tests/golden/output`.

use std::path::Path;
use std::process::Stdio;

use s3up::daemon::Summary;
use s3up::states::counts::{FileCount, StateCounts};
use s3up::status::{Problem, Status, WatchStatus};
use s3up_testkit::golden::{Redactions, assert_golden};
use tokio::process::Command;

use crate::fixture::{Host, World, noise};

#[tokio::test]
async fn outputs_are_those_of_the_golden_files() {
    let world = World::start().await;
    let mut host = Host::new(&world.url());
    host.edit("watches:\n", "exclude: [\"*.tmp\"]\nwatches:\n");
    host.write("a.jpg", noise(300_000));
    host.write("b/c.txt", "hello");
    host.write("d.tmp", "not uploaded");
    let outputs = [
        ("check-config", &["check-config"][..]),
        ("status-before", &["status"]),
        ("scan", &["scan"]),
        ("scan-nothing-new", &["scan"]),
        ("status", &["status"]),
        ("get-missing", &["get", "uploads/none"]),
    ];

    for (name, arguments) in outputs {
        prints(&host, &world.url(), name, arguments).await;
    }
}

/// The result of a scan with failures depends on times, so it is made by hand.
#[test]
fn a_scan_with_problems_prints_them() {
    let summary = Summary {
        uploaded: 1,
        bytes: 300_000,
        problems: 1,
        failed: vec![("/srv/up/b.iso".to_owned(), "too large: expected at most 1.0 GiB (upload.max_file_size_mb), found 4.0 GiB".to_owned())],
        pending: 1,
        not_uploaded: vec![("/srv/up/c.jpg".to_owned(), "cannot reach the gateway: connection refused".to_owned())],
        scan_errors: vec!["open watched directory \"/srv/gone\"; its files keep their state: No such file or directory (os error 2)".to_owned()],
        ..Summary::default()
    };
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/output");
    let text = format!("$ s3up scan\n{summary}exit code 3\n");
    assert_golden(&golden.join("scan-problems.txt"), &text, &Redactions::new());
}

#[test]
fn a_status_with_problems_prints_them_below_their_row() {
    let counts = StateCounts {
        protected: FileCount { files: 2, bytes: 300_005 },
        pending: FileCount { files: 1, bytes: 5 },
        problems: FileCount { files: 1, bytes: 4 << 30 },
        ..StateCounts::default()
    };
    let watch = WatchStatus {
        local_path: "/srv/up".to_owned(),
        counts,
        excluded: Vec::new(),
        problems: vec![Problem {
            local_path: "/srv/up/b.iso".to_owned(),
            reason: "too large: expected at most 1.0 GiB (upload.max_file_size_mb), found 4.0 GiB"
                .to_owned(),
        }],
        error: None,
        last_scan_at: None,
    };
    let status = Status {
        running: true,
        watcher: Some("ok".to_owned()),
        total: counts,
        watches: vec![watch],
    };
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/output");
    let text = format!("$ s3up status\n{status}");
    assert_golden(&golden.join("status-problems.txt"), &text, &Redactions::new());
}

async fn prints(host: &Host, url: &str, name: &str, arguments: &[&str]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_s3up"));
    command.arg("--config").arg(host.config_file()).args(arguments).stdin(Stdio::null());
    let output = command.output().await.expect("the program");
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    let stderr = text(&output.stderr);
    let errors = stderr.lines().filter(|line| line.starts_with("s3up: "));
    let errors: String = errors.map(|line| format!("{line}\n")).collect();
    let code = output.status.code().expect("a program that ended");
    let end = if code == 0 { String::new() } else { format!("{errors}exit code {code}\n") };
    let line = arguments.join(" ");
    let redactions = Redactions::new()
        .text("[DIR]", host.dir.path().display().to_string())
        .text("[GATEWAY]", url);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/output");
    let text = format!("$ s3up {line}\n{}{end}", text(&output.stdout));
    assert_golden(&folder.join(format!("{name}.txt")), &text, &redactions);
}
