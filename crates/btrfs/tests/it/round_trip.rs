//! Backs up, changes, backs up again, and restores.

use std::fs;
use std::os::unix::fs::MetadataExt;

use s3up_testkit::{
    Tree, assert_same_tree, char_device, dir, fifo, file, hard_link, noise, sparse, symlink,
};

use crate::fixture::{CHUNK, PART, World, names_in};

#[tokio::test(flavor = "multi_thread")]
async fn a_full_and_two_incrementals_come_back_as_they_were() {
    let Some(world) = World::start(&["data"]).await else { return };
    let data = world.subvolume("data");
    Tree::new([
        dir(".").mode(0o750),
        file("readme", "hello").mode(0o640).owner(1000, 1001).xattr("user.note", "kept"),
        file(b"caf\xe9.jpg", "Latin-1"),
        file("a/b/c/deep", "deep").mode(0o4755),
        sparse("sparse", 8 << 20, &[(4 << 20, b"in the middle")]),
        symlink("link", "a/b"),
        symlink("dangling", "/no/such"),
        hard_link("a/again", "readme"),
        fifo("fifo"),
        char_device("null", 1, 3),
        file("empty", ""),
        file("big", noise(CHUNK + PART)),
        dir("old").mode(0o1777).owner(7, 8),
        file("old/gone", "to be deleted"),
    ])
    .write(&data);
    world.backup().await;
    fs::remove_dir_all(data.join("old")).unwrap();
    fs::rename(data.join("a"), data.join("moved")).unwrap();
    Tree::new([file("readme", "hello again").mtime(-5, 999_999_999), file("new", "new")])
        .write(&data);
    world.backup().await;
    Tree::new([file("moved/b/c/deep", noise(PART)).xattr("user.x", [0, 255])]).write(&data);
    world.backup().await;

    let target = world.fs.path().join("restored");
    let ran = world.restore("data", &target).await;

    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_same_tree(&data, &target);
    fs::write(target.join("writable"), "yes").unwrap();
    // The target is a subvolume, and nothing else of the restore is left.
    assert_eq!(fs::metadata(&target).unwrap().ino(), 256);
    assert_eq!(names_in(world.fs.path()), ["data", "restored", "snapshots"]);
    assert!(world.fs.subvolumes_below(&target).is_empty());
    world.assert_nothing_runs();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_objects_of_a_backup_have_the_documented_format() {
    let Some(world) = World::start(&["data"]).await else { return };
    fs::write(world.subvolume("data").join("big"), noise(CHUNK)).unwrap();
    world.backup().await;
    let (full_key, full) = world.newest("data").await;
    world.backup().await;
    let (key, inc) = world.newest("data").await;

    assert_eq!(
        (&full["version"], &full["kind"], &full["subvolume"]),
        (&1.into(), &"full".into(), &"data".into())
    );
    assert_eq!(full["parent_manifest"], serde_json::Value::Null);
    let stamp = full["created_at"].as_str().unwrap();
    assert_eq!(full_key, format!("nas/subvol/data/full/manifest-{stamp}.json"));
    let chunks = full["chunks"].as_array().unwrap();
    assert_eq!(chunks.len(), 2);
    assert_eq!(chunks[0]["key"], format!("nas/subvol/data/full/chunk-{stamp}-0.bin"));
    assert_eq!(chunks[0]["size"], CHUNK);
    assert_eq!(full["total_bytes"], CHUNK + chunks[1]["size"].as_u64().unwrap());
    let parts = world.json(full["parts"]["key"].as_str().unwrap()).await;
    assert_eq!(parts["chunks"][0]["sha256"].as_array().unwrap().len(), 3);
    assert_eq!((&inc["kind"], &inc["parent_manifest"]), (&"incremental".into(), &full_key.into()));
    assert_eq!(inc["snapshot"]["parent_uuid"], full["snapshot"]["uuid"]);
    assert_eq!(inc["snapshot"]["parent_ctransid"], full["snapshot"]["ctransid"]);
    let pointer = world.json("nas/subvol/data/current.json").await;
    assert_eq!(pointer["manifest_key"], key);
    assert_eq!(pointer["created_at"], inc["created_at"]);
    // The pointer; of each backup a manifest, a part index and an index; the chunks.
    assert_eq!(world.keys().await.len(), 1 + 2 * 3 + 2 + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_snapshots_are_made_before_the_first_one_is_sent() {
    let Some(world) = World::start(&["one", "two", "three"]).await else { return };

    let ran = world.backup().await;

    let events: Vec<_> = ran
        .stderr
        .lines()
        .filter_map(|line| line.split("event=").nth(1)?.split(' ').next())
        .filter(|event| ["snapshot_created", "backup_uploaded"].contains(event))
        .collect();
    assert_eq!(events, [["snapshot_created"; 3], ["backup_uploaded"; 3]].concat());
    let stamps: std::collections::BTreeSet<_> =
        world.snapshots().iter().map(|name| name.split("__").nth(1).unwrap().to_owned()).collect();
    assert_eq!(stamps.len(), 1, "all snapshots have one time");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_or_changed_parent_leads_to_a_full_that_names_the_reason() {
    let Some(world) = World::start(&["data"]).await else { return };
    world.backup().await;
    s3up_testkit::delete_subvolume(&world.snapshots_dir().join(&world.snapshots()[0]));

    let missing = world.backup().await;

    assert!(missing.stderr.contains("is missing"), "{}", missing.stderr);
    assert_eq!(world.newest("data").await.1["kind"], "full");
    // Made writable, changed and changed back: the content is the same, but that cannot be
    // known.
    let parent = world.snapshots_dir().join(&world.snapshots()[0]);
    s3up_testkit::set_read_only(&parent, false);
    fs::write(parent.join("x"), "x").unwrap();
    fs::remove_file(parent.join("x")).unwrap();
    let writable = world.backup().await;
    assert!(writable.stderr.contains("is writable and may have changed"), "{}", writable.stderr);
    let parent = world.snapshots_dir().join(world.snapshots().last().unwrap());
    s3up_testkit::set_read_only(&parent, false);
    fs::write(parent.join("x"), "x").unwrap();
    fs::remove_file(parent.join("x")).unwrap();
    s3up_testkit::set_read_only(&parent, true);
    let changed = world.backup().await;
    assert!(
        changed.stderr.contains("has changed since it was sent: expected"),
        "{}",
        changed.stderr
    );
    assert_eq!(world.newest("data").await.1["kind"], "full");
    let ran = world.run(&["backup", "--once", "--full"]).await;
    assert!(ran.stderr.contains("full: requested with --full"), "{}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn old_snapshots_are_deleted_and_the_published_one_stays() {
    let Some(world) = World::start(&["data"]).await else { return };
    fs::create_dir(world.snapshots_dir().join("mine")).unwrap();
    for _ in 0..4 {
        world.backup().await;
    }

    let snapshots = world.snapshots();

    assert_eq!(snapshots.len(), 3, "{snapshots:?}");
    let (_, newest) = world.newest("data").await;
    assert!(snapshots.contains(&newest["snapshot"]["name"].as_str().unwrap().to_owned()));
    assert!(snapshots.contains(&"mine".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_configurations_can_share_a_snapshot_directory() {
    let Some(world) = World::start(&["data"]).await else { return };
    for prefix in ["nas", "weekly", "nas", "weekly", "nas"] {
        let text = fs::read_to_string(world.config()).unwrap();
        let line = text.lines().find(|line| line.starts_with("prefix = ")).unwrap();
        world.reconfigure(line, &format!("prefix = {prefix:?}"));
        world.backup().await;
    }

    assert_eq!(world.newest("data").await.1["kind"], "incremental");
    let weekly = world.json("weekly/subvol/data/current.json").await;
    assert_eq!(weekly["kind"], "incremental");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_was_made_writable_is_not_deleted() {
    let Some(world) = World::start(&["data"]).await else { return };
    world.backup().await;
    let first = world.snapshots_dir().join(&world.snapshots()[0]);
    world.backup().await;
    s3up_testkit::set_read_only(&first, false);
    fs::write(first.join("work"), "mine").unwrap();

    world.backup().await;

    assert_eq!(fs::read_to_string(first.join("work")).unwrap(), "mine");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_warns_of_nested_subvolumes() {
    let Some(world) = World::start(&["data"]).await else { return };
    let data = world.subvolume("data");
    world.fs.subvolume("data/nested");
    fs::create_dir_all(data.join(".snapshots/1")).unwrap();
    world.fs.snapshot(&data, "data/.snapshots/1/snapshot");
    world.fs.snapshot(&data, "data/data__20260131T235959Z__full");

    let ran = world.backup().await;
    let check = world.run(&["status", "--check"]).await;
    world.reconfigure("[s3]", &format!("ignore_nested = [{:?}]\n[s3]", data.join("nested")));
    let ignored = world.backup().await;
    let well = world.run(&["status", "--check"]).await;

    let line = ran.stderr.lines().find(|line| line.contains("event=nested_subvolumes"));
    let line = line.unwrap_or_else(|| panic!("{}", ran.stderr));
    assert!(line.contains("count=1") && line.ends_with("first=data/nested"), "{line}");
    assert_eq!(check.code, Some(1));
    assert_eq!(check.stdout, "PROBLEM: data: in no backup: 1 nested subvolume (data/nested)\n");
    assert!(!ignored.stderr.contains("nested"), "{}", ignored.stderr);
    assert_eq!(well.code, Some(0), "{}", well.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_restored_by_the_key_of_its_manifest() {
    let Some(world) = World::start(&["data"]).await else { return };
    let data = world.subvolume("data");
    fs::write(data.join("a"), "first").unwrap();
    world.backup().await;
    let (first, _) = world.newest("data").await;
    fs::write(data.join("a"), "second").unwrap();
    world.backup().await;

    let target = world.fs.path().join("first");
    let target = target.to_str().unwrap();
    let ran = world
        .run(&["restore", "--subvolume", "data", "--target", target, "--manifest-key", &first])
        .await;

    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(fs::read_to_string(format!("{target}/a")).unwrap(), "first");
}
