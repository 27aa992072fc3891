//! The state of reloads.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use s3up_core::wire::Part;

/// The state of reloads, as `/ready` tells it.
#[derive(Debug, Default)]
pub(crate) struct ReloadStatus {
    /// The reason why the last configuration was refused.
    refused: Mutex<Option<String>>,
    /// Number of configurations that were refused since the start.
    refusals: AtomicU64,
    /// One reload or renewal at a time.
    pub turn: tokio::sync::Mutex<()>,
}

impl ReloadStatus {
    pub(crate) fn part(&self) -> Part {
        match *self.lock() {
            None => Part::Ok,
            Some(_) => Part::Failing,
        }
    }

    /// Returns the number of configurations that were refused since the start.
    pub(crate) fn refusals(&self) -> u64 {
        self.refusals.load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, refused: Option<String>) {
        if refused.is_some() {
            self.refusals.fetch_add(1, Ordering::Relaxed);
        }
        *self.lock() = refused;
    }

    fn lock(&self) -> MutexGuard<'_, Option<String>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
