//! A filesystem on a loop device leaves nothing behind. Needs root.

use std::fs::{self, File};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::thread;

use s3up_testkit::{BtrfsFs, btrfs_or_skip, delete_subvolume, set_read_only};

const SIZE: u64 = 256 << 20;

#[test]
fn a_filesystem_leaves_nothing_behind() {
    if !btrfs_or_skip() {
        return;
    }
    let fs = BtrfsFs::create(SIZE);
    let root = root_of(&fs);
    fs::write(fs.path().join("file"), "content").unwrap();
    assert_eq!(traces(&root).len(), 3, "a mount, a loop device and a directory");

    drop(fs);

    assert_eq!(traces(&root), Vec::<String>::new());
}

#[test]
fn a_test_that_panics_leaves_nothing_behind() {
    if !btrfs_or_skip() {
        return;
    }
    let mut root = PathBuf::new();
    let test = AssertUnwindSafe(|| {
        let fs = BtrfsFs::create(SIZE);
        root = root_of(&fs);
        let _busy = File::create(fs.path().join("open while it panics")).unwrap();
        panic!("as a failing assertion does");
    });

    catch_unwind(test).unwrap_err();

    assert_eq!(traces(&root), Vec::<String>::new());
}

#[test]
fn a_process_that_a_test_left_running_is_named() {
    if !btrfs_or_skip() {
        return;
    }
    let fs = BtrfsFs::create(SIZE);
    let root = root_of(&fs);
    let mut left = Command::new("sleep").arg("1000").current_dir(fs.path()).spawn().unwrap();

    let failure = catch_unwind(AssertUnwindSafe(|| drop(fs))).unwrap_err();
    left.kill().unwrap();
    left.wait().unwrap();

    let text = failure.downcast_ref::<String>().unwrap();
    assert!(text.contains(&format!("still used by sleep ({})", left.id())), "{text}");
    assert_eq!(traces(&root), Vec::<String>::new());
}

#[test]
fn parallel_tests_have_separate_filesystems() {
    if !btrfs_or_skip() {
        return;
    }
    let test = |n: usize| {
        let fs = BtrfsFs::create(SIZE);
        fs::write(fs.path().join("n"), n.to_string()).unwrap();
        assert_eq!(fs::read_dir(fs.path()).unwrap().count(), 1);
        assert_eq!(fs::read_to_string(fs.path().join("n")).unwrap(), n.to_string());
    };

    thread::scope(|scope| {
        for n in 0..6 {
            scope.spawn(move || test(n));
        }
    });
}

#[test]
fn subvolumes_are_created_listed_made_read_only_and_deleted() {
    if !btrfs_or_skip() {
        return;
    }
    let fs = BtrfsFs::create_with(SIZE, "noatime,compress=zstd");
    let at = |name: &str| fs.path().join(name);
    fs::create_dir(at("snapshots")).unwrap();

    let data = fs.subvolume("data");
    fs::write(data.join("file"), "content").unwrap();
    let nested = fs.subvolume("data/nested path");
    let snapshot = fs.snapshot(&data, "snapshots/data");
    assert_eq!(fs.subvolumes(), [at("data"), at("data/nested path"), at("snapshots/data")]);
    assert_eq!(fs.subvolumes_below(&data), [nested.as_path()]);
    assert_eq!(fs.subvolumes_below(&at("snapshots")), [snapshot.as_path()]);

    fs::write(snapshot.join("file"), "changed").unwrap_err();
    set_read_only(&snapshot, false);
    fs::write(snapshot.join("file"), "changed").unwrap();
    set_read_only(&snapshot, true);
    fs::write(snapshot.join("file"), "again").unwrap_err();

    delete_subvolume(&snapshot);
    assert_eq!(fs.subvolumes_below(&at("snapshots")), Vec::<PathBuf>::new());
    let options = fs::read_to_string("/proc/self/mounts").unwrap();
    let line = options.lines().find(|line| line.contains(fs.path().to_str().unwrap())).unwrap();
    assert!(line.contains("compress=zstd"), "{line}");
}

fn root_of(fs: &BtrfsFs) -> PathBuf {
    let root = fs.image().parent().expect("a directory").to_owned();
    let pid = process::id().to_string();
    assert!(root.to_str().expect("a name").contains(&pid), "{} names its maker", root.display());
    root
}

/// Returns what exists of a filesystem: its mount, its loop device, its directory.
fn traces(root: &Path) -> Vec<String> {
    let name = root.to_str().expect("a name");
    let mounts = fs::read_to_string("/proc/self/mounts").expect("the mounts");
    let mounts = mounts.lines().filter(|line| line.contains(name)).map(str::to_owned);
    let devices = fs::read_dir("/sys/block").expect("the devices").flatten();
    let files = devices
        .filter_map(|device| fs::read_to_string(device.path().join("loop/backing_file")).ok())
        .filter(|file| file.contains(name));
    let directory = root.exists().then(|| name.to_owned());
    mounts.chain(files).chain(directory).collect()
}
