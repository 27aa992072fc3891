//! Multipart uploads that could not be aborted because S3 did not answer. They are aborted once it does.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use s3up_core::Key;

/// Maximum number of uploads that are remembered, at most 2 MiB. A sweep finds the others.
const REMEMBERED_MAX: usize = 1000;

/// The uploads that are still to be aborted. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct NotAborted(Arc<Mutex<VecDeque<(Key, String)>>>);

impl NotAborted {
    /// Remembers an upload. Returns false if there are too many.
    pub(crate) fn add(&self, key: &Key, upload_id: &str) -> bool {
        let mut uploads = self.uploads();
        let has_room = uploads.len() < REMEMBERED_MAX;
        if has_room {
            uploads.push_back((key.clone(), upload_id.to_owned()));
        }
        has_room
    }

    /// Returns the upload that is to be aborted next.
    pub(crate) fn first(&self) -> Option<(Key, String)> {
        self.uploads().front().cloned()
    }

    /// Forgets an upload, which was aborted.
    pub(crate) fn remove(&self, upload_id: &str) {
        self.uploads().retain(|(_, other)| other != upload_id);
    }

    fn uploads(&self) -> MutexGuard<'_, VecDeque<(Key, String)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_uploads_is_limited() {
        let (uploads, key) = (NotAborted::default(), Key::parse("a").unwrap());
        let added = (0..2 * REMEMBERED_MAX).filter(|n| uploads.add(&key, &n.to_string())).count();
        assert_eq!(added, REMEMBERED_MAX);
        assert_eq!(uploads.first(), Some((key.clone(), "0".to_owned())));
        uploads.remove("0");
        assert_eq!(uploads.first(), Some((key.clone(), "1".to_owned())));
        assert!(uploads.add(&key, "again"));
    }
}
