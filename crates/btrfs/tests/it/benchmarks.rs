//! `benchmark`: measures, suggests, and leaves nothing.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};
use s3up_devstore::{Fault, Op};
use s3up_testkit::noise;
use serde_json::Value;

use crate::fixture::{CHUNK, World};

/// Uploads two chunks.
const ARGUMENTS: [&str; 6] = ["benchmark", "--bytes", "13000000", "--concurrency", "1,4", "--json"];

async fn assert_nothing_is_left(world: &World, before: &[String]) {
    assert_eq!(world.all_keys().await, before);
    assert_eq!(world.s3.uploads("backups"), Vec::<String>::new());
    world.assert_nothing_runs();
}

#[tokio::test(flavor = "multi_thread")]
async fn random_data_is_uploaded_measured_and_removed() {
    let Some(world) = World::start(&["data"]).await else { return };
    world.backup().await;
    let before = world.all_keys().await;

    let json = world.run(&ARGUMENTS).await;
    let table = world.run(&ARGUMENTS[..5]).await;

    assert_eq!(json.code, Some(0), "{}", json.stderr);
    assert!(
        json.stderr.contains("event=benchmark_planned total_bytes=26000000"),
        "{}",
        json.stderr
    );
    let report: Value = serde_json::from_str(&json.stdout).unwrap();
    let found: Vec<_> = report["measured"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| {
            assert_eq!(line["bytes"], 13_000_000);
            (line["what"].as_str().unwrap(), line["concurrency"].as_u64())
        })
        .collect();
    assert_eq!(found, [("hash", None), ("upload", Some(1)), ("upload", Some(4))]);
    assert!([1, 4].contains(&report["concurrency"].as_u64().unwrap()), "{report}");
    assert!(table.stdout.contains("s3.concurrency = "), "{}", table.stdout);
    assert_nothing_is_left(&world, &before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_is_measured_alone_and_into_the_bucket() {
    let Some(world) = World::start(&["data"]).await else { return };
    let arguments = [&ARGUMENTS[..], &["--subvolume", "data"]].concat();
    world.run(&arguments).await.failed_with(2, &["subvolume data has no snapshot to send"]);
    fs::write(world.subvolume("data").join("big"), noise(2 * CHUNK)).unwrap();
    world.run(&["backup", "--no-s3"]).await;
    let before = world.all_keys().await;
    let snapshots = world.snapshots();

    let ran = world.run(&arguments).await;

    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    let lines = report["measured"].as_array().unwrap();
    let whats: Vec<_> = lines.iter().map(|line| line["what"].as_str().unwrap()).collect();
    assert_eq!(whats, ["send", "hash", "upload", "upload", "send and upload"]);
    assert!(lines.iter().all(|line| line["bytes"] == 13_000_000), "{report}");
    assert_eq!(world.snapshots(), snapshots);
    assert_nothing_is_left(&world, &before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_benchmark_stopped_at_any_call_leaves_nothing() {
    let Some(world) = World::start(&["data"]).await else { return };
    let before = world.all_keys().await;
    for nth in 1.. {
        let held = world.s3.faults().hold(nth);
        let mut run = world.command(&ARGUMENTS).spawn().unwrap();
        tokio::select! {
            () = held.reached() => {}
            status = run.wait() => {
                assert!(status.unwrap().success());
                assert!(nth > 20, "{nth}");
                break;
            }
        }
        let pid = Pid::from_raw(run.id().unwrap() as i32).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        // From now on S3 answers again.
        held.release();

        let output = run.wait_with_output().await.unwrap();

        let code = output.status.code();
        assert!(code == Some(143) || code == Some(0), "{nth}: {output:?}");
        assert_nothing_is_left(&world, &before).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_benchmark_leaves_nothing_and_the_next_cleans_up_after_a_kill() {
    let Some(world) = World::start(&["data"]).await else { return };
    let before = world.all_keys().await;
    world.reconfigure("retry_hours = 0.002", "retry_hours = 0");
    for op in [Op::CreateMultipartUpload, Op::UploadPart, Op::CompleteMultipartUpload] {
        world.s3.faults().inject(op, 2, Fault::InternalError);
        let ran = world.run(&ARGUMENTS).await;
        assert_eq!(ran.code, Some(1), "{op:?}: {}", ran.stderr);
        assert_nothing_is_left(&world, &before).await;
    }
    let parts = world.s3.faults().calls(Op::CompleteMultipartUpload);
    let mut killed = world.command(&ARGUMENTS).spawn().unwrap();
    world.s3.faults().called(Op::CompleteMultipartUpload, parts + 1).await;
    killed.kill().await.unwrap();
    let ran = world.run(&ARGUMENTS).await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_nothing_is_left(&world, &before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_arguments_are_refused() {
    let Some(world) = World::start(&["data"]).await else { return };
    #[rustfmt::skip]
    let cases = [
        (vec!["--bytes", "0"],            "--bytes: expected at least 1"),
        (vec!["--concurrency", "0,4"],    "--concurrency: expected numbers from 1 to 256"),
        (vec!["--storage-class", "COLD"], "--storage-class: unknown storage class \"COLD\""),
        (vec!["--subvolume", "dta"],      "subvolume \"dta\" is not in the configuration"),
    ];
    for (arguments, want) in cases {
        let ran = world.run(&[&["benchmark"], &arguments[..]].concat()).await;
        ran.failed_with(2, &[want]);
    }
}
