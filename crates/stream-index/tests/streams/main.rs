//! The index against real streams of `btrfs send`: random trees and random changes, and every file
//! compared with the snapshot that was sent.

mod replay;

use std::fs;
use std::process::Command;

use btrfs_stream_index::MemoryLimits;
use s3up_testkit::{BtrfsFs, RandomTree, btrfs_or_skip};

use crate::replay::Replay;

const FILESYSTEM_BYTES: u64 = 1 << 30;
const BACKUPS: usize = 5;
const CHANGES: usize = 120;

fn btrfs(arguments: &[&std::ffi::OsStr]) -> Vec<u8> {
    let output = Command::new("btrfs").args(arguments).output().expect("btrfs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Makes backups of a tree that changes at random, and compares the tree of each index with its
/// snapshot. Returns the number of streams that have an index within the limits.
fn check(seed: u64, form: &[&str], mount: &str, limits: MemoryLimits) -> usize {
    let filesystem = BtrfsFs::create_with(FILESYSTEM_BYTES, mount);
    let source = filesystem.subvolume("data");
    let mut tree = RandomTree::new(source.clone(), seed);
    let mut replay = Replay::default();
    let mut parent: Option<std::path::PathBuf> = None;
    let mut built = 0;
    for n in 0..BACKUPS {
        tree.change(CHANGES);
        let snapshot = filesystem.path().join(format!("snapshot-{n}"));
        let make = ["subvolume", "snapshot", "-r"].map(std::ffi::OsStr::new);
        btrfs(&[&make[..], &[source.as_ref(), snapshot.as_ref()]].concat());
        let mut arguments = vec![std::ffi::OsStr::new("send"), "-q".as_ref()];
        arguments.extend(form.iter().map(std::ffi::OsStr::new));
        if let Some(parent) = &parent {
            arguments.extend(["-p".as_ref(), parent.as_os_str()]);
        }
        arguments.push(snapshot.as_ref());
        built += usize::from(replay.add_within(limits, btrfs(&arguments)));
        replay.assert_same(&snapshot, &format!("seed {seed}, backup {n}"));
        parent = Some(snapshot);
    }
    built
}

#[test]
fn an_index_of_protocol_1_describes_every_file_of_a_chain() {
    if !btrfs_or_skip() {
        return;
    }
    for seed in 1..=seeds() {
        let built = check(seed, &["--proto", "1"], "noatime", MemoryLimits::default());
        assert_eq!(built, BACKUPS, "seed {seed}");
    }
}

#[test]
fn an_index_of_protocol_2_describes_every_file_of_a_chain() {
    if !btrfs_or_skip() {
        return;
    }
    let (form, mount) = (["--proto", "2", "--compressed-data"], "noatime,compress-force=zstd");
    for seed in 1001..=1000 + seeds() {
        let built = check(seed, &form, mount, MemoryLimits::default());
        assert_eq!(built, BACKUPS, "seed {seed}");
    }
}

/// The kernel sends one inode after the other, so a builder that forgets all but the last files
/// either describes every file or refuses the stream.
#[test]
fn an_index_whose_builder_forgets_files_describes_every_file_or_is_refused() {
    if !btrfs_or_skip() {
        return;
    }
    let mut built = 0;
    for seed in 2001..=2000 + seeds() {
        for (recent_names, nodes, forgotten_names) in [(8, 100, 100), (8, 0, 0), (40, 2, 2)] {
            let limits = MemoryLimits { recent_names, nodes, forgotten_names };
            built += check(seed, &["--proto", "1"], "noatime", limits);
        }
    }
    let total = seeds() as usize * 3 * BACKUPS;
    println!("{built} of {total} streams have an index");
    assert!(built * 2 > total, "{built} of {total} streams have an index");
}

/// Returns the number of trees to try: more by hand.
#[expect(clippy::disallowed_methods, reason = "a person may ask for more trees")]
fn seeds() -> u64 {
    std::env::var("S3UP_INDEX_SEEDS").map_or(3, |seeds| seeds.parse().expect("a number"))
}

#[test]
fn an_index_is_small() {
    if !btrfs_or_skip() {
        return;
    }
    let filesystem = BtrfsFs::create_with(FILESYSTEM_BYTES, "noatime");
    let source = filesystem.subvolume("data");
    for n in 0..3000 {
        let directory = source.join(format!("project {}/src", n % 50));
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join(format!("module_{n}.rs")), s3up_testkit::noise(20_000)).unwrap();
    }
    let snapshot = filesystem.path().join("snapshot");
    let make = ["subvolume", "snapshot", "-r"].map(std::ffi::OsStr::new);
    btrfs(&[&make[..], &[source.as_ref(), snapshot.as_ref()]].concat());
    let stream = btrfs(&["send".as_ref(), "-q".as_ref(), snapshot.as_ref()]);
    let (index, facts) = replay::index_of(&stream);

    assert_eq!(facts.bytes, index.len() as u64);
    assert!(index.len() * 100 < stream.len(), "{} of {}", index.len(), stream.len());
}
