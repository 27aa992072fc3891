//! The state of reloads.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use s3up_core::wire::Part;

use crate::clock::{CLOCK, Millis, millis};

/// The state of reloads, as `/ready` tells it.
#[derive(Debug)]
pub(crate) struct ReloadStatus {
    /// The reason why the last configuration was refused.
    refused: Mutex<Option<String>>,
    /// Number of configurations that were refused since the start.
    refusals: AtomicU64,
    /// Time of the start or of the last reload that was accepted.
    accepted_at: AtomicI64,
    /// One reload or renewal at a time.
    pub turn: tokio::sync::Mutex<()>,
}

impl Default for ReloadStatus {
    fn default() -> ReloadStatus {
        ReloadStatus {
            refused: Mutex::default(),
            refusals: AtomicU64::default(),
            accepted_at: AtomicI64::new(millis(CLOCK.now())),
            turn: tokio::sync::Mutex::default(),
        }
    }
}

impl ReloadStatus {
    pub(crate) fn part(&self) -> Part {
        match *self.lock() {
            None => Part::Ok,
            Some(_) => Part::Failing,
        }
    }

    /// Returns the reason why the last configuration was refused.
    pub(crate) fn refused(&self) -> Option<String> {
        self.lock().clone()
    }

    /// Returns the number of configurations that were refused since the start.
    pub(crate) fn refusals(&self) -> u64 {
        self.refusals.load(Ordering::Relaxed)
    }

    /// Returns the time of the start, or of the last reload that was accepted.
    pub(crate) fn accepted_at(&self) -> Millis {
        self.accepted_at.load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, refused: Option<String>) {
        match &refused {
            Some(_) => {
                self.refusals.fetch_add(1, Ordering::Relaxed);
            }
            None => self.accepted_at.store(millis(CLOCK.now()), Ordering::Relaxed),
        }
        *self.lock() = refused;
    }

    fn lock(&self) -> MutexGuard<'_, Option<String>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
