//! Notices that the database file was removed or replaced under a running agent.
//!
//! SQLite keeps working on the removed file, and everything it records would be gone with the
//! process. There is no event to wait for, because the whole directory may go away.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::DatabaseError;

/// Time between two checks of the file.
const CHECK_EVERY: Duration = Duration::from_secs(5);

/// The file of an open database, by its device and inode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl DatabaseFile {
    pub(super) fn of(path: &Path) -> Result<DatabaseFile, DatabaseError> {
        let metadata = std::fs::metadata(path)
            .map_err(|source| DatabaseError::Marker { path: path.to_owned(), source })?;
        Ok(DatabaseFile { path: path.to_owned(), device: metadata.dev(), inode: metadata.ino() })
    }

    /// Waits until the file is gone or another one. Other errors are ignored.
    pub async fn until_removed(&self) {
        loop {
            tokio::time::sleep(CHECK_EVERY).await;
            match tokio::fs::metadata(&self.path).await {
                Ok(metadata) if (metadata.dev(), metadata.ino()) == (self.device, self.inode) => {}
                Ok(_) => return,
                Err(err) if err.kind() == std::io::ErrorKind::NotFound => return,
                Err(_) => {}
            }
        }
    }
}
