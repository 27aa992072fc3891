//! Buckets that were written once and never change: `testdata/format`. Every later program must
//! restore them.
//!
//! `S3UP_WRITE_FORMAT=1 cargo test -p btrfs-to-s3 --test it format` writes the missing ones.
//! Without the variable they are only read.

mod python;

use std::fs;
use std::path::{Path, PathBuf};

use s3up_testkit::{Tree, assert_same_tree, dir, file, hard_link, noise, sparse, symlink};

use crate::fixture::{World, names_in};

const WRITE: &str = "S3UP_WRITE_FORMAT";
/// Length of a chunk, short enough that commands of the stream cross chunk ends.
const CHUNK_BYTES: u64 = 40_000;

fn directory(form: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/format").join(form)
}

/// Returns the tree of the full. Never edited, like the changes.
fn first() -> Tree {
    Tree::new([
        file("readme", "hello").mode(0o640).owner(1000, 1001).xattr("user.note", "kept"),
        file("a/deep", noise(60_000)),
        file("gone", "to be deleted"),
        file("renamed", "the same"),
        sparse("sparse", 1 << 20, &[(1 << 19, b"in the middle")]),
        symlink("link", "a/deep"),
        hard_link("again", "readme"),
        dir(".").mode(0o750),
    ])
}

/// Makes the changes of the incremental.
fn change(subvolume: &Path) {
    fs::remove_file(subvolume.join("gone")).expect("a file of the full");
    fs::rename(subvolume.join("renamed"), subvolume.join("a/moved")).expect("a file of the full");
    Tree::new([
        file("a/new", noise(10_000)).xattr("user.x", [0, 255]),
        file("empty", ""),
        dir("a"),
        dir(".").mode(0o755),
    ])
    .write(subvolume);
}

/// Returns the key and the file of every object of a bucket.
fn objects(form: &str) -> Vec<(String, PathBuf)> {
    let root = directory(form);
    let (mut found, mut dirs) = (Vec::new(), vec![root.clone()]);
    while let Some(directory) = dirs.pop() {
        for name in names_in(&directory) {
            let path = directory.join(name);
            if path.is_dir() {
                dirs.push(path);
            } else {
                let key = path.strip_prefix(&root).expect("below it").to_str().expect("UTF-8");
                found.push((key.to_owned(), path));
            }
        }
    }
    found
}

async fn load(world: &World, form: &str) {
    for (key, path) in objects(form) {
        world.write(&key, &fs::read(path).expect("an object")).await;
    }
}

/// Creates the directory of a bucket; returns `None` if it must not be written.
fn to_be_written(form: &str) -> Option<PathBuf> {
    std::env::var_os(WRITE)?;
    let directory = directory(form);
    fs::create_dir_all(directory.parent().expect("a parent")).expect("a directory");
    match fs::create_dir(&directory) {
        Ok(()) => Some(directory),
        Err(err) if err.kind() == std::io::ErrorKind::AlreadyExists => None,
        Err(err) => panic!("{directory:?}: {err}"),
    }
}

fn save(directory: &Path, key: &str, bytes: &[u8]) {
    let path = directory.join(key);
    fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
    fs::write(path, bytes).expect("a written file");
}

async fn write_v1(directory: &Path) {
    let Some(world) = World::start(&["data"]).await else { panic!("needs root and btrfs") };
    let data = world.subvolume("data");
    first().write(&data);
    world.reconfigure(
        &format!("chunk_size_bytes = {}", crate::fixture::CHUNK),
        &format!("chunk_size_bytes = {CHUNK_BYTES}"),
    );
    world.backup().await;
    change(&data);
    world.backup().await;
    for key in world.keys().await {
        let bytes = world.read(&key).await.expect("an object");
        let bytes = if key.ends_with("Z.json") { neutral(&world, bytes) } else { bytes };
        save(directory, &key, &bytes);
    }
}

/// Removes the facts about this machine from a manifest.
fn neutral(world: &World, manifest: Vec<u8>) -> Vec<u8> {
    let text = String::from_utf8(manifest).expect("UTF-8");
    let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let field = |name: &str| format!("{name:?}: {}", json[name]);
    let snapshots = world.snapshots_dir();
    let text = text.replace(snapshots.to_str().expect("UTF-8"), "/srv/snapshots");
    let text = text.replace(&field("host"), r#""host": "nas""#);
    text.replace(&field("kernel"), r#""kernel": "6.18.0""#).into_bytes()
}

/// Asserts that the bucket restores to the expected tree.
async fn assert_restores(world: &World) {
    let expected = world.fs.subvolume("expected");
    first().write(&expected);
    change(&expected);
    let target = world.fs.path().join("restored");

    let ran = world.restore("data", &target).await;

    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_same_tree(&expected, &target);
}

#[test]
fn every_bucket_in_testdata_has_a_test() {
    assert_eq!(names_in(&directory("")), ["README.md", "python", "v1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_of_version_1_is_restored() {
    if let Some(directory) = to_be_written("v1") {
        write_v1(&directory).await;
    }
    let Some(world) = World::start(&["data"]).await else { return };
    load(&world, "v1").await;
    let (_, newest) = world.newest("data").await;
    assert_eq!((&newest["version"], &newest["kind"]), (&1.into(), &"incremental".into()));

    assert_restores(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_of_the_python_tool_is_restored() {
    if let Some(directory) = to_be_written("python") {
        python::write(&directory);
    }
    let Some(world) = World::start(&["data"]).await else { return };
    load(&world, "python").await;
    let (_, newest) = world.newest("data").await;
    assert!(newest["snapshot"]["uuid"].is_null() && newest["chunks"][0]["etag"].is_null());
    assert!(newest.get("parts").is_none());

    assert_restores(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_to_a_bucket_of_the_python_tool_is_named_and_nothing_of_it_is_left() {
    let Some(world) = World::start(&["data"]).await else { return };
    load(&world, "python").await;
    let chunks = objects("python").into_iter().filter(|(key, _)| key.ends_with(".bin"));
    let mut chunks: Vec<_> = chunks.collect();
    // Those of the full first, which a later restore does not read again.
    chunks.sort();
    for (key, path) in chunks {
        let good = fs::read(path).unwrap();
        for at in [0, good.len() / 2, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            world.write(&key, &bad).await;

            let ran = world.restore("data", &world.fs.path().join("restored")).await;

            ran.failed_with(1, &[&key]);
            // A full that was received before it is whole, and stays.
            let received = world.fs.path().join(".restored.btrfs-to-s3-restore/received");
            let left = if received.exists() { names_in(&received).len() } else { 0 };
            assert_eq!(left, usize::from(key.contains("/incremental/")), "{key} {at}");
            assert!(!world.fs.path().join("restored").exists(), "{key} {at}");
        }
        world.write(&key, &good).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_on_a_chain_of_the_python_tool_is_a_full_that_names_the_reason() {
    let Some(world) = World::start(&["data"]).await else { return };
    load(&world, "python").await;
    let (before, newest) = world.newest("data").await;
    // The snapshot exists, but the manifest does not identify it.
    let snapshot = newest["snapshot"]["name"].as_str().unwrap();
    world.fs.snapshot(&world.subvolume("data"), format!("snapshots/{snapshot}"));

    // Without this it would be a full because of its age.
    world.reconfigure("run_at", "full_every_days = 36500\nrun_at");

    let ran = world.backup().await;

    assert!(ran.stderr.contains("does not identify the snapshot"), "{}", ran.stderr);
    assert_eq!(world.newest("data").await.1["kind"], "full");
    // The objects and the snapshot of the other tool stay.
    assert!(world.read(&before).await.is_some());
    assert!(world.snapshots().contains(&snapshot.to_owned()));
}
