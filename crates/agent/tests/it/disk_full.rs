//! The disk of the database is full for a while.

use std::fs;
use std::path::Path;

use s3up_testkit::{SmallDisk, btrfs_or_skip};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};

use crate::fixture::{Host, World, until};
use crate::process::Process;

/// Room for a database with some files, and soon filled.
const DISK_BYTES: u64 = 600 << 10;
/// The library's count of transactions was wrong only after some failed writes in a row.
const FAILED_WRITES: usize = 4;
const FILES: usize = 300;

#[tokio::test]
async fn after_a_full_disk_everything_is_recorded_and_committed() {
    if !btrfs_or_skip() {
        return;
    }
    let world = World::start().await;
    let mut host = Host::new(&world.url());
    let disk = SmallDisk::create(DISK_BYTES);
    let database = disk.path().join("client.db");
    let default = host.dir.path().join("state/client.db");
    host.edit(default.to_str().unwrap(), database.to_str().unwrap());
    host.write("first", "first");
    let mut agent = Process::start(&host, &["run"]);
    until("the first file is recorded", async || committed(&database).await == 1).await;

    let ballast = disk.path().join("ballast");
    fill(&ballast);
    for n in 0..FILES {
        host.write(format!("file-{n}"), format!("{n}"));
    }
    let failures = || agent.log().matches("event=database_write_failed").count();
    until("writes have failed", async || failures() >= FAILED_WRITES).await;
    assert!(agent.log().contains("its disk seems to be full"), "{}", agent.log());
    fs::remove_file(&ballast).unwrap();

    // Another connection sees only what is committed.
    until("all is committed", async || committed(&database).await == FILES + 1).await;
    host.write("last", "last");
    until("the last is committed", async || committed(&database).await == FILES + 2).await;
    agent.terminate();
    assert_eq!(agent.wait().await, Some(0), "{}", agent.log());
}

/// Writes until the disk is full.
fn fill(file: &Path) {
    use std::io::Write;
    let mut file = fs::File::create(file).expect("success");
    for size in [64 << 10, 4 << 10, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
}

/// Returns the number of files that another process finds in the database.
async fn committed(database: &Path) -> usize {
    let options = SqliteConnectOptions::new().filename(database).read_only(true);
    // Fails while the agent creates the file, or for want of space.
    let Ok(mut connection) = SqliteConnection::connect_with(&options).await else { return 0 };
    let count = sqlx::query_scalar("SELECT count(*) FROM files").fetch_one(&mut connection).await;
    count.map_or(0, |count: i64| count as usize)
}
