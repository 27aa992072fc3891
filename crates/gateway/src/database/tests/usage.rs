//! The totals of clients, and their quotas.

use super::*;

#[tokio::test]
async fn the_total_of_a_client_follows_the_newest_versions_of_its_files() {
    for server in Server::all() {
        let mut connection = server.location().open().await.unwrap();
        let mut number = 0;
        let mut store = async |seconds, path, size| {
            number += 1;
            let Record::Upload(mut upload) = upload(path, NOON, UploadOutcome::Stored(entry(size)))
            else {
                unreachable!()
            };
            upload.newest_at = Duration::from_secs(seconds);
            let id = BatchId { writer: "one".to_owned(), number };
            let batch = Batch::of(&[Record::Upload(upload)]);
            write(&mut connection, &id, &batch, ORDER, Duration::ZERO).await.unwrap()
        };
        #[rustfmt::skip]
        let steps = [
            // at  path  size  total
            (10,   "a",  100,  100),
            (11,   "b",  20,   120),
            (12,   "a",  70,   90),
            (9,    "b",  999,  90),
            (13,   "b",  0,    70),
            (14,   "b",  0,    70),
        ];
        for (at, path, size, total) in steps {
            assert_eq!(store(at, path, size).await, [(web(), total)], "{path} {size}");
        }

        let totals = "SELECT client, files, bytes FROM totals";
        assert_eq!(server.rows(totals).await, ["web|2|70"]);
    }
}

#[tokio::test]
async fn a_quota_counts_what_is_stored_before_and_after_it_is_written() {
    for server in Server::all() {
        let (one, other) = (server.start("one").await, server.start("other").await);
        let left = async |database: &Database| database.usage(&web()).await.left(&web(), 1000);
        assert_eq!(left(&one).await, Some(1000));
        let Record::Upload(mut upload) = upload("a", NOON, UploadOutcome::Stored(entry(300)))
        else {
            unreachable!()
        };
        upload.change = 300;
        let held = one.usage(&web()).await.reserve(&web(), 1000, 300).unwrap();
        one.record(Record::Upload(upload));
        drop(held);
        assert_eq!(left(&one).await, Some(700), "before or after it is written");
        one.record_report(&web(), "2026-01-30".to_owned(), String::new()).await.unwrap();

        assert_eq!(left(&one).await, Some(700));
        assert_eq!(left(&other).await, Some(700));
        one.close().await;
        other.close().await;
    }
}

#[tokio::test]
async fn a_path_is_new_only_in_a_complete_catalogue() {
    for server in Server::all() {
        let database = server.start("one").await;
        let path = |text| RemotePath::parse(text).unwrap();
        let (a, b) = (path("a"), path("b"));
        let commit = async |day: &str| {
            database.record_report(&web(), day.to_owned(), String::new()).await.unwrap();
        };
        database.record(Record::KeyKnown { client: web(), key: Sha256Digest::of(b"key"), at: 5 });
        commit("2026-01-28").await;
        assert!(!database.is_new(&web(), &a).await, "it may lack files");

        database.record(Record::Complete { client: web(), at: 6 });
        commit("2026-01-29").await;
        assert!(database.is_complete(&web()).await.unwrap() && database.is_new(&web(), &a).await);
        database.record(upload("a", NOON, UploadOutcome::Stored(entry(1))));
        assert!(!database.is_new(&web(), &a).await, "it is not written yet");
        commit("2026-01-30").await;
        assert!(!database.is_new(&web(), &a).await && database.is_new(&web(), &b).await);

        let bodies = "x".repeat(4 << 20);
        while database.record_heartbeat(&web(), bodies.clone(), None).is_ok() {}
        // The next batch notes that records were dropped.
        let noted = async {
            while database.is_new(&web(), &b).await {
                database.record(upload("c", NOON, UploadOutcome::Cancelled));
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), noted).await.expect("it is noted");
        database.close().await;
    }
}
