//! The lock: one run at a time, and when the lock is free again.

use std::fs;
use std::process::{Command, Stdio};

use s3up_testkit::{BtrfsFault, Calls, InjectedFault, StandIn};

use crate::fixture::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_fails_at_once_and_names_the_holder_of_the_lock() {
    let Some(world) = World::start(&["data"]).await else { return };
    let held = world.s3.faults().hold(1);
    let mut first = world.command(&["backup", "--once"]).spawn().unwrap();
    held.reached().await;

    let second = world.run(&["backup", "--once"]).await;

    second.failed_with(75, &["another run holds the lock", &first.id().unwrap().to_string()]);
    first.kill().await.unwrap();
    // The lock is free, although its file still names that process.
    let third = world.backup().await;
    assert!(third.stderr.contains("event=backup_lock_stale"), "{}", third.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_of_a_dead_or_unrelated_process_is_taken_over() {
    let Some(world) = World::start(&["data"]).await else { return };
    // Init is alive, but not btrfs-to-s3. No process has the other PID.
    for pid in ["1", "999999999"] {
        fs::write(world.lock(), format!("{pid}\n")).unwrap();
        let ran = world.backup().await;
        let line = format!("pid={pid}");
        assert!(ran.stderr.contains("event=backup_lock_stale"), "{}", ran.stderr);
        assert!(ran.stderr.contains(&line), "{}", ran.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_of_the_running_python_tool_counts() {
    let Some(world) = World::start(&["data"]).await else { return };
    let mut python = Command::new("/bin/sh")
        .args(["-c", "read line", "btrfs_to_s3", "backup"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    fs::write(world.lock(), format!("{}\n", python.id())).unwrap();

    let held = world.run(&["backup", "--once"]).await;

    held.failed_with(
        75,
        &["another run holds the lock", &format!("{} (btrfs_to_s3)", python.id())],
    );
    assert_eq!(world.snapshots(), Vec::<String>::new());
    python.kill().unwrap();
    python.wait().unwrap();
    world.backup().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lock_is_free_after_success_and_after_failure() {
    let Some(mut world) = World::start(&["data"]).await else { return };
    let is_free = |world: &World| fs::read_to_string(world.lock()).unwrap().is_empty();
    world.backup().await;
    assert!(is_free(&world));
    let fault = BtrfsFault::FailsAfter { bytes: 50 };
    let stand_in = StandIn::new([InjectedFault { command: "send", call: Calls::Every, fault }]);
    world.path = Some(stand_in.path_var());
    let failed = world.run(&["backup", "--full"]).await;
    assert_eq!(failed.code, Some(1), "{}", failed.stderr);
    assert!(is_free(&world));
    world.path = None;
    let refused = world.run(&["backup", "--once", "--set", "s3.bucket=no-such-bucket"]).await;
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert!(is_free(&world));

    let ran = world.backup().await;

    assert!(!ran.stderr.contains("backup_lock_stale"), "{}", ran.stderr);
}
