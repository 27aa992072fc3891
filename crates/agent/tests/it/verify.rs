//! `s3up verify`: every file that is not known to be protected is named.

use std::fs;

use crate::fixture::{Host, World, noise};
use crate::process::Process;

#[tokio::test]
async fn files_on_which_disk_database_and_gateway_agree_are_verified() {
    let world = World::start().await;
    let mut host = Host::new(&world.url());
    host.edit("watches:\n", "exclude: [\"*.tmp\"]\nwatches:\n");
    host.write("a", "a");
    host.write("b", noise(300_000));
    host.write("c.tmp", "excluded");
    host.scan().await;

    let all = Process::output(&host, &["verify"]).await;
    let sample = Process::output(&host, &["verify", "--sample", "1", "--json"]).await;
    let none = Process::output(&host, &["verify", "--sample", "0"]).await;

    let want = "2 files verified, 1 excluded, 0 findings\n";
    assert_eq!((all.code, all.stdout.as_str()), (Some(0), want), "{all:?}");
    let want =
        "{\"verified\":1,\"not_sampled\":1,\"locally_deleted\":0,\"excluded\":1,\"findings\":0}\n";
    assert_eq!((sample.code, sample.stdout.as_str()), (Some(0), want), "{sample:?}");
    assert_eq!((none.code, none.stdout.as_str()), (Some(2), ""), "{none:?}");
    assert!(none.stderr.contains("0 is not in 1.."), "{none:?}");
}

#[tokio::test]
async fn each_disagreement_is_named_with_its_reason() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    for name in ["changed", "fine", "lost", "replaced", "silent"] {
        host.write(name, name);
    }
    host.scan().await;
    host.write("changed", "other content");
    host.write("young", "never uploaded");
    world.s3_client().delete("webapp/uploads/lost").await;
    world.s3_client().put("webapp/uploads/replaced", b"by others", "STANDARD").await;
    // The row of a file whose content changed although its identity did not.
    let row = format!(
        "UPDATE files SET sha256 = '{}' WHERE remote_path = 'uploads/silent'",
        "0".repeat(64)
    );
    crate::database::sql(&host, &[&row]).await;

    let output = Process::output(&host, &["verify"]).await;
    let json = Process::output(&host, &["verify", "--json"]).await;

    assert_eq!(output.code, Some(1), "{output:?}");
    let up = host.up.display();
    let mut lines: Vec<_> = output.stdout.lines().collect();
    assert_eq!(lines.pop(), Some("1 file verified, 0 excluded, 5 findings"), "{output:?}");
    lines.sort_unstable();
    assert!(lines[0].starts_with(&format!("{up}/changed: pending: ")), "{lines:?}");
    assert_eq!(lines[1], format!("{up}/lost: the gateway does not have it"));
    assert_eq!(lines[2], format!("{up}/replaced: the gateway has other content"));
    assert!(
        lines[3].starts_with(&format!("{up}/silent: its content is not the one that was uploaded")),
        "{lines:?}"
    );
    assert!(lines[4].starts_with(&format!("{up}/young: pending: ")), "{lines:?}");
    let first: serde_json::Value =
        serde_json::from_str(json.stdout.lines().next().unwrap()).unwrap();
    assert!(first["path"].is_string() && first["finding"].is_string(), "{first}");
    assert_eq!(json.code, Some(1));
}

#[tokio::test]
async fn a_watch_that_is_gone_is_a_finding_and_not_a_success() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    host.write("a", "a");
    host.scan().await;
    fs::rename(&host.up, host.dir.path().join("elsewhere")).unwrap();

    let output = Process::output(&host, &["verify"]).await;

    assert_eq!(output.code, Some(1), "{output:?}");
    assert!(output.stdout.contains(": cannot be scanned: "), "{output:?}");
}

#[tokio::test]
async fn without_a_gateway_nothing_is_verified() {
    let mut world = World::start().await;
    let host = Host::new(&world.url());
    host.write("a", "a");
    host.scan().await;
    world.gateway_down().await;

    let output = Process::output(&host, &["verify"]).await;

    assert_eq!((output.code, output.stdout.as_str()), (Some(1), ""), "{output:?}");
    assert!(output.stderr.contains("ask the gateway which files it has: cannot reach the gateway"));
}
