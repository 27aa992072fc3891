//! `restore --path` is killed (-9) at each of its S3 calls and at random moments: no file at the target
//! is half-written, and the same command completes it and leaves nothing else behind.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use s3up_testkit::{
    CLOCK, Checkpoint, ProgramEnd, Tree, assert_same_tree, file, hard_link, kill_at_each_call,
    kill_when, noise, run_to_success,
};

use crate::fixture::{CHUNK, World};
use crate::kill_random::{Random, seed};

const STAGING: &str = ".btrfs-to-s3-restore-files";
const ROUNDS: u64 = 30;
/// Number of runs that are timed before the first is killed.
const TIMED: u64 = 2;
const SMALL_FILES: u64 = 400;

/// Makes a full and an incremental of files with several names, long files and short ones.
async fn backups() -> Option<World> {
    let world = World::start(&["data"]).await?;
    let data = world.subvolume("data");
    Tree::new([
        file("dir/long", noise(CHUNK + 1000)),
        file("dir/sub/shared", noise(90_000)).mtime(5, 6),
        hard_link("other name", "dir/sub/shared"),
        file("moved", "content").mode(0o640).owner(7, 8).xattr("user.a", "b"),
    ])
    .write(&data);
    world.backup().await;
    for n in 0..SMALL_FILES {
        fs::write(data.join(format!("dir/sub/small-{n:03}")), n.to_string()).expect("a file");
    }
    hard_link_again(&data);
    fs::rename(data.join("moved"), data.join("dir/here")).expect("a renamed file");
    world.backup().await;
    Some(world)
}

fn hard_link_again(data: &Path) {
    fs::hard_link(data.join("dir/sub/shared"), data.join("dir/zz third name")).expect("a link");
}

fn command(world: &World, target: &Path) -> std::process::Command {
    let target = target.to_str().expect("UTF-8");
    let restore = ["restore", "--subvolume", "data", "--path", "/", "--target", target];
    world.command(&restore).into_std()
}

/// Asserts that each file at the target is whole.
fn no_file_is_half_written(world: &World, target: &Path) {
    let mut waiting = vec![PathBuf::new()];
    while let Some(directory) = waiting.pop() {
        let Ok(entries) = fs::read_dir(target.join(&directory)) else { continue };
        for entry in entries {
            let entry = entry.expect("an entry");
            let path = directory.join(entry.file_name());
            if entry.file_name() == STAGING {
                continue;
            }
            if entry.file_type().expect("a type").is_dir() {
                waiting.push(path);
                continue;
            }
            let found = fs::read(target.join(&path)).expect("a file");
            let want = fs::read(world.subvolume("data").join(&path)).expect("a file of the source");
            assert!(found == want, "{path:?} is half-written");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_of_files_killed_at_any_call_is_completed_by_the_same_command() {
    let Some(world) = backups().await else { return };
    let directory = s3up_testkit::temp_dir();
    let target = RefCell::new(PathBuf::new());

    let killed = kill_at_each_call(
        &world.s3,
        async |nth| *target.borrow_mut() = directory.path().join(nth.to_string()),
        || command(&world, &target.borrow()),
        async |moment| {
            let target = target.borrow();
            match moment {
                Checkpoint::Killed { .. } => no_file_is_half_written(&world, &target),
                Checkpoint::Rerun { .. } | Checkpoint::Uninterrupted => {
                    assert_same_tree(&world.subvolume("data"), &target);
                    fs::remove_dir_all(&*target).expect("a removed tree");
                }
            }
        },
    )
    .await;

    // Pointer, two manifests, two indexes with their lengths, two part indexes, three chunks with
    // their lengths.
    assert!(killed >= 12, "{killed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_of_files_killed_at_a_random_moment_is_completed_by_the_same_command() {
    let Some(world) = backups().await else { return };
    let seed = seed();
    let (mut random, mut longest, mut killed) = (Random(seed), Duration::ZERO, 0);
    let directory = s3up_testkit::temp_dir();
    for round in 0..TIMED + ROUNDS {
        let target = directory.path().join(round.to_string());
        if round < TIMED {
            let began = CLOCK.start();
            run_to_success(command(&world, &target)).await;
            longest = longest.max(began.elapsed());
        } else {
            let moment = tokio::time::sleep(longest.mul_f64(random.fraction()));
            if let ProgramEnd::Killed = kill_when(command(&world, &target), moment).await {
                killed += 1;
            }
            no_file_is_half_written(&world, &target);
            run_to_success(command(&world, &target)).await;
        }
        assert_same_tree(&world.subvolume("data"), &target);
        fs::remove_dir_all(&target).expect("a removed tree");
    }
    // Most moments are within a run; fewer if the machine was busy during the timing.
    assert!(killed > ROUNDS / 4, "seed {seed}: {killed} were killed");
}
