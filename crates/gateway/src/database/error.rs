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

/// Classes of SQLSTATE in which PostgreSQL refuses a value: it is no data of its type (22), breaks a constraint (23),
/// or exceeds a limit of the program (54). All others are about the server, the connection or the schema.
const REFUSED_CLASSES: [&str; 3] = ["22", "23", "54"];
/// Result codes with which SQLite refuses a value: SQLITE_TOOBIG, SQLITE_CONSTRAINT and SQLITE_MISMATCH.
const REFUSED_CODES: [u32; 3] = [18, 19, 20];

impl DatabaseError {
    /// Returns true if the database refuses a value of what was written, so that it would refuse it again. False: the
    /// database is away, its disk is full, or the reason is not known.
    pub(super) fn is_of_a_record(&self) -> bool {
        match self {
            DatabaseError::Write(sqlx::Error::Database(err)) => {
                err.code().is_some_and(|code| refuses_a_value(&code))
            }
            DatabaseError::Write(sqlx::Error::Encode(_) | sqlx::Error::Decode(_)) => true,
            DatabaseError::Dir(..)
            | DatabaseError::Connect(..)
            | DatabaseError::Newer(_)
            | DatabaseError::Migrate(..)
            | DatabaseError::Read(_)
            | DatabaseError::Write(_)
            | DatabaseError::TimedOut(_) => false,
        }
    }

    pub(super) fn migrating(name: &str, err: MigrateError) -> DatabaseError {
        let name = name.to_owned();
        if matches!(err, MigrateError::VersionMissing(_) | MigrateError::VersionTooNew(..)) {
            return DatabaseError::Newer(name);
        }
        DatabaseError::Migrate(name, err)
    }
}

/// A code of PostgreSQL has five characters; one of SQLite is a number, whose last byte is the result code.
fn refuses_a_value(code: &str) -> bool {
    if code.len() == 5 {
        return REFUSED_CLASSES.iter().any(|class| code.starts_with(class));
    }
    code.parse::<u32>().is_ok_and(|code| REFUSED_CODES.contains(&(code & 0xff)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_value_is_told_from_a_database_that_is_away() {
        #[rustfmt::skip]
        let cases = [
            // PostgreSQL
            ("22021", true),   // a text that is no UTF-8
            ("23514", true),   // a check
            ("54000", true),   // a row that is too long for its index
            ("40P01", false),  // a deadlock
            ("25006", false),  // a standby, which is read-only
            ("42501", false),  // no right to write
            ("42703", false),  // no such column
            ("53100", false),  // a full disk
            ("57P01", false),  // the server stops
            ("08006", false),  // the connection is lost
            // SQLite
            ("18",    true),   // too big
            ("1811",  true),   // a trigger
            ("2067",  true),   // a unique index
            ("5",     false),  // locked
            ("8",     false),  // read-only
            ("13",    false),  // a full disk
            ("266",   false),  // a read that failed
            ("11",    false),  // damaged
            ("",      false),
        ];
        for (code, want) in cases {
            assert_eq!(refuses_a_value(code), want, "{code}");
        }
        assert!(!DatabaseError::TimedOut(Duration::ZERO).is_of_a_record());
        assert!(!DatabaseError::Write(sqlx::Error::PoolTimedOut).is_of_a_record());
    }
}
