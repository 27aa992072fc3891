//! `s3up drill`: files are restored, compared and removed, and the result is recorded.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::fixture::{Host, World, noise, until};
use crate::process::{Output, Process};
use crate::reports::stored;

#[tokio::test]
async fn files_are_restored_compared_and_removed_and_status_says_when() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    for n in 0..30 {
        host.write(format!("dir/{n}"), noise(2000 + n));
    }
    host.write("other", "other");
    host.scan().await;
    let scratch = host.dir.path().join("scratch");
    fs::create_dir(&scratch).unwrap();

    let sample = drill(&host, &scratch, &[]).await;
    let all = drill(&host, &scratch, &["uploads/dir", "--json"]).await;
    let status = Process::output(&host, &["status"]).await;
    let json = Process::output(&host, &["status", "--json"]).await;

    assert_eq!(sample.code, Some(0), "{sample:?}");
    assert!(sample.stdout.starts_with("20 files restored and compared ("), "{sample:?}");
    assert!(sample.stdout.ends_with("20 of them with the record of this host; 0 failed\n"));
    let summary: serde_json::Value = serde_json::from_str(&all.stdout).unwrap();
    assert_eq!((&summary["passed"]["files"], &summary["failed"]["files"]), (&30.into(), &0.into()));
    assert_eq!(fs::read_dir(&scratch).unwrap().count(), 0, "the scratch directory is left");
    assert!(status.stdout.contains("last good drill: 20"), "{status:?}");
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["last_drill"]["files"], 30);
    assert!(json["last_drill"]["last_good_at"].is_i64(), "{json}");
}

#[tokio::test]
async fn a_sample_has_the_size_asked_for_and_the_gateway_hears_of_the_drill() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    for n in 0..30 {
        host.write(format!("dir/{n}"), noise(2000));
    }
    host.scan().await;
    let heartbeat = async || stored(&world, "SELECT body FROM heartbeats").await;
    until("the first heartbeat arrives", async || !heartbeat().await.is_null()).await;
    assert_eq!(heartbeat().await["last_drill"], Value::Null);

    let sample = drill(&host, host.dir.path(), &["--sample", "3"]).await;
    host.scan().await;
    until("the gateway knows it", async || heartbeat().await["last_drill"].is_object()).await;

    assert_eq!(sample.code, Some(0), "{sample:?}");
    assert!(sample.stdout.starts_with("3 files restored and compared ("), "{sample:?}");
    assert!(sample.stdout.ends_with("3 of them with the record of this host; 0 failed\n"));
    let drill = heartbeat().await["last_drill"].clone();
    assert_eq!((&drill["files"], &drill["failed"]), (&3.into(), &0.into()), "{drill}");
    assert_eq!(drill["bytes"], 6000, "{drill}");
    assert!(drill["at"].is_string() && drill["at"] == drill["last_good_at"], "{drill}");
}

#[tokio::test]
async fn a_file_that_is_not_what_this_host_uploaded_fails_the_drill() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    for name in ["fine", "replaced", "cold"] {
        host.write(name, name);
    }
    host.scan().await;
    let good = drill(&host, host.dir.path(), &[]).await;
    world.s3_client().put("webapp/uploads/replaced", b"by others", "STANDARD").await;
    world.s3_client().put("webapp/uploads/cold", b"cold", "GLACIER").await;

    let output = drill(&host, host.dir.path(), &[]).await;
    let status = Process::output(&host, &["status"]).await;

    assert_eq!((good.code, output.code), (Some(0), Some(1)), "{output:?}");
    let lines: Vec<_> = output.stdout.lines().collect();
    assert!(
        lines[0].starts_with("failed: uploads/cold: archived in S3; thaw it first"),
        "{lines:?}"
    );
    assert!(
        lines[1]
            .starts_with("failed: uploads/replaced: expected the content that this host uploaded"),
        "{lines:?}"
    );
    assert_eq!(
        lines[2],
        "1 file restored and compared (4 B), 1 of them with the record of this host; 2 failed"
    );
    assert!(status.stdout.contains("2 of 3 files failed"), "{status:?}");
    assert!(status.stdout.contains("last good drill: 20"), "{status:?}");
}

#[tokio::test]
async fn a_file_that_the_bucket_has_lost_fails_the_drill_and_status_tells_a_monitor() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    for name in ["fine", "dir/lost"] {
        host.write(name, name);
    }
    host.scan().await;
    host.write("pending", "never uploaded");
    world.s3_client().put("webapp/uploads/of-another-host", b"other", "STANDARD").await;
    world.s3_client().delete("webapp/uploads/dir/lost").await;

    let sample = drill(&host, host.dir.path(), &[]).await;
    let only_lost = drill(&host, host.dir.path(), &["uploads/dir"]).await;
    let check = Process::output(&host, &["status", "--check"]).await;

    assert_eq!((sample.code, only_lost.code), (Some(1), Some(1)), "{sample:?} {only_lost:?}");
    for output in [&sample, &only_lost] {
        let lost = output.stdout.lines().find(|line| line.starts_with("failed: "));
        assert!(lost.is_some_and(|line| line.contains("uploads/dir/lost: ")), "{output:?}");
    }
    assert!(check.stdout.contains("drill: 1 of 1 file failed at 20"), "{check:?}");
}

#[tokio::test]
async fn a_drill_that_cannot_be_carried_out_is_no_success() {
    let mut world = World::start().await;
    let host = Host::new(&world.url());
    host.write("a", "a");
    host.scan().await;

    let empty = drill(&host, host.dir.path(), &["none"]).await;
    let no_scratch = drill(&host, Path::new("/nowhere"), &[]).await;
    world.gateway_down().await;
    let away = drill(&host, host.dir.path(), &[]).await;
    let status = Process::output(&host, &["status"]).await;

    for (output, want) in [
        (
            empty,
            "neither the gateway nor this host knows a file below \"none\", so nothing was proven",
        ),
        (no_scratch, "use a scratch directory in \"/nowhere\"; pass --scratch DIR"),
        (away, "list the files below \"\": cannot reach the gateway"),
    ] {
        assert_eq!(output.code, Some(1), "{output:?}");
        assert!(output.stderr.contains(want), "{output:?}");
    }
    assert!(status.stdout.contains("last good drill: never; the one of 20"), "{status:?}");
}

async fn drill(host: &Host, scratch: &Path, arguments: &[&str]) -> Output {
    let scratch = scratch.to_str().expect("UTF-8");
    Process::output(host, &[&["drill", "--scratch", scratch], arguments].concat()).await
}
