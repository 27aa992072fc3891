//! `drill`: the newest backups are restored, compared and removed again.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use s3up_devstore::Op;
use s3up_testkit::{noise, wait_until};
use serde_json::Value;

use crate::fixture::{CHUNK, World, names_in};

const PATIENCE: Duration = Duration::from_secs(20);

/// Backs up each subvolume twice, and configures a scratch directory.
async fn backed_up(names: &[&str]) -> Option<World> {
    let world = World::start(names).await?;
    fs::create_dir(scratch(&world)).expect("a new directory");
    let text = fs::read_to_string(world.config()).expect("the configuration");
    let text = format!("{text}[drill]\nscratch_dir = {:?}\n", scratch(&world));
    fs::write(world.config(), text).expect("a written file");
    for content in ["one", "two"] {
        for name in names {
            let data = world.subvolume(name);
            fs::write(data.join("file"), content).expect("a written file");
            fs::write(data.join("big"), noise(CHUNK + 1000)).expect("a written file");
        }
        world.backup().await;
    }
    Some(world)
}

fn scratch(world: &World) -> PathBuf {
    world.state().with_file_name("scratch")
}

/// Asserts that no file, mount or loop device of a drill is left.
fn assert_nothing_is_left(world: &World) {
    let directory = scratch(world).join(".btrfs-to-s3-drill");
    assert_eq!(names_in(&directory), ["lock"]);
    let text = directory.to_str().expect("UTF-8");
    assert!(!fs::read_to_string("/proc/self/mounts").expect("the mounts").contains(text));
    assert!(wait_until(PATIENCE, || !loops().contains(text)), "{}", loops());
    world.assert_nothing_runs();
}

fn loops() -> String {
    let devices = fs::read_dir("/sys/block").expect("the block devices").flatten();
    let files = devices
        .filter_map(|device| fs::read_to_string(device.path().join("loop/backing_file")).ok());
    files.collect()
}

async fn status(world: &World) -> Value {
    let shown = world.run(&["status", "--json"]).await;
    serde_json::from_str(&shown.stdout).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_drill_compares_every_byte_is_recorded_and_leaves_nothing() {
    let Some(world) = backed_up(&["one", "two"]).await else { return };
    let never = world.run(&["status", "--check"]).await;
    assert_eq!(never.code, Some(1));
    assert!(never.stdout.contains("one: no successful drill yet"), "{}", never.stdout);

    let ran = world.run(&["drill", "--json"]).await;

    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let lines: Value = serde_json::from_str(&ran.stdout).unwrap();
    for (n, name) in ["one", "two"].into_iter().enumerate() {
        let line = &lines[n];
        assert_eq!(
            (&line["subvolume"], &line["outcome"], &line["backups"]),
            (&name.into(), &"good".into(), &2.into())
        );
        assert!(line["result"].as_str().unwrap().starts_with("every byte of 2 files"), "{line}");
    }
    assert_nothing_is_left(&world);
    let status = status(&world).await;
    assert_eq!(status[1]["last_good_drill"]["extent"], "full");
    assert_eq!(status[1]["last_good_drill"]["manifest"], world.newest("two").await.0);
    let check = world.run(&["status", "--check"]).await;
    assert_eq!(check.code, Some(0), "{}", check.stdout);
    let table = world.run(&["status"]).await;
    assert!(table.stdout.contains("last drill"), "{}", table.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_without_the_source_snapshot_verifies_the_stream() {
    let Some(world) = backed_up(&["data"]).await else { return };
    for name in world.snapshots() {
        s3up_testkit::delete_subvolume(&world.snapshots_dir().join(name));
    }

    let ran = world.run(&["drill", "--subvolume", "data"]).await;

    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stdout.contains("verified by the checksums of the stream only"), "{}", ran.stdout);
    assert_eq!(status(&world).await[0]["last_good_drill"]["extent"], "stream");
    assert_nothing_is_left(&world);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_of_a_damaged_chain_fails_and_leaves_nothing() {
    let Some(world) = backed_up(&["bad", "good"]).await else { return };
    let (_, newest) = world.newest("bad").await;
    let chunk = newest["chunks"][1]["key"].as_str().unwrap();
    let mut bytes = world.read(chunk).await.unwrap();
    bytes[500] ^= 1;
    world.write(chunk, &bytes).await;

    let alone = world.run(&["drill", "--subvolume", "bad"]).await;
    let both = world.run(&["drill"]).await;

    alone.failed_with(1, &["drill failed for bad"]);
    both.failed_with(3, &["drill failed for bad"]);
    assert!(both.stdout.contains("good") && both.stdout.contains("every byte"), "{}", both.stdout);
    let status = status(&world).await;
    assert!(status[0]["last_good_drill"].is_null() && !status[1]["last_good_drill"].is_null());
    assert_nothing_is_left(&world);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_drill_removes_what_a_killed_one_left() {
    let Some(world) = backed_up(&["data"]).await else { return };
    let held = world.s3.faults().hold_op(Op::GetObject, 6);
    let mut killed = world.command(&["drill"]).spawn().unwrap();
    held.reached().await;
    let second = world.run(&["drill"]).await;
    killed.kill().await.unwrap();
    held.release();
    second.failed_with(75, &["another drill is running"]);
    assert!(names_in(&scratch(&world).join(".btrfs-to-s3-drill")).contains(&"image".to_owned()));

    let ran = world.run(&["drill"]).await;

    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_nothing_is_left(&world);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_drill_leaves_nothing() {
    let Some(world) = backed_up(&["data"]).await else { return };
    let held = world.s3.faults().hold_op(Op::GetObject, 6);
    let child = world.command(&["drill"]).spawn().unwrap();
    held.reached().await;
    let pid = child.id().and_then(|pid| rustix::process::Pid::from_raw(pid as i32)).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();

    let ran = crate::fixture::Ran::of(child.wait_with_output().await.unwrap());

    held.release();
    assert_eq!(ran.code, Some(143), "{}", ran.stderr);
    assert_nothing_is_left(&world);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_thaws_archived_chunks_only_with_wait_restore() {
    let Some(world) = World::start(&["data"]).await else { return };
    fs::create_dir(scratch(&world)).unwrap();
    world.reconfigure("storage_class_chunks = \"STANDARD\"", "storage_class_chunks = \"GLACIER\"");
    let scratch_dir = format!("drill.scratch_dir={:?}", scratch(&world));
    world.backup().await;
    world.s3.set_restore_delay(Duration::from_secs(3600));

    let ran = world.run(&["drill", "--set", &scratch_dir]).await;

    ran.failed_with(4, &["data", "to thaw them, which S3 charges for, run: ", "--wait-restore"]);
    assert_eq!(world.s3.faults().calls(Op::RestoreObject), 0);
    let timed = ["drill", "--set", &scratch_dir, "--wait-restore", "--restore-timeout", "1"];
    world.run(&timed).await.failed_with(4, &["--wait-restore --restore-timeout 1"]);
    assert_eq!(world.s3.faults().calls(Op::RestoreObject), 1);
    world.s3.advance(Duration::from_secs(7200)).await.unwrap();
    let ready = world.run(&["drill", "--set", &scratch_dir]).await;
    assert_eq!(ready.code, Some(0), "{}", ready.stderr);
    assert_nothing_is_left(&world);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_without_scratch_dir_or_backup_fails_with_a_hint() {
    let Some(world) = World::start(&["data"]).await else { return };

    world.run(&["drill"]).await.failed_with(2, &["set `drill.scratch_dir`"]);

    let none = world.run(&["drill", "--set", "drill.scratch_dir=/no/such"]).await;
    none.failed_with(1, &["/no/such/.btrfs-to-s3-drill", "check `drill.scratch_dir`"]);
    fs::create_dir(scratch(&world)).unwrap();
    let scratch_dir = format!("drill.scratch_dir={:?}", scratch(&world));
    let nothing = world.run(&["drill", "--set", &scratch_dir]).await;
    nothing.failed_with(1, &["drill failed for data"]);
    assert!(
        nothing.stdout.contains("no backup of subvolume data is published"),
        "{}",
        nothing.stdout
    );
}
