//! Trees that are hard to back up: they are changed, backed up, restored and compared entry
//! by entry.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use s3up_testkit::{Tree, assert_same_tree, dir, file, hard_link, noise, sparse, symlink};

use crate::fixture::World;

const SMALL_FILES: usize = 100_000;
const FILES_IN_A_DIR: usize = 1000;

/// Asserts that the bucket restores to the expected tree.
async fn assert_restores(world: &World) {
    let target = world.fs.path().join("restored");
    let ran = world.restore("data", &target).await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_same_tree(&world.subvolume("data"), &target);
}

fn clone(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("--reflink=always").args([from, to]).status();
    assert!(status.expect("cp").success());
}

/// Makes every kind of change that has its own command in a send stream.
async fn changed_three_times(world: &World) {
    let data = world.subvolume("data");
    let at = |name: &str| data.join(name);
    Tree::new([
        file("kept", "kept").xattr("user.a", "1").xattr("user.b", "2"),
        file("linked", noise(9000)),
        hard_link("a/link", "linked"),
        hard_link("a/link-to-go", "linked"),
        file("original", noise(3 << 20)),
        sparse("sparse", 64 << 20, &[(0, b"start"), (32 << 20, b"middle")]),
        file("a/b/c/deep", "deep"),
        file("swap-1", "one"),
        file("swap-2", "two"),
        file("becomes-a-folder", "a file"),
        symlink("points", "a/link"),
        dir("empty"),
    ])
    .write(&data);
    world.backup().await;

    // Renames: a directory into its own child, and two files that swap names.
    fs::rename(at("a/b/c"), at("c")).expect("a file of this tree");
    fs::rename(at("a"), at("c/a")).expect("a file of this tree");
    fs::rename(at("swap-1"), at("swap-3")).expect("a file of this tree");
    fs::rename(at("swap-2"), at("swap-1")).expect("a file of this tree");
    fs::rename(at("swap-3"), at("swap-2")).expect("a file of this tree");
    clone(&at("original"), &at("clone"));
    fs::remove_file(at("becomes-a-folder")).expect("a file of this tree");
    Tree::new([file("becomes-a-folder/inside", "a directory")]).write(&data);
    world.backup().await;

    // Deletes, new and removed links, and a clone that is changed in its middle.
    fs::remove_file(at("c/a/link-to-go")).expect("a file of this tree");
    fs::hard_link(at("linked"), at("empty/new-link")).expect("a file of this tree");
    fs::remove_file(at("original")).expect("a file of this tree");
    let open = |name| fs::File::options().write(true).open(at(name)).expect("a file of this tree");
    open("clone").write_all_at(b"changed", 1 << 20).expect("a file of this tree");
    open("sparse").set_len(128 << 20).expect("a file of this tree");
    fs::remove_file(at("c/deep")).expect("a file of this tree");
    fs::remove_file(at("kept")).expect("a file of this tree");
    Tree::new([file("kept", "kept").xattr("user.a", "3")]).write(&data);
    world.backup().await;

    // No change at all.
    let (before, _) = world.newest("data").await;
    world.backup().await;
    let (_, empty) = world.newest("data").await;
    assert_eq!(
        empty["parent_manifest"], before,
        "three incrementals, each based on the one before"
    );
    assert!(empty["total_bytes"].as_u64().expect("a number") < 1000, "{empty}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_and_three_incrementals_carry_every_kind_of_change() {
    let Some(world) = World::start(&["data"]).await else { return };
    changed_three_times(&world).await;
    assert_restores(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_filesystem_carries_every_kind_of_change() {
    let Some(world) = World::start_mounted("noatime,compress=zstd", &["data"]).await else {
        return;
    };
    let data = world.subvolume("data");
    fs::write(data.join("text"), "the same words again. ".repeat(100_000)).unwrap();
    changed_three_times(&world).await;
    assert_restores(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_small_files_come_back() {
    let Some(world) = World::start(&["data"]).await else { return };
    let data = world.subvolume("data");
    let path = |n: usize| data.join(format!("{:03}/{n}", n / FILES_IN_A_DIR));
    for n in 0..SMALL_FILES {
        if n.is_multiple_of(FILES_IN_A_DIR) {
            fs::create_dir(path(n).parent().unwrap()).unwrap();
        }
        fs::write(path(n), n.to_string()).unwrap();
    }
    world.backup().await;
    for n in (0..SMALL_FILES).step_by(100) {
        fs::remove_file(path(n)).unwrap();
        fs::write(path(n + 1), "changed").unwrap();
    }
    world.backup().await;

    assert_restores(&world).await;

    let (_, newest) = world.newest("data").await;
    assert_eq!(newest["kind"], "incremental");
}
