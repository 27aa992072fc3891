//! Compares the outputs of `s3up` with the golden files in `tests/golden/output`.

use std::path::Path;
use std::process::Stdio;

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

#[tokio::test]
async fn json_outputs_are_those_of_the_golden_files() {
    let mut world = World::start().await;
    world.restart_with("max_file_size_mb: 1").await;
    let host = Host::new(&world.url());
    host.write("a.jpg", noise(300_000));
    host.write("large.iso", noise(2 << 20));
    prints(&host, &world.url(), "scan-json", &["scan", "--json"]).await;
    prints(&host, &world.url(), "check-config-json", &["check-config", "--json"]).await;
    let agent = host.started().await;

    prints(&host, &world.url(), "retry-json", &["retry", "--json"]).await;

    agent.stop().await;
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
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/output");
    let text = format!("$ s3up {line}\n{}{end}", text(&output.stdout));
    assert_golden(&directory.join(format!("{name}.txt")), &text, &redactions);
}
