//! `s3.spool_enabled`: streams wait on disk for their upload.

use std::fs;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};
use s3up_devstore::Op;
use s3up_testkit::{SmallDisk, assert_same_tree, noise, wait_until};
use tokio::process::{Child, Command};

use crate::fixture::{RETRY_FOR, Ran, World, names_in};

const MIB: u64 = 1 << 20;
/// Much more than the small spools below hold, and than memory does.
const DATA: u64 = 60 * MIB;

/// A world whose subvolume holds `DATA` bytes.
async fn world() -> Option<World> {
    let world = World::start(&["data"]).await?;
    fs::write(world.subvolume("data").join("big"), noise(DATA)).expect("a written file");
    Some(world)
}

fn spooled(world: &World, directory: &Path, limit: u64) -> Command {
    let directory = format!("global.spool_dir={:?}", directory.to_str().expect("UTF-8"));
    let limit = format!("global.spool_size_bytes={limit}");
    let keys = ["s3.concurrency=1", "s3.spool_enabled=true", &directory, &limit];
    let settings = keys.into_iter().flat_map(|key| ["--set", key]);
    world.command(&settings.chain(["--log-level", "debug", "backup", "--once"]).collect::<Vec<_>>())
}

async fn assert_published(world: &World, run: Child) -> Ran {
    let ran = Ran::of(run.wait_with_output().await.expect("an output"));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let target = world.fs.path().join("restored");
    assert_eq!(world.restore("data", &target).await.code, Some(0));
    assert_same_tree(&world.subvolume("data"), &target);
    world.assert_nothing_runs();
    ran
}

fn sends(world: &World) -> usize {
    let processes = world.process_tag.processes();
    processes.iter().filter(|process| process.command.contains("btrfs send")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn btrfs_send_ends_long_before_the_upload() {
    let Some(world) = world().await else { return };
    let disk = SmallDisk::create(128 * MIB);
    let held = world.s3.faults().hold_op(Op::UploadPart, 2);
    let run = spooled(&world, disk.path(), 100 * MIB).spawn().unwrap();
    held.reached().await;

    assert!(
        wait_until(RETRY_FOR, || sends(&world) == 0),
        "S3 has one part, and btrfs send still runs"
    );
    assert!(disk.used_bytes() > DATA / 2, "{}", disk.used_bytes());
    held.release();

    let ran = assert_published(&world, run).await;
    let limits = "concurrency=1 part_bytes=5242880 spool=\"100 MiB in ";
    assert!(ran.stderr.contains(limits), "{}", ran.stderr);
    assert!(ran.stderr.contains("event=send_spooled"), "{}", ran.stderr);
    assert_eq!(disk.used_bytes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_spool_never_holds_more_than_its_limit() {
    const LIMIT: u64 = 20 * MIB;
    let Some(world) = world().await else { return };
    let disk = SmallDisk::create(128 * MIB);
    let held = world.s3.faults().hold_op(Op::UploadPart, 2);
    let mut run = spooled(&world, disk.path(), LIMIT).spawn().unwrap();
    held.reached().await;

    assert!(wait_until(RETRY_FOR, || disk.used_bytes() == LIMIT), "{}", disk.used_bytes());
    assert_eq!(sends(&world), 1, "btrfs send waits");
    held.release();

    while run.try_wait().unwrap().is_none() {
        assert!(disk.used_bytes() <= LIMIT, "{}", disk.used_bytes());
        tokio::task::yield_now().await;
    }
    assert_published(&world, run).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_spool_disk_delays_the_backup_and_does_not_fail_it() {
    let Some(world) = world().await else { return };
    let disk = SmallDisk::create(20 * MIB);
    let held = world.s3.faults().hold_op(Op::UploadPart, 2);
    let run = spooled(&world, disk.path(), 1024 * MIB).spawn().unwrap();
    held.reached().await;

    assert!(wait_until(RETRY_FOR, || disk.used_bytes() >= 19 * MIB), "{}", disk.used_bytes());
    held.release();

    let ran = assert_published(&world, run).await;
    assert!(ran.stderr.contains("event=spool_full"), "{}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spool_disk_without_space_fails_with_a_clear_error() {
    let Some(world) = world().await else { return };
    let disk = SmallDisk::create(4 * MIB);
    fs::write(disk.path().join("other"), vec![0; 3 * MIB as usize + 100_000]).unwrap();

    let ran = Ran::of(spooled(&world, disk.path(), 1024 * MIB).output().await.unwrap());

    ran.failed_with(1, &["no space for 1.0 MiB", "s3.spool_enabled = false"]);
    assert!(
        world.all_keys().await.iter().all(|key| !key.contains("/chunk-")),
        "{:?}",
        world.keys().await
    );
    assert!(world.snapshots().is_empty());
    world.assert_nothing_runs();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_killed_leaves_nothing_in_the_spool() {
    let Some(world) = world().await else { return };
    let disk = SmallDisk::create(128 * MIB);
    let held = world.s3.faults().hold_op(Op::UploadPart, 2);
    let mut run = spooled(&world, disk.path(), 100 * MIB).spawn().unwrap();
    held.reached().await;
    assert!(wait_until(RETRY_FOR, || disk.used_bytes() > 10 * MIB));
    let pid = run.id().and_then(|id| Pid::from_raw(id as i32)).unwrap();

    kill_process(pid, Signal::KILL).unwrap();
    run.wait().await.unwrap();
    held.release();

    world.assert_nothing_runs();
    assert!(wait_until(RETRY_FOR, || disk.used_bytes() == 0), "{}", disk.used_bytes());
    assert!(names_in(disk.path()).is_empty());
    assert_published(&world, spooled(&world, disk.path(), 100 * MIB).spawn().unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_spool_directory_is_refused_before_any_snapshot() {
    let Some(world) = World::start(&["data"]).await else { return };

    let ran = Ran::of(spooled(&world, Path::new("/no/such"), 100 * MIB).output().await.unwrap());

    ran.failed_with(2, &["`global.spool_dir` \"/no/such\"", "expected an existing directory"]);
    assert!(world.snapshots().is_empty());
}
