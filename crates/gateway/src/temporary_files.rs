//! Temporary files, and whether the disk takes them.
//!
//! Only a form whose path comes after its file needs one. So a full disk makes the gateway no less ready,
//! but it is reported.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use s3up_core::wire::Part;
use tokio::fs::File;
use tokio::io::AsyncWriteExt;

/// Length of the file that is written to find out whether the disk has room again.
const TRIAL_BYTES: usize = 64 << 10;

/// The state of the disk; clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct TemporaryFiles {
    /// True since a file could not be written.
    has_failed: Arc<AtomicBool>,
}

impl TemporaryFiles {
    /// Creates a file without a name.
    pub(crate) async fn create(&self) -> io::Result<File> {
        let file = tokio::task::spawn_blocking(tempfile::tempfile).await;
        let file = file.unwrap_or_else(|err| Err(io::Error::other(err)));
        self.record(file).map(File::from_std)
    }

    /// Records the result of writing to a file, and returns it.
    pub(crate) fn record<T>(&self, result: io::Result<T>) -> io::Result<T> {
        let Err(err) = &result else { return result };
        if !self.has_failed.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                event = "temporary_files_failed",
                error = %err,
                "cannot write temporary files; forms with `path` after `file` are refused, and all other \
                 uploads continue; free space in the directory of TMPDIR"
            );
        }
        result
    }

    /// Returns whether files can be written. After a failure a short one is written.
    pub(crate) async fn part(&self) -> Part {
        if !self.has_failed.load(Ordering::Relaxed) {
            return Part::Ok;
        }
        if self.try_to_write().await.is_err() {
            return Part::Failing;
        }
        self.has_failed.store(false, Ordering::Relaxed);
        tracing::info!(event = "temporary_files_recovered", "temporary files can be written again");
        Part::Ok
    }

    async fn try_to_write(&self) -> io::Result<()> {
        let mut file = self.create().await?;
        file.write_all(&[0; TRIAL_BYTES]).await?;
        file.flush().await
    }
}
