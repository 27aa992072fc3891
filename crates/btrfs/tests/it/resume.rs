//! An interrupted backup is resumed: what S3 has is not uploaded twice, and no other stream
//! is mixed in.

mod changed;
mod complete;
mod follow_up;

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};
use s3up_devstore::{Behaviours, ConditionBehaviour, HeldCall, Op};
use s3up_testkit::{
    BtrfsFault, Calls, InjectedFault, StandIn, assert_same_tree, noise, wait_until,
};
use serde_json::Value;
use tokio::process::Child;

use crate::fixture::{CHUNK, PART, RETRY_FOR, Ran, World, index_of};

/// Length of the test file in parts; the stream is a little longer.
const PARTS: u64 = 40;

/// A world whose backups upload one part at a time, in chunks of `chunk_bytes`.
async fn world(chunk_bytes: u64) -> Option<World> {
    world_behaving(Behaviours::default(), chunk_bytes).await
}

async fn world_behaving(behaviours: Behaviours, chunk_bytes: u64) -> Option<World> {
    let world = World::start_behaving(behaviours, &["data"]).await?;
    world.reconfigure(
        &format!("chunk_size_bytes = {CHUNK}"),
        &format!("chunk_size_bytes = {chunk_bytes}\nconcurrency = 1"),
    );
    fs::write(world.subvolume("data").join("big"), noise(PARTS * PART)).expect("a written file");
    Some(world)
}

/// Starts a backup and holds its `nth` part unanswered. The parts before it are in the
/// journal.
async fn run_until_part(world: &World, nth: u64) -> (Child, HeldCall) {
    let held = world.s3.faults().hold_op(Op::UploadPart, nth);
    let mut run = world.command(&["backup", "--once"]).spawn().expect("the program");
    tokio::select! {
        () = held.reached() => {}
        ended = run.wait() => panic!("the run ended with {ended:?}"),
    }
    // The journal is written a moment after the acknowledgement.
    let noted = || fs::read_to_string(journal(world)).expect("a journal");
    let are_noted = || noted().matches(r#""line":"part""#).count() as u64 >= nth - 1;
    assert!(wait_until(RETRY_FOR, are_noted), "{}", noted());
    (run, held)
}

async fn kill(world: &World, (mut run, held): (Child, HeldCall)) {
    run.kill().await.expect("a child of ours");
    held.release();
    world.assert_nothing_runs();
}

/// Returns the bytes that were uploaded since `from`, in parts and in whole objects.
fn uploaded(world: &World, from: [u64; 2]) -> u64 {
    let faults = world.s3.faults();
    let of = |op, from| {
        let calls = from + 1..=faults.calls(op);
        let headers = calls.map(move |call| faults.headers(op, call).expect("its headers"));
        headers.map(|headers| {
            let len = headers.get("content-length").expect("a length");
            len.to_str().expect("text").parse::<u64>().expect("a number")
        })
    };
    of(Op::UploadPart, from[0]).chain(of(Op::PutObject, from[1])).sum()
}

fn calls(world: &World) -> [u64; 2] {
    [Op::UploadPart, Op::PutObject].map(|op| world.s3.faults().calls(op))
}

/// Asserts that the published backup restores the subvolume, and that nothing else is left.
async fn assert_clean(world: &World) {
    let target = world.fs.path().join("restored");
    let restored = world.restore("data", &target).await;
    assert_eq!(restored.code, Some(0), "{}", restored.stderr);
    assert_same_tree(&world.subvolume("data"), &target);
    s3up_testkit::delete_subvolume(&target);
    assert_eq!(world.keys().await, named(world).await);
    assert_eq!(world.s3.uploads("backups"), Vec::<String>::new());
    let mut records = world.records();
    records.retain(|record| !record.ends_with(".journal"));
    assert_eq!(records, world.records(), "no journal is left");
}

/// Returns all keys that the published chain names.
async fn named(world: &World) -> Vec<String> {
    let mut keys = vec!["nas/subvol/data/current.json".to_owned()];
    let mut next = Some(world.newest("data").await.0);
    while let Some(key) = next {
        let manifest = world.json(&key).await;
        let chunks = manifest["chunks"].as_array().expect("chunks");
        let texts = chunks.iter().map(|chunk| &chunk["key"]).chain([&manifest["parts"]["key"]]);
        keys.extend(texts.map(|text| text.as_str().expect("a key").to_owned()));
        next = manifest["parent_manifest"].as_str().map(str::to_owned);
        keys.extend([index_of(&key), key]);
    }
    keys.sort();
    keys
}

fn assert_says(ran: &Ran, event: &str) {
    let event = format!("event={event} ");
    assert!(ran.stderr.contains(&event), "{event}is not in {}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_killed_at_nine_tenths_uploads_less_than_fifteen_percent_again() {
    for chunk_bytes in [1 << 30, CHUNK] {
        let Some(world) = world(chunk_bytes).await else { return };
        // Chunks of eleven MiB have two whole parts and a short one.
        let parts = if chunk_bytes == CHUNK { PARTS * PART / CHUNK * 3 } else { PARTS };
        let run = run_until_part(&world, parts * 9 / 10 + 2).await;
        kill(&world, run).await;
        let snapshots = world.snapshots();
        let plan = world.run(&["backup", "--once", "--dry-run", "--json"]).await;
        let plan: Value = serde_json::from_str(&plan.stdout).expect("JSON");
        let before = calls(&world);

        let ran = world.backup().await;

        assert_says(&ran, "backup_resumed");
        let again = uploaded(&world, before);
        let percent = again * 100 / (PARTS * PART);
        assert!(percent < 15, "{again} bytes are {percent} % of {}", PARTS * PART);
        assert_eq!(world.snapshots()[..1], snapshots, "the same snapshot is used");
        assert_eq!(plan[0]["work"], "resume", "{plan}");
        let acknowledged = plan[0]["acknowledged_bytes"].as_u64().expect("bytes");
        assert!(acknowledged * 100 / (PARTS * PART) >= 85, "{plan}");
        assert_eq!(plan[0]["snapshot"], snapshots[0], "{plan}");
        assert!(
            plan[0]["reason"].as_str().expect("text").contains("MiB already uploaded"),
            "{plan}"
        );
        assert_clean(&world).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_stopped_by_a_signal_is_resumed() {
    for signal in [Signal::TERM, Signal::INT] {
        let Some(world) = world(1 << 30).await else { return };
        let (run, held) = run_until_part(&world, 20).await;
        let pid = Pid::from_raw(run.id().expect("it runs") as i32).expect("a process");

        kill_process(pid, signal).expect("a signal");
        let stopped = Ran::of(run.wait_with_output().await.expect("its end"));
        held.release();
        let before = calls(&world);
        let ran = world.backup().await;

        assert_says(&stopped, "backup_interrupted");
        assert_says(&ran, "backup_resumed");
        // All parts but the nineteen acknowledged ones, and the documents.
        let again = uploaded(&world, before);
        assert!(again < (PARTS - 19 + 1) * PART, "{again}");
        assert_eq!(world.snapshots().len(), 2);
        assert_clean(&world).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_resumed_after_a_network_failure() {
    let Some(mut world) = world(1 << 30).await else { return };
    let (run, held) = run_until_part(&world, 20).await;
    let away = world.stop_s3().await;
    held.release();
    let failed = Ran::of(run.wait_with_output().await.expect("its end"));
    world.start_s3_again(away).await;
    let before = calls(&world);

    let ran = world.backup().await;

    failed.failed_with(1, &["S3 is busy or unreachable"]);
    assert_says(&failed, "backup_interrupted");
    assert_says(&ran, "backup_resumed");
    let again = uploaded(&world, before);
    assert!(again < (PARTS - 19 + 1) * PART, "{again}");
    assert_clean(&world).await;
}

/// The state is that after a power cut: nothing runs, the filesystem was mounted again, and the lock
/// file exists.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_resumed_after_a_power_cut() {
    let Some(world) = world(1 << 30).await else { return };
    let run = run_until_part(&world, 20).await;
    kill(&world, run).await;
    remount(&world);
    assert!(world.lock().exists());
    let before = calls(&world);

    let ran = world.backup().await;

    assert_says(&ran, "backup_lock_stale");
    assert_says(&ran, "backup_resumed");
    let again = uploaded(&world, before);
    assert!(again < (PARTS - 18 + 1) * PART, "{again}");
    assert_clean(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_is_torn_or_lost_costs_bytes_and_nothing_else() {
    for damage in ["torn", "garbage", "gone"] {
        let Some(world) = world(CHUNK).await else { return };
        let run = run_until_part(&world, 20).await;
        kill(&world, run).await;
        let path = journal(&world);
        let text = fs::read(&path).unwrap();
        match damage {
            "torn" => fs::write(&path, &text[..text.len() * 2 / 3]).unwrap(),
            "garbage" => fs::write(&path, noise(1000)).unwrap(),
            _ => fs::remove_file(&path).unwrap(),
        }

        let ran = world.backup().await;

        let event = if damage == "torn" { "backup_resumed" } else { "backup_not_resumed" };
        assert_says(&ran, event);
        assert_clean(&world).await;
    }
}

/// The backup is killed before it receives the ID of its upload.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_the_journal_does_not_know_is_aborted() {
    let Some(world) = World::start_with(ConditionBehaviour::Honoured, &["data"]).await else {
        return;
    };
    let held = world.s3.faults().hold_op(Op::CreateMultipartUpload, 2);
    world.reconfigure("part_size_bytes", "concurrency = 1\npart_size_bytes");
    fs::write(world.subvolume("data").join("big"), noise(3 * CHUNK)).unwrap();
    let mut run = world.command(&["backup", "--once"]).spawn().unwrap();
    held.reached().await;
    let is_noted = || fs::read_to_string(journal(&world)).unwrap().contains("\"line\":\"part\"");
    assert!(wait_until(RETRY_FOR, is_noted), "no part is in the journal");
    run.kill().await.unwrap();
    world.assert_nothing_runs();
    held.release();
    assert!(!world.s3.uploads("backups").is_empty());

    let ran = world.backup().await;

    assert_says(&ran, "backup_resumed");
    assert_clean(&world).await;
}

fn remount(world: &World) {
    let call = |program: &str, arguments: &[&OsStr]| {
        let status = Command::new(program).args(arguments).status().expect("a program");
        assert!(status.success(), "{program} {arguments:?}");
    };
    let (image, path) = (world.fs.image().as_os_str(), world.fs.path().as_os_str());
    call("umount", &[path]);
    call("mount", &["-o".as_ref(), "loop,noatime".as_ref(), image, path]);
}

fn journal(world: &World) -> PathBuf {
    let mut paths = fs::read_dir(world.snapshots_dir().join(".btrfs-to-s3")).expect("a directory");
    let is_journal = |path: &PathBuf| path.extension().is_some_and(|end| end == "journal");
    let path = paths.find_map(|entry| Some(entry.ok()?.path()).filter(is_journal));
    path.expect("a journal")
}

/// The server takes fewer parts of one upload than any that the probe asks for, and more of
/// them later.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_part_leaves_the_accepted_ones_for_the_next_run() {
    let behaviours = Behaviours { part_count_max: 19, ..Behaviours::default() };
    let Some(mut world) = world_behaving(behaviours, 1 << 30).await else { return };

    let refused = world.run(&["backup", "--once"]).await;
    let away = world.stop_s3().await;
    world.start_s3_again(away).await;
    let before = calls(&world);
    let resumed = world.backup().await;

    refused.failed_with(1, &["put part of nas/subvol/data/full/chunk-", "InvalidArgument"]);
    assert_says(&refused, "backup_interrupted");
    assert_says(&resumed, "backup_resumed");
    let again = uploaded(&world, before);
    assert!(again < (PARTS - 19 + 1) * PART, "{again}");
    assert_clean(&world).await;
}

/// The kernel kills a `btrfs send` in this way when memory runs out.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_whose_send_is_killed_is_resumed() {
    let Some(mut world) = world(CHUNK).await else { return };
    let fault = BtrfsFault::DiesAfter { bytes: PARTS / 2 * PART };
    let stand_in = StandIn::new([InjectedFault { command: "send", call: Calls::Nth(1), fault }]);
    world.path = Some(stand_in.path_var());

    let killed = world.run(&["backup", "--once"]).await;

    killed.failed_with(1, &["signal: 9"]);
    assert!(killed.stderr.contains("event=backup_interrupted"), "{}", killed.stderr);
    assert!(stand_in.unfired().is_empty());
    stand_in.assert_no_process_left();
    assert_eq!(world.snapshots().len(), 1);
    world.path = None;
    let before = calls(&world);
    let resumed = world.backup().await;
    assert!(resumed.stderr.contains("event=backup_resumed"), "{}", resumed.stderr);
    let again = uploaded(&world, before);
    assert!(again < (PARTS / 2 + 6) * PART, "{again} bytes were uploaded again");
    assert_clean(&world).await;
}
