//! Opens the database: creates it, or updates the schema of an older one.
//!
//! A file that is damaged or that another program created is refused, and no
//! byte of it changes.

use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Connection, SqlitePool};

use super::database_file::DatabaseFile;
use super::error::DatabaseError;
use super::read::Reader;
use super::write::Writer;

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// Time that a statement waits for a lock of another connection.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(10);
/// One connection for the scan, the others for uploads that look up their row.
const READERS_MAX: u32 = 3;
/// Columns of the `files` table of older agents. A table without them is not ours.
const COLUMNS: [&str; 5] = ["local_path", "remote_path", "file_size", "mtime", "uploaded_at"];

/// An open database.
#[derive(Debug)]
pub struct Database {
    pub reader: Reader,
    pub writer: Writer,
    pub file: DatabaseFile,
}

/// Creates the directory for `path`, readable by this user only.
pub fn create_dir(path: &Path) -> Result<(), DatabaseError> {
    let Some(directory) = path.parent() else { return Ok(()) };
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|source| DatabaseError::Dir { path: path.to_owned(), source })
}

/// Opens `path` for the one agent that holds its lock.
pub async fn open(path: &Path) -> Result<Database, DatabaseError> {
    let options = options(path).create_if_missing(true);
    // Checked on a connection of its own: switching to WAL writes to the file.
    let checked = pool(path, options.clone(), 1).await?;
    let verdict = check(path, &checked).await;
    checked.close().await;
    verdict?;
    let options = options
        .create_if_missing(false)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let mut writer = SqliteConnection::connect_with(&options)
        .await
        .map_err(|err| DatabaseError::opening(path, err))?;
    MIGRATIONS.run(&mut writer).await.map_err(|err| DatabaseError::migrating(path, err))?;
    let reader = pool(path, options_read_only(path), READERS_MAX).await?;
    let writer = Writer::new(path.to_owned(), options, writer);
    Ok(Database { reader: Reader::new(reader), writer, file: DatabaseFile::of(path)? })
}

/// Opens `path` for reading. An agent may be running on it.
pub async fn open_read_only(path: &Path) -> Result<Reader, DatabaseError> {
    if !path.exists() {
        return Err(DatabaseError::Missing { path: path.to_owned() });
    }
    let reader = pool(path, options_read_only(path), 1).await?;
    Ok(Reader::new(reader))
}

pub(super) fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new().filename(path).busy_timeout(LOCK_WAIT_MAX)
}

fn options_read_only(path: &Path) -> SqliteConnectOptions {
    options(path).read_only(true)
}

async fn pool(
    path: &Path,
    options: SqliteConnectOptions,
    connections_max: u32,
) -> Result<SqlitePool, DatabaseError> {
    SqlitePoolOptions::new()
        .max_connections(connections_max)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_with(options)
        .await
        .map_err(|err| DatabaseError::opening(path, err))
}

/// Refuses a database that is damaged or not ours. Reads every page once, so that
/// damage is found at start and not later in some row.
async fn check(path: &Path, pool: &SqlitePool) -> Result<(), DatabaseError> {
    let opening = |err| DatabaseError::opening(path, err);
    let verdict: String =
        sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(pool).await.map_err(opening)?;
    if verdict != "ok" {
        return Err(DatabaseError::Damaged { path: path.to_owned(), what: verdict });
    }
    let columns: Vec<String> = sqlx::query_scalar("SELECT name FROM pragma_table_info('files')")
        .fetch_all(pool)
        .await
        .map_err(opening)?;
    let missing = COLUMNS.into_iter().find(|column| !columns.iter().any(|name| name == column));
    match missing {
        Some(column) if !columns.is_empty() => {
            Err(DatabaseError::Foreign { path: path.to_owned(), column })
        }
        Some(_) | None => Ok(()),
    }
}
