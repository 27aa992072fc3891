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
    #[error("open database {path:?}")]
    Open { path: PathBuf, source: sqlx::Error },
    #[error(
        "database {path:?} is damaged ({what}); to rebuild it, move it away, set \
         scan.upload_existing: true and start again (with false, existing files would count as \
         baseline, not protected)"
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
    #[error("read database {path:?}")]
    Read { path: PathBuf, source: sqlx::Error },
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
    let err = err.as_database_error()?;
    let code: u32 = err.code()?.parse().ok()?;
    matches!(code & 0xff, 11 | 26).then(|| err.message().to_owned())
}
