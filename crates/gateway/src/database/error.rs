//! Errors of the database.

use std::io;
use std::time::Duration;

use sqlx::migrate::MigrateError;

#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    #[error("create the directory of {0}")]
    Dir(String, #[source] io::Error),
    #[error("connect to {0}")]
    Connect(String, #[source] sqlx::Error),
    #[error(
        "{0} was written by a newer s3up-server; install that version, or set `database.path` or \
         `database.url` to another database"
    )]
    Newer(String),
    #[error("update the schema of {0}")]
    Migrate(String, #[source] MigrateError),
    #[error("read the database")]
    Read(#[source] sqlx::Error),
    #[error("write the database")]
    Write(#[source] sqlx::Error),
    #[error("the database did not answer within {} s", .0.as_secs())]
    TimedOut(Duration),
}

impl DatabaseError {
    pub(super) fn migrating(name: &str, err: MigrateError) -> DatabaseError {
        let name = name.to_owned();
        if matches!(err, MigrateError::VersionMissing(_) | MigrateError::VersionTooNew(..)) {
            return DatabaseError::Newer(name);
        }
        DatabaseError::Migrate(name, err)
    }
}
