//! A restore to a disk that is full.

use std::fs;
use std::path::PathBuf;

use s3up_testkit::{BtrfsFs, assert_same_tree, noise};

use crate::fixture::{World, names_in};

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_to_a_full_filesystem_fails_and_leaves_nothing() {
    let Some(world) = World::start(&["data"]).await else { return };
    fs::write(world.subvolume("data").join("big"), noise(200 << 20)).unwrap();
    world.backup().await;
    let small = BtrfsFs::create(160 << 20);
    let target = small.path().join("restored");

    let ran = world.restore("data", &target).await;

    ran.failed_with(1, &["`btrfs receive", "No space left on device"]);
    assert!(ran.stderr.contains("event=space_low"), "{}", ran.stderr);
    assert!(ran.stderr.contains("event=restore_failed"), "{}", ran.stderr);
    assert_eq!(names_in(small.path()), Vec::<String>::new());
    assert_eq!(small.subvolumes(), Vec::<PathBuf>::new());
    world.assert_nothing_runs();
}

/// The disk is full in the second backup: the first one was whole, and may have cost a thaw.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fills_up_in_a_later_backup_leaves_the_ones_before_it() {
    let Some(world) = World::start(&["data"]).await else { return };
    for (name, bytes) in [("one", 10 << 20), ("two", 200 << 20)] {
        fs::write(world.subvolume("data").join(name), noise(bytes)).unwrap();
        world.backup().await;
    }
    let small = BtrfsFs::create(160 << 20);
    let target = small.path().join("restored");

    let full = world.restore("data", &target).await;

    full.failed_with(1, &["`btrfs receive", "No space left on device"]);
    assert!(full.stderr.contains("event=restore_interrupted"), "{}", full.stderr);
    world.assert_nothing_runs();
    let received = small.path().join(".restored.btrfs-to-s3-restore/received");
    assert_eq!(names_in(&received).len(), 1, "the first backup");
    let dry = world
        .run(&["restore", "--subvolume", "data", "--target", target.to_str().unwrap(), "--dry-run"])
        .await;
    assert!(dry.stdout.contains("2 backups (1 already received"), "{}", dry.stdout);
    small.grow(2 << 30);

    let again = world.restore("data", &target).await;

    assert_eq!(again.code, Some(0), "{}", again.stderr);
    assert!(again.stderr.contains("event=restore_resumed"), "{}", again.stderr);
    assert_eq!(again.stderr.matches("event=backup_received").count(), 1, "{}", again.stderr);
    assert_same_tree(&world.subvolume("data"), &target);
}
