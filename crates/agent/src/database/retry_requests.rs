//! Requests of `s3up retry` to the running agent: rows that one process writes and the other
//! takes.

use std::path::Path;
use std::time::Duration;

use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;
use tokio::sync::mpsc;

use super::error::DatabaseError;
use super::open::options;
use super::read::{Reader, after_all};

/// Time between two queries for requests. A person waits for it.
const CHECK_EVERY: Duration = Duration::from_secs(2);

/// The files that a request is about, by their `local_path`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RetryScope {
    All,
    /// One file, or all files below a directory. It has no trailing slash.
    At(String),
}

/// Asks the agent that runs on the database to retry files with a recorded problem. Returns their
/// number.
pub async fn request_retry(database: &Path, scope: &RetryScope) -> Result<u64, DatabaseError> {
    if !database.exists() {
        return Err(DatabaseError::Missing { path: database.to_owned() });
    }
    let failed = |err| DatabaseError::writing(database, err);
    let options = options(database);
    let mut connection = SqliteConnection::connect_with(&options).await.map_err(failed)?;
    let query = match scope {
        RetryScope::All => {
            sqlx::query("INSERT OR IGNORE INTO retry_requests SELECT local_path FROM problems")
        }
        RetryScope::At(path) => {
            let below = format!("{path}/");
            let end = after_all(&below);
            sqlx::query(
                "INSERT OR IGNORE INTO retry_requests SELECT local_path FROM problems \
                 WHERE local_path = ? OR (local_path >= ? AND local_path < ?)",
            )
            .bind(path)
            .bind(below)
            .bind(end)
        }
    };
    let requested = query.execute(&mut connection).await;
    let closed = connection.close().await;
    let requested = requested.map_err(failed)?.rows_affected();
    closed.map_err(failed)?;
    Ok(requested)
}

/// Sends requested paths into the channel until its receiver is dropped. A database that cannot be
/// read is read again later; scans report it.
pub async fn poll(reader: Reader, sender: mpsc::Sender<Vec<String>>) {
    loop {
        tokio::time::sleep(CHECK_EVERY).await;
        let paths = reader.retry_requests().await.unwrap_or_default();
        if sender.is_closed() || (!paths.is_empty() && sender.send(paths).await.is_err()) {
            return;
        }
    }
}
