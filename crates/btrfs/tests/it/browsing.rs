//! `index`, `ls`, `find` and `diff`: reading backups without reading their chunks.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use s3up_devstore::{Fault, Op};
use s3up_testkit::noise;
use serde_json::Value;
use tokio::io::AsyncReadExt;

use crate::fixture::{World, index_of};

/// A program that stops ends its threads within a second. The rest is a margin.
const STOP_LIMIT: Duration = Duration::from_secs(40);

/// Makes a chain of three backups.
async fn world() -> Option<World> {
    let world = World::start(&["data"]).await?;
    let data = world.subvolume("data");
    fs::create_dir_all(data.join("photos/2025")).expect("a file of the tree");
    fs::write(data.join("photos/2025/a.jpg"), noise(100_000)).expect("a file of the tree");
    fs::write(data.join("notes.txt"), "first").expect("a file of the tree");
    symlink("photos/2025", data.join("newest")).expect("a file of the tree");
    world.backup().await;
    fs::write(data.join("photos/2025/b.jpg"), noise(20_000)).expect("a file of the tree");
    fs::write(data.join("notes.txt"), "second, longer").expect("a file of the tree");
    world.backup().await;
    fs::rename(data.join("photos/2025"), data.join("photos/archive")).expect("a file of the tree");
    fs::remove_file(data.join("photos/archive/a.jpg")).expect("a file of the tree");
    world.backup().await;
    Some(world)
}

/// Returns the keys of all indexes.
async fn indexes(world: &World) -> Vec<String> {
    world.keys().await.into_iter().filter(|key| key.ends_with("-index.bin")).collect()
}

async fn json(world: &World, arguments: &[&str]) -> Value {
    let ran = world.run(arguments).await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    serde_json::from_str(&ran.stdout).expect("a file of the tree")
}

fn paths(files: &Value) -> Vec<&str> {
    files
        .as_array()
        .expect("a list")
        .iter()
        .map(|file| file["path"].as_str().expect("a path"))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn backups_are_looked_into_by_their_indexes() {
    let Some(world) = world().await else { return };
    for key in indexes(&world).await {
        world.delete(&key).await;
    }
    let refused = world.run(&["ls", "--subvolume", "data"]).await;
    refused.failed_with(1, &["3 of 3 backups of the chain have no index", "`index --build`"]);
    let none = json(&world, &["index", "--subvolume", "data", "--json"]).await;
    assert_eq!(none[2]["index_bytes"], Value::Null);

    let built = json(&world, &["index", "--subvolume", "data", "--build", "--json"]).await;

    assert!(built.as_array().unwrap().iter().all(|line| line["index_bytes"].is_u64()), "{built}");
    // Only the indexes are needed from here on.
    let chunks: Vec<_> =
        world.keys().await.into_iter().filter(|key| key.ends_with(".bin")).collect();
    for key in chunks.iter().filter(|key| key.contains("/chunk-")) {
        world.delete(key).await;
    }
    let top = json(&world, &["ls", "--subvolume", "data", "--json"]).await;
    assert_eq!(paths(&top), ["newest", "notes.txt", "photos"]);
    assert_eq!((&top[0]["type"], &top[0]["target"]), (&"symlink".into(), &"photos/2025".into()));
    assert_eq!((&top[1]["size"], &top[2]["type"]), (&14.into(), &"directory".into()));
    let below = json(&world, &["ls", "/photos/archive/", "--subvolume", "data", "--json"]).await;
    assert_eq!(paths(&below), ["photos/archive/b.jpg"]);
    let found = json(&world, &["find", "*.jpg", "--subvolume", "data", "--json"]).await;
    assert_eq!(paths(&found), ["photos/archive/b.jpg"]);
    let found = json(&world, &["find", "photos/*", "--subvolume", "data", "--json"]).await;
    assert_eq!(paths(&found), ["photos/archive"]);
    let stamps: Vec<_> =
        built.as_array().unwrap().iter().map(|it| it["created_at"].as_str().unwrap()).collect();
    let first = ["ls", "photos/2025", "--subvolume", "data", "--json", "--at", stamps[0]];
    let first = json(&world, &first).await;
    assert_eq!(paths(&first), ["photos/2025/a.jpg"]);
    let changes = world.run(&["diff", stamps[0], stamps[1], "--subvolume", "data"]).await;
    assert_eq!(changes.code, Some(0), "{}", changes.stderr);
    assert!(changes.stdout.contains("changed  notes.txt\n"), "{}", changes.stdout);
    assert!(changes.stdout.contains("added    photos/2025/b.jpg\n"), "{}", changes.stdout);
    assert!(!changes.stdout.contains("a.jpg"), "{}", changes.stdout);
    let changes = world.run(&["diff", stamps[1], "--subvolume", "data"]).await;
    assert!(changes.stdout.contains("removed  photos/2025\n"), "{}", changes.stdout);
    assert!(!changes.stdout.contains("notes"), "{}", changes.stdout);
    let missing = world.run(&["ls", "no/such", "--subvolume", "data"]).await;
    missing.failed_with(1, &["the backup has no file \"no/such\""]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_index_is_found_and_built_again() {
    let Some(world) = world().await else { return };
    let (manifest, _) = world.newest("data").await;
    let key = manifest.replace(".json", "-index.bin");
    let mut bytes = world.read(&key).await.unwrap();
    // The first block begins after the header.
    bytes[20] ^= 1;
    world.write(&key, &bytes).await;
    let damaged = world.run(&["ls", "--subvolume", "data"]).await;
    damaged.failed_with(
        1,
        &[key.as_str(), "is damaged", "`index --build`", "a block with the SHA-256"],
    );
    let verified = world.run(&["verify", "--deep", "--json"]).await;
    verified.failed_with(1, &["found problems in data"]);
    let verified: Value = serde_json::from_str(&verified.stdout).unwrap();
    assert_eq!(verified[0]["findings"][0]["what"], "index", "{verified}");
    assert_eq!(verified[0]["findings"][0]["key"], key.as_str(), "{verified}");

    let built = world.run(&["index", "--subvolume", "data", "--build"]).await;

    assert_eq!(built.code, Some(0), "{}", built.stderr);
    let listed = world.run(&["ls", "photos", "--subvolume", "data"]).await;
    assert!(listed.stdout.contains("photos/archive/"), "{} {}", listed.stdout, listed.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_of_a_newer_version_is_reported_and_not_replaced() {
    let Some(world) = world().await else { return };
    world.run(&["index", "--subvolume", "data", "--build"]).await;
    let (manifest, _) = world.newest("data").await;
    let key = manifest.replace(".json", "-index.bin");
    let mut bytes = world.read(&key).await.unwrap();
    // The version is before the eight bytes at the end.
    let version = bytes.len() - 12;
    assert_eq!(bytes[version..][..4], 1_u32.to_le_bytes());
    bytes[version] = 2;
    world.write(&key, &bytes).await;

    let refused = world.run(&["index", "--subvolume", "data", "--build"]).await;

    refused.failed_with(1, &[key.as_str(), "found version 2", "use a newer version"]);
    assert!(world.read(&key).await.unwrap() == bytes, "the index was replaced");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_index_of_another_backup_is_found_and_built_again() {
    let Some(world) = world().await else { return };
    let (manifest, _) = world.newest("data").await;
    let key = manifest.replace(".json", "-index.bin");
    let listed = world.keys().await;
    let other =
        listed.iter().find(|it| it.contains("full/") && it.ends_with("-index.bin")).unwrap();
    let other = world.read(other).await.unwrap();
    world.write(&key, &other).await;
    let wrong = world.run(&["ls", "--subvolume", "data"]).await;
    wrong.failed_with(1, &["belongs to another stream", "`index --build`"]);

    let built = world.run(&["index", "--subvolume", "data", "--build"]).await;

    assert_eq!(built.code, Some(0), "{}", built.stderr);
    let listed = world.run(&["ls", "photos", "--subvolume", "data"]).await;
    assert!(listed.stdout.contains("photos/archive/"), "{} {}", listed.stdout, listed.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_is_no_unknown_object_and_is_pruned_with_its_backup() {
    let Some(world) = world().await else { return };
    let old = indexes(&world).await;
    assert_eq!(old.len(), 3, "a backup makes its index");
    let listed = json(&world, &["list", "--json"]).await;
    assert_eq!(listed[0]["unknown_count"], 0, "{listed}");
    let verified = world.run(&["verify", "--deep"]).await;
    assert_eq!(verified.code, Some(0), "{}", verified.stderr);
    world.reconfigure("[retention]\n", "[retention]\nmin_age_days = 0\n");
    world.run(&["backup", "--full"]).await;
    world.backup().await;

    let pruned = world.run(&["prune"]).await;

    assert_eq!(pruned.code, Some(0), "{}", pruned.stderr);
    let left = indexes(&world).await;
    assert!(left.len() == 2 && !left.iter().any(|key| old.contains(key)), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_stores_the_index_that_its_chunks_give() {
    let Some(world) = world().await else { return };
    let stored = indexes(&world).await;
    assert_eq!(stored.len(), 3);
    for key in &stored {
        let sent = world.read(key).await.unwrap();
        world.delete(key).await;
        let built = world.run(&["index", "--subvolume", "data", "--build"]).await;
        assert_eq!(built.code, Some(0), "{}", built.stderr);
        assert!(world.read(key).await.unwrap() == sent, "{key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_without_its_index_is_as_good() {
    let Some(world) = World::start(&["data"]).await else { return };
    fs::write(world.subvolume("data").join("file"), "content").expect("a file of the tree");
    world.run(&["backup", "--full"]).await;
    let before = world.s3.faults().calls(Op::PutObject);
    world.run(&["backup", "--full"]).await;
    let puts = world.s3.faults().calls(Op::PutObject) - before;
    // Part index, manifest and pointer follow. The AWS SDK repeats what is refused in its form.
    for call in [puts - 3, puts - 2] {
        world.s3.faults().inject(Op::PutObject, call, Fault::AccessDenied);
    }

    let ran = world.run(&["backup", "--full"]).await;

    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.contains("event=index_not_built"), "{}", ran.stderr);
    let (manifest, _) = world.newest("data").await;
    assert!(world.read(&index_of(&manifest)).await.is_none());
    let verified = world.run(&["verify", "--deep"]).await;
    assert_eq!(verified.code, Some(0), "{}", verified.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_that_no_program_reads_any_more_ends_with_a_signal() {
    let Some(world) = World::start(&["data"]).await else { return };
    for n in 0..3000 {
        // Far more text than a pipe holds.
        let name = format!("a file with a name that is not short at all {n}");
        fs::write(world.subvolume("data").join(name), "content").expect("a file of the tree");
    }
    world.backup().await;
    let commands: [&[&str]; 2] = [&["ls"], &["find", "*"]];
    for arguments in commands {
        let arguments = [arguments, &["--subvolume", "data"][..]].concat();
        let mut run = world.command(&arguments).stdout(Stdio::piped()).spawn().expect("it starts");
        let mut printed = run.stdout.take().expect("a pipe");
        printed.read_exact(&mut [0]).await.expect("it prints");
        let pid = run.id().and_then(|id| Pid::from_raw(id as i32)).expect("it runs");

        kill_process(pid, Signal::INT).expect("it runs");

        let ended = tokio::time::timeout(STOP_LIMIT, run.wait()).await;
        let status = ended.expect("it ends although its output is not read").expect("a status");
        assert_eq!(status.code(), Some(130), "{arguments:?}");
    }
}
