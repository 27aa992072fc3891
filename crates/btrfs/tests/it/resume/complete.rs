//! A backup that was interrupted after its manifest and before its pointer.

use std::fs;

use s3up_devstore::Op;
use s3up_testkit::noise;

use super::{assert_clean, assert_says, calls};
use crate::fixture::{CHUNK, World};

/// Killed between manifest and pointer: nothing is sent again.
#[tokio::test(flavor = "multi_thread")]
async fn a_complete_backup_is_published_and_not_sent_again() {
    for kind in ["full", "incremental"] {
        let Some(world) = complete_but_for_its_pointer(kind).await else { return };
        let (snapshots, before) = (world.snapshots(), calls(&world));
        let plan = world.run(&["plan", "--json"]).await;

        // It is published even if nothing is due by the schedule.
        let ran = world.run(&["backup"]).await;

        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert_says(&ran, "backup_published");
        assert!(plan.stdout.contains("\"work\": \"publish\""), "{}", plan.stdout);
        let (_, manifest) = world.newest("data").await;
        assert_eq!(manifest["kind"], kind);
        assert_eq!(manifest["snapshot"]["name"], *snapshots.last().unwrap());
        assert_eq!(world.s3.faults().calls(Op::UploadPart), before[0]);
        // The next incremental deletes the old generation.
        let next = world.backup().await;
        assert!(next.stderr.contains("incremental on"), "{}", next.stderr);
        assert_clean(&world).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_not_complete_after_all_is_sent_again() {
    for lost in ["-0.bin", "-parts.json", "a byte"] {
        let Some(world) = complete_but_for_its_pointer("full").await else { return };
        let keys = world.keys().await;
        let key = |end| {
            let mut fulls = keys.iter().filter(|key| key.contains("/full/")).rev();
            fulls.find(|key| key.ends_with(end)).expect("an object of the newest")
        };
        match lost {
            "a byte" => {
                let mut bytes = world.read(key("-0.bin")).await.unwrap();
                bytes[100] ^= 1;
                world.write(key("-0.bin"), &bytes).await;
            }
            end => world.delete(key(end)).await,
        }

        let ran = world.run(&["backup", "--full"]).await;

        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert_says(&ran, "backup_not_published");
        assert!(!ran.stderr.contains("event=backup_published"), "{}", ran.stderr);
        // An object of another run is never overwritten.
        let event = if lost == "a byte" { "backup_restarted" } else { "backup_uploaded" };
        assert_says(&ran, event);
        world.backup().await;
        assert_eq!(world.run(&["verify"]).await.code, Some(0));
        if lost != "a byte" {
            assert_clean(&world).await;
        }
    }
}

/// Kills a backup right before it writes its pointer.
async fn complete_but_for_its_pointer(kind: &str) -> Option<World> {
    let world = World::start(&["data"]).await?;
    let (data, pointer) = (world.subvolume("data"), "nas/subvol/data/current.json");
    let how = if kind == "full" { "--full" } else { "--once" };
    for nth in 1.. {
        // Finishes the backup of the round before, and changes something.
        world.backup().await;
        let big = [noise(CHUNK + 1000), vec![nth as u8]].concat();
        fs::write(data.join("big"), big).expect("a written file");
        let before = (world.read(pointer).await, manifests(&world).await);
        let held = world.s3.faults().hold_op(Op::PutObject, nth);
        let mut run = world.command(&["backup", how]).spawn().expect("the program");
        held.reached().await;
        run.kill().await.expect("a child of ours");
        world.assert_nothing_runs();
        held.release();
        assert_eq!(world.read(pointer).await, before.0, "{nth} is too late");
        if manifests(&world).await > before.1 {
            break;
        }
    }
    Some(world)
}

async fn manifests(world: &World) -> usize {
    let keys = world.keys().await;
    keys.iter().filter(|key| key.contains("/manifest-") && key.ends_with("Z.json")).count()
}
