//! Failures of `btrfs send` and of S3: the first cause is reported, no process is left,
//! nothing is left behind, and the next run succeeds.

use std::fs;

use s3up_devstore::{ConditionBehaviour, Fault, Op};
use s3up_testkit::{
    BtrfsFault, Calls, ExitAs, InjectedFault, StandIn, assert_same_tree, noise, wait_until,
};

use crate::fixture::{CHUNK, RETRY_FOR, Ran, World};

/// An offset beyond the first chunk of the stream.
const IN_THE_MIDDLE: u64 = CHUNK + 1_000_000;

async fn world(fault: BtrfsFault) -> Option<(World, StandIn)> {
    world_with([InjectedFault { command: "send", call: Calls::Nth(1), fault }]).await
}

async fn world_with(cues: impl IntoIterator<Item = InjectedFault>) -> Option<(World, StandIn)> {
    let mut world = World::start(&["data"]).await?;
    fs::write(world.subvolume("data").join("big"), noise(2 * CHUNK)).expect("a written file");
    let stand_in = StandIn::new(cues);
    world.path = Some(stand_in.path_var());
    Some((world, stand_in))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_stream_is_never_published_and_leaves_nothing() {
    let bytes = IN_THE_MIDDLE;
    #[rustfmt::skip]
    let cases = [
        (BtrfsFault::FailsAfter { bytes },            vec!["back up data: `btrfs send", "exit status: 1", StandIn::ERROR_MESSAGE]),
        (BtrfsFault::FailsAfter { bytes: 0 },         vec!["exit status: 1", StandIn::ERROR_MESSAGE]),
        (BtrfsFault::DiesAfter { bytes: 0 },          vec!["signal: 9"]),
        (BtrfsFault::CutsAfter { bytes },             vec!["is not a sound stream", "before END"]),
        (BtrfsFault::CutsAfter { bytes: 0 },          vec!["is not a sound stream", "before END"]),
        (BtrfsFault::FlipsByteAt { offset: bytes },   vec!["is not a sound stream", "CRC32C"]),
        (BtrfsFault::StartsOverAfter { bytes },       vec!["is not a sound stream"]),
        (BtrfsFault::FailsAtTheEnd,                   vec!["exit status: 1", StandIn::ERROR_MESSAGE]),
        (BtrfsFault::FloodsStderr { after_bytes: bytes, flood_bytes: 5 << 20, exit: ExitAs::Failure }, vec!["exit status: 1"]),
    ];
    for (fault, texts) in cases {
        let cue = InjectedFault { command: "send", call: Calls::Every, fault };
        let Some((mut world, stand_in)) = world_with([cue]).await else { return };

        let ran = world.run(&["backup", "--once"]).await;

        ran.failed_with(1, &texts);
        assert_eq!(world.keys().await, Vec::<String>::new(), "{fault:?}");
        assert_eq!(world.snapshots(), Vec::<String>::new(), "{fault:?}");
        assert!(stand_in.unfired().is_empty(), "{fault:?}");
        stand_in.assert_no_process_left();
        world.assert_nothing_runs();
        // A failed program is not run again. A bad stream is, until it fails twice at the
        // same place.
        let sends = if texts[0].contains("sound") { 2 } else { 1 };
        assert_eq!(stand_in.calls_of("send").len(), sends, "{fault:?}");
        world.path = None;
        world.backup().await;
    }
}

/// A `btrfs send` that was frozen, or whose pipe was damaged, ends in this way.
#[tokio::test(flavor = "multi_thread")]
async fn a_bad_stream_of_a_send_that_exits_with_0_is_sent_again() {
    for fault in [
        BtrfsFault::CutsAfter { bytes: IN_THE_MIDDLE },
        BtrfsFault::FlipsByteAt { offset: IN_THE_MIDDLE },
        BtrfsFault::StartsOverAfter { bytes: IN_THE_MIDDLE },
    ] {
        let Some((world, stand_in)) = world(fault).await else { return };

        let ran = world.backup().await;

        assert!(
            ran.stderr.contains("event=send_repeated subvolume=data attempt=1"),
            "{}",
            ran.stderr
        );
        assert_eq!(stand_in.calls_of("send").len(), 2);
        let target = world.fs.path().join("restored");
        let restored = world.restore("data", &target).await;
        assert_eq!(restored.code, Some(0), "{}", restored.stderr);
        assert_same_tree(&world.subvolume("data"), &target);
        // Three chunks, index, two documents and the pointer: nothing else is left of the first
        // attempt, and the three parts of its whole chunk were not uploaded twice.
        assert_eq!(world.keys().await.len(), 7, "{fault:?}");
        assert_eq!(world.s3.faults().calls(Op::UploadPart), 6, "{fault:?}");
        assert_eq!(world.s3.uploads("backups"), Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_not_sent_again_for_ever() {
    let cue = |nth: u32| {
        let fault = BtrfsFault::CutsAfter { bytes: IN_THE_MIDDLE + u64::from(nth) };
        InjectedFault { command: "send", call: Calls::Nth(nth), fault }
    };
    let Some((mut world, stand_in)) = world_with((1..=4).map(cue)).await else { return };

    let ran = world.run(&["backup", "--once"]).await;

    ran.failed_with(1, &["back up data: ", "is not a sound stream", "before END"]);
    assert_eq!(ran.stderr.matches("event=send_repeated").count(), 2, "{}", ran.stderr);
    assert_eq!(stand_in.calls_of("send").len(), 3);
    assert_eq!(world.keys().await, Vec::<String>::new());
    assert_eq!(world.snapshots(), Vec::<String>::new());
    world.path = None;
    world.backup().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_on_stderr_does_not_damage_the_backup() {
    let flood =
        BtrfsFault::FloodsStderr { after_bytes: 1000, flood_bytes: 5 << 20, exit: ExitAs::Success };
    let Some((world, stand_in)) = world(flood).await else { return };

    world.backup().await;

    assert!(stand_in.unfired().is_empty());
    let target = world.fs.path().join("restored");
    let restored = world.restore("data", &target).await;
    assert_eq!(restored.code, Some(0), "{}", restored.stderr);
    assert_same_tree(&world.subvolume("data"), &target);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_send_that_hangs_is_ended_when_the_run_is_stopped() {
    for (fault, signal, code, chunks) in [
        // The next run resumes with what S3 has by then.
        (BtrfsFault::HangsAfter { bytes: IN_THE_MIDDLE }, rustix::process::Signal::TERM, 143, 1),
        (BtrfsFault::IgnoresTermAfter { bytes: 1000 }, rustix::process::Signal::INT, 130, 0),
    ] {
        let Some((mut world, stand_in)) = world(fault).await else { return };
        let child = world.command(&["backup", "--once"]).spawn().unwrap();
        assert!(wait_until(RETRY_FOR, || stand_in.unfired().is_empty()));
        let are_whole = || {
            let keys = world.s3.objects("backups").into_keys();
            keys.filter(|key| key.contains("/chunk-")).count() == chunks
        };
        assert!(wait_until(RETRY_FOR, are_whole));

        let pid = rustix::process::Pid::from_raw(child.id().unwrap() as i32).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
        let output = child.wait_with_output().await.unwrap();

        assert_eq!(output.status.code(), Some(code), "{output:?}");
        stand_in.assert_no_process_left();
        world.assert_nothing_runs();
        assert_eq!(world.keys().await.len(), chunks);
        assert_eq!(world.snapshots().len(), chunks);
        world.path = None;
        world.backup().await;
        // After a resumed backup, an incremental follows.
        assert_eq!(world.keys().await.len(), 7 + 4 * chunks);
        assert_eq!(world.records(), world.snapshots());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusing_bucket_is_reported_as_the_cause_and_ends_the_send() {
    for (op, nth) in [
        (Op::CreateMultipartUpload, 1),
        (Op::UploadPart, 1),
        (Op::CompleteMultipartUpload, 1),
        // The first five probe the conditional writes, and the sixth writes the index.
        (Op::PutObject, 7),
    ] {
        let Some((mut world, _)) = world(BtrfsFault::FailsAtTheEnd).await else { return };
        world.path = None;
        world.reconfigure("retry_hours = 0.002", "retry_hours = 0");
        world.s3.faults().inject(op, nth, Fault::InternalError);

        let ran = world.run(&["backup", "--once"]).await;

        ran.failed_with(1, &["back up data: ", "S3 is busy or unreachable"]);
        assert!(!ran.stderr.contains("btrfs send"), "{}", ran.stderr);
        world.assert_nothing_runs();
        // The next run resumes with what S3 has acknowledged.
        let is_kept = ran.stderr.contains("event=backup_interrupted");
        assert!(!(is_kept && op == Op::CreateMultipartUpload), "{}", ran.stderr);
        assert_eq!(world.snapshots().len(), usize::from(is_kept), "{op:?}");
        if !is_kept {
            assert_eq!(world.keys().await, Vec::<String>::new(), "{op:?}");
            assert_eq!(world.s3.uploads("backups"), Vec::<String>::new());
        }
        let again = world.backup().await;
        assert_eq!(again.stderr.contains("event=backup_resumed"), is_kept, "{}", again.stderr);
        // After a resumed backup, an incremental follows.
        assert_eq!(world.keys().await.len(), if is_kept { 11 } else { 7 }, "{op:?}");
        assert_eq!(world.s3.uploads("backups"), Vec::<String>::new());
        assert_eq!(world.records(), world.snapshots());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_subvolume_that_fails_does_not_stop_the_others() {
    let Some(mut world) = World::start(&["one", "two", "three"]).await else { return };
    let fault = BtrfsFault::FailsAfter { bytes: 50 };
    let stand_in = StandIn::new([InjectedFault { command: "send", call: Calls::Nth(2), fault }]);
    world.path = Some(stand_in.path_var());

    let ran = world.run(&["backup", "--once"]).await;

    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    assert!(ran.stderr.contains("back up: 2 of 3 subvolumes done, failed: two"), "{}", ran.stderr);
    assert!(ran.stderr.contains("event=backup_failed subvolume=two"), "{}", ran.stderr);
    for (name, is_published) in [("one", true), ("two", false), ("three", true)] {
        let pointer = world.read(&format!("nas/subvol/{name}/current.json")).await;
        assert_eq!(pointer.is_some(), is_published, "{name}");
    }
    // By the schedule only the failed subvolume is due, and it is due at once.
    let again = world.run(&["--log-level", "debug", "backup"]).await;
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    for name in ["one", "three"] {
        let event = format!("event=backup_not_due subvolume={name}");
        assert!(again.stderr.contains(&event), "{}", again.stderr);
    }
    assert_eq!(world.newest("two").await.1["kind"], "full");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_snapshot_does_not_stop_the_other_subvolume() {
    let Some(mut world) = World::start(&["one", "two"]).await else { return };
    let fault = BtrfsFault::FailsAfter { bytes: 0 };
    let cue = InjectedFault { command: "subvolume snapshot", call: Calls::Nth(1), fault };
    let stand_in = StandIn::new([cue]);
    world.path = Some(stand_in.path_var());

    let ran = world.run(&["backup", "--once"]).await;

    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    assert!(ran.stderr.contains(StandIn::ERROR_MESSAGE), "{}", ran.stderr);
    assert_eq!(world.newest("two").await.1["kind"], "full");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_host_that_publishes_meanwhile_is_not_overwritten() {
    let Some(ran) = published_meanwhile(ConditionBehaviour::Honoured).await else { return };
    assert!(!ran.stderr.contains("event=conditions_"), "{}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_host_is_not_overwritten_even_if_the_server_ignores_conditions() {
    let Some(ran) = published_meanwhile(ConditionBehaviour::Ignored).await else { return };
    let warnings = ran.stderr.matches("event=conditions_ignored prefix=nas/").count();
    assert_eq!(warnings, 1, "{}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn backups_are_restorable_from_a_server_that_ignores_conditions() {
    let Some(world) = World::start_with(ConditionBehaviour::Ignored, &["data"]).await else {
        return;
    };
    for kind in ["full", "incremental"] {
        let ran = world.backup().await;

        assert!(ran.stderr.contains("event=conditions_ignored"), "{}", ran.stderr);
        assert_eq!(world.newest("data").await.1["kind"], kind);
    }
    let target = world.fs.path().join("restored");
    let restored = world.restore("data", &target).await;
    assert_eq!(restored.code, Some(0), "{}", restored.stderr);
    assert_same_tree(&world.subvolume("data"), &target);
}

/// Runs a backup while another host publishes, and returns how it ends.
async fn published_meanwhile(conditions: ConditionBehaviour) -> Option<Ran> {
    let world = World::start_with(conditions, &["data"]).await?;
    fs::write(world.subvolume("data").join("big"), noise(CHUNK)).expect("a written file");
    world.backup().await;
    fs::write(world.subvolume("data").join("more"), noise(CHUNK)).expect("a written file");
    // The first part has arrived, so the pointer was read before.
    let held = world.s3.faults().hold_op(Op::UploadPart, 1);
    let first = world.command(&["backup", "--once"]).spawn().expect("the program");
    held.reached().await;
    let pointer = world.read("nas/subvol/data/current.json").await.expect("a pointer");
    let theirs = [&pointer[..], b" "].concat();
    world.write("nas/subvol/data/current.json", &theirs).await;
    held.release();

    let ran = Ran::of(first.wait_with_output().await.expect("its end"));

    ran.failed_with(1, &["another host or run has published since this backup was planned"]);
    assert_eq!(world.read("nas/subvol/data/current.json").await.expect("a pointer"), theirs);
    assert_eq!(world.keys().await.iter().filter(|key| key.contains("/incremental/")).count(), 0);
    Some(ran)
}
