//! The lock that allows one agent per database.
//!
//! It is an advisory lock on a file beside the database. The kernel drops it
//! when the process ends, whatever the cause. The file holds the process id, so
//! that a second agent can name it. The file is never removed: otherwise two
//! agents could each lock a file of that name.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use s3up_cli::lock_file::LockFile;

/// Number of attempts. [`Lock::is_held`] may hold the lock for a moment.
const TRIES: u32 = 5;
/// Pause between two attempts: longer than that moment.
const TRY_PAUSE: Duration = Duration::from_millis(20);

/// The lock, held until this value is dropped.
#[derive(Debug)]
pub struct Lock {
    _file: LockFile,
}

#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("another agent{} uses database {path:?}; stop it first", of_process(holder))]
    Held { path: PathBuf, holder: String },
    #[error("lock database {path:?}")]
    Io { path: PathBuf, source: io::Error },
}

impl Lock {
    pub async fn take(database: &Path) -> Result<Lock, LockError> {
        let wrong = |source| LockError::Io { path: database.to_owned(), source };
        let mut file = LockFile::open(&lock_path(database)).map_err(wrong)?;
        for _ in 0..TRIES {
            if file.try_lock().map_err(wrong)? {
                file.write_pid().map_err(wrong)?;
                return Ok(Lock { _file: file });
            }
            tokio::time::sleep(TRY_PAUSE).await;
        }
        let holder = file.content().map_err(wrong)?;
        Err(LockError::Held { path: database.to_owned(), holder })
    }

    /// Returns true if a running agent holds the lock.
    pub fn is_held(database: &Path) -> bool {
        LockFile::is_held(&lock_path(database))
    }
}

fn lock_path(database: &Path) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(".lock");
    PathBuf::from(path)
}

fn of_process(holder: &str) -> String {
    match holder {
        "" => String::new(),
        pid => format!(" (process {pid})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_second_lock_is_refused_and_names_the_holder() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("client.db");
        let lock = Lock::take(&database).await.unwrap();
        assert!(Lock::is_held(&database));

        let message = Lock::take(&database).await.unwrap_err().to_string();
        let process = format!("another agent (process {}) uses database", std::process::id());
        assert!(message.starts_with(&process), "{message}");

        drop(lock);
        assert!(!Lock::is_held(&database));
        Lock::take(&database).await.unwrap();
    }
}
