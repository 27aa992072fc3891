//! Chunks, manifests and parts files that are not what they were: a restore
//! names them, and leaves nothing.

use std::fs;

use s3up_testkit::{Cue, Does, Ends, StandIn, Turn, noise, wait_until};

use crate::fixture::{CHUNK, PART, RETRY_FOR, World, names_in};

/// A full of two chunks and an incremental.
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
    let keys = world.keys().await;
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
    for key in keys.iter().filter(|key| !key.ends_with("current.json")) {
        let good = world.read(key).await.unwrap();
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
                Damage::Swapped => good.iter().rev().copied().collect(),
            };
            match damage {
                Damage::Missing => world.delete(key).await,
                Damage::Truncated | Damage::Flipped { .. } | Damage::Swapped => {
                    world.write(key, &bad).await;
                }
            }

            let ran = world.restore("data", &target).await;

            ran.failed_with(1, &[key]);
            assert_eq!(names_in(world.fs.path()), ["data", "snapshots"], "{key} {damage:?}");
            assert_eq!(world.snapshots(), snapshots);
            world.assert_nothing_runs();
        }
        world.write(key, &good).await;
    }
    let ran = world.restore("data", &target).await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pointer_that_is_damaged_is_named_and_the_next_backup_is_a_full() {
    let Some(world) = world().await else { return };
    world.write("nas/subvol/data/current.json", b"{").await;

    let ran = world.restore("data", &world.fs.path().join("restored")).await;

    ran.failed_with(1, &["pointer nas/subvol/data/current.json"]);
    let backup = world.backup().await;
    assert!(backup.stderr.contains("the published chain is broken"), "{}", backup.stderr);
    assert_eq!(world.newest("data").await.1["kind"], "full");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receive_that_goes_wrong_is_the_cause_and_leaves_nothing() {
    let Some(mut world) = world().await else { return };
    let bytes = 100_000;
    #[rustfmt::skip]
    let cases = [
        (Turn::Nth(1), Does::FailsAfter { bytes },  vec!["`btrfs receive", StandIn::COMPLAINT]),
        (Turn::Nth(1), Does::DiesAfter { bytes },   vec!["`btrfs receive", "signal: 9"]),
        (Turn::Nth(2), Does::FailsAtTheEnd,         vec!["`btrfs receive", StandIn::COMPLAINT]),
        (Turn::Nth(1), Does::CutsAfter { bytes },   vec!["was received wrong"]),
        (Turn::Nth(1), Does::FloodsStderr { after_bytes: bytes, flood_bytes: 5 << 20, ends: Ends::Badly }, vec!["`btrfs receive"]),
    ];
    for (call, does, texts) in cases {
        let stand_in = StandIn::new([Cue { command: "receive", call, does }]);
        world.path = Some(stand_in.path_var());

        let ran = world.restore("data", &world.fs.path().join("restored")).await;

        ran.failed_with(1, &texts);
        assert_eq!(names_in(world.fs.path()), ["data", "snapshots"], "{does:?}");
        assert!(stand_in.unfired().is_empty(), "{does:?}");
        stand_in.assert_no_process_left();
        world.assert_nothing_runs();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_restore_left_is_removed_by_the_next() {
    let Some(mut world) = world().await else { return };
    let does = Does::HangsAfter { bytes: 100_000 };
    let stand_in = StandIn::new([Cue { command: "receive", call: Turn::Nth(1), does }]);
    world.path = Some(stand_in.path_var());
    let target = world.fs.path().join("restored");
    let arguments = ["restore", "--subvolume", "data", "--target", target.to_str().unwrap()];
    let mut killed = world.command(&arguments).spawn().unwrap();
    assert!(wait_until(RETRY_FOR, || stand_in.unfired().is_empty()));
    killed.kill().await.unwrap();
    world.marker.kill_all();
    assert!(names_in(world.fs.path()).len() > 2, "the staging folder is there");
    world.path = None;

    let ran = world.restore("data", &target).await;

    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(names_in(world.fs.path()), ["data", "restored", "snapshots"]);
}
