//! Damaged chunks, manifests, part indexes and pointers: a restore names the object and leaves
//! nothing.

use std::fs;

use s3up_testkit::{
    BtrfsFault, Calls, ExitAs, InjectedFault, StandIn, assert_same_tree, noise, wait_until,
};

use crate::fixture::{CHUNK, PART, RETRY_FOR, World, names_in};

/// Makes a full of two chunks and an incremental.
async fn world() -> Option<World> {
    let world = World::start(&["data"]).await?;
    fs::write(world.subvolume("data").join("big"), noise(CHUNK + 100)).expect("a written file");
    world.backup().await;
    fs::write(world.subvolume("data").join("more"), noise(1000)).expect("a written file");
    world.backup().await;
    Some(world)
}

#[derive(Clone, Copy, Debug)]
enum Damage {
    Missing,
    Truncated,
    Flipped { at: usize },
    Swapped,
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_to_any_object_is_named_and_leaves_nothing() {
    let Some(world) = world().await else { return };
    let mut keys = world.keys().await;
    // A restore of a subvolume reads no index.
    keys.retain(|key| !key.ends_with("-index.bin"));
    // The neighbour of the last object is the first.
    let neighbours: Vec<_> = keys.iter().cycle().skip(1).take(keys.len()).cloned().collect();
    let target = world.fs.path().join("restored");
    let snapshots = world.snapshots();
    let middle = PART as usize + 5;
    let cases = [
        Damage::Missing,
        Damage::Truncated,
        Damage::Flipped { at: 0 },
        Damage::Flipped { at: middle },
        Damage::Swapped,
    ];
    for (key, neighbour) in keys.iter().zip(&neighbours) {
        let good = world.read(key).await.unwrap();
        let next = world.read(neighbour).await.unwrap();
        for damage in cases {
            let bad = match damage {
                Damage::Missing => Vec::new(),
                Damage::Truncated => good[..good.len() / 2].to_vec(),
                Damage::Flipped { at } if at >= good.len() => continue,
                Damage::Flipped { at } => {
                    let mut bad = good.clone();
                    bad[at] ^= 1;
                    bad
                }
                Damage::Swapped => next.clone(),
            };
            match damage {
                Damage::Missing => world.delete(key).await,
                Damage::Truncated | Damage::Flipped { .. } => world.write(key, &bad).await,
                Damage::Swapped => {
                    world.write(key, &bad).await;
                    world.write(neighbour, &good).await;
                }
            }

            let ran = world.restore("data", &target).await;

            ran.failed_with(1, &[]);
            let is_named = ran.stderr.contains(key.as_str())
                || (matches!(damage, Damage::Swapped) && ran.stderr.contains(neighbour.as_str()));
            assert!(is_named, "{key} {damage:?}: {}", ran.stderr);
            assert!(ran.stderr.contains("`--at TIME`"), "the next step is named: {}", ran.stderr);
            assert_eq!(names_in(world.fs.path()), ["data", "snapshots"], "{key} {damage:?}");
            assert_eq!(world.snapshots(), snapshots);
            world.assert_nothing_runs();
        }
        world.write(key, &good).await;
        world.write(neighbour, &next).await;
    }
    let ran = world.restore("data", &target).await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_same_tree(&world.subvolume("data"), &target);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_pointer_is_named_and_no_backup_is_lost() {
    for pointer in [b"{".to_vec(), vec![b' '; 70_000]] {
        let Some(world) = world().await else { return };
        let before = world.keys().await;
        world.write("nas/subvol/data/current.json", &pointer).await;

        let ran = world.restore("data", &world.fs.path().join("restored")).await;

        ran.failed_with(1, &["pointer nas/subvol/data/current.json"]);
        let backup = world.backup().await;
        assert!(backup.stderr.contains("the published chain is broken"), "{}", backup.stderr);
        assert_eq!(world.newest("data").await.1["kind"], "full");
        let after = world.keys().await;
        assert!(before.iter().all(|key| after.contains(key)), "{before:?} {after:?}");
        assert_eq!(world.snapshots().len(), 3, "nothing is deleted while the chain is unreadable");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pointer_to_an_older_backup_costs_no_newer_backup() {
    let Some(world) = world().await else { return };
    let old = world.read("nas/subvol/data/current.json").await.unwrap();
    world.backup().await;
    let before = world.keys().await;
    world.write("nas/subvol/data/current.json", &old).await;

    world.backup().await;

    let after = world.keys().await;
    assert!(before.iter().all(|key| after.contains(key)), "{before:?} {after:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_without_an_object_or_of_another_subvolume_leads_to_a_full() {
    let Some(world) = world().await else { return };
    let (_, newest) = world.newest("data").await;
    world.delete(newest["chunks"][0]["key"].as_str().unwrap()).await;

    let lost = world.backup().await;

    assert!(lost.stderr.contains("-0.bin is missing or has the wrong size"), "{}", lost.stderr);
    assert_eq!(world.newest("data").await.1["kind"], "full");
    let other = world.fs.subvolume("other");
    world.configure(&format!("paths = [{other:?}]"), "");
    let pointer = world.read("nas/subvol/data/current.json").await.unwrap();
    world.write("nas/subvol/other/current.json", &pointer).await;
    let astray = world.backup().await;
    assert!(astray.stderr.contains("expected subvolume"), "{}", astray.stderr);
    assert_eq!(world.newest("other").await.1["kind"], "full");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_of_a_newer_program_stops_only_its_subvolume() {
    let Some(world) = World::start(&["one", "two"]).await else { return };
    world.backup().await;
    let (key, mut manifest) = world.newest("one").await;
    manifest["version"] = 2.into();
    world.write(&key, manifest.to_string().as_bytes()).await;

    let ran = world.run(&["backup", "--once"]).await;

    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    assert!(ran.stderr.contains("was made by a newer version"), "{}", ran.stderr);
    assert_eq!(world.newest("one").await.0, key);
    assert_eq!(world.newest("two").await.1["kind"], "incremental");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_receive_is_reported_and_leaves_nothing() {
    let Some(mut world) = world().await else { return };
    let bytes = 100_000;
    #[rustfmt::skip]
    let cases = [
        (Calls::Nth(1), BtrfsFault::FailsAfter { bytes },  vec!["`btrfs receive", StandIn::ERROR_MESSAGE]),
        (Calls::Nth(1), BtrfsFault::DiesAfter { bytes },   vec!["`btrfs receive", "signal: 9"]),
        (Calls::Nth(1), BtrfsFault::FailsAtTheEnd,         vec!["`btrfs receive", StandIn::ERROR_MESSAGE]),
        (Calls::Nth(1), BtrfsFault::CutsAfter { bytes },   vec!["check the received snapshot of "]),
        (Calls::Nth(1), BtrfsFault::FloodsStderr { after_bytes: bytes, flood_bytes: 5 << 20, exit: ExitAs::Failure }, vec!["`btrfs receive"]),
    ];
    for (call, fault, texts) in cases {
        let stand_in = StandIn::new([InjectedFault { command: "receive", call, fault }]);
        world.path = Some(stand_in.path_var());

        let ran = world.restore("data", &world.fs.path().join("restored")).await;

        ran.failed_with(1, &texts);
        assert_eq!(names_in(world.fs.path()), ["data", "snapshots"], "{fault:?}");
        assert!(stand_in.unfired().is_empty(), "{fault:?}");
        stand_in.assert_no_process_left();
        world.assert_nothing_runs();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_restore_removes_what_a_killed_one_left() {
    let Some(mut world) = world().await else { return };
    let fault = BtrfsFault::HangsAfter { bytes: 100_000 };
    let stand_in = StandIn::new([InjectedFault { command: "receive", call: Calls::Nth(1), fault }]);
    world.path = Some(stand_in.path_var());
    let target = world.fs.path().join("restored");
    let arguments = ["restore", "--subvolume", "data", "--target", target.to_str().unwrap()];
    let mut killed = world.command(&arguments).spawn().unwrap();
    assert!(wait_until(RETRY_FOR, || stand_in.unfired().is_empty()));
    killed.kill().await.unwrap();
    world.process_tag.kill_all();
    assert!(names_in(world.fs.path()).len() > 2, "the staging directory is left");
    world.path = None;

    let ran = world.restore("data", &target).await;

    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_same_tree(&world.subvolume("data"), &target);
    assert_eq!(names_in(world.fs.path()), ["data", "restored", "snapshots"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_no_restore_created_is_not_touched() {
    let Some(world) = world().await else { return };
    let snapshots = world.snapshots();
    let staging = |name: &str| world.fs.path().join(format!(".{name}.btrfs-to-s3-restore"));
    std::os::unix::fs::symlink(world.fs.path(), staging("link")).unwrap();
    fs::create_dir(staging("folder")).unwrap();
    let mine = world.fs.subvolume(".folder.btrfs-to-s3-restore/mine").join("file");
    fs::write(&mine, "mine").unwrap();
    fs::create_dir(staging("open")).unwrap();
    for name in ["link", "folder", "open"] {
        let target = world.fs.path().join(name);

        let ran = world.restore("data", &target).await;

        ran.failed_with(1, &["btrfs-to-s3-restore"]);
        assert!(!target.exists());
    }
    assert_eq!(fs::read_to_string(mine).unwrap(), "mine");
    assert_eq!(fs::read_link(staging("link")).unwrap(), world.fs.path());
    assert_eq!(names_in(&staging("folder")), ["mine"]);
    assert_eq!(names_in(&staging("open")), Vec::<String>::new());
    assert_eq!(world.snapshots(), snapshots);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_appears_during_a_restore_is_not_touched() {
    let Some(mut world) = world().await else { return };
    let target = world.fs.path().join("restored");
    let flood =
        BtrfsFault::FloodsStderr { after_bytes: 1000, flood_bytes: 10, exit: ExitAs::Success };
    let stand_in =
        StandIn::new([InjectedFault { command: "receive", call: Calls::Nth(1), fault: flood }]);
    world.path = Some(stand_in.path_var());
    let arguments = ["restore", "--subvolume", "data", "--target", target.to_str().unwrap()];
    let run = world.command(&arguments).spawn().unwrap();
    assert!(wait_until(RETRY_FOR, || stand_in.unfired().is_empty()));
    fs::create_dir(&target).unwrap();

    let output = run.wait_with_output().await.unwrap();

    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(names_in(&target), Vec::<String>::new());
    // What was received is whole, so the same command resumes after it.
    let staging = ".restored.btrfs-to-s3-restore";
    assert_eq!(names_in(world.fs.path()), [staging, "data", "restored", "snapshots"]);
    fs::remove_dir(&target).unwrap();
    world.path = None;
    let again = world.restore("data", &target).await;
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    assert!(again.stderr.contains("event=restore_resumed"), "{}", again.stderr);
    assert_eq!(names_in(world.fs.path()), ["data", "restored", "snapshots"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_with_the_longest_name_is_restored() {
    let Some(world) = world().await else { return };
    let target = world.fs.path().join("x".repeat(255));
    let ran = world.restore("data", &target).await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_same_tree(&world.subvolume("data"), &target);
}
