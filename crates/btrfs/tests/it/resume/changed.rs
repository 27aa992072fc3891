//! An interrupted backup that cannot be resumed, or that differs from what was sent: two
//! streams are never mixed.

use std::collections::BTreeMap;
use std::fs;

use s3up_core::Key;
use s3up_store::{Overwrite, PutDocument};
use s3up_testkit::{noise, set_read_only, wait_until};
use serde_json::Value;

use super::{assert_clean, assert_says, journal, kill, run_until_part, world};
use crate::fixture::{CHUNK, PART, RETRY_FOR, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_snapshot_is_neither_resumed_nor_deleted() {
    let Some(world) = world(1 << 30).await else { return };
    let run = run_until_part(&world, 20).await;
    kill(&world, run).await;
    let renamed = world.snapshots_dir().join("mine");
    fs::rename(world.snapshots_dir().join(&world.snapshots()[0]), &renamed).unwrap();

    let ran = world.backup().await;

    assert_says(&ran, "backup_not_resumed");
    assert!(ran.stderr.contains("its snapshot is missing"), "{}", ran.stderr);
    assert!(renamed.exists(), "it may be in use");
    assert_clean(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_snapshot_is_not_resumed() {
    let Some(world) = world(1 << 30).await else { return };
    let run = run_until_part(&world, 20).await;
    kill(&world, run).await;
    let snapshot = world.snapshots_dir().join(&world.snapshots()[0]);
    set_read_only(&snapshot, false);
    // The content stays and the extents change, as after a deduplication.
    let big = fs::read(snapshot.join("big")).unwrap();
    fs::remove_file(snapshot.join("big")).unwrap();
    fs::write(snapshot.join("big"), big).unwrap();
    set_read_only(&snapshot, true);

    let ran = world.backup().await;

    assert_says(&ran, "backup_not_resumed");
    assert!(ran.stderr.contains("its snapshot has changed since it was sent"), "{}", ran.stderr);
    assert_clean(&world).await;
}

/// The chunk carries our run, but comes from another stream.
#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_of_another_stream_is_replaced_with_all_after_it() {
    let Some(world) = world(CHUNK).await else { return };
    let run = run_until_part(&world, 10).await;
    let is_whole = || world.s3.objects("backups").keys().any(|key| key.ends_with("-1.bin"));
    assert!(wait_until(RETRY_FOR, is_whole), "the second chunk is complete");
    kill(&world, run).await;
    let run_id = record(&world)["run"].as_str().expect("a run").to_owned();
    let keys = world.keys().await;
    let key = keys.iter().find(|key| key.ends_with("-1.bin")).unwrap();
    let bytes = vec![7; CHUNK as usize];
    let put = PutDocument {
        key: Key::parse(key).unwrap(),
        content_type: "application/octet-stream",
        metadata: BTreeMap::from([("run".to_owned(), run_id)]),
        storage_class: None,
        overwrite: Overwrite::Allowed,
        retry_for: RETRY_FOR,
    };
    world.store.write(put, &bytes).await.unwrap();

    let ran = world.backup().await;

    assert_says(&ran, "backup_resumed");
    assert!(ran.stderr.contains("belongs to another stream"), "{}", ran.stderr);
    assert_says(&ran, "send_repeated");
    assert_clean(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_settings_start_over() {
    let Some(world) = world(1 << 30).await else { return };
    let run = run_until_part(&world, 20).await;
    kill(&world, run).await;
    world.reconfigure("part_size_bytes = 5242880", "part_size_bytes = 6291456");

    let ran = world.backup().await;

    assert_says(&ran, "backup_not_resumed");
    assert!(ran.stderr.contains("parts of 5242880 bytes"), "{}", ran.stderr);
    assert_clean(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_requested_full_does_not_resume_an_incremental() {
    let Some(world) = world(1 << 30).await else { return };
    world.backup().await;
    fs::write(world.subvolume("data").join("more"), noise(4 * PART)).unwrap();
    let run = run_until_part(&world, 3).await;
    kill(&world, run).await;

    let ran = world.run(&["backup", "--full", "--set", "retention.prune=off"]).await;

    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.contains("a full was requested"), "{}", ran.stderr);
    assert_eq!(world.newest("data").await.1["kind"], "full");
    assert_eq!(world.s3.uploads("backups"), Vec::<String>::new());
}

fn record(world: &World) -> Value {
    let path = journal(world).with_extension("json");
    serde_json::from_slice(&fs::read(path).expect("a record")).expect("JSON")
}
