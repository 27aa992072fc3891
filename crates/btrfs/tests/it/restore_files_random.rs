//! Files that are restored without `btrfs receive`, against `btrfs receive`: random trees, random
//! changes, all compressions and protocols.

use std::fs;

use s3up_testkit::{RandomTree, assert_same_tree};

use crate::fixture::World;

const BACKUPS: usize = 4;
const CHANGES: usize = 150;

/// Backs a tree up that changes at random, and restores each backup to another filesystem and the
/// newest one to btrfs.
async fn check(seed: u64, mount: &str, settings: &[&str]) {
    let Some(world) = World::start_mounted(mount, &["data"]).await else { return };
    let mut tree = RandomTree::new(world.subvolume("data"), seed);
    let directory = s3up_testkit::temp_dir();
    for n in 0..BACKUPS {
        tree.change(CHANGES);
        let mut backup = vec!["backup", "--once"];
        settings.iter().for_each(|setting| backup.extend(["--set", setting]));
        let ran = world.run(&backup).await;
        assert_eq!(ran.code, Some(0), "seed {seed}: {}", ran.stderr);
        let target = directory.path().join(format!("{n}"));
        let text = target.to_str().expect("UTF-8");
        let restore = ["restore", "--subvolume", "data", "--path", "/", "--target", text];
        let restored = world.run(&restore).await;
        assert_eq!(restored.code, Some(0), "seed {seed}, backup {n}: {}", restored.stderr);
        assert_same_tree(&world.subvolume("data"), &target);
        fs::remove_dir_all(&target).expect("a removed tree");
    }
    let (received, replayed) = (world.fs.path().join("received"), directory.path().join("all"));
    let ran = world.restore("data", &received).await;
    assert_eq!(ran.code, Some(0), "seed {seed}: {}", ran.stderr);
    let text = replayed.to_str().expect("UTF-8");
    let ran = world.run(&["restore", "--subvolume", "data", "--path", "/", "--target", text]).await;
    assert_eq!(ran.code, Some(0), "seed {seed}: {}", ran.stderr);
    assert_same_tree(&received, &replayed);
}

#[expect(clippy::disallowed_methods, reason = "a person may ask for more trees")]
fn seeds() -> u64 {
    std::env::var("S3UP_INDEX_SEEDS").map_or(1, |seeds| seeds.parse().expect("a number"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_random_tree_of_protocol_1_is_restored_as_btrfs_receive_does() {
    for seed in 1..=seeds() {
        check(seed + 10_000, "noatime", &["send.protocol=1"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_random_tree_in_zstd_is_restored_as_btrfs_receive_does() {
    for seed in 1..=seeds() {
        let compress = "noatime,compress-force=zstd";
        check(seed + 20_000, compress, &["send.compressed=\"always\""]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_random_tree_in_lzo_is_restored_as_btrfs_receive_does() {
    for seed in 1..=seeds() {
        let compress = "noatime,compress-force=lzo";
        check(seed + 30_000, compress, &["send.compressed=\"always\""]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_random_tree_in_zlib_is_restored_as_btrfs_receive_does() {
    for seed in 1..=seeds() {
        let compress = "noatime,compress-force=zlib";
        check(seed + 40_000, compress, &["send.compressed=\"always\""]).await;
    }
}
