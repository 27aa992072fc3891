//! SIGTERM and SIGINT at any moment: the exit code shows the signal, no process is left, and
//! a rerun cleans up what is left.

use std::fs;
use std::process::Output;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use s3up_testkit::{
    BtrfsFault, Calls, InjectedFault, StandIn, assert_same_tree, noise, wait_until,
};
use tokio::process::Child;

use crate::fixture::{CHUNK, RETRY_FOR, World, names_in};

/// Twice ten seconds while S3 does not answer, with a margin.
const STOP_LIMIT: Duration = Duration::from_secs(40);

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_stopped_at_any_call_ends_although_s3_is_silent_and_a_rerun_succeeds() {
    let Some(world) = World::start(&["data"]).await else { return };
    let data = world.subvolume("data");
    fs::write(data.join("big"), noise(CHUNK + 1000)).unwrap();
    for nth in 1.. {
        let held = world.s3.faults().hold(nth);
        let mut run = world.command(&["backup", "--once", "--full"]).spawn().unwrap();
        tokio::select! {
            () = held.reached() => {}
            status = run.wait() => {
                assert!(status.unwrap().success());
                assert!(nth > 13, "{nth}");
                break;
            }
        }

        // The call is never answered, and the program must not wait for it.
        let output = stop(run, Signal::TERM).await;

        // The last calls only clean up after the backup is published.
        let code = output.status.code();
        assert!(code == Some(143) || code == Some(0), "{nth}: {output:?}");
        held.release();
        world.assert_nothing_runs();
        // A full, so that the chain and the calls to read it do not grow.
        let again = world.run(&["backup", "--once", "--full"]).await;
        assert_eq!(again.code, Some(0), "{}", again.stderr);
    }
    let target = world.fs.path().join("restored");
    assert_eq!(world.restore("data", &target).await.code, Some(0));
    assert_same_tree(&data, &target);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_is_stopped_leaves_nothing() {
    let Some(mut world) = World::start(&["data"]).await else { return };
    fs::write(world.subvolume("data").join("big"), noise(CHUNK)).unwrap();
    world.backup().await;
    for (fault, signal, code) in [
        (BtrfsFault::HangsAfter { bytes: 100_000 }, Signal::TERM, 143),
        (BtrfsFault::IgnoresTermAfter { bytes: 100_000 }, Signal::INT, 130),
    ] {
        let stand_in =
            StandIn::new([InjectedFault { command: "receive", call: Calls::Nth(1), fault }]);
        world.path = Some(stand_in.path_var());
        let target = world.fs.path().join("restored");
        let arguments = ["restore", "--subvolume", "data", "--target", target.to_str().unwrap()];
        let run = world.command(&arguments).spawn().unwrap();
        assert!(wait_until(RETRY_FOR, || stand_in.unfired().is_empty()));

        let output = stop(run, signal).await;

        assert_eq!(output.status.code(), Some(code), "{output:?}");
        assert_eq!(names_in(world.fs.path()), ["data", "snapshots"], "{fault:?}");
        stand_in.assert_no_process_left();
        world.assert_nothing_runs();
    }
}

async fn stop(run: Child, signal: Signal) -> Output {
    let pid = run.id().and_then(|id| Pid::from_raw(id as i32)).expect("it runs");
    kill_process(pid, signal).expect("a signal");
    let ended = tokio::time::timeout(STOP_LIMIT, run.wait_with_output()).await;
    ended.expect("it ends by itself").expect("an output")
}
