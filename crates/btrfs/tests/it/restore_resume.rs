//! A restore that failed, for whatever reason, resumes after the last backup that it received.

mod full_disk;

use std::cell::{Cell, RefCell};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use s3up_devstore::{Fault, Op};
use s3up_testkit::{
    BtrfsFault, BtrfsFs, Calls, Checkpoint, InjectedFault, StandIn, assert_same_tree,
    kill_at_each_call, noise, wait_until,
};

use crate::fixture::{RETRY_FOR, Ran, World, names_in};
use crate::thaws::{archived, thaw_requests, until_it_waits};

/// Makes a full and two incrementals of some hundred KiB each.
async fn three_backups() -> Option<World> {
    let world = World::start(&["data"]).await?;
    for n in 0..3 {
        let file = world.subvolume("data").join(format!("file-{n}"));
        fs::write(file, noise(300_000)).expect("a written file");
        world.backup().await;
    }
    Some(world)
}

fn staging(world: &World) -> PathBuf {
    world.fs.path().join(".restored.btrfs-to-s3-restore")
}

fn target(world: &World) -> PathBuf {
    world.fs.path().join("restored")
}

/// Starts a restore, and returns once its nth `btrfs receive` hangs.
async fn until_receive(world: &mut World, nth: u32) -> (tokio::process::Child, StandIn) {
    let fault = BtrfsFault::HangsAfter { bytes: 100_000 };
    let stand_in =
        StandIn::new([InjectedFault { command: "receive", call: Calls::Nth(nth), fault }]);
    world.path = Some(stand_in.path_var());
    let target = target(world);
    let target = target.to_str().expect("UTF-8");
    let run = world.command(&["restore", "--subvolume", "data", "--target", target]).spawn();
    let run = run.expect("the program");
    assert!(wait_until(RETRY_FOR, || stand_in.unfired().is_empty()));
    world.path = None;
    (run, stand_in)
}

/// Restores, and returns after how many received backups it resumed.
async fn resume(world: &World) -> (Ran, Option<String>) {
    let ran = world.restore("data", &target(world)).await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_same_tree(&world.subvolume("data"), &target(world));
    assert_eq!(names_in(world.fs.path()), ["data", "restored", "snapshots"]);
    let line = ran.stderr.lines().find(|line| line.contains("event=restore_resumed"));
    let resumed_after =
        line.and_then(|line| line.split(' ').find_map(|word| word.strip_prefix("backups=")));
    let resumed_after = resumed_after.map(str::to_owned);
    (ran, resumed_after)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_restore_resumes_after_the_last_received_backup() {
    let Some(mut world) = three_backups().await else { return };
    for (nth, want) in [(1, None), (2, Some("1")), (3, Some("2"))] {
        let (mut run, _stand_in) = until_receive(&mut world, nth).await;
        run.kill().await.unwrap();
        world.process_tag.kill_all();
        assert!(staging(&world).exists());
        let before = world.s3.faults().calls(Op::GetObject);

        let (ran, resumed_after) = resume(&world).await;

        assert_eq!(resumed_after.as_deref(), want, "{}", ran.stderr);
        let received = ran.stderr.matches("event=backup_received").count();
        assert_eq!(received, 4 - nth as usize, "{}", ran.stderr);
        // The pointer twice, three manifests with their part indexes, a chunk of each backup.
        assert_eq!(world.s3.faults().calls(Op::GetObject) - before, 8 + received as u64);
        s3up_testkit::delete_subvolume(&target(&world));
    }
}

/// The copies of chunks that are already received may have expired.
#[tokio::test(flavor = "multi_thread")]
async fn only_chunks_of_backups_that_are_not_received_are_thawed_again() {
    let Some(mut world) = archived("DEEP_ARCHIVE").await else { return };
    world.s3.set_restore_delay(Duration::ZERO);
    let (mut run, _stand_in) = until_receive(&mut world, 2).await;
    run.kill().await.unwrap();
    world.process_tag.kill_all();
    let before = thaw_requests(&world);
    assert_eq!(before, 3, "a full of two chunks, and an incremental");
    world.s3.advance(Duration::from_secs(60 * 24 * 60 * 60)).await.unwrap();
    let target = target(&world);
    let restore = ["restore", "--subvolume", "data", "--target", target.to_str().unwrap()];
    let dry = |more: &'static [&str]| [&restore[..], &["--dry-run"], more].concat();

    let table = world.run(&dry(&[])).await;
    let json = world.run(&dry(&["--json"])).await;
    let (ran, resumed_after) = resume(&world).await;

    assert!(table.stdout.contains("2 backups (1 already received"), "{}", table.stdout);
    let preview: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!((&preview["backups_received"], &preview["chunks"]), (&1.into(), &3.into()));
    assert_eq!(preview["thaw"][0]["requests"], 1);
    assert_eq!(resumed_after.as_deref(), Some("1"), "{}", ran.stderr);
    assert_eq!(thaw_requests(&world) - before, 1, "{}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_restore_resumes_after_the_last_received_backup() {
    let Some(mut world) = three_backups().await else { return };
    let (run, stand_in) = until_receive(&mut world, 3).await;
    let pid = run.id().and_then(|id| Pid::from_raw(id as i32)).unwrap();

    kill_process(pid, Signal::TERM).unwrap();
    let output = run.wait_with_output().await.unwrap();

    let stopped = Ran::of(output);
    stopped.failed_with(143, &["stopped by a signal"]);
    assert!(stopped.stderr.contains("event=restore_interrupted"), "{}", stopped.stderr);
    stand_in.assert_no_process_left();
    world.assert_nothing_runs();
    assert_eq!(names_in(&staging(&world).join("received")).len(), 1, "no incomplete backup");
    assert_eq!(resume(&world).await.1.as_deref(), Some("2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_restore_to_the_same_target_fails_and_the_first_can_resume() {
    let Some(mut world) = three_backups().await else { return };
    let (mut run, _stand_in) = until_receive(&mut world, 2).await;

    let second = world.restore("data", &target(&world)).await;

    second.failed_with(1, &["another restore to the same target is running"]);
    run.kill().await.unwrap();
    world.process_tag.kill_all();
    assert_eq!(resume(&world).await.1.as_deref(), Some("1"), "its received backup is still there");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_restore_is_refused_while_the_first_waits_for_a_thaw() {
    let Some(world) = archived("DEEP_ARCHIVE").await else { return };
    let target = target(&world);
    let restore = ["restore", "--subvolume", "data", "--target", target.to_str().unwrap()];
    let mut first = until_it_waits(&world, &restore).await;

    let second = world.run(&restore).await;
    let dry = world.run(&[&restore[..], &["--dry-run"]].concat()).await;

    second.failed_with(1, &["another restore to the same target is running"]);
    assert_eq!(dry.code, Some(0), "{}", dry.stderr);
    assert_eq!(thaw_requests(&world), 3, "the second asked for nothing");
    world.s3.advance(Duration::from_secs(6 * 60 * 60)).await.unwrap();
    assert!(first.wait().await.unwrap().success());
    assert_same_tree(&world.subvolume("data"), &target);
    assert_eq!(names_in(world.fs.path()), ["data", "restored", "snapshots"]);
}

/// The received backups of an earlier restore survive a thaw that is too slow.
#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_does_not_wait_keeps_the_received_backups() {
    let Some(mut world) = archived("DEEP_ARCHIVE").await else { return };
    world.s3.set_restore_delay(Duration::ZERO);
    let (mut run, _stand_in) = until_receive(&mut world, 2).await;
    run.kill().await.unwrap();
    world.process_tag.kill_all();
    world.s3.advance(Duration::from_secs(60 * 24 * 60 * 60)).await.unwrap();
    world.s3.set_restore_delay(Duration::from_secs(60 * 60));
    let target = target(&world);
    let restore = ["restore", "--subvolume", "data", "--target", target.to_str().unwrap()];

    let too_early = world.run(&[&restore[..], &["--no-wait-restore"]].concat()).await;

    too_early.failed_with(4, &["0 of 1 chunk is readable"]);
    world.s3.advance(Duration::from_secs(2 * 60 * 60)).await.unwrap();
    assert_eq!(resume(&world).await.1.as_deref(), Some("1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_whose_downloads_fail_keeps_the_received_backups() {
    let Some(world) = three_backups().await else { return };
    let faults = world.s3.faults();
    // The pointer, three manifests with their part indexes and two chunks succeed, one after
    // the other; all later calls fail.
    for call in 10..200 {
        faults.inject(Op::GetObject, call, Fault::InternalError);
    }
    let path = target(&world);
    let one_by_one = ["--set", "s3.concurrency=1", "--target", path.to_str().unwrap()];

    let ran = world.run(&[&["restore", "--subvolume", "data"][..], &one_by_one].concat()).await;

    faults.clear();
    ran.failed_with(1, &["download a chunk of nas/subvol/data/incremental/manifest-"]);
    assert!(ran.stderr.contains("event=restore_interrupted"), "{}", ran.stderr);
    world.assert_nothing_runs();
    let (ran, resumed_after) = resume(&world).await;
    assert_eq!(resumed_after.as_deref(), Some("2"), "{}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_data_in_a_later_backup_leaves_the_received_ones() {
    let Some(mut world) = three_backups().await else { return };
    let (mut run, _stand_in) = until_receive(&mut world, 3).await;
    run.kill().await.unwrap();
    world.process_tag.kill_all();
    let (key, newest) = world.newest("data").await;
    let chunk = newest["chunks"][0]["key"].as_str().unwrap();
    let good = world.read(chunk).await.unwrap();
    world.write(chunk, b"another").await;

    let looked_at = world.restore("data", &target(&world)).await;

    looked_at.failed_with(1, &[chunk]);
    let whole = staging(&world).join("received");
    assert!(
        names_in(&whole).iter().any(|name| name.ends_with("__inc")),
        "the restore did not start, so nothing is removed"
    );
    world.write(chunk, &good).await;
    // The pointer and three manifests with their part indexes; then the chunk, twice.
    for call in [8, 9] {
        world.s3.faults().inject(Op::GetObject, call, Fault::FlipByte { offset: 200_000 });
    }

    let read = world.restore("data", &target(&world)).await;

    read.failed_with(1, &[&key, chunk, "SHA-256"]);
    assert_eq!(world.s3.faults().unfired(), []);
    assert_eq!(names_in(&whole).len(), 1, "no incomplete backup");
    assert_eq!(resume(&world).await.1.as_deref(), Some("2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_received_backup_that_was_changed_or_is_of_another_chain_is_received_again() {
    let Some(mut world) = three_backups().await else { return };
    let whole = |world: &World| {
        let received = staging(world).join("received");
        names_in(&received).into_iter().map(|name| received.join(name)).collect::<Vec<_>>()
    };
    let changed = |path: &Path| {
        s3up_testkit::set_read_only(path, false);
        fs::write(path.join("file-0"), "changed").expect("a written file");
        s3up_testkit::set_read_only(path, true);
    };
    let (mut run, _stand_in) = until_receive(&mut world, 2).await;
    run.kill().await.unwrap();
    world.process_tag.kill_all();
    whole(&world).iter().for_each(|path| changed(path));

    let (ran, resumed_after) = resume(&world).await;

    assert_eq!(resumed_after, None, "{}", ran.stderr);
    assert!(ran.stderr.contains("event=leftover_removed"), "{}", ran.stderr);
    s3up_testkit::delete_subvolume(&target(&world));
    let (mut run, _stand_in) = until_receive(&mut world, 2).await;
    run.kill().await.unwrap();
    world.process_tag.kill_all();
    world.run(&["backup", "--full"]).await;

    assert_eq!(resume(&world).await.1, None, "the newest backup has another chain");
}

/// Kills a restore at each S3 call, and so at each stage. Each round has its own target, because a
/// filesystem per round would take long.
#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_is_killed_at_any_call_is_absent_or_whole_and_a_rerun_succeeds() {
    let Some(world) = three_backups().await else { return };
    let host = BtrfsFs::create(1 << 30);
    let (path, round) = (RefCell::new(PathBuf::new()), Cell::new(0));

    let killed = kill_at_each_call(
        &world.s3,
        async |nth| {
            round.set(nth);
            *path.borrow_mut() = host.path().join(format!("restored-{nth}"));
        },
        || {
            let target = path.borrow().to_str().expect("UTF-8").to_owned();
            let restore = ["restore", "--subvolume", "data", "--no-keep-parent"];
            world.command(&[&restore[..], &["--target", &target]].concat()).into_std()
        },
        async |moment| {
            let target = path.borrow().clone();
            match moment {
                Checkpoint::Killed { .. } => assert!(!target.exists(), "{moment:?}"),
                Checkpoint::Rerun { .. } | Checkpoint::Uninterrupted => {
                    assert_same_tree(&world.subvolume("data"), &target);
                    s3up_testkit::delete_subvolume(&target);
                    assert_eq!(names_in(host.path()), Vec::<String>::new(), "{moment:?}");
                }
            }
        },
    )
    .await;

    // A probe, the pointer, three manifests, three part indexes, three HEADs, three chunks.
    assert!(killed >= 13, "{killed}");
}

/// Both the target and the staging directory exist.
#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_was_killed_after_it_created_the_target_is_finished() {
    let Some(mut world) = three_backups().await else { return };
    let fault = BtrfsFault::HangsAfter { bytes: 0 };
    // The trial deletes six subvolumes before, and the parents of the second and the third backup
    // follow.
    let stand_in =
        StandIn::new([InjectedFault { command: "subvolume delete", call: Calls::Nth(9), fault }]);
    world.path = Some(stand_in.path_var());
    let path = target(&world);
    let restore = ["restore", "--subvolume", "data", "--target", path.to_str().unwrap()];
    let mut run = world.command(&restore).spawn().unwrap();
    assert!(wait_until(RETRY_FOR, || stand_in.unfired().is_empty()));
    run.kill().await.unwrap();
    world.process_tag.kill_all();
    world.path = None;
    assert!(path.exists() && staging(&world).exists());

    let (ran, _) = resume(&world).await;

    assert!(
        ran.stderr.contains("removed the staging directory of a restore that had created"),
        "{}",
        ran.stderr
    );
    let again = world.restore("data", &path).await;
    again.failed_with(2, &["exists"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receive_that_fails_in_a_later_backup_leaves_the_ones_before_it() {
    for fault in [
        BtrfsFault::FailsAfter { bytes: 100_000 },
        BtrfsFault::DiesAfter { bytes: 100_000 },
        BtrfsFault::CutsAfter { bytes: 100_000 },
        BtrfsFault::FailsAtTheEnd,
    ] {
        let Some(mut world) = three_backups().await else { return };
        let call = Calls::Nth(3);
        let stand_in = StandIn::new([InjectedFault { command: "receive", call, fault }]);
        world.path = Some(stand_in.path_var());

        let failed = world.restore("data", &target(&world)).await;

        failed.failed_with(1, &["receive"]);
        assert!(stand_in.unfired().is_empty(), "{fault:?}");
        world.path = None;
        let (ran, resumed_after) = resume(&world).await;
        assert_eq!(resumed_after.as_deref(), Some("2"), "{fault:?}: {}", ran.stderr);
    }
}
