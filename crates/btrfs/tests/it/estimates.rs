//! `estimate` on a real btrfs.

use std::fs;

use rustix::fs::{Mode, OFlags, mkdirat, openat};
use s3up_testkit::noise;
use serde_json::Value;

use crate::fixture::World;

#[tokio::test(flavor = "multi_thread")]
async fn an_estimate_counts_what_changed_and_enters_no_other_subvolume() {
    let Some(world) = World::start(&["one", "two"]).await else { return };
    let one = world.subvolume("one");
    fs::write(one.join("file"), noise(100_000)).unwrap();
    fs::hard_link(one.join("file"), one.join("again")).unwrap();
    // Its ctime is now, although its mtime is not.
    let old = fs::File::create(one.join("old")).unwrap();
    old.set_modified(std::time::UNIX_EPOCH).unwrap();
    let nested = world.fs.subvolume("one/nested");
    fs::write(nested.join("hidden"), noise(1_000_000)).unwrap();

    let json = world.run(&["estimate", "--json"]).await;
    let table = world.run(&["estimate", "--days", "30", "--subvolume", "one"]).await;
    let none = world.run(&["estimate", "--days", "0", "--json"]).await;

    assert_eq!(json.code, Some(0), "{}", json.stderr);
    let all: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!((&all[0]["subvolume"], &all[1]["subvolume"]), (&"one".into(), &"two".into()));
    assert_eq!((&all[0]["changed_files"], &all[0]["changed_bytes"]), (&2.into(), &100_000.into()));
    assert_eq!((&all[0]["not_entered"], &all[1]["files"]), (&1.into(), &0.into()));
    assert_eq!(table.code, Some(0), "{}", table.stderr);
    assert!(table.stdout.contains("98 KiB"), "{}", table.stdout);
    assert!(!table.stdout.contains("two"), "{}", table.stdout);
    assert_eq!(none.code, Some(0), "{}", none.stderr);
    assert_eq!(world.keys().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_subvolume_is_named() {
    let Some(world) = World::start(&["data"]).await else { return };
    s3up_testkit::delete_subvolume(&world.subvolume("data"));
    let ran = world.run(&["estimate"]).await;
    ran.failed_with(1, &["estimate data: read", "No such file"]);
}

/// Root can read every directory except those whose path is too long for the kernel.
#[tokio::test(flavor = "multi_thread")]
async fn unreadable_directories_are_named() {
    let Some(world) = World::start(&["data"]).await else { return };
    let data = world.subvolume("data");
    fs::write(data.join("open"), "x").unwrap();
    let mut directory: std::os::fd::OwnedFd = fs::File::open(&data).unwrap().into();
    let name = "deep".repeat(60);
    for _ in 0..20 {
        mkdirat(&directory, &name, Mode::RWXU).unwrap();
        directory = openat(&directory, &name, OFlags::DIRECTORY, Mode::empty()).unwrap();
    }

    let ran = world.run(&["estimate", "--json"]).await;

    ran.failed_with(3, &["cannot read 1 files or directories"]);
    assert!(ran.stderr.contains("event=estimate_unreadable"), "{}", ran.stderr);
    let all: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&all[0]["files"], &all[0]["unreadable"]), (&1.into(), &1.into()));
    assert!(all[0]["unreadable_named"][0].as_str().unwrap().contains("deepdeep"), "{all}");
}
