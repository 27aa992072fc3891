//! Rebuilds of the catalogue, beside gateways that write it too.

use super::*;
use crate::database::rebuild::RebuildDatabase;
use crate::database::rebuild::rows::{
    ChangedRows, FileTotal, RebuildPage, RebuildPosition, RowChange,
};

/// A clock that shows the time a day after [`NOON`].
const NEXT_DAY: Clock = Clock {
    wall: || UNIX_EPOCH + Duration::from_millis((NOON + DAY).cast_unsigned()),
    monotonic: s3up_testkit::CLOCK.monotonic,
};

const ORIGIN: &str = "aws backups sites/";
const FILES: &str = "SELECT path, size, sha256, uploaded_at FROM files ORDER BY path";
const TOTALS: &str = "SELECT client, files, bytes FROM totals";

fn path(text: &str) -> RemotePath {
    RemotePath::parse(text).unwrap()
}

/// Returns a page with the change of one file.
fn page(text: &str, change: RowChange) -> RebuildPage {
    let changes = [(path(text), change)].into();
    RebuildPage { examined: vec![path(text)], changes, position: RebuildPosition::default() }
}

/// Writes a version of a file as a gateway does, `seconds` after [`NOON`].
async fn store(server: &Server, number: i64, seconds: u64, name: &str, size: u64) {
    let mut connection = server.location().open().await.unwrap();
    let Record::Upload(mut upload) = upload(name, NOON, UploadOutcome::Stored(entry(size))) else {
        unreachable!()
    };
    upload.newest_at = Duration::from_secs(seconds);
    let id = BatchId { writer: "gateway".to_owned(), number };
    let batch = Batch::of(&[Record::Upload(upload)]);
    write(&mut connection, &id, &batch, ORDER, Duration::ZERO).await.unwrap();
}

fn unknown(size: u64) -> CatalogueEntry {
    CatalogueEntry { sha256: None, etag: "\"listed\"".to_owned(), ..entry(size) }
}

#[tokio::test]
async fn a_row_that_a_gateway_writes_meanwhile_is_not_changed() {
    for server in Server::all() {
        store(&server, 1, 1, "known", 10).await;
        let mut database = RebuildDatabase::open(server.location(), CLOCK).await.unwrap();
        database.begin(&web(), ORIGIN).await.unwrap();
        let rows = database.rows(&web(), &[path("known"), path("new")]).await.unwrap();
        let before = rows[&path("known")].clone();
        store(&server, 2, 2, "known", 20).await;
        store(&server, 3, 2, "new", 5).await;

        let update = RowChange::Update { before: before.clone(), entry: unknown(99) };
        for change in [update, RowChange::Remove { before }] {
            let done = database.commit(&web(), page("known", change)).await.unwrap();
            assert_eq!(done, ChangedRows::default());
        }
        let insert = page("new", RowChange::Insert(unknown(99)));
        assert_eq!(database.commit(&web(), insert).await.unwrap(), ChangedRows::default());

        let digest = Sha256Digest::of(b"content");
        let at = NOON + 2000;
        let want = [format!("known|20|{digest}|{at}"), format!("new|5|{digest}|{at}")];
        assert_eq!(server.rows(FILES).await, want);
        assert_eq!(server.rows(TOTALS).await, ["web|2|25"]);
    }
}

/// The clock of the gateway does not matter: the records of versions that a rebuild has found may
/// be written after it.
#[tokio::test]
async fn a_record_that_is_written_after_a_rebuild_replaces_its_row() {
    for server in Server::all() {
        let mut database = RebuildDatabase::open(server.location(), CLOCK).await.unwrap();
        database.begin(&web(), ORIGIN).await.unwrap();
        let insert = page("a", RowChange::Insert(unknown(7)));
        let done = database.commit(&web(), insert).await.unwrap();
        assert_eq!(done, ChangedRows { added: 1, ..ChangedRows::default() });
        assert_eq!(server.rows(FILES).await, ["a|7||0"]);
        assert_eq!(server.rows(TOTALS).await, ["web|1|7"]);

        let mut connection = server.location().open().await.unwrap();
        let id = BatchId { writer: "gateway".to_owned(), number: 1 };
        let batch = Batch::of(&[upload("a", NOON, UploadOutcome::Stored(entry(7)))]);
        let long_ago = OrderClock::shows(1);
        write(&mut connection, &id, &batch, long_ago, Duration::ZERO).await.unwrap();

        let digest = Sha256Digest::of(b"content");
        assert_eq!(server.rows(FILES).await, [format!("a|7|{digest}|1")]);
        let rows = database.rows(&web(), &[path("a")]).await.unwrap();
        let before = rows[&path("a")].clone();
        let update = RowChange::Update { before: before.clone(), entry: unknown(9) };
        database.commit(&web(), page("a", update)).await.unwrap();
        assert_eq!(server.rows(FILES).await, ["a|9||1"], "its time is the one before");
        assert_eq!(server.rows(TOTALS).await, ["web|1|9"]);
    }
}

#[tokio::test]
async fn a_finished_rebuild_counts_again_and_is_complete_unless_records_were_lost() {
    for server in Server::all() {
        for name in ["a", "b"] {
            store(&server, name.len() as i64 + i64::from(name == "b"), 1, name, 10).await;
        }
        let complete = "SELECT client FROM clients WHERE complete_since IS NOT NULL";
        for loses in [true, false] {
            let mut database = RebuildDatabase::open(server.location(), CLOCK).await.unwrap();
            database.begin(&web(), ORIGIN).await.unwrap();
            server.execute("UPDATE totals SET files = 77, bytes = 12345").await;
            if loses {
                let mut connection = server.location().open().await.unwrap();
                crate::database::write::forget_completeness(&mut connection).await.unwrap();
            }

            let total = database.finish(&web(), true).await.unwrap();

            assert_eq!(total, FileTotal { files: 2, bytes: 20 });
            assert_eq!(server.rows(TOTALS).await, ["web|2|20"]);
            let want: &[&str] = if loses { &[] } else { &["web"] };
            assert_eq!(server.rows(complete).await, want, "lost: {loses}");
        }
        assert_eq!(server.rows("SELECT client FROM rebuilds").await, Vec::<String>::new());
        assert_eq!(server.rows("SELECT path FROM rebuild_paths").await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn an_unfinished_rebuild_is_resumed_within_a_day_and_then_started_over() {
    for server in Server::all() {
        store(&server, 1, 1, "listed", 10).await;
        store(&server, 2, 1, "not listed", 10).await;
        let after = Some("sites/web/listed".to_owned());
        let position = RebuildPosition { after, is_listed: false, not_examined: 3 };
        let mut database = RebuildDatabase::open(server.location(), CLOCK).await.unwrap();
        assert_eq!(database.begin(&web(), ORIGIN).await.unwrap(), RebuildPosition::default());
        let listed = || RebuildPage {
            examined: vec![path("listed")],
            changes: BTreeMap::new(),
            position: position.clone(),
        };
        database.commit(&web(), listed()).await.unwrap();

        let mut again = RebuildDatabase::open(server.location(), CLOCK).await.unwrap();
        assert_eq!(again.begin(&web(), ORIGIN).await.unwrap(), position);
        let (last, rows) = again.unlisted(&web(), "").await.unwrap().unwrap();
        assert_eq!((last.as_str(), rows.len()), ("not listed", 1));
        assert_eq!(again.unlisted(&web(), &last).await.unwrap(), None);

        let elsewhere = again.begin(&web(), "aws other sites/").await.unwrap();
        assert_eq!(elsewhere, RebuildPosition::default());
        let (_, rows) = again.unlisted(&web(), "").await.unwrap().unwrap();
        assert_eq!(rows.len(), 2, "what another bucket has does not count as listed");
        again.commit(&web(), listed()).await.unwrap();

        let mut later = RebuildDatabase::open(server.location(), NEXT_DAY).await.unwrap();
        assert_eq!(later.begin(&web(), ORIGIN).await.unwrap(), RebuildPosition::default());
        let (_, rows) = later.unlisted(&web(), "").await.unwrap().unwrap();
        assert_eq!(rows.len(), 2, "nothing counts as listed");
    }
}
