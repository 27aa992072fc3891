//! The same changes as in `watching`, found by scans alone: no watcher runs here.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use s3up::scanning::walk::Exclusion;

use crate::fixture::{Host, World};
use crate::mounts::{Kind, Mount};
use crate::process::Process;

#[tokio::test]
async fn a_scan_alone_finds_directories_and_files_that_are_new_moved_replaced_or_gone() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    host.write("renamed/sub/file", "renamed");
    host.write("leaves/file", "leaves");
    host.write("target", "before");
    host.write("deleted", "deleted");
    assert!(host.scan().await.is_clean());
    let outside = host.dir.path().join("outside");
    fs::create_dir_all(outside.join("a/b")).unwrap();
    fs::write(outside.join("a/b/deep"), "moved in").unwrap();

    for n in 0..100 {
        host.write(format!("{n}/b/c/file"), format!("content {n}"));
    }
    fs::rename(&outside, host.up.join("inside")).unwrap();
    fs::rename(host.up.join("renamed"), host.up.join("new")).unwrap();
    host.write("new/sub/later", "later");
    fs::rename(host.up.join("leaves"), host.dir.path().join("left")).unwrap();
    fs::write(host.dir.path().join("left/later"), "not ours").unwrap();
    host.write("target.part", "after");
    fs::rename(host.up.join("target.part"), host.up.join("target")).unwrap();
    fs::remove_file(host.up.join("deleted")).unwrap();
    let summary = host.scan().await;

    assert!(summary.is_clean(), "{summary}");
    let total = host.status().await.total;
    assert_eq!((total.protected.files, total.total().files), (104, 104));
    for (path, content) in [
        ("99/b/c/file", "content 99"),
        ("inside/a/b/deep", "moved in"),
        ("new/sub/file", "renamed"),
        ("new/sub/later", "later"),
        ("target", "after"),
        ("deleted", "deleted"),
    ] {
        assert_eq!(host.content(path).await, content.as_bytes(), "{path}");
    }
    for path in ["target.part", "leaves/later"] {
        assert_eq!(host.stored(path).await, None, "{path}");
    }
}

#[tokio::test]
async fn a_scan_alone_follows_a_symlink_above_the_root_that_is_switched() {
    let world = World::start().await;
    let mut host = Host::new(&world.url());
    let current = host.dir.path().join("current");
    for release in ["1", "2"] {
        let directory = host.dir.path().join(release);
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("page"), release).unwrap();
    }
    symlink("1", &current).unwrap();
    host.edit(&host.up.display().to_string(), &current.display().to_string());
    assert!(host.scan().await.is_clean());

    symlink("2", host.dir.path().join("next")).unwrap();
    fs::rename(host.dir.path().join("next"), &current).unwrap();

    assert!(host.scan().await.is_clean());
    assert_eq!(host.content("page").await, b"2");
}

#[tokio::test]
async fn a_mount_point_in_the_tree_is_excluded_by_watcher_and_scan() {
    let Some(mount) = Mount::new(Kind::Tmpfs) else { return };
    let world = World::start().await;
    let host = Host::new(&world.url());
    let inside = host.up.join("mounted");
    fs::create_dir(&inside).unwrap();
    let bound = Command::new("mount").arg("--bind").arg(&mount.path).arg(&inside).status();
    assert!(bound.unwrap().success());
    let agent = host.started().await;

    fs::write(inside.join("file"), "of another filesystem").unwrap();
    host.write("own", "own");
    host.until_stored("own", "own").await;
    let status = host.until_nothing_is_pending().await;
    agent.stop().await;
    let summary = host.scan().await;
    let unmounted = Command::new("umount").arg(&inside).status();

    assert!(unmounted.unwrap().success());
    assert!(summary.is_clean(), "{summary}");
    assert_eq!(host.stored("mounted/file").await, None);
    let excluded = &status.watches[0].files.excluded;
    assert_eq!(excluded.iter().collect::<Vec<_>>(), [(&Exclusion::OtherFilesystem, &1)]);
    assert_eq!(status.total.total().files, 3, "the mount point counts as one");
}

#[tokio::test]
async fn a_directory_without_permission_is_a_problem_and_the_scan_goes_on() {
    use std::os::unix::fs::PermissionsExt;
    if !s3up_testkit::root_or_skip() {
        return;
    }
    let world = World::start().await;
    let host = Host::new(&world.url());
    host.write("a/file", "a");
    host.write("forbidden/file", "x");
    host.write("z/file", "z");
    let forbidden = host.up.join("forbidden");
    std::os::unix::fs::chown(&forbidden, Some(65534), Some(65534)).unwrap();
    fs::set_permissions(&forbidden, fs::Permissions::from_mode(0o700)).unwrap();
    // Root without these capabilities obeys permissions.
    let mut setpriv = Command::new("setpriv");
    setpriv.arg("--bounding-set=-dac_override,-dac_read_search");

    let mut scan = Process::start_through(&host, setpriv, &["scan"]);

    assert_eq!(scan.wait().await, Some(3), "{}", scan.log());
    assert_eq!(host.content("a/file").await, b"a");
    assert_eq!(host.content("z/file").await, b"z");
    assert!(scan.log().contains("forbidden"), "{}", scan.log());
    fs::set_permissions(&forbidden, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(host.scan().await.is_clean());
    assert_eq!(host.content("forbidden/file").await, b"x");
}
