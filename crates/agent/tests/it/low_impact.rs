//! The agent is a guest on its host: it yields the disk, the network and the memory.

use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use s3up::database::{self, LOOKUP_MAX};
use s3up::scanning::scan::Scan;
use s3up::states::decide::{FilePolicy, RetryProblems, UploadExisting};

use crate::fixture::{Host, MIB, World, noise, until};
use crate::process::Process;

/// A scan is at most a few batches ahead of its reader, so with these files it has to wait.
const FILES: usize = 5 * LOOKUP_MAX;

#[tokio::test]
async fn a_scan_walks_on_a_thread_of_low_priority() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    // It makes the database.
    host.scan().await;
    for n in 0..FILES {
        File::create(host.up.join(format!("{n}"))).unwrap();
    }
    let config = host.config();
    let reader = database::open_read_only(&config.database).await.unwrap();
    let policy = FilePolicy {
        upload_existing: UploadExisting::Yes,
        confirm_before_ns: None,
        bytes_max: None,
        config: String::new(),
        retry_problems: RetryProblems::Never,
    };
    until("no scan runs", async || low_threads() == 0).await;

    let mut scan = Scan::start(Arc::new(config.watches[0].clone()), reader.clone(), policy);
    // The scan waits for its reader.
    until("a thread has a low priority", async || low_threads() == 1).await;
    let mut files = 0;
    while let Some(batch) = scan.next().await.unwrap() {
        files += batch.len();
    }
    scan.finish().await.unwrap();

    assert_eq!(files, FILES);
    until("no thread has a low priority", async || low_threads() == 0).await;
    reader.close().await;
}

#[tokio::test]
async fn uploads_together_keep_to_the_bandwidth_limit() {
    let world = World::start().await;
    let mut host = Host::new(&world.url());
    host.edit("retry_attempts: 3,", "retry_attempts: 3, bandwidth_limit_mb: 2,");
    for n in 0..4 {
        host.write(format!("{n}"), noise(MIB + n));
    }
    host.write("long", noise(9 * MIB));
    let start = s3up_testkit::CLOCK.start();

    let summary = host.scan().await;

    assert!(summary.is_clean(), "{summary}");
    // 13 MiB at 2 MiB/s, of which half a MiB may pass at once.
    assert!(start.elapsed() >= Duration::from_secs(6), "{:?}", start.elapsed());
    assert!(host.content("long").await == noise(9 * MIB));
}

#[tokio::test]
async fn a_sparse_file_counts_with_its_whole_length_and_is_not_read_beyond_the_limit() {
    let world = World::start().await;
    let mut host = Host::new(&world.url());
    host.edit("retry_attempts: 3,", "retry_attempts: 3, max_file_size_mb: 20,");
    let sparse = |name: &str, bytes: u64| {
        let file = File::create(host.up.join(name)).unwrap();
        file.set_len(bytes).unwrap();
    };
    sparse("disk.img", 1 << 40);
    sparse("holes", 9 << 20);

    let summary = host.scan().await;
    let mut agent = Process::start(&host, &["run"]);
    host.write("after", "after");
    host.until_stored("after", "after").await;
    let peak = agent.peak_memory_bytes();
    agent.terminate();
    assert_eq!(agent.wait().await, Some(0));

    assert_eq!((summary.uploaded, summary.problems), (1, 1), "{summary}");
    let text = Process::output(&host, &["status"]).await.stdout;
    assert!(
        text.contains("expected at most 20 MiB (upload.max_file_size_mb), found 1.0 TiB"),
        "{text}"
    );
    assert!(host.content("holes").await == vec![0; 9 << 20]);
    assert_eq!(host.stored("disk.img").await, None);
    assert!(peak < 150 << 20, "{peak} bytes");
}

#[tokio::test]
async fn files_of_databases_are_stored_and_reported_once() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    host.write("app/users.sqlite3", "a database");
    host.write("app/users.sqlite3-wal", "its log");
    host.write("notes", "notes");
    let mut agent = Process::start(&host, &["run"]);
    host.until_stored("app/users.sqlite3", "a database").await;
    until("the scan is over", async || agent.log().contains("event=scan_done")).await;

    let text = Process::output(&host, &["status"]).await.stdout;
    agent.terminate();
    assert_eq!(agent.wait().await, Some(0));

    let log = agent.log();
    assert_eq!(log.matches("event=live_database").count(), 1, "{log}");
    assert!(log.contains(" files=2 ") && log.contains("/up/app/users.sqlite3"), "{log}");
    assert!(text.contains("\n  files of databases: 2, such as /"), "{text}");
}

/// Returns the number of threads of this process that are nicer than its first one.
fn low_threads() -> usize {
    let nice_of = |stat: PathBuf| {
        // A thread may end meanwhile.
        let text = fs::read_to_string(stat).ok()?;
        // The name, which may have spaces, ends with the last parenthesis.
        text.rsplit(") ").next()?.split(' ').nth(16)?.parse::<i32>().ok()
    };
    let own = nice_of("/proc/self/stat".into()).expect("a nice value");
    let threads = fs::read_dir("/proc/self/task").expect("threads");
    let nice = threads.filter_map(|thread| nice_of(thread.ok()?.path().join("stat")));
    nice.filter(|nice| *nice > own).count()
}
