//! Many files: a storm of new ones, and a large tree at the start. The numbers are small enough for
//! each run of the tests; no figures of a million files are recorded.

use std::fs::{self, File};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use s3up_devstore::Op;

use crate::fixture::{Host, World, until};
use crate::process::Process;

const DIRS: u64 = 40;
const STORM_FILES: u64 = 2000;
const TREE_DIRS: u64 = 1000;
const TREE_FILES: u64 = 30_000;
const WRITE_EVERY: Duration = Duration::from_millis(5);
/// The goal for a million files.
const MEMORY_MAX: u64 = 150 << 20;

#[tokio::test]
async fn of_a_storm_of_new_files_in_many_directories_none_is_missed_or_stored_twice() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    let mut agent = Process::start(&host, &["run"]);
    host.write("marker", "marker");
    host.until_stored("marker", "marker").await;

    blow(&host);

    until_protected(&host, STORM_FILES + 1).await;
    assert_eq!(world.calls(Op::PutObject), STORM_FILES + 1, "a file was stored twice");
    assert_eq!(host.content("7/7").await, b"7");
    assert!(agent.peak_memory_bytes() < MEMORY_MAX, "{} bytes", agent.peak_memory_bytes());
    agent.terminate();
    assert_eq!(agent.wait().await, Some(0), "{}", agent.log());
}

#[tokio::test]
async fn a_scan_alone_stores_a_storm_of_new_files_once() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    blow(&host);

    let summary = host.scan().await;

    assert!(summary.is_clean(), "{summary}");
    assert_eq!(summary.uploaded, STORM_FILES);
    assert_eq!(world.calls(Op::PutObject), STORM_FILES, "a file was stored twice");
    assert_eq!(host.content("7/7").await, b"7");
}

#[tokio::test]
async fn an_agent_that_starts_on_a_large_tree_is_soon_ready_and_needs_little_memory() {
    let world = World::start().await;
    let mut host = Host::new(&world.url());
    host.edit("upload_existing: true", "upload_existing: false");
    for n in 0..TREE_DIRS {
        fs::create_dir(host.up.join(n.to_string())).unwrap();
    }
    for n in 0..TREE_FILES {
        File::create(host.up.join(format!("{}/{n}", n % TREE_DIRS))).unwrap();
    }
    let mut agent = Process::start(&host, &["run"]);
    until("the first scan is complete", async || host.scanned_once().await).await;

    let last = format!("{}/new", TREE_DIRS - 1);
    host.write(&last, "new");

    // The next scan is an hour away.
    host.until_stored(&last, "new").await;
    let total = host.until_nothing_is_pending().await.total;
    assert_eq!((total.baseline.files, total.protected.files), (TREE_FILES, 1));
    assert!(agent.peak_memory_bytes() < MEMORY_MAX, "{} bytes", agent.peak_memory_bytes());
    agent.terminate();
    assert_eq!(agent.wait().await, Some(0), "{}", agent.log());
}

#[tokio::test]
async fn files_written_during_the_first_scan_are_stored() {
    let world = World::start().await;
    let mut host = Host::new(&world.url());
    host.edit("upload_existing: true", "upload_existing: false");
    for n in 0..TREE_FILES {
        let directory = host.up.join((n % TREE_DIRS).to_string());
        if n < TREE_DIRS {
            fs::create_dir(&directory).unwrap();
        }
        File::create(directory.join(n.to_string())).unwrap();
    }
    let mut agent = Process::start(&host, &["run"]);
    until("the agent has started", async || agent.log().contains("event=started")).await;

    let scanning = Arc::new(AtomicBool::new(true));
    let (up, flag) = (host.up.clone(), scanning.clone());
    let writer = tokio::spawn(async move {
        let mut written = 0;
        while flag.load(Ordering::Relaxed) {
            // In no order of the scan, which may have passed the directory or not.
            let file = up.join(format!("{}/during-{written}", written * 7919 % TREE_DIRS));
            fs::write(file, written.to_string()).unwrap();
            written += 1;
            tokio::time::sleep(WRITE_EVERY).await;
        }
        written
    });
    // Not by its status, which counts a tree that grows meanwhile.
    until("the first scan is complete", async || agent.log().contains("event=scan_done")).await;
    scanning.store(false, Ordering::Relaxed);
    let written = writer.await.unwrap();

    // The next scan is an hour away.
    until_protected(&host, written).await;
    let total = host.until_nothing_is_pending().await.total;
    assert_eq!((total.baseline.files, total.protected.files), (TREE_FILES, written));
    assert_eq!(host.content("0/during-0").await, b"0");
    agent.terminate();
    assert_eq!(agent.wait().await, Some(0), "{}", agent.log());
}

#[tokio::test]
async fn a_scan_alone_of_a_large_tree_finds_the_one_new_file() {
    let world = World::start().await;
    let mut host = Host::new(&world.url());
    host.edit("upload_existing: true", "upload_existing: false");
    for n in 0..TREE_FILES {
        let directory = host.up.join((n % TREE_DIRS).to_string());
        if n < TREE_DIRS {
            fs::create_dir(&directory).unwrap();
        }
        File::create(directory.join(n.to_string())).unwrap();
    }
    let first = host.scan().await;
    assert!(first.is_clean() && first.uploaded == 0, "{first}");

    host.write("17/new", "new");
    let summary = host.scan().await;

    assert_eq!((summary.found, summary.uploaded), (1, 1), "{summary}");
    assert_eq!(host.content("17/new").await, b"new");
}

/// Makes the files of the storm. Their content is their number.
fn blow(host: &Host) {
    for n in 0..STORM_FILES {
        host.write(format!("{}/{n}", n % DIRS), n.to_string());
    }
}

/// Waits until all files are protected, longer than one deadline, as long as their number grows.
async fn until_protected(host: &Host, files: u64) {
    let mut before = 0;
    while before < files {
        until("more are protected", async || {
            let protected = host.status().await.total.protected.files;
            protected > before || protected == files
        })
        .await;
        before = host.status().await.total.protected.files;
    }
}
