//! A run that finishes an interrupted backup still ends with a backup of the subvolume as
//! it was when the run began.

use std::fs;

use s3up_devstore::Op;
use s3up_testkit::noise;
use serde_json::Value;

use super::{assert_clean, assert_says, kill, run_until_part, world};
use crate::fixture::{PART, World};

/// Returns the kinds of the published chain, newest first.
async fn kinds(world: &World) -> Vec<String> {
    let (mut kinds, mut next) = (Vec::new(), Some(world.newest("data").await.0));
    while let Some(key) = next {
        let manifest = world.json(&key).await;
        kinds.push(manifest["kind"].as_str().expect("a kind").to_owned());
        next = manifest["parent_manifest"].as_str().map(str::to_owned);
    }
    kinds
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changed_after_the_interruption_is_backed_up_too() {
    // By hand, and by the timer.
    for how in [&["backup", "--once"][..], &["backup"]] {
        let Some(world) = world(1 << 30).await else { return };
        let run = run_until_part(&world, 20).await;
        kill(&world, run).await;
        fs::write(world.subvolume("data").join("new"), "since then").unwrap();
        let plan = world.run(&["backup", "--once", "--dry-run", "--json"]).await;

        let ran = world.run(how).await;

        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert_says(&ran, "backup_resumed");
        assert_eq!(kinds(&world).await, ["incremental", "full"], "{}", ran.stderr);
        assert_eq!(world.snapshots().len(), 2);
        let plan: Value = serde_json::from_str(&plan.stdout).expect("JSON");
        assert!(plan[0]["follow_up"].as_str().expect("a name").ends_with("__inc"), "{plan}");
        assert_clean(&world).await;
    }
}

/// The snapshot of the follow-up hides the interrupted backup from no later run.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_interrupted_twice_is_resumed_twice() {
    let Some(world) = world(1 << 30).await else { return };
    let run = run_until_part(&world, 10).await;
    kill(&world, run).await;
    let from = world.s3.faults().calls(Op::UploadPart);
    fs::write(world.subvolume("data").join("one"), "1").unwrap();
    let held = world.s3.faults().hold_op(Op::UploadPart, from + 10);
    let mut second = world.command(&["backup", "--once"]).spawn().unwrap();
    held.reached().await;
    second.kill().await.unwrap();
    held.release();
    world.assert_nothing_runs();
    fs::write(world.subvolume("data").join("two"), "2").unwrap();
    let before = world.s3.faults().calls(Op::UploadPart);

    let ran = world.backup().await;

    assert_says(&ran, "backup_resumed");
    let parts = world.s3.faults().calls(Op::UploadPart) - before;
    assert!(parts < 30, "{parts} parts were uploaded again");
    assert_eq!(kinds(&world).await, ["incremental", "full"]);
    assert_clean(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_names_an_interrupted_backup_that_waits() {
    let Some(world) = world(1 << 30).await else { return };
    world.backup().await;
    fs::write(world.subvolume("data").join("more"), noise(4 * PART)).unwrap();
    let run = run_until_part(&world, 3).await;
    kill(&world, run).await;
    let waits = world.snapshots()[1].clone();

    let plan = world.run(&["plan", "--json"]).await;
    let table = world.run(&["plan"]).await;
    let backup = world.run(&["backup"]).await;

    let json: Value = serde_json::from_str(&plan.stdout).expect("JSON");
    assert_eq!(
        (&json[0]["decision"], &json[0]["waiting"]),
        (&"not_due".into(), &waits.clone().into())
    );
    assert!(table.stdout.contains(&format!("waiting   {waits}")), "{}", table.stdout);
    assert_says(&backup, "backup_waiting");
    let once = world.backup().await;
    assert_says(&once, "backup_resumed");
    assert_clean(&world).await;
}
