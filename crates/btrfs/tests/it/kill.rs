//! A backup is killed (-9) at each of its S3 calls: the pointer always names a whole chain,
//! and a rerun succeeds and leaves nothing behind.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;

use s3up_testkit::{Checkpoint, assert_same_tree, kill_at_each_call, noise};

use crate::fixture::{CHUNK, World, index_of};

/// The backups that are published before the run that is killed.
#[derive(Clone, Copy, PartialEq)]
enum Before {
    NothingPublished,
    AFull,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_backup_that_is_killed_at_any_call_is_absent_or_whole() {
    killed_at_each_call(Before::NothingPublished).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incremental_that_is_killed_at_any_call_leaves_the_old_or_the_new_backup() {
    killed_at_each_call(Before::AFull).await;
}

/// Each subvolume is published by itself: each one has its old or its new backup, even if
/// the run is killed between two of them.
#[tokio::test(flavor = "multi_thread")]
async fn incrementals_of_two_subvolumes_killed_at_any_call_are_each_old_or_new() {
    let Some(world) = World::start(&[]).await else { return };
    let round = RefCell::new([String::new(), String::new()]);

    let killed = kill_at_each_call(
        &world.s3,
        async |nth| {
            let names = [format!("one-{nth}"), format!("two-{nth}")];
            let paths: Vec<_> = names.iter().map(|name| world.fs.subvolume(name)).collect();
            world.configure(&format!("paths = {paths:?}"), "");
            world.backup().await;
            for path in &paths {
                fs::write(path.join("new"), nth.to_string()).expect("a written file");
            }
            *round.borrow_mut() = names;
        },
        || world.command(&["backup", "--once"]).into_std(),
        async |moment| {
            let names = round.borrow().clone();
            for name in &names {
                let chain = whole_chain(&world, name).await;
                match moment {
                    Checkpoint::Killed { .. } => assert!(!chain.is_empty(), "{name}"),
                    Checkpoint::Rerun { .. } | Checkpoint::Uninterrupted => {
                        can_be_restored(&world, name).await;
                        nothing_is_left_over(&world, name, &chain).await;
                    }
                }
            }
        },
    )
    .await;

    // For each: pointer, two manifests, a listing, chunk, part index, manifest, pointer.
    assert!(killed >= 16, "{killed}");
}

/// There are two generations, and the run ends by deleting the old one.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_with_a_prune_killed_at_any_call_leaves_a_whole_chain() {
    let Some(world) = World::start(&[]).await else { return };
    let round = RefCell::new(String::new());

    let killed = kill_at_each_call(
        &world.s3,
        async |nth| {
            let name = format!("data-{nth}");
            let data = world.fs.subvolume(&name);
            world.configure(&format!("paths = [{data:?}]"), "");
            for kind in ["--full", "--once", "--full"] {
                fs::write(data.join("file"), kind).expect("a written file");
                let ran = world.run(&["backup", kind]).await;
                assert_eq!(ran.code, Some(0), "{}", ran.stderr);
            }
            fs::write(data.join("big"), noise(CHUNK + 1000)).expect("a written file");
            *round.borrow_mut() = name;
        },
        || world.command(&["backup", "--once"]).into_std(),
        async |moment| {
            let name = round.borrow().clone();
            let chain = whole_chain(&world, &name).await;
            assert!(!chain.is_empty());
            if !matches!(moment, Checkpoint::Killed { .. }) {
                can_be_restored(&world, &name).await;
                nothing_is_left_over(&world, &name, &chain).await;
            }
        },
    )
    .await;

    // Fourteen for the backup, more than six to audit the chain and to delete.
    assert!(killed >= 20, "{killed}");
}

async fn killed_at_each_call(before: Before) {
    let Some(world) = World::start(&[]).await else { return };
    let round = RefCell::new(String::new());

    let killed = kill_at_each_call(
        &world.s3,
        async |nth| {
            let name = format!("data-{nth}");
            let data = world.fs.subvolume(&name);
            world.configure(&format!("paths = [{data:?}]"), "");
            if before == Before::AFull {
                fs::write(data.join("old"), "old").expect("a written file");
                world.backup().await;
            }
            fs::write(data.join("big"), noise(CHUNK + 1000)).expect("a written file");
            *round.borrow_mut() = name;
        },
        || world.command(&["backup", "--once"]).into_std(),
        async |moment| {
            let name = round.borrow().clone();
            let chain = whole_chain(&world, &name).await;
            match moment {
                Checkpoint::Killed { .. } => {
                    assert!(before == Before::NothingPublished || !chain.is_empty())
                }
                Checkpoint::Rerun { .. } | Checkpoint::Uninterrupted => {
                    can_be_restored(&world, &name).await;
                    nothing_is_left_over(&world, &name, &chain).await;
                }
            }
        },
    )
    .await;

    // At least: two probes, two probing writes, the pointer, six for the first chunk, one for
    // the second, three to publish.
    assert!(killed >= 15, "{killed}");
}

/// Checks every object of the published chain and returns their keys. Returns none if
/// nothing is published.
async fn whole_chain(world: &World, name: &str) -> BTreeSet<String> {
    let pointer = format!("nas/subvol/{name}/current.json");
    let mut keys = BTreeSet::new();
    let Some(_) = world.read(&pointer).await else { return keys };
    let mut next = Some(world.newest(name).await.0);
    keys.insert(pointer);
    while let Some(key) = next {
        let manifest = world.json(&key).await;
        let parts = manifest["parts"]["key"].as_str().expect("a key").to_owned();
        world.json(&parts).await;
        for chunk in manifest["chunks"].as_array().expect("chunks") {
            let key = chunk["key"].as_str().expect("a key");
            let bytes = world.read(key).await.unwrap_or_else(|| panic!("{key} is missing"));
            let sha256 = s3up_core::Sha256Digest::of(&bytes).to_string();
            assert_eq!(chunk["sha256"], sha256, "{key}");
            keys.insert(key.to_owned());
        }
        next = manifest["parent_manifest"].as_str().map(str::to_owned);
        assert_eq!(next.is_none(), manifest["kind"] == "full", "{key}");
        let index = index_of(&key);
        assert!(world.read(&index).await.is_some(), "{index} is missing");
        keys.extend([key, parts, index]);
    }
    keys
}

async fn can_be_restored(world: &World, name: &str) {
    let target = world.fs.path().join("restored");
    let ran = world.restore(name, &target).await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_same_tree(&world.subvolume(name), &target);
    s3up_testkit::delete_subvolume(&target);
}

/// Asserts that the bucket holds only the chain, and the disk only retained snapshots.
async fn nothing_is_left_over(world: &World, name: &str, chain: &BTreeSet<String>) {
    let ours = format!("nas/subvol/{name}/");
    let keys = world.keys().await;
    let keys: BTreeSet<_> = keys.into_iter().filter(|key| key.starts_with(&ours)).collect();
    assert_eq!(&keys, chain);
    assert_eq!(world.s3.uploads("backups"), Vec::<String>::new());
    let snapshots = world.snapshots();
    let snapshots = snapshots.iter().filter(|snapshot| snapshot.starts_with(&format!("{name}__")));
    let snapshots: Vec<_> = snapshots.cloned().collect();
    assert!((1..=2).contains(&snapshots.len()));
    let mut records = world.records();
    records.retain(|record| record.starts_with(&format!("{name}__")));
    assert_eq!(records, snapshots);
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_of_another_run_under_the_same_keys_are_not_deleted() {
    let Some(world) = World::start(&["data"]).await else { return };
    fs::write(world.subvolume("data").join("big"), noise(CHUNK + 1000)).unwrap();
    let held = world.s3.faults().hold_op(s3up_devstore::Op::CompleteMultipartUpload, 1);
    let mut killed = world.command(&["backup", "--once"]).spawn().unwrap();
    held.reached().await;
    killed.kill().await.unwrap();
    held.release();
    world.process_tag.assert_no_process_left();
    let keys = world.keys().await;
    let chunk = keys.iter().find(|key| key.ends_with("-0.bin")).unwrap();
    // As if another host had started a backup in the same second, and was faster.
    world.write(chunk, b"theirs").await;

    let ran = world.backup().await;

    assert!(ran.stderr.contains("object_not_deleted"), "{}", ran.stderr);
    assert_eq!(world.read(chunk).await.unwrap(), b"theirs");
}
