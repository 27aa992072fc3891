//! Records that the database refuses, among others that it takes.

use super::*;

impl Server {
    /// Makes the database refuse any row of `table` whose `column` is `culprit`.
    async fn refuse_culprits(&self, table: &str, column: &str) {
        let sql = match self {
            Server::Sqlite(_) => format!(
                "CREATE TRIGGER refuse_{table} BEFORE INSERT ON {table} WHEN NEW.{column} = 'culprit' \
                 BEGIN SELECT RAISE(ABORT, 'a culprit'); END"
            ),
            Server::Postgres(_) => {
                format!(
                    "ALTER TABLE {table} ADD CONSTRAINT refuse_{table} CHECK ({column} <> 'culprit')"
                )
            }
        };
        let mut connection = self.location().open().await.unwrap();
        connection.execute(sqlx::AssertSqlSafe(sql)).await.unwrap();
    }
}

#[tokio::test]
async fn a_record_that_the_database_refuses_is_dropped_and_all_others_are_committed() {
    for server in Server::all() {
        let database = server.start("one").await;
        server.refuse_culprits("files", "path").await;
        server.refuse_culprits("uploads", "path").await;
        database.record(Record::KeyKnown { client: web(), key: Sha256Digest::of(b"key"), at: 5 });
        database.record(Record::Complete { client: web(), at: 5 });
        let change = |path: &str, size| {
            let Record::Upload(mut upload) = upload(path, NOON, UploadOutcome::Stored(entry(size)))
            else {
                unreachable!()
            };
            upload.change = size.cast_signed();
            Record::Upload(upload)
        };
        for n in 0..300 {
            let path = if n % 100 == 77 { "culprit".to_owned() } else { format!("f{n}") };
            database.record(change(&path, 10));
        }
        database.record_heartbeat(&web(), "{}".to_owned(), None).unwrap();

        let report = database.record_report(&web(), "2026-01-30".to_owned(), String::new()).await;

        assert!(report.is_ok(), "{report:?}");
        let all = async |sql| server.rows(sql).await;
        assert_eq!(all("SELECT count(*) FROM files").await, ["297"]);
        assert_eq!(all("SELECT stored, stored_bytes FROM activity").await, ["297|2970"]);
        assert_eq!(all("SELECT files, bytes FROM totals").await, ["297|2970"]);
        assert_eq!(all("SELECT count(*) FROM heartbeats").await, ["1"]);
        assert!(database.is_ready().await, "the database is not away");
        let counts = database.record_counts();
        let want = RecordCounts { pending: 0, dropped: 3, failed_writes: 0 };
        assert_eq!(counts, want);
        let usage = database.usage(&web()).await;
        assert_eq!(usage.left(&web(), 3000), Some(30), "a culprit counts for the quota");
        database.close().await;
        assert_eq!(
            all("SELECT complete_since FROM clients").await,
            [""],
            "three files are missing"
        );
    }
}

#[tokio::test]
async fn a_report_that_the_database_refuses_is_refused_for_good() {
    for server in Server::all() {
        let database = server.start("one").await;
        server.refuse_culprits("reports", "body").await;

        let report =
            database.record_report(&web(), "2026-01-30".to_owned(), "culprit".to_owned()).await;

        assert_eq!(report.map_err(|refusal| refusal.code), Err(Code::BadRequest));
        assert_eq!(database.record_counts().dropped, 1);
        database.close().await;
    }
}

#[tokio::test]
async fn a_postgresql_that_is_away_costs_no_record_although_one_is_refused() {
    let Some(postgres) = postgres_or_skip() else { return };
    let server = Server::Postgres(postgres);
    let Server::Postgres(postgres) = &server else { unreachable!() };
    let database = server.start("one").await;
    server.refuse_culprits("uploads", "path").await;
    database.record_report(&web(), "2026-01-30".to_owned(), String::new()).await.unwrap();

    postgres.stop();
    for path in ["a", "culprit", "b"] {
        database.record(upload(path, NOON, UploadOutcome::Cancelled));
    }
    until_failures(&database, 2).await;
    assert_eq!(database.record_counts().dropped, 0);
    postgres.start();
    database.record_report(&web(), "2026-01-31".to_owned(), String::new()).await.unwrap();

    assert_eq!(postgres.query("SELECT path FROM uploads ORDER BY path"), "a\nb");
    assert_eq!(database.record_counts().dropped, 1);
    database.close().await;
}
