//! The roots of watches: missing, removed, switched, emptied, several. Scans run once an hour here,
//! so a file that is uploaded within a test of a running agent was found by inotify.

use std::fs;

use s3up::gateway::client::GatewayClient;

use crate::fixture::{Host, World, until};
use crate::process::Process;

#[tokio::test]
async fn a_root_that_is_removed_and_created_again_is_watched_again() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    host.write("file", "before");
    let agent = host.started().await;
    host.until_nothing_is_pending().await;

    fs::rename(&host.up, host.dir.path().join("away")).unwrap();
    until("the scan fails", async || host.status().await.watches[0].files.error.is_some()).await;
    fs::create_dir(&host.up).unwrap();
    host.write("file", "after");

    host.until_stored("file", "after").await;
    host.write("later", "later");
    host.until_stored("later", "later").await;
    agent.stop().await;
}

#[tokio::test]
async fn a_root_that_is_missing_at_the_start_is_watched_once_it_is_there() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    fs::remove_dir(&host.up).unwrap();
    let mut agent = Process::start(&host, &["run"]);
    until("it is reported", async || agent.log().contains("event=scan_failed")).await;
    let missing = Process::output(&host, &["status", "--check"]).await;

    host.write("sub/file", "content");

    host.until_stored("sub/file", "content").await;
    host.write("sub/later", "later");
    host.until_stored("sub/later", "later").await;
    assert_eq!(missing.code, Some(1));
    assert!(missing.stdout.contains("open watched directory"), "{}", missing.stdout);
    agent.terminate();
    assert_eq!(agent.wait().await, Some(0));
}

#[tokio::test]
async fn after_a_symlink_above_the_root_is_switched_the_new_directory_is_watched() {
    let world = World::start().await;
    let mut host = Host::new(&world.url());
    let releases = host.dir.path().join("releases");
    for release in ["1", "2"] {
        fs::create_dir_all(releases.join(release)).unwrap();
        fs::write(releases.join(release).join("page"), release).unwrap();
    }
    let current = host.dir.path().join("current");
    std::os::unix::fs::symlink(releases.join("1"), &current).unwrap();
    host.edit(&host.up.display().to_string(), &current.display().to_string());
    let agent = host.start().await;
    host.until_stored("page", "1").await;

    std::os::unix::fs::symlink(releases.join("2"), host.dir.path().join("next")).unwrap();
    fs::rename(host.dir.path().join("next"), &current).unwrap();

    host.until_stored("page", "2").await;
    fs::write(releases.join("2/later"), "later").unwrap();
    host.until_stored("later", "later").await;
    agent.stop().await;
}

#[tokio::test]
async fn an_emptied_root_fails_the_scan_and_no_file_is_forgotten() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    host.write("a", "a");
    host.write("b", "b");
    host.scan().await;
    let aside = host.dir.path().join("aside");
    fs::rename(&host.up, &aside).unwrap();

    let missing = host.scan().await;
    fs::create_dir(&host.up).unwrap();
    let emptied = host.scan().await;
    fs::remove_dir(&host.up).unwrap();
    fs::rename(&aside, &host.up).unwrap();
    let back = host.scan().await;

    assert!(missing.scan_errors[0].contains("open watched directory"), "{missing}");
    assert!(
        emptied.scan_errors[0].contains("expected 2 known files, found none of them"),
        "{emptied}"
    );
    assert!(back.is_clean(), "{back}");
    assert_eq!(back.uploaded, 0, "a file was forgotten");
    assert_eq!(host.status().await.total.protected.files, 2);
}

#[tokio::test]
async fn watches_whose_names_begin_alike_do_not_mix() {
    let world = World::start().await;
    let mut host = Host::new(&world.url());
    let other = host.dir.path().join("up2");
    fs::create_dir(&other).unwrap();
    let entry = "remote_prefix: \"uploads/\" }";
    let both = format!(
        "{entry}\n  - {{ local_path: \"{}\", remote_prefix: \"uploads2/\" }}",
        other.display()
    );
    host.edit(entry, &both);
    let agent = host.started().await;
    host.write("file", "one");
    fs::write(other.join("file"), "two").unwrap();
    host.until_stored("file", "one").await;
    let protected = async || {
        host.status().await.watches.iter().map(|it| it.files.counts.protected.files).sum::<u64>()
    };
    until("both are protected", async || protected().await == 3).await;

    fs::remove_file(host.up.join("file")).unwrap();
    until("one is gone", async || protected().await == 2).await;
    let paths = paths(&host).await;
    agent.stop().await;

    assert_eq!(paths, ["uploads/file", "uploads/marker", "uploads2/file"]);
    assert!(host.scan().await.is_clean());
    assert_eq!(host.status().await.watches[1].files.counts.protected.files, 1);
}

/// Returns all remote paths that the gateway lists, sorted.
async fn paths(host: &Host) -> Vec<String> {
    let client = GatewayClient::new(&host.config().server).expect("a client");
    let page = client.list("", None).await.unwrap_or_else(|err| panic!("{err}"));
    assert_eq!(page.cursor, None, "more files than a page has");
    let mut paths: Vec<_> = page.files.into_iter().map(|file| file.path).collect();
    paths.sort_unstable();
    paths
}
