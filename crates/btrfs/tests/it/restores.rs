//! `restore`: which backup it selects, and what it checks before it downloads anything.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use s3up_devstore::Op;
use s3up_testkit::{assert_same_tree, noise};
use serde_json::{Value, json};

use crate::fixture::{CHUNK, World, names_in};

/// Makes three backups, in which the file `a` has the number of the backup.
async fn three_backups() -> Option<(World, Vec<String>)> {
    let world = World::start(&["data"]).await?;
    let mut stamps = Vec::new();
    for n in 0..3 {
        fs::write(world.subvolume("data").join("a"), n.to_string()).expect("a written file");
        world.backup().await;
        let (_, manifest) = world.newest("data").await;
        stamps.push(manifest["created_at"].as_str().expect("a time").to_owned());
    }
    Some((world, stamps))
}

fn rfc3339(stamp: &str) -> String {
    let time = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", stamp).expect("a stamp");
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn at_restores_the_newest_backup_up_to_a_time() {
    let Some((world, stamps)) = three_backups().await else { return };
    let local = rfc3339(&stamps[1]).trim_end_matches('Z').replace('T', " ");
    let cases = [
        (stamps[0].clone(), "0"),
        (rfc3339(&stamps[1]), "1"),
        (local, "1"),
        ("2999-01-01".to_owned(), "2"),
    ];
    for (n, (time, want)) in cases.into_iter().enumerate() {
        let target = world.fs.path().join(format!("restored-{n}"));
        let path = target.to_str().unwrap();
        let mut restore =
            world.command(&["restore", "--subvolume", "data", "--target", path, "--at", &time]);

        let output = restore.env("TZ", "UTC").output().await.unwrap();

        assert!(output.status.success(), "{time}: {output:?}");
        assert_eq!(fs::read_to_string(target.join("a")).unwrap(), want, "{time}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn at_a_time_before_all_backups_fails_and_names_their_times() {
    let Some((world, stamps)) = three_backups().await else { return };
    let target = world.fs.path().join("restored");
    let restore = |time: &'static str| {
        let target = target.to_str().unwrap().to_owned();
        let world = &world;
        async move {
            let at = ["restore", "--subvolume", "data", "--target", &target, "--at", time];
            world.run(&at).await
        }
    };

    let (first, last) = (rfc3339(&stamps[0]), rfc3339(&stamps[2]));
    restore("2001-01-01").await.failed_with(1, &["there are 3 backups, from", &first, &last]);
    restore("soon").await.failed_with(2, &["--at", "cannot parse \"soon\" as a time"]);
    let both = ["--manifest-key", "x", "--at", "2001-01-01", "--subvolume", "data"];
    let both = [&["restore", "--target", "/x"][..], &both].concat();
    let both = world.run(&both).await;
    assert_eq!(both.code, Some(2), "{}", both.stderr);
    assert!(!target.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_needs_no_configuration_file() {
    let Some((world, _)) = three_backups().await else { return };
    fs::remove_file(world.config()).unwrap();
    let (target, endpoint) = (world.fs.path().join("restored"), world.s3.endpoint());
    let bucket = ["--bucket", "backups", "--region", "us-east-1", "--prefix", "nas"];
    let what = ["--subvolume", "data", "--target", target.to_str().unwrap()];
    let restore = [&["restore", "--endpoint", &endpoint][..], &bucket, &what].concat();

    let ran = world.run(&restore).await;

    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_same_tree(&world.subvolume("data"), &target);
    for text in ["event=restore_metrics", "event=restore_complete", "throughput=", "backups=3"] {
        assert!(ran.stderr.contains(text), "{text}: {}", ran.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_prints_chain_and_thaw_and_changes_nothing() {
    let Some(world) = World::start(&["data"]).await else { return };
    fs::write(world.subvolume("data").join("big"), noise(CHUNK + 100)).unwrap();
    world.reconfigure("\"STANDARD\"", "\"DEEP_ARCHIVE\"");
    world.backup().await;
    world.reconfigure("\"DEEP_ARCHIVE\"", "\"GLACIER\"");
    world.backup().await;
    let (target, before) = (world.fs.path().join("restored"), world.keys().await);
    let restore = ["restore", "--subvolume", "data", "--target", target.to_str().unwrap()];

    let json_run = world.run(&[&restore[..], &["--dry-run", "--json"]].concat()).await;
    let table = world.run(&[&restore[..], &["--dry-run"]].concat()).await;

    assert_eq!(json_run.code, Some(0), "{}", json_run.stderr);
    let preview: Value = serde_json::from_str(&json_run.stdout).unwrap();
    let (key, newest) = world.newest("data").await;
    assert_eq!(preview["backups"].as_array().unwrap().len(), 2);
    assert_eq!(preview["backups"][0]["kind"], "full");
    assert_eq!(preview["backups"][0]["chunks"], 2);
    assert_eq!(preview["backups"][1]["manifest"], key);
    assert_eq!(preview["backups"][1]["bytes"], newest["total_bytes"]);
    assert_eq!(preview["chunks"], 3);
    let thaw = |n: usize, field: &str| preview["thaw"][n][field].clone();
    assert_eq!((thaw(0, "storage_class"), thaw(0, "requests")), (json!("DEEP_ARCHIVE"), json!(2)));
    assert_eq!(thaw(0, "bulk_hours"), json!({"from": 48, "to": 48}));
    assert_eq!((thaw(1, "storage_class"), thaw(1, "requests")), (json!("GLACIER"), json!(1)));
    assert_eq!(thaw(1, "standard_hours"), json!({"from": 3, "to": 5}));
    for text in ["BACKUP  CREATED", "2 backups with 3 chunks", "DEEP_ARCHIVE  2", "3-5 h", "5-12 h"]
    {
        assert!(table.stdout.contains(text), "{text}: {}", table.stdout);
    }
    assert_eq!(world.keys().await, before);
    assert_eq!(names_in(world.fs.path()), ["data", "snapshots"]);
    assert_eq!(world.s3.faults().calls(Op::RestoreObject), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_protocol_2_is_not_fed_to_old_btrfs_progs() {
    let Some(mut world) = World::start(&["data"]).await else { return };
    world.backup().await;
    let (key, mut manifest) = world.newest("data").await;
    manifest["stream_protocol"] = 2.into();
    world.write(&key, manifest.to_string().as_bytes()).await;
    let programs = tempfile::tempdir().unwrap();
    let program = programs.path().join("btrfs");
    fs::write(&program, "#!/bin/sh\necho btrfs-progs v6.1.3\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    world.path = Some(programs.path().as_os_str().to_owned());

    let ran = world.restore("data", &world.fs.path().join("restored")).await;

    ran.failed_with(1, &[&key, "expected btrfs-progs 6.2 or later, found 6.1.3"]);
    assert_eq!(names_in(world.fs.path()), ["data", "snapshots"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_chain_is_refused_and_nothing_is_received() {
    let Some((world, _)) = three_backups().await else { return };
    let (newest_key, newest) = world.newest("data").await;
    let parent_key = newest["parent_manifest"].as_str().unwrap().to_owned();
    let parent = world.json(&parent_key).await;
    let edited = |mut manifest: Value, field: &str, value: Value| {
        manifest[field] = value;
        manifest
    };
    #[rustfmt::skip]
    let cases = [
        ("a circle",   edited(parent.clone(), "parent_manifest", json!(newest_key)), &newest_key),
        ("a newer",    edited(parent.clone(), "version", json!(2)),                  &parent_key),
        ("of another", edited(parent.clone(), "subvolume", json!("other")),          &parent_key),
        ("no parent",  edited(parent.clone(), "parent_manifest", json!("nas/x")),    &"nas/x".to_owned()),
    ];
    let target = world.fs.path().join("restored");
    for (situation, bad, named) in cases {
        world.write(&parent_key, bad.to_string().as_bytes()).await;

        let ran = world.restore("data", &target).await;

        ran.failed_with(1, &["manifest", named]);
        assert_eq!(names_in(world.fs.path()), ["data", "snapshots"], "{situation}");
    }
}
