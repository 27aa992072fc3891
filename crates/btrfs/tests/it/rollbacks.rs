//! A filesystem that went back in time: no note on it deletes a backup.

use std::fs;
use std::path::PathBuf;

use s3up_testkit::set_read_only;
use serde_json::{Value, json};

use crate::fixture::{Ran, World};

/// A subvolume that contains its own snapshot directory, as `/` does with `/srv/snapshots`.
async fn with_snapshots_inside() -> Option<World> {
    let world = World::start(&["root"]).await?;
    let inside = world.subvolume("root").join("snaps");
    fs::create_dir(&inside).expect("a new directory");
    let quoted = |path: &PathBuf| format!("base_dir = {:?}", path.to_str().expect("UTF-8"));
    world.reconfigure(&quoted(&world.snapshots_dir()), &quoted(&inside));
    world.reconfigure("keep_days = 0", "min_age_days = 180\ngenerations = 3");
    Some(world)
}

fn snapshots(world: &World) -> Vec<PathBuf> {
    let names = crate::fixture::names_in(&world.subvolume("root").join("snaps"));
    let names = names.into_iter().filter(|name| !name.starts_with('.'));
    names.map(|name| world.subvolume("root").join("snaps").join(name)).collect()
}

async fn ok(world: &World, arguments: &[&str]) -> Ran {
    let ran = world.run(arguments).await;
    assert_eq!(ran.code, Some(0), "{arguments:?}: {}{}", ran.stdout, ran.stderr);
    ran
}

/// Replaces the subvolume by a writable snapshot of an older state.
fn roll_back(world: &World, to: &str) {
    fs::rename(world.subvolume("root"), world.subvolume("root.bad")).expect("a renamed subvolume");
    world.fs.snapshot(&world.subvolume(to), "root");
    set_read_only(&world.subvolume("root"), false);
}

/// Two generations. The state that the first backup shows is kept as `keep`.
async fn two_generations() -> Option<World> {
    let world = with_snapshots_inside().await?;
    ok(&world, &["backup", "--once"]).await;
    world.fs.snapshot(&snapshots(&world)[0], "keep");
    for how in ["--once", "--once", "--once", "--full", "--once"] {
        fs::write(world.subvolume("root").join("file"), how).expect("a written file");
        ok(&world, &["backup", how]).await;
    }
    ok(&world, &["verify"]).await;
    Some(world)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_published_backup_survives_a_rollback_of_its_record() {
    let Some(world) = two_generations().await else { return };
    let before = world.keys().await;
    roll_back(&world, "keep");

    let ran = ok(&world, &["backup", "--once"]).await;

    assert!(ran.stderr.contains("event=leftover_is_a_backup"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("event=leftover_removed"), "{}", ran.stderr);
    let after = world.keys().await;
    let lost: Vec<_> = before.iter().filter(|key| !after.contains(key)).collect();
    assert!(lost.is_empty(), "{lost:?}");
    ok(&world, &["verify"]).await;
    ok(&world, &["status", "--check"]).await;
    // The record is right now, so the next run says nothing.
    let next = ok(&world, &["backup", "--once"]).await;
    assert!(!next.stderr.contains("event=leftover_is_a_backup"), "{}", next.stderr);
    ok(&world, &["verify"]).await;
}

/// An older backup that is damaged may have been published: a record alone deletes none of
/// it.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_older_backup_survives_a_rollback_of_its_record() {
    let Some(world) = two_generations().await else { return };
    let keys = world.keys().await;
    let oldest = |end: &str| {
        let mut keys = keys.iter().filter(|key| key.contains("/full/") && key.ends_with(end));
        keys.next().expect("an object of the first full").clone()
    };
    world.delete(&oldest("-parts.json")).await;
    roll_back(&world, "keep");

    let ran = ok(&world, &["backup", "--once"]).await;

    assert!(ran.stderr.contains("event=leftover_not_deleted"), "{}", ran.stderr);
    assert!(world.keys().await.contains(&oldest("-0.bin")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_older_generation_that_retention_keeps_is_a_problem() {
    let Some(world) = two_generations().await else { return };
    ok(&world, &["status", "--check"]).await;
    let keys = world.keys().await;
    let mut fulls = keys.iter().filter(|key| key.contains("/full/"));
    let chunk = fulls.find(|key| key.ends_with("-0.bin")).expect("a chunk of the first full");
    world.delete(chunk).await;

    let check = world.run(&["status", "--check"]).await;
    let shown = ok(&world, &["status", "--json"]).await;
    let table = ok(&world, &["status"]).await;

    assert_eq!(check.code, Some(1), "{}", check.stdout);
    let says = "PROBLEM: root: 4 backups cannot be restored, the first is of 20";
    assert!(check.stdout.starts_with(says) && check.stdout.contains(chunk), "{}", check.stdout);
    let shown: Value = serde_json::from_str(&shown.stdout).expect("JSON");
    assert_eq!(shown[0]["broken"].as_array().map(Vec::len), Some(4), "{shown}");
    assert_eq!(shown[0]["backups"], "published");
    let restorable = shown[0]["history"].as_array().expect("a list").iter();
    let restorable: Vec<_> = restorable.map(|line| &line["restorable"]).collect();
    assert_eq!(restorable, [true, true, false, false, false, false]);
    assert!(table.stdout.contains("  broken       the backup of 20"), "{}", table.stdout);
    // What retention no longer keeps is no problem.
    let rules = ["--set", "retention.generations=1", "--set", "retention.min_age_days=0"];
    let rules = [&rules[..], &["--set", "retention.keep_days=0"]].concat();
    ok(&world, &[&["status", "--check"][..], &rules].concat()).await;
}

/// The list of keys of an interrupted prune lies on this host, too.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_keys_on_this_host_deletes_nothing_that_a_manifest_names() {
    let Some(world) = World::start(&["data"]).await else { return };
    for how in ["--full", "--once", "--full", "--once"] {
        ok(&world, &["backup", how, "--set", "retention.prune=off"]).await;
    }
    world.write("nas/subvol/data/notes.txt", b"ours").await;
    let before = world.keys().await;
    let state: Value = serde_json::from_slice(&fs::read(world.state()).unwrap()).unwrap();
    let journal = json!({
        "endpoint": state["endpoint"], "bucket": state["bucket"], "prefix": state["prefix"],
        "subvolumes": { "data": before },
    });
    fs::write(world.state().with_extension("prune.json"), journal.to_string()).unwrap();

    ok(&world, &["backup", "--once", "--set", "retention.generations=9"]).await;

    let after = world.keys().await;
    let lost: Vec<_> = before.iter().filter(|key| !after.contains(key)).collect();
    assert!(lost.is_empty(), "{lost:?}");
    ok(&world, &["verify"]).await;
}
