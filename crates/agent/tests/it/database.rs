//! The database: of an older agent, of a newer one, damaged, or not ours.

use std::fs;
use std::path::PathBuf;

use s3up::agent::Agent;
use s3up_devstore::Op;
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};

use crate::fixture::{Host, World, noise};

/// The schema of older agents.
const OLD: &str = "
    CREATE TABLE files (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        local_path TEXT UNIQUE NOT NULL,
        remote_path TEXT NOT NULL,
        file_size INTEGER NOT NULL,
        mtime INTEGER NOT NULL,
        uploaded_at INTEGER NOT NULL
    );
    CREATE INDEX idx_files_local_path ON files(local_path);";

#[tokio::test]
async fn a_database_of_an_older_agent_keeps_its_rows_and_gets_the_new_schema() {
    let world = World::start().await;
    let mut host = Host::new(&world.url());
    host.edit("upload_existing: true", "upload_existing: false");
    host.write("known", "known");
    host.write("never seen", "x");
    let local = host.up.join("known").display().to_string();
    let row = format!(
        "INSERT INTO files (local_path, remote_path, file_size, mtime, uploaded_at) \
         VALUES ('{local}', 'uploads/known', 5, 1700000000, 1700000001)"
    );
    sql(&host, &[OLD, &row]).await;

    let summary = host.scan().await;

    assert!(summary.is_clean(), "{summary}");
    assert_eq!(summary.uploaded, 1, "the row of the older agent was not confirmed");
    assert_eq!(host.content("known").await, b"known");
    let total = host.status().await.total;
    assert_eq!((total.protected.files, total.baseline.files), (1, 1));
    let mut database = connect(&host).await;
    let (id, size): (i64, i64) =
        sqlx::query_as("SELECT id, file_size FROM files WHERE remote_path = 'uploads/known'")
            .fetch_one(&mut database)
            .await
            .unwrap();
    assert_eq!((id, size), (1, 5), "the columns of the older agent changed");
}

#[tokio::test]
async fn a_row_of_an_older_agent_is_protected_once_the_gateway_confirms_it() {
    let world = World::start().await;
    let mut host = Host::new(&world.url());
    host.write("known", "known");
    host.scan().await;
    let version = host.stored("known").await.unwrap().version_id;
    fs::remove_dir_all(host.dir.path().join("state")).unwrap();
    host.edit("upload_existing: true", "upload_existing: false");
    host.write("never seen", "x");
    let local = host.up.join("known").display().to_string();
    let row = format!(
        "INSERT INTO files (local_path, remote_path, file_size, mtime, uploaded_at) \
         VALUES ('{local}', 'uploads/known', 5, 1700000000, 1700000001)"
    );
    sql(&host, &[OLD, &row]).await;

    let summary = host.scan().await;

    assert!(summary.is_clean(), "{summary}");
    assert_eq!(host.stored("known").await.unwrap().version_id, version, "it was sent again");
    let total = host.status().await.total;
    assert_eq!((total.protected.files, total.baseline.files), (1, 1));
}

#[tokio::test]
async fn a_row_of_an_older_agent_is_confirmed_by_the_md5_of_an_object_of_another_tool() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    let long = noise(9 << 20);
    #[rustfmt::skip]
    let cases = [
        // name      on disk           in the bucket
        ("short",    b"same".to_vec(), b"same".to_vec()),
        ("empty",    b"".to_vec(),     b"".to_vec()),
        ("edited",   b"new!".to_vec(), b"same".to_vec()),
        ("long",     long.clone(),     long),
    ];
    let mut statements = vec![OLD.to_owned()];
    for (name, disk, bucket) in &cases {
        host.write(name, disk);
        world.put_object(&format!("uploads/{name}"), bucket).await;
        statements.push(format!(
            "INSERT INTO files (local_path, remote_path, file_size, mtime, uploaded_at) \
             VALUES ('{}/{name}', 'uploads/{name}', {}, 1700000000, 1700000001)",
            host.up.display(),
            disk.len(),
        ));
    }
    sql(&host, &statements.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let before = host.stored("short").await.unwrap();
    let calls = [Op::PutObject, Op::CreateMultipartUpload].map(|op| world.calls(op));

    let summary = host.scan().await;

    assert!(summary.is_clean(), "{summary}");
    assert_eq!(before.md5.as_deref(), Some("51037a4a37730f52c8732586d3aaa316"));
    let sent = [Op::PutObject, Op::CreateMultipartUpload].map(|op| world.calls(op));
    assert_eq!(sent, [calls[0] + 1, calls[1]], "only the edited file is sent again");
    for (name, disk, _) in &cases {
        assert!(host.content(name).await == *disk, "{name}");
    }
    assert_eq!(host.status().await.total.protected.files, 4);
}

#[tokio::test]
async fn the_columns_of_older_agents_keep_their_meaning() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    host.write("a\nb", "text");
    host.scan().await;

    let mut database = connect(&host).await;
    let row: (String, String, i64, i64, i64) =
        sqlx::query_as("SELECT local_path, remote_path, file_size, mtime, uploaded_at FROM files")
            .fetch_one(&mut database)
            .await
            .unwrap();

    let modified = fs::metadata(host.up.join("a\nb")).unwrap().modified().unwrap();
    let mtime = modified.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
    assert_eq!(row.0, format!("{}/a%0Ab", host.up.display()));
    assert_eq!((row.1.as_str(), row.2, row.3), ("uploads/a%0Ab", 4, mtime));
    assert!((mtime..mtime + 60).contains(&row.4), "uploaded at {}, written at {mtime}", row.4);
}

#[tokio::test]
async fn a_file_with_new_metadata_only_keeps_the_time_of_its_upload() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    host.write("file", "text");
    host.scan().await;
    sql(&host, &["UPDATE files SET uploaded_at = 42"]).await;
    let file = fs::File::options().write(true).open(host.up.join("file")).unwrap();
    file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(7)).unwrap();

    host.scan().await;

    let mut database = connect(&host).await;
    let times: (i64, i64) = sqlx::query_as("SELECT mtime, uploaded_at FROM files")
        .fetch_one(&mut database)
        .await
        .unwrap();
    assert_eq!(times, (7, 42));
}

#[tokio::test]
async fn a_damaged_database_is_refused_with_advice_and_does_not_change() {
    let host = Host::new("https://backup.example");
    host.assert_refused_as_damaged(
        b"this is no database, but long enough to look like one ".repeat(99),
    )
    .await;
    let pages = {
        sql(&host, &[OLD]).await;
        let mut pages = fs::read(database(&host)).unwrap();
        let middle = pages.len() / 2;
        pages[middle..].fill(0x5a);
        pages
    };
    host.assert_refused_as_damaged(pages).await;
}

#[tokio::test]
async fn a_database_that_is_not_ours_is_refused_and_does_not_change() {
    let host = Host::new("https://backup.example");
    sql(&host, &["CREATE TABLE files (name TEXT)", "INSERT INTO files VALUES ('theirs')"]).await;
    let before = fs::read(database(&host)).unwrap();

    let message = refusal(&host).await;

    assert!(message.contains("its table `files` has no column `local_path`"), "{message}");
    assert!(fs::read(database(&host)).unwrap() == before, "the database changed");
    assert_eq!(files_beside(&host), ["client.db", "client.db.lock"]);
}

#[tokio::test]
async fn a_database_of_a_newer_agent_is_refused_and_keeps_its_rows() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    host.write("file", "text");
    host.scan().await;
    sql(
        &host,
        &["INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
           VALUES (9999, 'from the future', 1, x'00', 0)"],
    )
    .await;

    let message = refusal(&host).await;

    assert!(message.contains("was written by a newer s3up"), "{message}");
    let files: i64 = sqlx::query_scalar("SELECT count(*) FROM files")
        .fetch_one(&mut connect(&host).await)
        .await
        .unwrap();
    assert_eq!(files, 1);
}

impl Host {
    async fn assert_refused_as_damaged(&self, content: Vec<u8>) {
        let database = database(self);
        fs::write(&database, &content).expect("a written file");
        let message = refusal(self).await;
        assert!(message.contains("is damaged"), "{message}");
        assert!(
            message.contains(
                "move the file away, with its -wal and -shm if they exist, and start again"
            ),
            "{message}"
        );
        assert!(fs::read(&database).expect("a file") == content, "the database changed");
        fs::remove_file(&database).expect("a removed file");
    }
}

async fn refusal(host: &Host) -> String {
    let err = Agent::start(host.config()).await.expect_err("a refusal");
    s3up_core::error_chain(&err)
}

pub async fn sql(host: &Host, statements: &[&str]) {
    let mut database = connect(host).await;
    for statement in statements {
        let statement = AssertSqlSafe((*statement).to_owned());
        sqlx::raw_sql(statement).execute(&mut database).await.expect("good SQL");
    }
    database.close().await.expect("a closed database");
}

async fn connect(host: &Host) -> SqliteConnection {
    let path = database(host);
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    SqliteConnection::connect_with(&options).await.expect("an open database")
}

/// The names in the directory of the database, sorted.
fn files_beside(host: &Host) -> Vec<String> {
    let directory = database(host).parent().expect("a directory").to_owned();
    let mut names: Vec<_> = fs::read_dir(directory)
        .expect("a directory")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .collect();
    names.sort_unstable();
    names
}

fn database(host: &Host) -> PathBuf {
    let directory = host.dir.path().join("state");
    fs::create_dir_all(&directory).expect("a directory");
    directory.join("client.db")
}
