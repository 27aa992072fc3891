//! Documents that a lifecycle rule of the bucket moved to an archive class: what a restore has to
//! read is more than chunks.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use s3up_core::Key;
use s3up_devstore::Op;
use s3up_store::{Overwrite, PutDocument};
use s3up_testkit::assert_same_tree;
use serde_json::Value;

use crate::fixture::{RETRY_FOR, World};

const HOUR: Duration = Duration::from_secs(60 * 60);

/// Makes a full and an incremental.
async fn two_backups() -> Option<World> {
    let world = World::start(&["data"]).await?;
    for name in ["one", "two"] {
        fs::write(world.subvolume("data").join(name), name).expect("a written file");
        world.backup().await;
    }
    world.s3.set_restore_delay(5 * HOUR);
    Some(world)
}

/// Moves the objects whose keys end like this to an archive class, as a lifecycle rule does.
async fn archive(world: &World, end: &str) -> usize {
    let keys: Vec<_> = world.keys().await.into_iter().filter(|key| key.ends_with(end)).collect();
    for key in &keys {
        let bytes = world.read(key).await.expect("an object");
        let put = PutDocument {
            key: Key::parse(key).expect("a key"),
            content_type: "application/json",
            metadata: BTreeMap::new(),
            storage_class: Some("GLACIER".to_owned()),
            overwrite: Overwrite::Allowed,
            retry_for: RETRY_FOR,
        };
        world.store.write(put, &bytes).await.expect("a stored object");
    }
    keys.len()
}

fn target(world: &World) -> PathBuf {
    world.fs.path().join("restored")
}

fn requests(world: &World) -> u64 {
    world.s3.faults().calls(Op::RestoreObject)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archived_part_index_is_shown_and_thawed_with_the_chunks() {
    let Some(world) = two_backups().await else { return };
    assert_eq!(archive(&world, "-parts.json").await, 2);
    let target = target(&world);
    let restore = ["restore", "--subvolume", "data", "--target", target.to_str().unwrap()];

    let check = world.run(&["status", "--check"]).await;
    assert_eq!(check.code, Some(1), "{}", check.stdout);
    assert!(check.stdout.contains("has to thaw 2 documents"), "{}", check.stdout);
    let verify = world.run(&["verify"]).await;
    assert_eq!(verify.code, Some(1), "{}", verify.stdout);
    assert_eq!(verify.stdout.matches("is archived (GLACIER)").count(), 2, "{}", verify.stdout);
    let dry = world.run(&[&restore[..], &["--dry-run", "--json"]].concat()).await;
    let preview: Value = serde_json::from_str(&dry.stdout).expect("JSON");
    assert_eq!(preview["thaw"][0]["storage_class"], "GLACIER", "{}", dry.stdout);
    assert_eq!(preview["thaw"][0]["requests"], 2, "{}", dry.stdout);
    assert_eq!(requests(&world), 0);

    let early = world.run(&[&restore[..], &["--no-wait-restore"]].concat()).await;

    early.failed_with(4, &["objects are readable", "run again later: "]);
    assert!(early.stderr.contains("event=documents_archived"), "{}", early.stderr);
    assert_eq!(requests(&world), 2);
    let thaw = world.run(&["thaw", "--subvolume", "data", "--no-wait-restore"]).await;
    assert_eq!(thaw.code, Some(4), "{}", thaw.stderr);
    assert!(thaw.stdout.contains("2 of 4 objects are readable"), "{}", thaw.stdout);
    assert_eq!(requests(&world), 2, "they are in progress");
    world.s3.advance(6 * HOUR).await.unwrap();
    let ready = world.run(&["thaw", "--subvolume", "data"]).await;
    assert_eq!(ready.code, Some(0), "{}", ready.stderr);
    let restored = world.run(&restore).await;
    assert_eq!(restored.code, Some(0), "{}", restored.stderr);
    assert_same_tree(&world.subvolume("data"), &target);
}

#[tokio::test(flavor = "multi_thread")]
async fn archived_manifests_and_an_archived_pointer_are_thawed_first() {
    for end in ["Z.json", "current.json"] {
        let Some(world) = two_backups().await else { return };
        let count = archive(&world, end).await;
        assert!(count > 0, "{end}");
        let target = target(&world);
        let restore = ["restore", "--subvolume", "data", "--target", target.to_str().unwrap()];

        let check = world.run(&["status", "--check"]).await;
        assert_eq!(check.code, Some(1), "{}", check.stdout);
        assert!(check.stdout.contains("archived"), "{}", check.stdout);
        let verify = world.run(&["verify"]).await;
        assert_eq!(verify.code, Some(1), "{} {}", verify.stdout, verify.stderr);
        let dry = world.run(&[&restore[..], &["--dry-run"]].concat()).await;
        dry.failed_with(4, &["objects are readable", "no thaw was requested"]);
        assert_eq!(requests(&world), 0);

        let early = world.run(&[&restore[..], &["--no-wait-restore"]].concat()).await;

        early.failed_with(4, &["0 of", "objects are readable"]);
        assert_eq!(requests(&world), count as u64);
        let thaw = world.run(&["thaw", "--subvolume", "data", "--no-wait-restore"]).await;
        assert_eq!(thaw.code, Some(4), "{}", thaw.stderr);
        world.s3.advance(6 * HOUR).await.unwrap();
        let restored = world.run(&restore).await;
        assert_eq!(restored.code, Some(0), "{}", restored.stderr);
        assert_same_tree(&world.subvolume("data"), &target);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_restore_waits_for_documents_and_then_for_chunks() {
    let Some(world) = World::start(&["data"]).await else { return };
    world.reconfigure("storage_class_chunks = \"STANDARD\"", "storage_class_chunks = \"GLACIER\"");
    fs::write(world.subvolume("data").join("file"), "content").unwrap();
    world.backup().await;
    archive(&world, ".json").await;
    world.s3.set_restore_delay(Duration::ZERO);

    let ran = world.restore("data", &target(&world)).await;

    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_same_tree(&world.subvolume("data"), &target(&world));
    assert_eq!(requests(&world), 4, "pointer, manifest, part index and chunk");
}
