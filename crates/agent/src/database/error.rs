//! Errors of the database, each with what the operator can do about it.

use std::path::PathBuf;

use sqlx::migrate::MigrateError;

#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    #[error(
        "database {path:?} does not exist; start the agent (s3up run) first, or check database.path"
    )]
    Missing { path: PathBuf },
    #[error("create the directory for database {path:?}")]
    Dir { path: PathBuf, source: std::io::Error },
    #[error("read the metadata of {path:?}")]
    Marker { path: PathBuf, source: std::io::Error },
    #[error("open database {path:?}")]
    Open { path: PathBuf, source: sqlx::Error },
    #[error(
        "database {path:?} is damaged ({what}); move the file away, with its -wal and -shm if they \
         exist, and start again: the agent then asks the gateway for every file and uploads what \
         the gateway does not have"
    )]
    Damaged { path: PathBuf, what: String },
    #[error(
        "database {path:?} was not created by s3up: its table `files` has no column \
         `{column}`; check database.path"
    )]
    Foreign { path: PathBuf, column: &'static str },
    #[error("database {path:?} was written by a newer s3up; install that version")]
    Newer { path: PathBuf },
    #[error("update the schema of database {path:?}")]
    Migrate { path: PathBuf, source: MigrateError },
    #[error("read the database")]
    Read(#[source] sqlx::Error),
    #[error("write database {path:?}; its disk seems to be full, free some space on it")]
    Full { path: PathBuf, source: sqlx::Error },
    #[error("write database {path:?}")]
    Write { path: PathBuf, source: sqlx::Error },
}

impl DatabaseError {
    /// Turns an error of opening into one that says what the operator has to do.
    pub(super) fn opening(path: &std::path::Path, source: sqlx::Error) -> DatabaseError {
        let path = path.to_owned();
        match damage(&source) {
            Some(what) => DatabaseError::Damaged { path, what },
            None => DatabaseError::Open { path, source },
        }
    }

    pub(super) fn writing(path: &std::path::Path, source: sqlx::Error) -> DatabaseError {
        let path = path.to_owned();
        if is_disk_full(&source) {
            return DatabaseError::Full { path, source };
        }
        match damage(&source) {
            Some(what) => DatabaseError::Damaged { path, what },
            None => DatabaseError::Write { path, source },
        }
    }

    pub(super) fn migrating(path: &std::path::Path, source: MigrateError) -> DatabaseError {
        let path = path.to_owned();
        if matches!(source, MigrateError::VersionMissing(_) | MigrateError::VersionTooNew(..)) {
            return DatabaseError::Newer { path };
        }
        DatabaseError::Migrate { path, source }
    }
}

/// Returns SQLite's message if the file itself is damaged: SQLITE_CORRUPT and
/// SQLITE_NOTADB, with their extended codes. <https://www.sqlite.org/rescode.html>
fn damage(err: &sqlx::Error) -> Option<String> {
    matches!(code(err)? & 0xff, 11 | 26).then(|| err.to_string())
}

/// True for SQLITE_FULL, and for SQLITE_IOERR_WRITE, _SHMOPEN and _SHMSIZE, which a full disk
/// causes too.
fn is_disk_full(err: &sqlx::Error) -> bool {
    matches!(code(err), Some(13 | 778 | 4874 | 4618))
}

/// Returns the extended code of SQLite.
fn code(err: &sqlx::Error) -> Option<u32> {
    err.as_database_error()?.code()?.parse().ok()
}
