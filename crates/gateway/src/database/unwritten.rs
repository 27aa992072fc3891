//! The files that were stored and whose record is not written yet, so that the catalogue does not
//! take their paths for new. The queue of records limits their number.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use s3up_core::ClientName;

/// Clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Unwritten(Arc<Mutex<HashSet<(ClientName, String)>>>);

impl Unwritten {
    pub(super) fn add(&self, file: (ClientName, String)) {
        self.lock().insert(file);
    }

    pub(super) fn contains(&self, file: &(ClientName, String)) -> bool {
        self.lock().contains(file)
    }

    /// Removes files that the catalogue has now. A newer record of one of them may still wait: its
    /// path is no new one then either.
    pub(super) fn remove<'f>(&self, files: impl Iterator<Item = &'f (ClientName, String)>) {
        let mut unwritten = self.lock();
        for file in files {
            unwritten.remove(file);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<(ClientName, String)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
