//! The database: taken over, damaged, foreign, of a newer version.

use std::fs;
use std::path::PathBuf;

use s3up::agent::Agent;
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};

use crate::fixture::{Host, World};

/// The schema of agents before this one, as it was given.
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
async fn a_database_of_an_older_agent_is_taken_over() {
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
    assert_eq!(summary.uploaded, 1, "the gateway had to confirm it");
    assert_eq!(host.content("known").await, b"known");
    let total = host.status().await.total;
    assert_eq!((total.protected.files, total.baseline.files), (1, 1));
    let mut database = connect(&host).await;
    let (id, size): (i64, i64) =
        sqlx::query_as("SELECT id, file_size FROM files WHERE remote_path = 'uploads/known'")
            .fetch_one(&mut database)
            .await
            .unwrap();
    assert_eq!((id, size), (1, 5), "a person's SQL keeps working");
}

#[tokio::test]
async fn the_columns_of_old_hold_what_they_always_held() {
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
    assert!((mtime..mtime + 60).contains(&row.4), "uploaded a moment later");
}

#[tokio::test]
async fn a_touched_file_keeps_the_time_of_its_upload() {
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
async fn a_damaged_database_says_what_to_do() {
    let host = Host::new("https://backup.example");
    host.scan_is_impossible(b"this is no database, but long enough to look like one ".repeat(99))
        .await;
    let pages = {
        sql(&host, &[OLD]).await;
        let mut pages = fs::read(database(&host)).unwrap();
        let middle = pages.len() / 2;
        pages[middle..].fill(0x5a);
        pages
    };
    host.scan_is_impossible(pages).await;
}

#[tokio::test]
async fn a_database_that_is_not_ours_is_left_alone() {
    let host = Host::new("https://backup.example");
    sql(&host, &["CREATE TABLE files (name TEXT)"]).await;

    let message = refusal(&host).await;

    assert!(message.contains("its table `files` has no column `local_path`"), "{message}");
}

#[tokio::test]
async fn a_database_of_a_newer_agent_is_refused() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    host.scan().await;
    sql(
        &host,
        &["INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
           VALUES (9999, 'from the future', 1, x'00', 0)"],
    )
    .await;

    let message = refusal(&host).await;

    assert!(message.contains("was written by a newer s3up"), "{message}");
}

impl Host {
    async fn scan_is_impossible(&self, content: Vec<u8>) {
        let database = database(self);
        fs::write(&database, content).expect("a written file");
        let message = refusal(self).await;
        assert!(message.contains("is damaged"), "{message}");
        assert!(message.contains("move it away and start again"), "{message}");
        fs::remove_file(&database).expect("a removed file");
    }
}

async fn refusal(host: &Host) -> String {
    let err = Agent::start(host.config()).await.expect_err("a refusal");
    s3up::client::one_line(&err)
}

async fn sql(host: &Host, statements: &[&str]) {
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

fn database(host: &Host) -> PathBuf {
    let folder = host.dir.path().join("state");
    fs::create_dir_all(&folder).expect("a folder");
    folder.join("client.db")
}
