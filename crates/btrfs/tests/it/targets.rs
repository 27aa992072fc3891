//! Conditions of the target that `btrfs receive` reports late: they are found before anything is
//! thawed or downloaded.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::mount::{UnmountFlags, mount_bind, unmount};
use s3up_devstore::Op;
use s3up_testkit::{BtrfsFault, BtrfsFs, Calls, InjectedFault, StandIn, assert_same_tree};

use crate::fixture::{Ran, World, names_in};
use crate::thaws::{archived, thaw_requests};

/// A directory that is mounted a second time.
struct Bind {
    directory: tempfile::TempDir,
}

impl Bind {
    fn of(source: &Path) -> Bind {
        let directory = s3up_testkit::temp_dir();
        mount_bind(source, directory.path()).expect("a bind mount");
        Bind { directory }
    }

    fn target(&self) -> PathBuf {
        self.directory.path().join("restored")
    }
}

impl Drop for Bind {
    fn drop(&mut self) {
        unmount(self.directory.path(), UnmountFlags::NOFOLLOW).expect("an unused mount");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bind_mount_of_a_plain_directory_is_refused_before_the_thaw() {
    let Some(world) = archived("DEEP_ARCHIVE").await else { return };
    let host = BtrfsFs::create(1 << 30);
    let volume = host.path().join("volumes/data");
    fs::create_dir_all(&volume).unwrap();
    let bind = Bind::of(&volume);
    let downloads = world.s3.faults().calls(Op::GetObject);

    let restore = world.restore("data", &bind.target()).await;
    let path = bind.target();
    let target = path.to_str().unwrap();
    let dry = ["restore", "--subvolume", "data", "--target", target, "--dry-run"];
    let dry = world.run(&dry).await;

    for ran in [restore, dry] {
        ran.failed_with(2, &["a bind mount of a plain directory", "mount the filesystem itself"]);
    }
    assert_eq!(thaw_requests(&world), 0);
    // Twice the pointer, two manifests and two part indexes.
    assert_eq!(world.s3.faults().calls(Op::GetObject) - downloads, 10);
    assert_eq!(names_in(&volume), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_is_restored_to_any_mount_and_a_chain_to_one_of_a_subvolume() {
    let Some(world) = World::start(&["data"]).await else { return };
    let host = BtrfsFs::create(1 << 30);
    let plain = host.path().join("plain");
    fs::create_dir(&plain).unwrap();
    let (directory, subvolume) = (Bind::of(&plain), Bind::of(&host.subvolume("subvolume")));
    fs::write(world.subvolume("data").join("file"), "one").unwrap();
    world.backup().await;

    let full = world.restore("data", &directory.target()).await;

    assert_eq!(full.code, Some(0), "{}", full.stderr);
    assert_same_tree(&world.subvolume("data"), &directory.target());
    fs::write(world.subvolume("data").join("file"), "two").unwrap();
    world.backup().await;
    let chain = world.restore("data", &subvolume.target()).await;
    assert_eq!(chain.code, Some(0), "{}", chain.stderr);
    assert_same_tree(&world.subvolume("data"), &subvolume.target());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_target_cannot_hold_is_said_before() {
    let Some(world) = World::start(&["data"]).await else { return };
    fs::write(world.subvolume("data").join("file"), "content").unwrap();
    world.backup().await;
    let host = BtrfsFs::create_with(1 << 30, "noatime,noacl");
    let target = host.path().join("restored");

    let ran = world.restore("data", &target).await;

    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let line = ran.stderr.lines().find(|line| line.contains("event=target_limited"));
    assert!(line.is_some_and(|line| line.contains("ACLs")), "{}", ran.stderr);
    assert_same_tree(&world.subvolume("data"), &target);
}

/// A stand-in takes the place of a filter of system calls, which no flag of the kernel shows.
fn refusing(nth: u32) -> StandIn {
    let fault = BtrfsFault::FailsAfter { bytes: 0 };
    StandIn::new([InjectedFault { command: "trial", call: Calls::Nth(nth), fault }])
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_btrfs_receive_finds_is_found_before_the_thaw() {
    let Some(mut world) = archived("DEEP_ARCHIVE").await else { return };
    let target = world.fs.path().join("restored");
    for (nth, kind) in [(1, "the full"), (2, "the incremental")] {
        let stand_in = refusing(nth);
        world.path = Some(stand_in.path_var());

        let ran = world.restore("data", &target).await;

        ran.failed_with(1, &["receive a trial backup", StandIn::ERROR_MESSAGE]);
        assert_eq!(thaw_requests(&world), 0, "{kind}");
        assert_eq!(stand_in.calls_of("receive"), [], "{kind}");
        assert_eq!(names_in(world.fs.path()), ["data", "snapshots"], "{kind}");
        world.assert_nothing_runs();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn content_that_cannot_be_received_is_named_before_and_fails_no_restore() {
    let Some(mut world) = World::start(&["data"]).await else { return };
    fs::write(world.subvolume("data").join("file"), "content").unwrap();
    world.backup().await;
    // A full alone: its trial is the first call, that with a device node the second.
    let stand_in = refusing(2);
    world.path = Some(stand_in.path_var());
    let target = world.fs.path().join("restored");

    let ran = world.restore("data", &target).await;

    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let limits = ran.stderr.lines().filter(|line| line.contains("event=target_limited"));
    let limits: Vec<_> = limits.collect();
    assert_eq!(limits.len(), 1, "{}", ran.stderr);
    assert!(limits[0].contains("device nodes") && limits[0].contains(StandIn::ERROR_MESSAGE));
    assert_same_tree(&world.subvolume("data"), &target);
    assert_eq!(names_in(world.fs.path()), ["data", "restored", "snapshots"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_capabilities_are_found_before_anything_is_received() {
    let Some(world) = World::start(&["data"]).await else { return };
    fs::write(world.subvolume("data").join("file"), "content").unwrap();
    world.backup().await;
    let path = world.fs.path().join("restored");
    let target = path.to_str().unwrap();
    let without = |capability: &str| {
        let restore = world.command(&["restore", "--subvolume", "data", "--target", target]);
        let restore = restore.as_std();
        let mut command = tokio::process::Command::new("setpriv");
        command.arg(format!("--bounding-set=-{capability}")).arg(restore.get_program());
        command.args(restore.get_args());
        command.envs(restore.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command
    };

    let admin = Ran::of(without("sys_admin").output().await.unwrap());
    let mknod = Ran::of(without("mknod").output().await.unwrap());

    admin.failed_with(2, &["this process lacks CAP_SYS_ADMIN"]);
    assert_eq!(mknod.code, Some(0), "{}", mknod.stderr);
    assert!(mknod.stderr.contains("lacks CAP_MKNOD"), "{}", mknod.stderr);
}
