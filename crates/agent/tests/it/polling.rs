//! Without inotify, scans find all changes: in a watch with `poll: true`, and where the kernel
//! refuses an inotify instance.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use s3up::states::watcher_state::WatcherState;

use crate::fixture::{Host, World, until};
use crate::mounts::{Kind, Mount};
use crate::process::Process;
use crate::reports::stored;

const EACH_SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_polled_watch_is_not_watched_and_its_changes_are_stored() {
    let world = World::start().await;
    let mut host = Host::new(&world.url());
    let watched = host.dir.path().join("watched");
    fs::create_dir(&watched).unwrap();
    let entry = "remote_prefix: \"uploads/\" }";
    let other = format!(
        "remote_prefix: \"uploads/\", poll: true }}\n  - {{ local_path: \"{}\", remote_prefix: \"other/\" }}",
        watched.display()
    );
    host.edit(entry, &other);
    let mut config = host.config();
    config.scans.poll_every = EACH_SECOND;
    host.write("sub/before", "before");
    let agent = host.start_with(config).await;
    host.until_stored("sub/before", "before").await;
    until("the other watch is watched", async || is_watched(&watched)).await;

    host.write("sub/deep/after", "after");
    host.write("sub/before", "changed");

    host.until_stored("sub/deep/after", "after").await;
    host.until_stored("sub/before", "changed").await;
    for directory in ["", "sub", "sub/deep"] {
        assert!(!is_watched(&host.up.join(directory)), "{directory:?} is watched");
    }
    let status = host.status().await;
    assert_eq!(status.watcher, Some(WatcherState::Complete));
    assert_eq!(status.watches.iter().map(|it| it.poll).collect::<Vec<_>>(), [true, false]);
    agent.stop().await;
}

#[tokio::test]
async fn an_agent_that_polls_all_watches_says_that_it_does_not_watch() {
    let world = World::start().await;
    let mut host = Host::new(&world.url());
    host.edit("remote_prefix: \"uploads/\" }", "remote_prefix: \"uploads/\", poll: true }");
    host.write("file", "content");
    let mut agent = Process::start(&host, &["run"]);
    host.until_stored("file", "content").await;

    let text = Process::output(&host, &["status"]).await.stdout;

    assert!(text.contains("\nwatcher: off\n"), "{text}");
    assert!(text.contains("\n  not watched: scans find its changes (poll: true)\n"), "{text}");
    agent.terminate();
    assert_eq!(agent.wait().await, Some(0));
}

#[tokio::test]
async fn without_an_inotify_instance_files_are_stored_by_scans_and_status_says_so() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    host.write("file", "content");
    // A user namespace has its own limit.
    let limited = "echo 0 > /proc/sys/user/max_inotify_instances && exec \"$0\" \"$@\"";
    let possible = Command::new("unshare").args(["-Ur", "sh", "-c", limited, "true"]).status();
    if !possible.is_ok_and(|status| status.success()) {
        println!("SKIPPED: user namespaces are not available here");
        return;
    }
    let mut unshare = Command::new("unshare");
    unshare.args(["-Ur", "sh", "-c", limited]);

    let mut agent = Process::start_through(&host, unshare, &["run"]);

    host.until_stored("file", "content").await;
    let watcher = host.status().await.watcher.expect("a state of the watcher").to_string();
    assert!(watcher.starts_with("degraded: inotify is not available"), "{watcher}");
    assert!(agent.log().contains("sysctl fs.inotify.max_user_instances="), "{}", agent.log());
    agent.terminate();
    assert_eq!(agent.wait().await, Some(0));
}

#[tokio::test]
async fn where_files_change_without_an_event_the_watcher_is_degraded_unless_scans_cover_it() {
    for kind in [Kind::Bindfs, Kind::Mergerfs, Kind::Sshfs] {
        let Some(mount) = Mount::new(kind) else { continue };
        let world = World::start().await;
        let mut host = Host::on(&world.url(), &mount.path, kind.name());
        let below = mount.below().expect("a directory that is served").join("up");
        host.write("file", "content");
        let agent = host.started().await;
        let degraded = format!(
            "degraded: changes of {:?} that are made past its mount (FUSE) raise no event; scans find \
             them, each minute with poll: true in this watch",
            host.up
        );

        assert_eq!(host.status().await.watcher, Some(WatcherState::Degraded(degraded.clone())));
        let check = Process::output(&host, &["status", "--check"]).await;
        assert_eq!(check.code, Some(1), "{check:?}");
        assert!(check.stdout.contains(&degraded), "{check:?}");
        let mut heard = serde_json::Value::Null;
        until("the gateway hears of it", async || {
            heard = stored(&world, "SELECT body FROM heartbeats").await["watcher"].clone();
            !heard.is_null()
        })
        .await;
        assert_eq!(heard, serde_json::json!({ "state": "degraded", "detail": degraded }));
        agent.stop().await;

        host.edit("/\" }", "/\", poll: true }");
        let mut config = host.config();
        config.scans.poll_every = EACH_SECOND;
        let agent = host.start_with(config).await;
        fs::write(below.join("below"), "written past the mount").expect("a written file");
        host.until_stored("below", "written past the mount").await;
        assert_eq!(host.status().await.watcher, Some(WatcherState::Off));
        agent.stop().await;
    }
}

#[tokio::test]
async fn without_proc_nothing_can_be_watched_and_status_says_so() {
    if !s3up_testkit::root_or_skip() {
        return;
    }
    let world = World::start().await;
    let host = Host::new(&world.url());
    host.write("file", "content");
    let hidden = "mount -t tmpfs none /proc && exec \"$0\" \"$@\"";
    let mut unshare = Command::new("unshare");
    unshare.args(["-m", "sh", "-c", hidden]);

    let mut agent = Process::start_through(&host, unshare, &["run"]);

    host.until_stored("file", "content").await;
    let watcher = host.status().await.watcher.expect("a state of the watcher").to_string();
    assert!(watcher.starts_with("degraded: inotify is not available"), "{watcher}");
    assert!(agent.log().contains("fix=\"mount -t proc proc /proc\""), "{}", agent.log());
    agent.terminate();
    assert_eq!(agent.wait().await, Some(0));
}

/// Returns true if an inotify instance of this process watches the directory.
fn is_watched(directory: &Path) -> bool {
    let inode = format!(" ino:{:x} ", fs::metadata(directory).expect("a directory").ino());
    let files = fs::read_dir("/proc/self/fdinfo").expect("open files");
    // A file may be closed meanwhile.
    let texts = files.filter_map(|file| fs::read_to_string(file.ok()?.path()).ok());
    texts
        .into_iter()
        .any(|text| text.lines().any(|line| line.starts_with("inotify ") && line.contains(&inode)))
}
