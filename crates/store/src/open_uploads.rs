//! The multipart uploads that this process has open, by key.
//!
//! The removal of duplicate uploads (`upload::duplicates`) must not abort one that this
//! process uses, nor one whose ID is unknown because S3 is still creating it.
//! Clones share the registry.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use s3up_core::Key;

#[derive(Clone, Debug, Default)]
pub(crate) struct OpenUploads(Arc<Mutex<BTreeMap<Key, UploadsToKey>>>);

#[derive(Debug, Default)]
struct UploadsToKey {
    /// Number of uploads that S3 is creating now, so that their IDs are unknown.
    starting: usize,
    ids: BTreeSet<String>,
}

/// Counts one upload as starting until it is dropped.
pub(crate) struct StartingUpload {
    open: OpenUploads,
    key: Key,
}

impl OpenUploads {
    pub(crate) fn start(&self, key: &Key) -> StartingUpload {
        self.map().entry(key.clone()).or_default().starting += 1;
        StartingUpload { open: self.clone(), key: key.clone() }
    }

    pub(crate) fn add(&self, key: &Key, id: &str) {
        self.map().entry(key.clone()).or_default().ids.insert(id.to_owned());
    }

    pub(crate) fn remove(&self, key: &Key, id: &str) {
        self.change(key, |uploads| uploads.ids.remove(id));
    }

    /// Returns the IDs of the uploads to this key, or `None` while more than one
    /// is starting.
    pub(crate) fn ids(&self, key: &Key) -> Option<BTreeSet<String>> {
        let map = self.map();
        let uploads = map.get(key)?;
        (uploads.starting <= 1).then(|| uploads.ids.clone())
    }

    fn change<T>(&self, key: &Key, change: impl FnOnce(&mut UploadsToKey) -> T) {
        let mut map = self.map();
        if let Some(uploads) = map.get_mut(key) {
            change(uploads);
            if uploads.starting == 0 && uploads.ids.is_empty() {
                map.remove(key);
            }
        }
    }

    fn map(&self) -> MutexGuard<'_, BTreeMap<Key, UploadsToKey>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for StartingUpload {
    fn drop(&mut self) {
        self.open.change(&self.key, |uploads| uploads.starting -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unknown_while_two_uploads_to_a_key_start() {
        let open = OpenUploads::default();
        let key = Key::parse("a").unwrap();
        let first = open.start(&key);
        open.add(&key, "1");
        assert_eq!(open.ids(&key), Some(BTreeSet::from(["1".to_owned()])));
        let second = open.start(&key);
        assert_eq!(open.ids(&key), None);
        drop((first, second));
        open.remove(&key, "1");
        assert!(open.map().is_empty());
    }
}
