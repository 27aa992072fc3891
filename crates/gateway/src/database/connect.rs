//! Connects to SQLite or PostgreSQL, and brings the schema up to date.
//!
//! All statements are in the part of SQL that both have, so there is one set of migrations and of
//! queries. Only what follows a connect differs.

use std::fmt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3up_cli::Secret;
use sqlx::any::{AnyConnectOptions, AnyPoolOptions, install_default_drivers};
use sqlx::migrate::Migrator;
use sqlx::{AnyConnection, AnyPool, ConnectOptions, Connection, Executor};

use super::error::DatabaseError;

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// Maximum time for a connect with the update of the schema, and for a batch.
pub(super) const WRITE_WAIT_MAX: Duration = Duration::from_secs(10);
/// Maximum time for a query of a request. Without the answer the request is still served.
pub(super) const READ_WAIT_MAX: Duration = Duration::from_secs(2);
/// Number of connections for the queries of requests.
const READERS_MAX: u32 = 4;
/// Number of connections for the turns of uploads. Each is used for some milliseconds at a time.
const TURNS_MAX: u32 = 8;
const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.');

/// The place of the database.
#[derive(Clone, Debug)]
pub enum Location {
    Sqlite(PathBuf),
    /// The URL of a PostgreSQL database. It may contain a password.
    Postgres(Secret),
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::Sqlite(path) => write!(f, "SQLite database {}", path.display()),
            Location::Postgres(_) => f.write_str("PostgreSQL database of `database.url`"),
        }
    }
}

impl Location {
    /// Opens a connection and creates or updates the tables.
    pub(super) async fn open(&self) -> Result<AnyConnection, DatabaseError> {
        let opened = tokio::time::timeout(WRITE_WAIT_MAX, self.open_now().boxed()).await;
        opened.map_err(|_| DatabaseError::TimedOut(WRITE_WAIT_MAX))?
    }

    async fn open_now(&self) -> Result<AnyConnection, DatabaseError> {
        let mut connection = self.connect().await?;
        let migrated = MIGRATIONS.run_direct(None, &mut connection, false).boxed().await;
        migrated.map_err(|err| DatabaseError::migrating(&self.to_string(), err))?;
        Ok(connection)
    }

    async fn connect(&self) -> Result<AnyConnection, DatabaseError> {
        if let Location::Sqlite(path) = self {
            create_dir(path).map_err(|err| DatabaseError::Dir(self.to_string(), err))?;
        }
        self.connect_now().await.map_err(|err| DatabaseError::Connect(self.to_string(), err))
    }

    async fn connect_now(&self) -> Result<AnyConnection, sqlx::Error> {
        let mut connection = self.options()?.connect().await?;
        self.prepare(&mut connection).await?;
        Ok(connection)
    }

    /// Returns a pool that connects when it is first used.
    pub(super) fn readers(&self) -> Result<AnyPool, DatabaseError> {
        let options =
            self.options().map_err(|err| DatabaseError::Connect(self.to_string(), err))?;
        let pool = AnyPoolOptions::new()
            .max_connections(READERS_MAX)
            .acquire_timeout(READ_WAIT_MAX)
            .connect_lazy_with(options);
        Ok(pool)
    }

    /// Returns a pool for the turns of uploads, which connects when it is first used. A crash of the
    /// database may lose them, so a commit does not wait for its disk.
    pub(super) fn turns_pool(&self) -> Result<AnyPool, DatabaseError> {
        let options =
            self.options().map_err(|err| DatabaseError::Connect(self.to_string(), err))?;
        let pool = AnyPoolOptions::new()
            .max_connections(TURNS_MAX)
            .acquire_timeout(READ_WAIT_MAX)
            .after_connect(|connection, _| {
                let set = connection.execute("SET synchronous_commit = off");
                set.map(|done| done.map(drop)).boxed()
            })
            .connect_lazy_with(options);
        Ok(pool)
    }

    pub(super) fn options(&self) -> Result<AnyConnectOptions, sqlx::Error> {
        install_default_drivers();
        let options = match self {
            Location::Sqlite(path) => {
                let path = path.to_string_lossy();
                let path = utf8_percent_encode(&path, IN_PATH);
                AnyConnectOptions::from_str(&format!("sqlite://{path}?mode=rwc"))?
            }
            Location::Postgres(url) => AnyConnectOptions::from_str(url.expose())?,
        };
        Ok(options.disable_statement_logging())
    }

    /// Sets what SQLite does not keep in the file. A crash of the machine may undo the last
    /// batches, and S3 still has the files: so a commit does not wait for a sync of the disk.
    async fn prepare(&self, connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
        if let Location::Sqlite(_) = self {
            connection.execute("PRAGMA journal_mode = WAL").await?;
            connection.execute("PRAGMA synchronous = NORMAL").await?;
        }
        Ok(())
    }
}

/// Runs work with the database, for at most `limit`.
pub(super) async fn in_time<T>(
    limit: Duration,
    work: BoxFuture<'_, sqlx::Result<T>>,
    failed: fn(sqlx::Error) -> DatabaseError,
) -> Result<T, DatabaseError> {
    let done = tokio::time::timeout(limit, work).await;
    done.map_err(|_| DatabaseError::TimedOut(limit))?.map_err(failed)
}

/// Closes a connection that works. SQLite then merges its log into one file.
pub(super) async fn close(connection: AnyConnection) {
    if let Err(err) = connection.close().await {
        tracing::debug!(event = "database_close_failed", error = %err, "cannot close the database");
    }
}

/// Creates the directory of the database, for this user only.
fn create_dir(path: &Path) -> std::io::Result<()> {
    let Some(dir) = path.parent() else { return Ok(()) };
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_shown_without_its_password() {
        let postgres = Location::Postgres(Secret::new("postgres://u:hush@db/s3up".to_owned()));
        let shown = format!("{postgres} {postgres:?}");
        assert!(!shown.contains("hush"), "{shown}");
    }

    #[tokio::test]
    async fn a_file_name_may_contain_any_character() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new directory/a?b#c%20d é.db");

        let connection = Location::Sqlite(path.clone()).open().await.unwrap();

        close(connection).await;
        assert!(path.is_file());
    }
}
