//! The verification of a restore: against the source snapshot if this host has it, else by the
//! checksums of the stream.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use s3up_devstore::Op;
use s3up_testkit::{Tree, char_device, file, hard_link, noise, set_read_only, sparse, symlink};

use crate::fixture::{Ran, World};

async fn backed_up() -> Option<World> {
    let world = World::start(&["data"]).await?;
    let data = world.subvolume("data");
    Tree::new([
        file("readme", "hello").mode(0o4755).owner(1000, 1001).xattr("user.note", "kept"),
        file(b"caf\xe9", "Latin-1"),
        hard_link("again", "readme"),
        symlink("link", "readme"),
        char_device("null", 1, 3),
        sparse("sparse", 8 << 20, &[(4 << 20, b"in the middle")]),
        file("a/b/c/deep", "deep"),
        file("a/b/c/deeper", "deeper"),
    ])
    .write(&data);
    world.fs.subvolume("data/nested");
    world.backup().await;
    fs::write(data.join("new"), "new").expect("a written file");
    world.backup().await;
    Some(world)
}

async fn restore(world: &World, more: &[&str]) -> (Ran, PathBuf) {
    let target = world.fs.path().join("restored");
    let restore = ["restore", "--subvolume", "data", "--target", target.to_str().expect("UTF-8")];
    (world.run(&[&restore[..], more].concat()).await, target)
}

fn newest_snapshot(world: &World) -> PathBuf {
    world.snapshots_dir().join(world.snapshots().last().expect("a snapshot"))
}

/// Returns the log line that says what was compared.
fn proof(ran: &Ran) -> &str {
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let line = ran.stderr.lines().find(|line| line.contains("event=restore_verify_complete"));
    line.unwrap_or_else(|| panic!("{}", ran.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_reports_how_it_was_verified() {
    let Some(world) = backed_up().await else { return };
    let again = async |world: &World, more: &[&str]| {
        let (ran, target) = restore(world, more).await;
        let line = proof(&ran).to_owned();
        s3up_testkit::delete_subvolume(&target);
        line
    };

    let full = again(&world, &[]).await;
    let sample =
        again(&world, &["--verify", "sample", "--set", "restore.sample_max_files=3"]).await;
    let none = again(&world, &["--verify", "none"]).await;
    let configured = again(&world, &["--set", "restore.verify_mode=none"]).await;
    set_read_only(&newest_snapshot(&world), false);
    let writable = again(&world, &[]).await;
    fs::write(newest_snapshot(&world).join("readme"), "HELLO").unwrap();
    set_read_only(&newest_snapshot(&world), true);
    let changed = again(&world, &[]).await;
    s3up_testkit::delete_subvolume(&newest_snapshot(&world));
    let absent = again(&world, &["--verify", "full"]).await;

    assert!(full.contains("mode=full files=6 files_compared=6"), "{full}");
    assert!(full.contains("every byte of 6 files"), "{full}");
    assert!(full.contains("not part of a snapshot: 1 nested subvolume"), "{full}");
    assert!(sample.contains("mode=sample files=6 files_compared=3"), "{sample}");
    assert!(sample.contains("the content of 3 of 6 files"), "{sample}");
    for (line, why) in [
        (none, "no comparison was requested"),
        (configured, "no comparison was requested"),
        (writable, "it is writable"),
        (changed, "has changed since it was sent"),
        (absent, "is not on this host"),
    ] {
        assert!(
            line.contains("mode=stream") && line.contains("checksums of the stream only"),
            "{line}"
        );
        assert!(line.contains(why), "{why}: {line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_difference_from_the_source_is_named_and_no_target_is_created() {
    let Some(mut world) = backed_up().await else { return };
    // The received snapshot is changed after `btrfs receive` succeeded.
    let bad = format!(
        "{}/.restored.btrfs-to-s3-restore/received",
        world.fs.path().to_str().expect("UTF-8")
    );
    let script = format!(
        "for s in {bad}/data__*__inc; do btrfs property set -f -ts $s ro false && \
         printf HELLO > $s/readme && rm $s/caf* && btrfs property set -f -ts $s ro true; done"
    );
    let (_dir, path) = changing(&script);
    world.path = Some(path);

    let (ran, target) = restore(&world, &[]).await;

    ran.failed_with(
        1,
        &["differs from its source, so the target was not created", "`--verify none`"],
    );
    ran.failed_with(1, &[r#""readme": content differs from byte 0 on"#, r#""caf\xE9": missing"#]);
    assert!(!target.exists());
    assert!(ran.stderr.contains("event=restore_failed"), "{}", ran.stderr);
    world.assert_nothing_runs();
    // The changed snapshot is not used: the target has the content of the backup.
    world.path = None;
    let (ran, target) = restore(&world, &["--verify", "none"]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(fs::read(target.join("readme")).unwrap(), b"hello");
}

/// The files are long enough to be compared while the next ones are received.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_compared_early_and_changed_since_is_compared_again() {
    let Some(mut world) = World::start(&["data"]).await else { return };
    let data = world.subvolume("data");
    for n in 0..10 {
        fs::write(data.join(format!("long-{n}")), noise(3 << 20)).unwrap();
    }
    let mut clone = Command::new("cp");
    clone.args(["--reflink=always", "long-0", "long-clone"]).current_dir(&data);
    assert!(clone.status().unwrap().success());
    Tree::new([sparse("long-hole", 3 << 20, &[(0, &noise(1 << 17))])]).write(&data);
    world.backup().await;
    fs::write(data.join("new"), "new").unwrap();
    world.backup().await;
    let (ran, target) = restore(&world, &[]).await;
    let line = proof(&ran).to_owned();
    let early = line.split_once("files_compared_early=").expect("a number").1;
    let early: u32 = early.split(' ').next().and_then(|n| n.parse().ok()).expect("a number");
    assert!((1..=11).contains(&early), "{line}");
    assert!(line.contains("every byte of 13 files (33 MiB)"), "{line}");
    s3up_testkit::delete_subvolume(&target);
    // Each in one byte, and with the modification time of before.
    let received = format!("{}/.restored.btrfs-to-s3-restore/received", world.fs.path().display());
    let script = format!(
        "for s in {received}/data__*__inc; do btrfs property set -f -ts $s ro false && \
         for f in $s/long-*; do t=$(stat -c %y $f) && \
         printf X | dd of=$f bs=1 seek=1048576 conv=notrunc status=none && touch -d \"$t\" $f; \
         done; btrfs property set -f -ts $s ro true; done"
    );
    let (_dir, path) = changing(&script);
    world.path = Some(path);

    let (ran, target) = restore(&world, &[]).await;

    ran.failed_with(1, &["12 differences: ", "the target was not created"]);
    for name in ["0", "9", "clone", "hole"] {
        let differs = format!("\"long-{name}\": content differs from byte 1048576 on");
        assert!(ran.stderr.contains(&differs), "{differs}: {}", ran.stderr);
    }
    assert!(!target.exists());
}

/// The received snapshot is intact, but the source looks different.
#[tokio::test(flavor = "multi_thread")]
async fn verify_none_creates_the_target_without_another_download() {
    let Some(world) = backed_up().await else { return };
    let source = newest_snapshot(&world);
    let other = Mounted::over(&source.join("a/b/c/deep"), &source.join("a/b/c/deeper"));
    let (ran, target) = restore(&world, &[]).await;
    ran.failed_with(1, &["the target was not created", r#""a/b/c/deeper""#, "`--verify none`"]);
    assert!(!target.exists());
    drop(other);
    let chunks = |world: &World| world.s3.faults().calls(Op::GetObject);
    let before = chunks(&world);

    let (ran, target) = restore(&world, &["--verify", "none"]).await;

    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.contains("event=restore_resumed"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("event=backup_received"), "{}", ran.stderr);
    // The pointer twice, and two manifests with their part indexes.
    assert_eq!(chunks(&world) - before, 6);
    assert_eq!(fs::read(target.join("a/b/c/deeper")).unwrap(), b"deeper");
}

/// A file that is mounted over another.
struct Mounted(PathBuf);

impl Mounted {
    fn over(file: &Path, mount_point: &Path) -> Mounted {
        let mount = Command::new("mount").arg("--bind").args([file, mount_point]).status();
        assert!(mount.expect("mount").success());
        Mounted(mount_point.to_owned())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let umount = Command::new("umount").arg(&self.0).status();
        assert!(umount.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

/// Makes a `btrfs` that runs a script before `btrfs send` of a source snapshot. The restore calls
/// that to identify the source, after everything was received.
fn changing(script: &str) -> (tempfile::TempDir, std::ffi::OsString) {
    let directory = s3up_testkit::temp_dir();
    let path = directory.path().join("btrfs");
    let real = ["/usr/bin/btrfs", "/usr/sbin/btrfs", "/sbin/btrfs"];
    let real = real.into_iter().find(|path| fs::exists(path).unwrap_or(false)).expect("btrfs");
    let text = format!(
        "#!/bin/sh\ncase \"$*\" in send*/snapshots/*) {script};; esac\nexec {real} \"$@\"\n"
    );
    fs::write(&path, text).expect("a script");
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .expect("a mode");
    let rest = std::env::var_os("PATH").expect("PATH");
    let dirs = [directory.path().to_owned()].into_iter().chain(std::env::split_paths(&rest));
    let path = std::env::join_paths(dirs).expect("a PATH");
    (directory, path)
}

/// With more directories than the kernel remembers the times of, `btrfs send` sends the times of
/// the root before the last entry is created in it.
#[tokio::test(flavor = "multi_thread")]
async fn a_tree_of_many_directories_keeps_the_time_of_its_root() {
    let Some(world) = World::start(&["data"]).await else { return };
    let data = world.subvolume("data");
    let make = |range: std::ops::Range<u32>| {
        for n in range {
            let directory = data.join(format!("top/{}/{n}", n % 7));
            fs::create_dir_all(&directory).unwrap();
            fs::write(directory.join("file"), n.to_string()).unwrap();
        }
    };
    make(0..400);
    let long_ago = UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_789);
    fs::File::open(&data).and_then(|root| root.set_modified(long_ago)).unwrap();
    let modified = |path: &Path| fs::metadata(path).and_then(|root| root.modified()).unwrap();
    world.backup().await;
    let (full, target) = restore(&world, &[]).await;
    assert!(proof(&full).contains("every byte of 400 files"), "{}", full.stderr);
    assert_eq!(modified(&target), long_ago);
    // An incremental that does not change the root, and does not send its times.
    make(400..800);
    assert_eq!(modified(&data), long_ago);
    world.backup().await;
    s3up_testkit::delete_subvolume(&target);

    let (ran, target) = restore(&world, &[]).await;

    assert!(proof(&ran).contains("every byte of 800 files"), "{}", ran.stderr);
    assert_eq!(modified(&target), long_ago);
}
