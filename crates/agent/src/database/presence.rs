//! Notices that the database file was removed or replaced under a running agent.
//!
//! SQLite keeps working on the removed file, and everything it records would be gone with the
//! process. There is no event to wait for, because the whole directory may go away.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::DbError;

/// Time between two looks at the file.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The file of an open database, by its device and inode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Presence {
    pub(super) fn of(path: &Path) -> Result<Presence, DbError> {
        let found = std::fs::metadata(path)
            .map_err(|source| DbError::Marker { path: path.to_owned(), source })?;
        Ok(Presence { path: path.to_owned(), device: found.dev(), inode: found.ino() })
    }

    /// Waits until the file is gone or another one. An error that does not say so is no sign.
    pub async fn until_lost(&self) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            match tokio::fs::metadata(&self.path).await {
                Ok(found) if (found.dev(), found.ino()) == (self.device, self.inode) => {}
                Ok(_) => return,
                Err(err) if err.kind() == std::io::ErrorKind::NotFound => return,
                Err(_) => {}
            }
        }
    }
}
