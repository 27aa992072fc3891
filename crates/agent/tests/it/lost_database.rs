//! A database that was lost, damaged, or removed under a running agent. Existing files are not
//! uploaded here by configuration, so a database that looks new would make them baseline.

use std::fs;
use std::path::PathBuf;

use crate::fixture::{Host, MIB, World, noise, until};
use crate::process::Process;

#[tokio::test]
async fn after_a_loss_the_gateway_is_asked_and_nothing_becomes_baseline() {
    for lost in [Lost::Database, Lost::WholeDirectory] {
        let world = World::start().await;
        let host = host_with_protected_files(&world).await;
        let before = versions(&host).await;

        lose(&host, lost);
        host.write("changed", "after");
        host.write("later", "later");
        let summary = host.scan().await;

        assert!(summary.is_clean(), "{lost:?}: {summary}");
        let total = host.status().await.total;
        assert_eq!((total.protected.files, total.baseline.files), (5, 0), "{lost:?}");
        for (name, content) in [("changed", "after"), ("later", "later"), ("old", "old")] {
            assert_eq!(host.content(name).await, content.as_bytes(), "{lost:?}");
        }
        let after = versions(&host).await;
        assert_eq!(before[..2], after[..2], "{lost:?}: stored files were uploaded again");
    }
}

#[tokio::test]
async fn a_key_that_may_not_list_asks_for_each_file() {
    let mut world = World::start().await;
    world.restart_with("allow: [upload, exists]").await;
    let host = host_with_protected_files(&world).await;
    assert_eq!(host.status().await.total.baseline.files, 1, "a first start makes a baseline");

    lose(&host, Lost::WholeDirectory);
    let summary = host.scan().await;

    assert!(summary.is_clean(), "{summary}");
    let total = host.status().await.total;
    assert_eq!((total.protected.files, total.baseline.files), (4, 0));
}

#[tokio::test]
async fn a_client_that_may_not_overwrite_is_recognised() {
    let mut world = World::start().await;
    world.restart_with("allow: [upload, exists], overwrite: never").await;
    let host = host_with_protected_files(&world).await;

    lose(&host, Lost::WholeDirectory);
    host.scan().await;

    let total = host.status().await.total;
    assert_eq!((total.protected.files, total.baseline.files), (4, 0));
}

#[tokio::test]
async fn a_key_that_may_not_ask_makes_no_baseline_and_says_so() {
    let mut world = World::start().await;
    world.restart_with("allow: [upload]").await;
    let host = without_upload_existing(&world);
    host.write("old", "old");
    host.write("long", noise(9 * MIB));

    let mut scan = Process::start(&host, &["scan"]);

    assert_eq!(scan.wait().await, Some(0), "{}", scan.log());
    assert!(scan.log().contains("event=watch_history_unknown"), "{}", scan.log());
    let total = host.status().await.total;
    assert_eq!((total.protected.files, total.baseline.files), (2, 0));
}

#[tokio::test]
async fn while_the_gateway_is_away_a_first_start_decides_nothing() {
    let mut world = World::start().await;
    let host = without_upload_existing(&world);
    host.write("old", "old");
    world.gateway_down().await;
    let mut agent = Process::start(&host, &["run"]);
    until("the scan has failed", async || agent.log().contains("event=scan_failed")).await;
    host.write("new", "new");

    let total = host.status().await.total;
    assert_eq!((total.baseline.files, total.pending.files), (0, 2), "{}", agent.log());
    world.gateway_up().await;

    host.until_stored("new", "new").await;
    until("the old file is baseline", async || host.status().await.total.baseline.files == 1).await;
    assert_eq!(host.stored("old").await, None);
    agent.terminate();
    assert_eq!(agent.wait().await, Some(0));
}

#[tokio::test]
async fn a_scan_without_a_gateway_makes_no_baseline_and_fails() {
    let mut world = World::start().await;
    let host = without_upload_existing(&world);
    host.write("old", "old");
    world.gateway_down().await;

    let summary = host.scan().await;

    assert!(!summary.is_clean(), "{summary}");
    let text = summary.to_string();
    assert!(text.contains("ask the gateway whether this client is new"), "{text}");
    assert_eq!(host.status().await.total.baseline.files, 0);
}

#[tokio::test]
async fn a_database_that_is_removed_under_a_running_agent_is_noticed() {
    let world = World::start().await;
    let host = without_upload_existing(&world);
    host.write("old", "old");
    let mut agent = Process::start(&host, &["run"]);
    until("it has scanned", async || host.scanned_once().await).await;
    host.write("new", "new");
    host.until_stored("new", "new").await;
    let version = host.stored("new").await.unwrap().version_id;

    fs::remove_dir_all(state(&host)).unwrap();

    until("it is noticed", async || agent.log().contains("event=database_removed")).await;
    until("all files are protected", async || {
        host.try_status().await.is_some_and(|status| {
            (status.total.protected.files, status.total.baseline.files) == (2, 0)
        })
    })
    .await;
    assert_eq!(host.stored("new").await.unwrap().version_id, version, "uploaded again");
    host.until_stored("old", "old").await;
    agent.terminate();
    assert_eq!(agent.wait().await, Some(0), "{}", agent.log());
}

#[derive(Clone, Copy, Debug)]
enum Lost {
    Database,
    WholeDirectory,
}

/// Two files that are stored and stay as they are, one that changes later, and a baseline file.
async fn host_with_protected_files(world: &World) -> Host {
    let host = without_upload_existing(world);
    host.write("old", "old");
    host.scan().await;
    for name in ["short", "changed"] {
        host.write(name, "before");
    }
    host.write("long", noise(9 * MIB));
    let summary = host.scan().await;
    assert!(summary.is_clean(), "{summary}");
    assert_eq!(host.status().await.total.baseline.files, 1);
    host
}

fn without_upload_existing(world: &World) -> Host {
    let mut host = Host::new(&world.url());
    host.edit("upload_existing: true", "upload_existing: false");
    host
}

fn lose(host: &Host, lost: Lost) {
    match lost {
        Lost::Database => fs::remove_file(state(host).join("client.db")).expect("success"),
        Lost::WholeDirectory => fs::remove_dir_all(state(host)).expect("success"),
    }
}

async fn versions(host: &Host) -> [Option<String>; 3] {
    let mut versions = [None, None, None];
    for (version, name) in versions.iter_mut().zip(["short", "long", "changed"]) {
        *version = host.stored(name).await.expect("a stored file").version_id;
    }
    versions
}

fn state(host: &Host) -> PathBuf {
    host.dir.path().join("state")
}
