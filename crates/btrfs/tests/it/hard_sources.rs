//! Sources that cannot be sent, or sent and not restored everywhere: each is named.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{Mode, OFlags, XattrFlags, lsetxattr, mkdirat, open, openat};
use s3up_testkit::{BtrfsFs, assert_same_tree, noise};

use crate::fixture::World;

/// Makes nested directories whose path below `root` has this length, each opened from the one
/// above it.
fn deep_path(root: &Path, bytes: usize) {
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut directory = open(root, flags, Mode::empty()).expect("the root");
    let mut left = bytes;
    while left > 0 {
        // A slash comes before each name but the first, and one byte must not be left over.
        let slash = usize::from(left != bytes);
        let name = (left - slash).min(if left - slash > 202 { 200 } else { 255 });
        mkdirat(&directory, "d".repeat(name), Mode::RWXU).expect("a new directory");
        directory =
            openat(&directory, "d".repeat(name), flags, Mode::empty()).expect("a directory");
        left -= name + slash;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_cannot_be_sent_is_named() {
    let Some(world) = World::start(&["data"]).await else { return };
    deep_path(&world.subvolume("data"), 4300);

    let ran = world.run(&["backup", "--once"]).await;

    ran.failed_with(1, &["`btrfs send"]);
    let line = ran.stderr.lines().find(|line| line.contains("event=path_not_sent"));
    let line = line.unwrap_or_else(|| panic!("{}", ran.stderr));
    assert!(line.contains("ddddd/ddddd"), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_can_be_sent_and_not_received_is_warned_of() {
    let Some(world) = World::start(&["data"]).await else { return };
    deep_path(&world.subvolume("data"), 4090);

    let ran = world.backup().await;

    let line = ran.stderr.lines().find(|line| line.contains("event=path_too_long"));
    assert!(line.is_some_and(|line| line.contains("bytes=4090")), "{}", ran.stderr);
    let restored = world.restore("data", &world.fs.path().join("restored")).await;
    restored.failed_with(1, &["`btrfs receive"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_is_nearly_as_long_is_restored_without_a_warning() {
    let Some(world) = World::start(&["data"]).await else { return };
    let name = "data__20260101T000000Z__full";
    deep_path(&world.subvolume("data"), 4095 - name.len() - 4);

    let ran = world.backup().await;

    assert!(!ran.stderr.contains("event=path_too_long"), "{}", ran.stderr);
    let target = world.fs.path().join("restored");
    let restored = world.restore("data", &target).await;
    assert_eq!(restored.code, Some(0), "{}", restored.stderr);
    let source = find(&world.subvolume("data"));
    assert!(source.lines().any(|path| path.len() > 3500), "{source}");
    assert_eq!(find(&target), source);
}

/// Lists a tree whose absolute paths are too long to be opened.
fn find(dir: &Path) -> String {
    let output = Command::new("find").current_dir(dir).arg(".").output().expect("find");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Makes a filesystem with metadata blocks of 64 KiB, and a subvolume with a large attribute.
fn large_nodes(world: &World) -> Option<LargeNodes> {
    let directory = s3up_testkit::temp_dir();
    let (image, mount) = (directory.path().join("image"), directory.path().join("mount"));
    File::create_new(&image).and_then(|file| file.set_len(1 << 30)).expect("an image");
    fs::create_dir(&mount).expect("a new directory");
    let run = |name: &str, arguments: &[&OsStr]| {
        let output = Command::new(name).args(arguments).output().expect("a program");
        assert!(output.status.success(), "{name}: {output:?}");
    };
    let make = ["--quiet", "--metadata=single", "--nodesize=65536"].map(OsStr::new);
    run("mkfs.btrfs", &[&make[..], &[image.as_ref()]].concat());
    run("mount", &["-o".as_ref(), "loop".as_ref(), image.as_ref(), mount.as_ref()]);
    let data = mount.join("data");
    run("btrfs", &["subvolume".as_ref(), "create".as_ref(), data.as_ref()]);
    fs::create_dir(mount.join("snapshots")).expect("a new directory");
    let quoted = |path: &Path| format!("{:?}", path.to_str().expect("UTF-8"));
    for name in ["data", "snapshots"] {
        world.reconfigure(&quoted(&world.fs.path().join(name)), &quoted(&mount.join(name)));
    }
    fs::write(data.join("file"), "content").expect("a written file");
    let value = noise(30_000);
    lsetxattr(data.join("file"), "user.large", &value, XattrFlags::empty()).expect("an attribute");
    Some(LargeNodes { data, mount, _dir: directory })
}

struct LargeNodes {
    data: PathBuf,
    mount: PathBuf,
    _dir: tempfile::TempDir,
}

impl Drop for LargeNodes {
    fn drop(&mut self) {
        rustix::mount::unmount(&self.mount, rustix::mount::UnmountFlags::NOFOLLOW)
            .expect("an unused mount");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_attribute_is_warned_of_refused_where_it_does_not_fit_and_drilled() {
    let Some(world) = World::start(&["data"]).await else { return };
    let Some(source) = large_nodes(&world) else { return };

    let ran = world.backup().await;

    let line = ran.stderr.lines().find(|line| line.contains("event=xattr_too_large"));
    assert!(line.is_some_and(|line| line.contains("node_bytes=65536")), "{}", ran.stderr);
    let (_, manifest) = world.newest("data").await;
    assert_eq!(manifest["node_bytes"], 65536);
    assert_eq!(manifest["largest_xattr_bytes"], 30_010);
    let small = world.restore("data", &world.fs.path().join("restored")).await;
    small.failed_with(2, &["expected a target with metadata blocks of 65536 bytes, found 16384"]);
    let beside = source.mount.join("restored");
    let restored = world.restore("data", &beside).await;
    assert_eq!(restored.code, Some(0), "{}", restored.stderr);
    assert_same_tree(&source.data, &beside);
    let scratch = world.state().with_file_name("scratch");
    fs::create_dir(&scratch).unwrap();
    let drill = world.run(&["drill", "--set", &format!("drill.scratch_dir={scratch:?}")]).await;
    assert_eq!(drill.code, Some(0), "{} {}", drill.stdout, drill.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_the_disk_cannot_read_is_named() {
    const MARK: &[u8] = b"a block that is damaged below";
    let Some(world) = World::start(&["data"]).await else { return };
    let data = world.subvolume("data");
    let mut content = noise(100_000);
    content[..MARK.len()].copy_from_slice(MARK);
    fs::create_dir(data.join("folder")).unwrap();
    fs::write(data.join("folder/damaged"), content).unwrap();
    rustix::fs::syncfs(File::open(&data).unwrap()).unwrap();
    damage(&world.fs, MARK);

    let ran = world.run(&["backup", "--once"]).await;

    ran.failed_with(1, &["`btrfs send", "Input/output error"]);
    let line = ran.stderr.lines().find(|line| line.contains("event=file_unreadable"));
    assert!(line.is_some_and(|line| line.contains("path=folder/damaged")), "{}", ran.stderr);
}

/// Changes a block on the disk, below the filesystem, and makes sure that it is read from there.
fn damage(disk: &BtrfsFs, mark: &[u8]) {
    let image = File::options().read(true).write(true).open(disk.image()).expect("the image");
    let (mut at, mut block) = (0, vec![0; 1 << 20]);
    let found = loop {
        let bytes = image.read_at(&mut block, at).expect("the image");
        assert!(bytes > 0, "the block is not on the disk");
        if let Some(n) = block[..bytes].windows(mark.len()).position(|window| window == mark) {
            break at + n as u64;
        }
        at += bytes as u64;
    };
    image.write_all_at(b"damaged", found).expect("the image");
    image.sync_all().expect("the image");
    fs::write("/proc/sys/vm/drop_caches", "3").expect("root may drop caches");
}
