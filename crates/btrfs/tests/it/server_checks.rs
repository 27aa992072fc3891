//! The first backup and `doctor` find out how a server differs from S3, before the
//! first byte. The servers behave like others than S3.

use std::fs;

use s3up_devstore::{Like, Op};
use s3up_testkit::{assert_same_tree, noise};
use serde_json::Value;

use crate::fixture::{CHUNK, World};

const PROBE: &str = "nas/.s3up-probe-DEEP_ARCHIVE-AES256";

/// Returns the severity of each capability that `doctor` prints.
async fn doctor(world: &World) -> Vec<(String, String)> {
    let ran = world.run(&["doctor", "--json"]).await;
    let lines: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{ran:?}"));
    let lines = lines.as_array().expect("lines");
    let text = |line: &Value, field| line[field].as_str().expect("text").to_owned();
    lines.iter().map(|line| (text(line, "capability"), text(line, "severity"))).collect()
}

fn not_ok(lines: &[(String, String)]) -> Vec<&str> {
    let bad = lines.iter().filter(|(_, severity)| ["warning", "problem"].contains(&&**severity));
    bad.map(|(capability, _)| &**capability).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_finds_nothing_wrong_with_s3() {
    let Some(world) = World::start(&["data"]).await else { return };

    let ran = world.run(&["doctor"]).await;
    let lines = doctor(&world).await;

    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stdout.starts_with("CAPABILITY"), "{}", ran.stdout);
    assert_eq!(not_ok(&lines), ["versions"], "{lines:?}");
}

/// RGW compares ETags without quotes, ignores conditions of completions and SSE, and
/// has a class DEEP_ARCHIVE whose objects can be read at once.
#[tokio::test(flavor = "multi_thread")]
async fn backups_to_ceph_follow_each_other_and_are_restored_without_a_thaw() {
    let Some(world) = World::start_like(Like::Rgw, &["data"]).await else { return };
    world.reconfigure("storage_class_chunks = \"STANDARD\"\n", "");
    let data = world.subvolume("data");

    let mut runs = Vec::new();
    for round in ["one", "two", "three"] {
        fs::write(data.join(round), noise(CHUNK + 1000)).unwrap();
        runs.push(world.backup().await.stderr);
    }

    for said in ["capability=encryption", "capability=archive"] {
        assert!(runs[0].contains(said), "{said}: {}", runs[0]);
    }
    assert!(world.all_keys().await.contains(&PROBE.to_owned()));
    let target = world.fs.path().join("restored");
    let to = target.to_str().expect("a target in UTF-8");
    let preview = ["restore", "--subvolume", "data", "--target", to, "--dry-run"];
    let preview = world.run(&preview).await;
    assert!(preview.stdout.contains("thaw: not necessary"), "{preview:?}");
    let ran = world.restore("data", &target).await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_same_tree(&data, &target);
    assert_eq!(world.s3.faults().calls(Op::RestoreObject), 0);
    let verified = world.run(&["verify", "--deep"]).await;
    assert!(!verified.stdout.contains("is archived"), "{}", verified.stdout);
    let lines = doctor(&world).await;
    assert!(not_ok(&lines).contains(&"encryption"), "{lines:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_refuses_the_encryption_stops_the_first_backup_before_a_byte() {
    let Some(world) = World::start_like(Like::SeaweedFs, &["data"]).await else { return };
    fs::write(world.subvolume("data").join("file"), noise(1000)).unwrap();

    let ran = world.run(&["backup", "--once"]).await;

    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stderr.contains("set `sse` to"), "{}", ran.stderr);
    assert_eq!(world.keys().await, Vec::<String>::new());
    assert_eq!(world.snapshots(), Vec::<String>::new());
    world.reconfigure("retry_hours", "sse = \"none\"\nretry_hours");
    world.backup().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_fewer_parts_stops_the_first_backup_before_a_byte() {
    let Some(world) = World::start_like(Like::Swift, &["data"]).await else { return };
    fs::write(world.subvolume("data").join("file"), noise(1000)).unwrap();
    world.reconfigure(&format!("chunk_size_bytes = {CHUNK}"), "chunk_size_bytes = 5368709120");
    world.reconfigure("retry_hours", "sse = \"none\"\nretry_hours");

    let ran = world.run(&["backup", "--once"]).await;

    ran.failed_with(2, &["a chunk has 1024 parts: expected at most 1000", "`s3.parts_max`"]);
    assert_eq!(world.keys().await, Vec::<String>::new());
    assert_eq!(world.snapshots(), Vec::<String>::new());
    world.reconfigure("retry_hours", "parts_max = 1000\nretry_hours");
    world.backup().await;
}

/// A JuiceFS gateway returns no ETag and ignores conditions.
#[tokio::test(flavor = "multi_thread")]
async fn backups_to_a_server_without_etags_are_verified_and_restored() {
    let Some(world) = World::start_like(Like::JuiceFs, &["data"]).await else { return };
    world.reconfigure("retry_hours", "sse = \"none\"\nretry_hours");
    let data = world.subvolume("data");
    for round in ["one", "two"] {
        fs::write(data.join(round), noise(CHUNK + 1000)).unwrap();
        world.backup().await;
    }

    let verified = world.run(&["verify", "--deep"]).await;
    assert_eq!(verified.code, Some(0), "{} {}", verified.stdout, verified.stderr);
    let target = world.fs.path().join("restored");
    let ran = world.restore("data", &target).await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_same_tree(&data, &target);
    assert!(not_ok(&doctor(&world).await).contains(&"ETag in HEAD"));
}
