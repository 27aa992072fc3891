//! The deletion of what is older than `activity.keep_days`.

use std::sync::atomic::AtomicU64;

use super::*;
use crate::database::prune::prune_step;

#[tokio::test]
async fn what_is_older_than_keep_days_is_deleted_and_the_catalogue_stays() {
    for server in Server::all() {
        let oldest = NOON - DAY * i64::from(KEEP_DAYS);
        let mut connection = server.location().open().await.unwrap();
        let records = [0, -DAY, -5 * DAY, 400 * DAY].map(|shift| {
            let outcome = UploadOutcome::Stored(entry(1));
            upload(&format!("f{}", shift / DAY), oldest + shift, outcome)
        });
        let id = BatchId { writer: "old".to_owned(), number: 1 };
        write(
            &mut connection,
            &id,
            &Batch::of(&records),
            OrderClock::new(oldest - DAY, Duration::ZERO),
            Duration::ZERO,
        )
        .await
        .unwrap();

        let mut steps = 1;
        while !prune_step(&mut connection, KEEP_DAYS, NOON).await.unwrap() {
            steps += 1;
        }

        assert_eq!(steps, 3, "one for each day of uploads, one to find no more");
        let uploads = server.rows("SELECT path FROM uploads ORDER BY started_at").await;
        assert_eq!(uploads, ["f0", "f400"]);
        let days = server.rows("SELECT day FROM activity ORDER BY day").await;
        assert_eq!(days, ["2024-12-27", "2026-01-31"]);
        assert_eq!(server.rows("SELECT writer FROM batches").await, Vec::<String>::new());
        assert_eq!(server.rows("SELECT path FROM files").await.len(), 4);
    }
}

#[tokio::test]
async fn the_writer_deletes_what_is_too_old_by_itself() {
    for server in Server::all() {
        let old = NOON - DAY * (i64::from(KEEP_DAYS) + 1);
        let mut connection = server.location().open().await.unwrap();
        let batch = Batch::of(&[upload("old", old, UploadOutcome::Cancelled)]);
        let id = BatchId { writer: "old".to_owned(), number: 1 };
        write(&mut connection, &id, &batch, ORDER, Duration::ZERO).await.unwrap();
        connect::close(connection).await;

        let database = server.start("one").await;
        database.record(upload("new", NOON, UploadOutcome::Cancelled));
        let deleted = async {
            while server.rows("SELECT path FROM uploads").await != ["new"] {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };

        // Not after the gateway began to stop.
        tokio::time::timeout(Duration::from_secs(10), deleted).await.expect("it is deleted");

        database.close().await;
    }
}

/// A failure to delete costs no record, and is tried again after a while.
#[tokio::test]
async fn a_prune_that_fails_stops_no_record_and_is_repeated() {
    static SHIFT: AtomicU64 = AtomicU64::new(0);
    const SHIFTED: Clock = Clock {
        wall: CLOCK.wall,
        monotonic: || {
            (s3up_testkit::CLOCK.monotonic)() + Duration::from_secs(SHIFT.load(Ordering::Relaxed))
        },
    };
    for server in Server::all() {
        let mut connection = server.location().open().await.unwrap();
        let old = NOON - DAY * (i64::from(KEEP_DAYS) + 1);
        let batch = Batch::of(&[upload("old", old, UploadOutcome::Cancelled)]);
        let id = BatchId { writer: "old".to_owned(), number: 1 };
        write(&mut connection, &id, &batch, ORDER, Duration::ZERO).await.unwrap();
        for statement in server.refuse_deletes() {
            connection.execute(*statement).await.unwrap();
        }
        let database = start_at(server.location(), "one", SHIFTED).await.unwrap();
        let report = async |day: &str| {
            database.record_report(&web(), day.to_owned(), String::new()).await.unwrap();
        };
        report("2026-01-29").await;
        report("2026-01-30").await;

        assert!(database.is_ready().await, "a failed prune is no failure to write");
        assert_eq!(server.rows("SELECT path FROM uploads").await, ["old"]);
        for statement in server.allow_deletes() {
            connection.execute(*statement).await.unwrap();
        }
        report("2026-01-31").await;
        assert_eq!(server.rows("SELECT path FROM uploads").await, ["old"], "it was repeated early");
        SHIFT.fetch_add(writer::PRUNE_RETRY_DELAY.as_secs(), Ordering::Relaxed);
        report("2026-02-01").await;
        let deleted = async {
            while !server.rows("SELECT path FROM uploads").await.is_empty() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), deleted).await.expect("it is deleted");
        database.close().await;
    }
}

impl Server {
    /// Returns statements after which uploads cannot be deleted.
    fn refuse_deletes(&self) -> &'static [&'static str] {
        match self {
            Server::Sqlite(_) => &["CREATE TRIGGER refuse BEFORE DELETE ON uploads \
                                    BEGIN SELECT RAISE(ABORT, 'refused'); END"],
            Server::Postgres(_) => &[
                "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \
                 $$ BEGIN RAISE EXCEPTION 'refused'; END $$",
                "CREATE TRIGGER refuse BEFORE DELETE ON uploads EXECUTE FUNCTION refuse()",
            ],
        }
    }

    fn allow_deletes(&self) -> &'static [&'static str] {
        match self {
            Server::Sqlite(_) => &["DROP TRIGGER refuse"],
            Server::Postgres(_) => &["DROP TRIGGER refuse ON uploads"],
        }
    }
}
