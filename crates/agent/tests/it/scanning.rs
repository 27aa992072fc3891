//! The same changes as in `watching`, found by scans alone: no watcher runs here.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};
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
async fn a_scan_alone_lets_files_settle_beside_each_other() {
    let world = World::start().await;
    let mut host = Host::new(&world.url());
    host.edit("debounce_seconds: 0.2", "debounce_seconds: 2");
    for n in 0..300 {
        host.write(format!("{n}"), format!("{n}"));
    }

    // One after the other they would need ten minutes.
    let summary = tokio::time::timeout(Duration::from_secs(60), host.scan()).await;

    let summary = summary.expect("it ends within a minute");
    assert!(summary.is_clean() && summary.uploaded == 300, "{summary}");
    assert_eq!(host.content("299").await, b"299");
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
async fn a_scan_alone_forgets_nothing_of_a_root_that_is_missing_emptied_or_replaced() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    for n in 0..3 {
        host.write(format!("{n}"), format!("{n}"));
    }
    assert_eq!(host.scan().await.uploaded, 3);
    let away = host.dir.path().join("away");
    let nothing = || {};
    let empty = || fs::create_dir(&host.up).unwrap();
    let file = || fs::write(&host.up, "a file").unwrap();
    let dangling = || symlink("nowhere", &host.up).unwrap();
    let places: [(&str, &dyn Fn()); 4] = [
        ("missing", &nothing),
        ("emptied", &empty),
        ("a file", &file),
        ("a symlink to nothing", &dangling),
    ];
    for (situation, place) in places {
        fs::rename(&host.up, &away).unwrap();
        place();

        let without = host.scan().await;

        assert_eq!(without.scan_errors.len(), 1, "{situation}: {without}");
        // Fails for what is no directory, or is missing.
        fs::remove_file(&host.up).or_else(|_| fs::remove_dir(&host.up)).ok();
        fs::rename(&away, &host.up).unwrap();
        let back = host.scan().await;
        assert!(back.is_clean(), "{situation}: {back}");
        assert_eq!((back.protected, back.found), (3, 0), "{situation}: something was forgotten");
    }
}

#[tokio::test]
async fn a_scan_alone_stores_files_whatever_their_dates_and_finds_changes_that_keep_them() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    let day = Duration::from_secs(86_400);
    let dates = [
        ("before 1970", UNIX_EPOCH - 1000 * day),
        ("1970", UNIX_EPOCH),
        ("in ten years", s3up_testkit::CLOCK.now() + 3650 * day),
        ("in 2200", UNIX_EPOCH + 84_000 * day),
    ];
    let write = |name: &str, content: &str, date: SystemTime| {
        host.write(name, content);
        let file = fs::File::options().write(true).open(host.up.join(name)).unwrap();
        file.set_modified(date).unwrap();
    };
    for content in ["first", "other", "third"] {
        dates.iter().for_each(|(name, date)| write(name, content, *date));

        let summary = host.scan().await;

        assert!(summary.is_clean(), "{summary}");
        for (name, _) in dates {
            assert_eq!(host.content(name).await, content.as_bytes(), "{name}");
        }
    }
    assert_eq!(host.scan().await.found, 0);
}

#[tokio::test]
async fn a_scan_alone_counts_files_that_keep_changing_or_vanish() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    host.write("quiet", "quiet");
    let writing = Arc::new(AtomicBool::new(true));
    let (up, is_on) = (host.up.clone(), writing.clone());
    let writer = std::thread::spawn(move || {
        let mut n = 0_u64;
        while is_on.load(Ordering::Relaxed) {
            n += 1;
            fs::write(up.join("busy"), n.to_string()).expect("a written file");
            let brief = up.join(format!("brief-{n}"));
            fs::write(&brief, "x").and_then(|()| fs::remove_file(&brief)).expect("a removed file");
        }
    });

    let summary = host.scan().await;
    writing.store(false, Ordering::Relaxed);
    writer.join().unwrap();

    let names: Vec<_> = summary.failed.iter().map(|(path, _)| path.rsplit('/').next()).collect();
    assert_eq!((names, summary.uploaded), (vec![Some("busy")], 1), "{summary}");
    assert_eq!(summary.scan_errors, Vec::<String>::new());
    let after = host.scan().await;
    assert!(after.is_clean() && after.uploaded == 1, "{after}");
}

#[tokio::test]
async fn a_tree_that_is_deeper_than_a_path_may_be_long_is_a_problem_and_the_scan_goes_on() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    host.write("good", "good");
    let name = "d".repeat(200);
    let mut directory = openat(CWD, &host.up, OFlags::DIRECTORY, Mode::empty()).unwrap();
    // 6,000 bytes, and a path may have 4,096.
    for _ in 0..30 {
        mkdirat(&directory, &name, Mode::RWXU).unwrap();
        directory = openat(&directory, &name, OFlags::DIRECTORY, Mode::empty()).unwrap();
    }
    openat(&directory, "deep", OFlags::CREATE, Mode::RWXU).unwrap();

    let summary = host.scan().await;

    assert_eq!((summary.uploaded, summary.failed.len()), (1, 1), "{summary}");
    assert!(summary.failed[0].1.contains("File name too long"), "{summary}");
    assert_eq!(host.status().await.total.problems.files, 1);
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

#[tokio::test]
async fn a_scan_alone_stores_a_file_under_each_of_its_names_and_finds_changes_through_any() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    host.write("one", "first");
    fs::hard_link(host.up.join("one"), host.up.join("two")).unwrap();
    assert!(host.scan().await.is_clean());
    let first = [host.content("one").await, host.content("two").await];

    // Into the file that both names have.
    host.write("two", "second, and longer");
    let summary = host.scan().await;

    assert_eq!(first, [b"first", b"first"]);
    assert_eq!((summary.found, summary.uploaded), (2, 2), "{summary}");
    for name in ["one", "two"] {
        assert_eq!(host.content(name).await, b"second, and longer", "{name}");
    }
}
