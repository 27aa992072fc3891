//! `backup --no-s3` makes local snapshots that stay.

use std::fs;

use s3up_devstore::Op;
use s3up_testkit::assert_same_tree;

use crate::fixture::World;

/// Runs `backup --no-s3` without credentials and returns the new snapshots.
async fn without_s3(world: &World) -> Vec<String> {
    let before = world.snapshots();
    let mut command = world.command(&["backup", "--no-s3"]);
    command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
    command.env("HOME", "/no/such").env("AWS_EC2_METADATA_DISABLED", "true");
    let output = command.output().await.expect("the program");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    world.snapshots().into_iter().filter(|name| !before.contains(name)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_are_made_without_any_call_to_s3() {
    let Some(world) = World::start(&["one", "two"]).await else { return };
    fs::write(world.subvolume("one").join("file"), "content").unwrap();

    let calls = || Op::ALL.iter().map(|op| world.s3.faults().calls(*op)).sum::<u64>();
    let before = calls();

    let made = without_s3(&world).await;

    assert_eq!(calls(), before);
    assert_eq!(made.len(), 2, "{made:?}");
    assert_same_tree(&world.subvolume("one"), &world.snapshots_dir().join(&made[0]));
    assert_eq!(world.records(), made);
    assert_eq!(world.keys().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_takes_local_snapshots_neither_for_leftovers_nor_for_parents() {
    let Some(world) = World::start(&["data"]).await else { return };
    world.backup().await;
    let parent = world.snapshots().remove(0);
    let local = without_s3(&world).await.remove(0);

    let ran = world.backup().await;

    let (_, newest) = world.newest("data").await;
    assert_eq!(newest["kind"], "incremental");
    assert!(ran.stderr.contains(&format!("incremental on {parent}")), "{}", ran.stderr);
    assert!(!ran.stderr.contains("leftover"), "{}", ran.stderr);
    // Two are retained: the published one, and the newest of the others.
    let published = newest["snapshot"]["name"].as_str().unwrap().to_owned();
    assert_eq!(world.snapshots(), [local, published]);
    assert_eq!(world.records(), world.snapshots());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_local_snapshots_and_the_published_one_stay() {
    let Some(world) = World::start(&["data"]).await else { return };
    world.backup().await;
    let published = world.snapshots().remove(0);
    let mut made = Vec::new();
    for _ in 0..4 {
        made.extend(without_s3(&world).await);
    }

    let snapshots = world.snapshots();

    assert_eq!(snapshots, [published.clone(), made[2].clone(), made[3].clone()]);
    assert_eq!(world.records(), snapshots);
    let ran = world.backup().await;
    assert!(ran.stderr.contains(&format!("incremental on {published}")), "{}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_without_s3_takes_the_lock() {
    let Some(world) = World::start(&["data"]).await else { return };
    let held = world.s3.faults().hold(1);
    let mut first = world.command(&["backup", "--once"]).spawn().unwrap();
    held.reached().await;

    world.run(&["backup", "--no-s3"]).await.failed_with(75, &["another run holds the lock"]);

    first.kill().await.unwrap();
}
