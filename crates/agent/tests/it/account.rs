//! The numbers add up: each file that a scan found ends as something, and the states together are
//! all entries on disk.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::any;
use proptest::test_runner::{Config, TestRunner};
use s3up_testkit::{SmallDisk, btrfs_or_skip};

use crate::fixture::{Host, World, noise, until};
use crate::process::Process;

const FILES: usize = 1000;
/// Slow enough that the watch goes away while uploads run.
const LATENCY: Duration = Duration::from_millis(30);

#[tokio::test]
async fn a_watch_that_is_renamed_during_a_scan_leaves_its_files_pending() {
    let world = World::start().await;
    let host = Host::new(&world.url());

    let (code, output) = scan_while(&world, &host, || {
        fs::rename(&host.up, host.dir.path().join("away")).unwrap();
    })
    .await;

    assert_eq!(code, Some(3), "{output}");
    assert_account(&output);
    assert!(output.contains("open watched directory"), "{output}");
}

#[tokio::test]
async fn a_watch_that_is_unmounted_during_a_scan_leaves_its_files_pending() {
    if !btrfs_or_skip() {
        return;
    }
    let world = World::start().await;
    let disk = SmallDisk::create(16 << 20);
    let mut host = Host::new(&world.url());
    let up = host.up.to_str().unwrap().to_owned();
    host.edit(&up, disk.path().to_str().unwrap());
    host.up = disk.path().to_owned();

    let (code, output) = scan_while(&world, &host, || {
        rustix::mount::unmount(disk.path(), rustix::mount::UnmountFlags::DETACH).unwrap();
    })
    .await;
    // So that the drop of the disk has something to unmount.
    remount(disk.path());

    assert_eq!(code, Some(3), "{output}");
    assert_account(&output);
    assert!(!output.contains("deleted during the scan"), "{output}");
}

#[test]
fn the_states_add_up_to_all_entries_on_disk_after_any_operations() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    // A case costs some scans with real files; the shrinker would make hundreds of them.
    let config = Config { cases: 8, max_shrink_iters: 8, ..Config::default() };
    let operations = proptest::collection::vec((0u8..9, 0u8..6, 0u8..3), 1..25);
    let checked =
        TestRunner::new(config).run(&(operations, any::<bool>()), |(operations, existing)| {
            runtime.block_on(check(&operations, existing));
            Ok(())
        });
    checked.unwrap_or_else(|err| panic!("{err}"));
}

/// Compares the numbers with a count of the tree of its own, and with the exit of `s3up scan`.
/// `existing` is `scan.upload_existing`.
async fn check(operations: &[(u8, u8, u8)], existing: bool) {
    let mut world = World::start().await;
    world.restart_with("max_file_size_mb: 1").await;
    let mut host = Host::new(&world.url());
    host.add("exclude: [\"*.tmp\", \"cache/\"]\n");
    host.edit("upload_existing: true", &format!("upload_existing: {existing}"));
    host.edit("debounce_seconds: 0.2", "debounce_seconds: 0.1");
    host.edit("retry_attempts: 3,", "retry_attempts: 3, max_file_size_mb: 2,");
    let (mut baseline, mut stored) = (None, Vec::<PathBuf>::new());
    for half in operations.chunks(operations.len().div_ceil(2)) {
        half.iter().for_each(|operation| apply(&host, *operation));
        let first = || if existing { BTreeMap::new() } else { files(&host.up) };
        let baseline = baseline.get_or_insert_with(first);

        let output = Process::output(&host, &["scan"]).await;

        let situation = format!("existing {existing}, {operations:?}: {}", output.stdout);
        let total = host.status().await.total;
        let counts =
            [total.protected, total.pending, total.baseline, total.excluded, total.problems];
        let expected = count(&host.up, baseline);
        assert_eq!(counts.map(|count| count.files), expected, "{situation}");
        assert_eq!(total.total().files, expected.iter().sum::<u64>(), "{situation}");
        // A tree that lost all known files may not be mounted, so the scan is not taken for complete.
        let is_emptied = output.stdout.contains("known files, found none of them");
        let code = match (expected, output.code) {
            (_, Some(code @ (1 | 3))) if is_emptied => code,
            ([_, _, _, _, 0], _) => 0,
            ([0, ..], _) => 1,
            _ => 3,
        };
        assert!(!is_emptied || stored.iter().all(|path| !path.is_file()), "{situation}");
        let is_stored = |(path, (_, bytes, ..)): &(PathBuf, Stamp)| {
            *bytes < 1 << 20 && path.extension().is_none_or(|it| it != "tmp")
        };
        stored = files(&host.up).into_iter().filter(is_stored).map(|(path, _)| path).collect();
        assert_eq!(output.code, Some(code), "{situation}");
        let problems = format!(" {} problem", expected[4]);
        assert!(output.stdout.contains(&problems), "{situation}");
        assert!(output.stdout.contains(" 0 pending"), "{situation}");
    }
}

/// Changes the tree. An operation that does not fit what is there does nothing.
fn apply(host: &Host, (what, name, directory): (u8, u8, u8)) {
    let directory = host.up.join(["", "sub", "cache"][usize::from(directory)]);
    let path = directory.join(format!("file-{name}"));
    // Each of them may fail, for example on a path that is a directory already.
    fs::create_dir_all(&directory).ok();
    let writes = matches!(what, 0 | 1 | 5 | 6);
    // Not through a symlink, and not into a FIFO, which would wait for a reader.
    if writes && fs::symlink_metadata(&path).is_ok_and(|found| !found.is_file()) {
        return;
    }
    match what {
        0 | 1 => drop(fs::write(&path, [name, what])),
        2 => drop(fs::remove_file(&path)),
        3 => drop(std::os::unix::fs::symlink("nowhere", &path)),
        4 => drop(fs::write(path.with_extension("tmp"), "excluded")),
        // Refused by the gateway, and over the agent's own limit.
        5 => drop(fs::write(&path, noise(3 << 19))),
        6 => drop(fs::write(&path, noise(5 << 19))),
        7 => drop(mkfifo(&path)),
        _ => drop(fs::rename(&path, host.up.join(format!("moved-{name}")))),
    }
}

fn mkfifo(path: &Path) -> rustix::io::Result<()> {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR, 0)
}

/// Parts of a file's metadata that change whenever it does.
type Stamp = (u64, u64, i64, i64);

fn stamp(file: &Metadata) -> Stamp {
    (file.ino(), file.size(), file.ctime(), file.ctime_nsec())
}

/// Returns the entries that are not directories, with their metadata; an excluded directory is one.
fn walk(directory: &Path) -> Vec<(PathBuf, Metadata)> {
    let entries = fs::read_dir(directory).expect("success").map(|entry| entry.expect("success"));
    entries
        .flat_map(|entry| match entry.file_type().expect("success").is_dir() {
            true if entry.file_name() != "cache" => walk(&entry.path()),
            _ => vec![(entry.path(), entry.metadata().expect("success"))],
        })
        .collect()
}

fn files(directory: &Path) -> BTreeMap<PathBuf, Stamp> {
    let files = walk(directory).into_iter().filter(|(_, found)| found.is_file());
    files.map(|(path, found)| (path, stamp(&found))).collect()
}

/// Counts the entries by the state that they must have: protected, pending, baseline, excluded,
/// problem.
fn count(directory: &Path, baseline: &BTreeMap<PathBuf, Stamp>) -> [u64; 5] {
    let mut counts = [0; 5];
    for (path, found) in walk(directory) {
        let is_excluded = !found.is_file() || path.extension().is_some_and(|it| it == "tmp");
        let is_baseline = baseline.get(&path).is_some_and(|before| *before == stamp(&found));
        let state = match found.len() {
            _ if is_excluded => 3,
            // Over the agent's own limit.
            bytes if bytes > 2 << 20 => 4,
            _ if is_baseline => 2,
            // Over the limit of the gateway.
            bytes if bytes > 1 << 20 => 4,
            _ => 0,
        };
        counts[state] += 1;
    }
    counts
}

/// Runs `s3up scan` on many files, and calls `away` once some of them are stored.
async fn scan_while(world: &World, host: &Host, away: impl FnOnce()) -> (Option<i32>, String) {
    for n in 0..FILES {
        host.write(format!("file-{n}"), format!("{n}"));
    }
    world.slow(LATENCY);
    let output = host.dir.path().join("output");
    let mut scan = Process::start_to(host, &output, &["scan"]);
    until("some are stored", async || scan.log().matches("event=upload_done").count() >= 20).await;
    away();
    let code = scan.wait().await;
    (code, fs::read_to_string(output).expect("success"))
}

/// Checks that the last line of `s3up scan` accounts for all files.
fn assert_account(output: &str) {
    let last = output.lines().last().expect("a summary");
    let words: Vec<_> = last.split([' ', ',']).collect();
    let number = |word: &str| {
        let at = words.iter().position(|found| found.starts_with(word)).expect("the word");
        words[at - 1].parse::<usize>().expect("a number")
    };
    let (uploaded, problems, pending) = (number("file"), number("problem"), number("pending"));
    assert_eq!(uploaded + problems + pending, FILES, "{last}");
    assert!(uploaded >= 20 && pending > 0, "{last}");
    let listed = output.lines().filter(|line| line.starts_with("not uploaded: ")).count();
    assert_eq!(listed, pending, "{output}");
}

fn remount(path: &Path) {
    let arguments = ["-t", "tmpfs", "none", path.to_str().expect("success")];
    let status = std::process::Command::new("mount").args(arguments).status().expect("success");
    assert!(status.success());
}
