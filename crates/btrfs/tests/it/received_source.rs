//! A source subvolume that was once received and made writable: all its snapshots have its
//! received UUID in a stream.

use std::fs;

use s3up_testkit::{BtrfsFs, assert_same_tree, noise, set_received_uuid};

use crate::fixture::World;

const UUID: &str = "11111111222233334444555555555555";

fn clone(world: &World, from: &str, to: &str) {
    let data = world.subvolume("data");
    let paths = [data.join(from), data.join(to)];
    let status = std::process::Command::new("cp").arg("--reflink=always").args(paths).status();
    assert!(status.expect("cp").success());
}

/// Makes a full and three incrementals with clones of the snapshot itself and of its parent.
async fn four_backups() -> Option<World> {
    let world = World::start(&["data"]).await?;
    let data = world.subvolume("data");
    set_received_uuid(&data, UUID);
    fs::write(data.join("base"), noise(300_000)).expect("a written file");
    clone(&world, "base", "base-clone");
    world.backup().await;
    for n in 0..3 {
        fs::write(data.join(format!("own-{n}")), noise(200_000 + n)).expect("a written file");
        clone(&world, &format!("own-{n}"), &format!("own-clone-{n}"));
        clone(&world, "base", &format!("parent-clone-{n}"));
        world.backup().await;
    }
    Some(world)
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_with_the_same_received_uuid_are_restored() {
    let Some(world) = four_backups().await else { return };
    let (_, newest) = world.newest("data").await;
    assert_eq!(newest["kind"], "incremental");
    assert_eq!(newest["snapshot"]["uuid"], newest["snapshot"]["parent_uuid"]);
    let host = BtrfsFs::create(1 << 30);

    for target in [world.fs.path().join("restored"), host.path().join("restored")] {
        let ran = world.restore("data", &target).await;

        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert_same_tree(&world.subvolume("data"), &target);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_after_such_a_restore_is_an_incremental_that_can_be_restored() {
    let Some(world) = four_backups().await else { return };
    let data = world.subvolume("data");
    s3up_testkit::delete_subvolume(&data);
    for name in world.snapshots() {
        s3up_testkit::delete_subvolume(&world.snapshots_dir().join(name));
    }
    let ran = world.restore("data", &data).await;
    assert!(ran.stderr.contains("event=received_parent_stored"), "{}", ran.stderr);
    fs::write(data.join("after"), noise(1000)).unwrap();
    clone(&world, "base", "clone-after");
    world.backup().await;
    assert_eq!(world.newest("data").await.1["kind"], "incremental");

    let target = world.fs.path().join("restored");
    let ran = world.restore("data", &target).await;

    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_same_tree(&data, &target);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_such_a_subvolume_warns_and_verify_says_what_it_means() {
    let Some(world) = World::start(&["data"]).await else { return };
    let before = world.backup().await;
    assert!(!before.stderr.contains("event=source_received"), "{}", before.stderr);
    set_received_uuid(&world.subvolume("data"), UUID);
    fs::write(world.subvolume("data").join("new"), "new").unwrap();

    let full = world.run(&["backup", "--full"]).await;

    let warning = full.stderr.lines().find(|line| line.contains("event=source_received"));
    let warning = warning.unwrap_or_else(|| panic!("{}", full.stderr));
    assert!(warning.contains("level=warn") && warning.contains("11111111-2222-3333-4444"));
    fs::write(world.subvolume("data").join("newer"), "newer").unwrap();
    world.backup().await;
    let verified = world.run(&["verify"]).await;
    assert_eq!(verified.code, Some(0), "{}", verified.stdout);
    assert!(verified.stdout.contains("only btrfs-to-s3 can restore"), "{}", verified.stdout);
}
