//! The IAM policies in `packaging/aws`: each has every action that its commands need, and no other.

use std::fs;
use std::time::Duration;

use s3up_devstore::{DevStore, Op};
use s3up_testkit::{CallRecord, Policy, noise};

use crate::fixture::{CHUNK, PART, World};
use crate::prunes::{OFF, lose_host};
use crate::thaws::archived;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Lets the server deny what a policy does not allow, and counts the calls from now on.
fn enforce(s3: &DevStore, policy: &Policy) -> CallRecord {
    policy.enforce(s3);
    CallRecord::start(s3)
}

/// Runs commands, each of which must end with this exit code.
async fn run_all(world: &World, commands: &[(&[&str], i32)]) {
    for (command, code) in commands {
        let ran = world.run(command).await;
        assert_eq!(ran.code, Some(*code), "{command:?}: {}", ran.stderr);
        assert!(!ran.stderr.contains("denied"), "{command:?}: {}", ran.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_only_backs_up_needs_the_actions_of_its_policy() {
    let Some(world) = World::start(&["data"]).await else { return };
    let policy = Policy::read("btrfs-to-s3-backup.json");
    world.reconfigure("keep_days = 0", "keep_days = 0\nprune = \"off\"");
    world.reconfigure("storage_class_chunks = \"STANDARD\"", "storage_class_chunks = \"GLACIER\"");
    world.reconfigure("part_size_bytes", "concurrency = 1\npart_size_bytes");
    let big = world.subvolume("data").join("big");
    let record = enforce(&world.s3, &policy);

    fs::write(&big, noise(CHUNK + 1000)).unwrap();
    run_all(&world, &[(&["doctor"], 0), (&["plan"], 0), (&["backup", "--once"], 0)]).await;
    // A run that is killed leaves an upload that its journal does not know.
    fs::write(&big, noise(3 * CHUNK)).unwrap();
    let held = world.s3.faults().hold_op(Op::CreateMultipartUpload, 2);
    let mut run = world.command(&["backup", "--once"]).spawn().unwrap();
    held.reached().await;
    run.kill().await.unwrap();
    held.release();
    assert!(!world.s3.uploads("backups").is_empty());
    let commands: [(&[&str], i32); 7] = [
        (&["backup", "--once"], 0),
        (&["backup", "--full"], 0),
        (&["list"], 0),
        (&["status", "--check"], 0),
        (&["verify"], 0),
        // It lists the archived chunks, which it cannot read.
        (&["verify", "--deep"], 4),
        (&["backup", "--once", "--dry-run"], 0),
    ];
    run_all(&world, &commands).await;

    assert_eq!(world.s3.uploads("backups"), Vec::<String>::new());
    record.assert_all_needed(&world.s3, &policy);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_needs_the_actions_of_its_policy() {
    let Some(world) = archived("GLACIER").await else { return };
    let policy = Policy::read("btrfs-to-s3-restore.json");
    let target = world.fs.path().join("restored");
    let restore = ["restore", "--subvolume", "data", "--target", target.to_str().unwrap()];
    let scratch = world.config().with_file_name("scratch");
    fs::create_dir(&scratch).unwrap();
    let scratch = format!("drill.scratch_dir={scratch:?}");
    let record = enforce(&world.s3, &policy);

    let preview = [&restore[..], &["--dry-run"]].concat();
    let commands: [(&[&str], i32); 4] = [
        (&["list"], 0),
        (&["verify"], 0),
        (&preview, 0),
        (&["thaw", "--subvolume", "data", "--no-wait-restore"], 4),
    ];
    run_all(&world, &commands).await;
    world.s3.advance(DAY).await.unwrap();
    let commands: [(&[&str], i32); 3] =
        [(&restore, 0), (&["drill", "--set", &scratch], 0), (&["verify", "--deep"], 0)];
    run_all(&world, &commands).await;

    record.assert_all_needed(&world.s3, &policy);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prune_needs_the_actions_of_its_policy() {
    let Some(world) = World::start_behind(8 * DAY, &["data"]).await else { return };
    let policy = Policy::read("btrfs-to-s3-prune.json");
    fs::write(world.subvolume("data").join("big"), noise(CHUNK + 2 * PART)).unwrap();
    lose_host(&world).await;
    world.s3.advance(8 * DAY).await.unwrap();
    let backups = [["backup", "--full", "--set", OFF], ["backup", "--once", "--set", OFF]];
    let backups: Vec<_> = backups.iter().map(|command| (&command[..], 0)).collect();
    run_all(&world, &backups).await;
    run_all(&world, &backups).await;
    let before = (world.keys().await.len(), world.s3.uploads("backups").len());
    let record = enforce(&world.s3, &policy);

    let commands: [(&[&str], i32); 3] = [
        (&["prune", "--dry-run"], 0),
        (&["prune"], 0),
        (&["prune", "--orphans", "--older-than", "7"], 0),
    ];
    run_all(&world, &commands).await;

    record.assert_all_needed(&world.s3, &policy);
    let after = (world.keys().await.len(), world.s3.uploads("backups").len());
    assert!(after.0 < before.0 && after.1 < before.1, "{before:?} {after:?}");
}
