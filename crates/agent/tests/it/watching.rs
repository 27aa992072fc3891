//! Tests of the watcher. Scans run once an hour here, so a file that is uploaded
//! within a test was found by inotify.

use std::fs;
use std::process::Command;

use s3up::states::watcher_state::WatcherState;

use crate::fixture::{Host, World, until};
use crate::process::Process;

#[tokio::test]
async fn files_in_directories_created_in_a_tight_loop_are_all_stored() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    let agent = host.started().await;

    for n in 0..200 {
        host.write(format!("{n}/b/c/file"), format!("content {n}"));
    }

    let status = settled(&host, 201).await;
    assert_eq!(status.total.total().files, 201);
    for n in [0, 99, 199] {
        assert_eq!(host.content(format!("{n}/b/c/file")).await, format!("content {n}").as_bytes());
    }
    agent.stop().await;
}

#[tokio::test]
async fn a_directory_that_is_moved_in_is_uploaded_with_everything_below_it() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    let outside = host.dir.path().join("outside");
    fs::create_dir_all(outside.join("a/b")).unwrap();
    fs::write(outside.join("top"), "top").unwrap();
    fs::write(outside.join("a/b/deep"), "deep").unwrap();
    let agent = host.started().await;

    fs::rename(&outside, host.up.join("inside")).unwrap();

    host.until_stored("inside/top", "top").await;
    host.until_stored("inside/a/b/deep", "deep").await;
    fs::write(host.up.join("inside/a/b/later"), "later").unwrap();
    host.until_stored("inside/a/b/later", "later").await;
    agent.stop().await;
}

#[tokio::test]
async fn a_renamed_directory_is_watched_and_one_that_is_moved_out_is_not() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    host.write("old/sub/file", "1");
    host.write("leaves/sub/file", "2");
    let agent = host.started().await;
    settled(&host, 3).await;

    fs::rename(host.up.join("old"), host.up.join("new")).unwrap();
    let outside = host.dir.path().join("outside");
    fs::rename(host.up.join("leaves"), &outside).unwrap();
    fs::write(host.up.join("new/sub/more"), "3").unwrap();
    fs::write(outside.join("sub/more"), "not ours").unwrap();

    host.until_stored("new/sub/file", "1").await;
    host.until_stored("new/sub/more", "3").await;
    let status = host.until_nothing_is_pending().await;
    assert_eq!(status.total.protected.files, 3);
    assert_eq!(host.stored("old/sub/more").await, None);
    assert_eq!(host.stored("leaves/sub/more").await, None);
    agent.stop().await;
}

#[tokio::test]
async fn a_temporary_file_renamed_over_the_target_is_uploaded_under_its_final_name() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    host.write("target", "before");
    let agent = host.started().await;
    host.until_stored("target", "before").await;

    host.write("target.part", "after");
    fs::rename(host.up.join("target.part"), host.up.join("target")).unwrap();

    host.until_stored("target", "after").await;
    assert_eq!(host.stored("target.part").await, None);
    agent.stop().await;
}

#[tokio::test]
async fn a_file_that_grows_for_long_is_uploaded_once_it_settles() {
    use std::io::Write;
    let world = World::start().await;
    let host = Host::new(&world.url());
    let agent = host.started().await;
    let mut file = fs::File::create(host.up.join("growing")).unwrap();
    let mut content = Vec::new();

    for n in 0..30_u8 {
        let piece = [n; 1000];
        content.extend_from_slice(&piece);
        file.write_all(&piece).unwrap();
        host.stored("growing").await;
    }

    host.until_stored("growing", &content).await;
    drop(file);
    host.until_nothing_is_pending().await;
    agent.stop().await;
}

#[tokio::test]
async fn deleted_files_are_not_counted_and_stay_in_s3() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    host.write("gone", "content");
    let agent = host.started().await;
    host.until_stored("gone", "content").await;
    settled(&host, 2).await;

    fs::remove_file(host.up.join("gone")).unwrap();

    let status = settled(&host, 1).await;
    assert_eq!(status.total.total().files, 1);
    assert_eq!(host.content("gone").await, b"content");
    agent.stop().await;
}

#[tokio::test]
async fn files_that_are_gone_when_their_event_is_handled_cause_no_noise() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    let mut agent = Process::start(&host, &["run"]);
    host.write("marker", "marker");
    host.until_stored("marker", "marker").await;

    for n in 0..300 {
        let path = format!("{n}/brief");
        host.write(&path, "x");
        fs::remove_file(host.up.join(path)).unwrap();
        fs::remove_dir(host.up.join(format!("{n}"))).unwrap();
    }
    host.write("after", "after");
    host.until_stored("after", "after").await;

    let total = host.until_nothing_is_pending().await.total;
    assert_eq!((total.total().files, total.problems.files), (2, 0));
    let log = agent.log();
    let is_noise = |line: &&str| line.contains("level=warn") || line.contains("level=error");
    let expected = |line: &str| line.contains("event=config_world_readable");
    assert!(log.lines().filter(is_noise).all(expected), "{log}");
    agent.terminate();
    assert_eq!(agent.wait().await, Some(0));
}

#[tokio::test]
async fn files_settle_beside_each_other() {
    let world = World::start().await;
    let mut host = Host::new(&world.url());
    host.edit("debounce_seconds: 0.2", "debounce_seconds: 2");
    let agent = host.started().await;

    // One after the other they would need ten minutes, and the deadline is one.
    for n in 0..300 {
        host.write(format!("{n}"), format!("{n}"));
    }

    settled(&host, 301).await;
    assert_eq!(host.content("299").await, b"299");
    agent.stop().await;
}

#[tokio::test]
async fn files_whose_events_the_kernel_dropped_are_found_by_a_scan() {
    let world = World::start().await;
    let mut host = Host::new(&world.url());
    host.add("exclude: [\"*.tmp\"]\n");
    let agent = host.started().await;

    // Nothing in this process reads events until the loop is over, and no two in a
    // row are the same. The kernel queues 16,384 of them.
    for n in 0..10_000 {
        host.write(["a.tmp", "b.tmp"][n % 2], "x");
    }
    host.write("new/folder/file", "content");

    host.until_stored("new/folder/file", "content").await;
    host.write("new/folder/later", "later");
    host.until_stored("new/folder/later", "later").await;
    agent.stop().await;
}

#[tokio::test]
async fn with_too_few_inotify_watches_all_files_are_stored_and_the_log_names_the_fix() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    for n in 0..10 {
        host.write(format!("folder-{n}/file"), format!("{n}"));
    }
    // A user namespace has its own limit.
    let limited = "echo 3 > /proc/sys/user/max_inotify_watches && exec \"$0\" \"$@\"";
    let possible = Command::new("unshare").args(["-Ur", "sh", "-c", limited, "true"]).status();
    if !possible.is_ok_and(|status| status.success()) {
        println!("SKIPPED: user namespaces are not available here");
        return;
    }
    let mut unshare = Command::new("unshare");
    unshare.args(["-Ur", "sh", "-c", limited]);

    let mut agent = Process::start_through(&host, unshare, &["run"]);
    until("it is logged", async || agent.log().contains("event=watch_degraded")).await;

    assert!(
        agent.log().contains("degraded: expected 11 inotify watches, found 3"),
        "{}",
        agent.log()
    );
    assert!(agent.log().contains("sysctl fs.inotify.max_user_watches="), "{}", agent.log());
    for n in 0..10 {
        host.until_stored(format!("folder-{n}/file"), format!("{n}")).await;
    }
    let watcher = host.status().await.watcher.expect("a state of the watcher").to_string();
    assert!(watcher.starts_with("degraded: expected 11 inotify watches"), "{watcher}");
    agent.terminate();
    assert_eq!(agent.wait().await, Some(0));
}

/// Waits until `files` files are protected and no other file is on disk.
async fn settled(host: &Host, files: u64) -> s3up::status::Status {
    until(&format!("{files} files are protected"), async || {
        let total = host.status().await.total;
        (total.protected.files, total.total().files) == (files, files)
    })
    .await;
    host.status().await
}

#[tokio::test]
async fn a_directory_that_may_be_entered_a_moment_later_is_watched_from_then_on() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::start().await;
    let host = Host::new(&world.url());
    if !s3up_testkit::root_or_skip() {
        return;
    }
    // Root without these capabilities obeys permissions.
    let mut setpriv = Command::new("setpriv");
    setpriv.arg("--bounding-set=-dac_override,-dac_read_search");
    let mut agent = Process::start_through(&host, setpriv, &["run"]);
    until("the first scan is complete", async || agent.log().contains("event=scan_done")).await;

    let directory = host.up.join("private");
    let aside = host.dir.path().join("aside");
    fs::create_dir(&aside).unwrap();
    fs::set_permissions(&aside, fs::Permissions::from_mode(0o700)).unwrap();
    std::os::unix::fs::chown(&aside, Some(65534), Some(65534)).unwrap();
    fs::rename(&aside, &directory).unwrap();
    fs::write(directory.join("file"), "content").unwrap();
    until("it is reported", async || {
        let watcher = host.status().await.watcher.expect("a state of the watcher").to_string();
        watcher.contains("no right to enter 1 directory, such as") && watcher.contains("private")
    })
    .await;
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).unwrap();

    host.until_stored("private/file", "content").await;
    fs::write(directory.join("later"), "later").unwrap();
    host.until_stored("private/later", "later").await;
    until("it is not reported any more", async || {
        host.status().await.watcher == Some(WatcherState::Complete)
    })
    .await;
    agent.terminate();
    assert_eq!(agent.wait().await, Some(0));
}

#[tokio::test]
async fn a_file_with_an_open_writer_is_not_stored_while_it_pauses() {
    use std::io::Write;
    let world = World::start().await;
    let mut host = Host::new(&world.url());
    host.edit("debounce_seconds: 0.2", "debounce_seconds: 1");
    let agent = host.started().await;
    let mut file = fs::File::create(host.up.join("export")).unwrap();
    let mut placeholder = fs::File::create(host.up.join("placeholder")).unwrap();
    for line in 0..3 {
        writeln!(file, "line {line}").unwrap();
        // Longer than the debounce time, and shorter than the quiet of an open writer.
        let start = s3up_testkit::CLOCK.start();
        while start.elapsed() < std::time::Duration::from_millis(1500) {
            assert_eq!(host.stored("export").await, None, "after line {line}");
            assert_eq!(host.stored("placeholder").await, None, "after line {line}");
        }
    }
    writeln!(placeholder, "content").unwrap();
    drop((file, placeholder));

    host.until_stored("export", "line 0\nline 1\nline 2\n").await;
    host.until_stored("placeholder", "content\n").await;
    agent.stop().await;
}

#[tokio::test]
async fn writes_through_a_descriptor_after_its_file_got_a_name_are_found() {
    use std::io::Write;
    let world = World::start().await;
    let host = Host::new(&world.url());
    let agent = host.started().await;
    let name = host.up.join("temporary");
    let mut file = fs::File::create(&name).unwrap();
    file.write_all(b"first").unwrap();
    fs::hard_link(&name, host.up.join("final")).unwrap();
    fs::remove_file(&name).unwrap();
    host.until_stored("final", "first").await;
    host.until_nothing_is_pending().await;

    // No event names this file any more.
    file.write_all(b" and second").unwrap();
    drop(file);

    host.until_stored("final", "first and second").await;
    agent.stop().await;
}
