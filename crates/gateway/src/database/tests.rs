//! The same tests on SQLite and on PostgreSQL. Rows are read on a connection of their own, so that
//! only what is committed counts.

mod fleet;
mod incidents;
mod prune;
mod rebuild;
mod refused;
mod turns;
mod usage;

use std::time::UNIX_EPOCH;

use s3up_testkit::{Postgres, SmallDisk, postgres_or_skip, root_or_skip};
use sqlx::{AnyConnection, ConnectOptions, Executor, Row};
use tempfile::TempDir;

use super::batch::Batch;
use super::order_clock::OrderClock;
use super::record::{UploadOutcome, UploadRecord};
use super::write::{BatchId, write};
use super::*;

const KEEP_DAYS: u32 = 400;
const DAY: Millis = 86_400_000;
/// 2026-01-31, noon.
const NOON: Millis = 1_769_860_800_000;

/// A clock that always shows [`NOON`].
const CLOCK: Clock = Clock {
    wall: || UNIX_EPOCH + Duration::from_millis(NOON.cast_unsigned()),
    monotonic: s3up_testkit::CLOCK.monotonic,
};

const ORDER: OrderClock = OrderClock::shows(NOON);

enum Server {
    Sqlite(TempDir),
    Postgres(Postgres),
}

impl Server {
    /// Returns SQLite, and PostgreSQL where it is installed.
    fn all() -> Vec<Server> {
        let sqlite = Server::Sqlite(tempfile::tempdir().unwrap());
        [sqlite].into_iter().chain(postgres_or_skip().map(Server::Postgres)).collect()
    }

    fn location(&self) -> Location {
        match self {
            Server::Sqlite(directory) => Location::Sqlite(directory.path().join("new/gateway.db")),
            Server::Postgres(server) => Location::Postgres(s3up_cli::Secret::new(server.url())),
        }
    }

    async fn start(&self, name: &str) -> Database {
        start(self.location(), name).await.unwrap()
    }

    async fn rows(&self, sql: &'static str) -> Vec<String> {
        rows(&self.location(), sql).await
    }

    async fn execute(&self, sql: &'static str) {
        self.location().open().await.unwrap().execute(sql).await.unwrap();
    }
}

async fn start(location: Location, name: &str) -> Result<Database, DatabaseError> {
    start_at(location, name, CLOCK).await
}

async fn start_at(location: Location, name: &str, clock: Clock) -> Result<Database, DatabaseError> {
    let settings = DatabaseSettings { location, keep_days: KEEP_DAYS, freezes_file: None };
    Database::start(settings, name.to_owned(), clock).await
}

/// Returns the rows of a query: the values of a row separated by `|`.
async fn rows(location: &Location, sql: &'static str) -> Vec<String> {
    let mut connection = location.open().await.unwrap();
    let rows = connection.fetch_all(sql).await.unwrap();
    rows.iter().map(text_of).collect()
}

fn text_of(row: &sqlx::any::AnyRow) -> String {
    let value = |n| match row.try_get::<Option<i64>, _>(n) {
        Ok(number) => number.map(|number| number.to_string()).unwrap_or_default(),
        Err(_) => row.try_get::<Option<String>, _>(n).unwrap().unwrap_or_default(),
    };
    (0..row.len()).map(value).collect::<Vec<_>>().join("|")
}

fn web() -> ClientName {
    ClientName::parse("web").unwrap()
}

fn entry(size: u64) -> CatalogueEntry {
    CatalogueEntry {
        size,
        sha256: Some(Sha256Digest::of(b"content")),
        mtime_ns: Some(-5),
        mode: Some(0o644),
        etag: "\"e1\"".to_owned(),
        version_id: Some("v1".to_owned()),
    }
}

fn upload(path: &str, at: Millis, outcome: UploadOutcome) -> Record {
    let path = RemotePath::parse(path).unwrap();
    let newest_at = Duration::ZERO;
    let record = UploadRecord {
        client: web(),
        path,
        started_at: at,
        elapsed_ms: 30,
        newest_at,
        change: 0,
        outcome,
    };
    Record::Upload(Box::new(record))
}

#[tokio::test]
async fn what_the_gateway_did_is_committed_when_it_stops() {
    for server in Server::all() {
        let database = server.start("one").await;
        let key = Sha256Digest::of(b"key");
        database.record(Record::KeyKnown { client: web(), key, at: 5 });
        database.record_key_use(&web(), key, true);
        database.record_key_use(&web(), key, true);
        database.record(upload("a/é", NOON, UploadOutcome::Stored(entry(10))));
        database.record(upload("b", NOON, UploadOutcome::Refused(Code::TooLarge)));
        database.record(Record::Download { client: web(), bytes: 7, at: NOON });
        database.record_heartbeat(&web(), r#"{"n":1}"#.to_owned(), None).unwrap();
        database.record_heartbeat(&web(), r#"{"n":2}"#.to_owned(), None).unwrap();
        let report = r#"{"reason":"\u0000"}"#.to_owned();
        database.record_report(&web(), "2026-01-30".to_owned(), report).await.unwrap();

        database.close().await;

        let all = async |sql| server.rows(sql).await;
        let hex = Sha256Digest::of(b"content");
        assert_eq!(
            all("SELECT client, created_at, last_seen_at FROM clients").await,
            [format!("web|5|{NOON}")]
        );
        assert_eq!(all("SELECT * FROM keys").await, [format!("{key}|web|5|{NOON}")]);
        let file = format!("web|a/é|10|{hex}|-5|420|\"e1\"|v1");
        let files =
            "SELECT client, path, size, sha256, mtime_ns, mode, etag, version_id FROM files";
        assert_eq!(all(files).await, [file]);
        let uploads =
            [format!("web|a/é|{NOON}|30|10|stored"), format!("web|b|{NOON}|30||too_large")];
        assert_eq!(all("SELECT * FROM uploads ORDER BY path").await, uploads);
        assert_eq!(all("SELECT * FROM activity").await, ["web|2026-01-31|1|10|0|1|0|1|7"]);
        assert_eq!(all("SELECT client, body FROM heartbeats").await, [r#"web|{"n":2}"#]);
        let report = r#"web|2026-01-30|{"reason":"\u0000"}"#;
        assert_eq!(all("SELECT client, day, body FROM reports").await, [report]);
    }
}

#[tokio::test]
async fn an_older_version_never_replaces_a_newer_one_of_another_gateway() {
    for server in Server::all() {
        let mut connection = server.location().open().await.unwrap();
        let stored_at = |seconds, size| {
            let Record::Upload(mut upload) = upload("a", NOON, UploadOutcome::Stored(entry(size)))
            else {
                unreachable!()
            };
            upload.newest_at = Duration::from_secs(seconds);
            Batch::of(&[Record::Upload(upload)])
        };
        for (writer, seconds, size) in [("one", 20, 20), ("other", 10, 10)] {
            let id = BatchId { writer: writer.to_owned(), number: 1 };
            let batch = stored_at(seconds, size);
            write(&mut connection, &id, &batch, ORDER, Duration::ZERO).await.unwrap();
        }

        assert_eq!(server.rows("SELECT path, size FROM files").await, ["a|20"]);
        assert_eq!(server.rows("SELECT stored, stored_bytes FROM activity").await, ["2|30"]);
    }
}

/// The clock of the second gateway is an hour behind, or it was set back before a restart.
#[tokio::test]
async fn the_newest_upload_wins_whatever_the_clock_of_its_gateway_shows() {
    const BEHIND: Clock = Clock {
        wall: || UNIX_EPOCH + Duration::from_millis((NOON - DAY / 24).cast_unsigned()),
        monotonic: s3up_testkit::CLOCK.monotonic,
    };
    for server in Server::all() {
        for (clock, size) in [(CLOCK, 1), (BEHIND, 2), (CLOCK, 3), (BEHIND, 4)] {
            let database = start_at(server.location(), &format!("run {size}"), clock).await;
            let database = database.unwrap();
            let path = RemotePath::parse("a").unwrap();
            let (started_at, newest_at) = (database.now(), database.elapsed());
            let outcome = UploadOutcome::Stored(entry(size));
            let upload = UploadRecord {
                client: web(),
                path,
                started_at,
                elapsed_ms: 0,
                newest_at,
                change: 0,
                outcome,
            };
            database.record(Record::Upload(Box::new(upload)));
            database.close().await;

            let found = server.rows("SELECT size FROM files").await;
            assert_eq!(found, [size.to_string()]);
        }
    }
}

#[tokio::test]
async fn a_batch_whose_answer_was_lost_is_written_once() {
    for server in Server::all() {
        let mut connection = server.location().open().await.unwrap();
        let batch = Batch::of(&[upload("a", NOON, UploadOutcome::Stored(entry(10)))]);
        let id = |number| BatchId { writer: "one".to_owned(), number };

        for number in [1, 1, 2] {
            write(&mut connection, &id(number), &batch, ORDER, Duration::ZERO).await.unwrap();
        }

        assert_eq!(server.rows("SELECT stored, stored_bytes FROM activity").await, ["2|20"]);
    }
}

#[tokio::test]
async fn the_catalogue_returns_the_entries_that_it_has() {
    for server in Server::all() {
        let database = server.start("one").await;
        for n in 0..1500 {
            database.record(upload(&format!("f{n}"), NOON, UploadOutcome::Stored(entry(n))));
        }
        database.record_report(&web(), "2026-01-30".to_owned(), String::new()).await.unwrap();
        let paths: Vec<_> =
            (0..3000).map(|n| RemotePath::parse(&format!("f{n}")).unwrap()).collect();

        let found = database.entries(&web(), &paths).await;
        let of_another = database.entries(&ClientName::parse("api").unwrap(), &paths).await;

        assert_eq!(found.len(), 1500);
        assert_eq!(found[&paths[7]], entry(7));
        assert!(of_another.is_empty());
        database.close().await;
    }
}

#[tokio::test]
async fn a_database_of_a_newer_gateway_is_refused_and_not_changed() {
    for server in Server::all() {
        let mut connection = server.location().open().await.unwrap();
        let newer = "INSERT INTO _sqlx_migrations \
                     (version, description, success, checksum, execution_time) \
                     SELECT 9999, description, success, checksum, 1 FROM _sqlx_migrations WHERE version = 1";
        connection.execute(newer).await.unwrap();

        let refused = start(server.location(), "one").await.err().expect("an error");

        assert!(matches!(refused, DatabaseError::Newer(_)), "{refused:?}");
        assert!(refused.to_string().contains("newer s3up-server"), "{refused}");
    }
}

#[tokio::test]
async fn a_postgresql_that_was_away_gets_every_record_once() {
    let Some(postgres) = postgres_or_skip() else { return };
    let server = Server::Postgres(postgres);
    let Server::Postgres(postgres) = &server else { unreachable!() };
    let database = server.start("one").await;
    database.record(upload("a", NOON, UploadOutcome::Stored(entry(1))));
    database.record_report(&web(), "2026-01-30".to_owned(), String::new()).await.unwrap();
    assert!(database.is_ready().await);

    postgres.stop();
    database.record(upload("b", NOON, UploadOutcome::Stored(entry(2))));
    until_failures(&database, 1).await;
    assert!(!database.is_ready().await);
    assert!(database.entries(&web(), &[RemotePath::parse("a").unwrap()]).await.is_empty());
    postgres.start();
    database.record_report(&web(), "2026-01-31".to_owned(), String::new()).await.unwrap();

    assert!(database.is_ready().await);
    assert_eq!(postgres.query("SELECT path, size FROM files ORDER BY path"), "a|1\nb|2");
    assert_eq!(postgres.query("SELECT stored, stored_bytes FROM activity"), "2|3");
    database.close().await;
}

#[tokio::test]
async fn after_a_disk_that_was_full_at_the_commit_every_record_is_committed() {
    if !root_or_skip() {
        return;
    }
    // More than fits into pages that the database has already.
    let records = (0..400)
        .map(|n| upload(&format!("{n}/{}", "x".repeat(200)), NOON, UploadOutcome::Cancelled));
    after_a_full_disk(900 << 10, records.collect(), "SELECT count(*) FROM uploads", "401").await;
}

#[tokio::test]
async fn after_a_disk_that_was_full_within_a_statement_every_record_is_committed() {
    if !root_or_skip() {
        return;
    }
    // More than the page cache of SQLite, which then writes before the commit, and rolls back by
    // itself where it cannot.
    let body = "x".repeat(3 << 20);
    let records = ["a", "b"].map(|name| {
        let client = ClientName::parse(name).unwrap();
        Record::Heartbeat { client, body: body.as_str().into(), watches: None, at: NOON }
    });
    after_a_full_disk(24 << 20, records.into(), "SELECT count(*) FROM heartbeats", "2").await;
}

/// Records on a disk that is full, frees it, and expects all to be committed.
async fn after_a_full_disk(disk_bytes: u64, records: Vec<Record>, query: &'static str, want: &str) {
    let disk = SmallDisk::create(disk_bytes);
    let location = Location::Sqlite(disk.path().join("gateway.db"));
    let database = start(location.clone(), "one").await.unwrap();
    database.record(upload("a", NOON, UploadOutcome::Cancelled));
    database.record_report(&web(), "2026-01-30".to_owned(), String::new()).await.unwrap();

    let ballast = disk.path().join("ballast");
    let full = std::fs::write(&ballast, vec![1; usize::try_from(disk_bytes).unwrap()]);
    assert!(full.is_err(), "the disk is not full");
    for record in records {
        assert!(database.record(record));
    }
    // On one connection the second failure would leave a transaction open for good: the driver
    // opens a savepoint in what it believes to be the first one.
    until_failures(&database, 3).await;
    assert!(!database.is_ready().await);
    std::fs::remove_file(&ballast).unwrap();
    database.record_report(&web(), "2026-01-31".to_owned(), String::new()).await.unwrap();

    assert_eq!(rows(&location, query).await, [want]);
    let mut other: AnyConnection = location.options().unwrap().connect().await.unwrap();
    other.execute("DELETE FROM reports").await.expect("no lock is held");
    assert!(database.is_ready().await);
    database.close().await;
}

#[tokio::test]
async fn what_the_queue_cannot_hold_is_dropped_and_the_caller_does_not_wait() {
    let directory = tempfile::tempdir().unwrap();
    let occupied = directory.path().join("file");
    std::fs::write(&occupied, "").unwrap();
    let database = start(Location::Sqlite(occupied.join("gateway.db")), "one").await.unwrap();
    let body = "x".repeat(4 << 20);

    let queued =
        (0..9).filter(|_| database.record_heartbeat(&web(), body.clone(), None).is_ok()).count();

    assert_eq!(queued, 3, "of 4 MiB each in 16 MiB");
    assert_eq!(database.0.status.dropped.load(Ordering::Relaxed), 6);
    let uploads = (0..1000).map(|n| upload(&n.to_string(), NOON, UploadOutcome::Cancelled));
    assert!(uploads.into_iter().all(|upload| database.record(upload)), "reports took their room");
    assert!(!database.is_ready().await);
    database.close().await;
    let lost = database.0.status.pending.load(Ordering::Relaxed);
    assert_eq!(lost, 1003, "they are reported as lost");
}

/// Waits until this number of tries to write have failed.
async fn until_failures(database: &Database, count: u64) {
    let failing = async {
        while database.0.status.failures.load(Ordering::Relaxed) < count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), failing).await.expect("a failure");
}
