//! What a bucket holds, as a test sees it: without a call, so that no fault is
//! met, no call is counted, and no client's view is mistaken for the truth.
//!
//! A bucket that does not exist holds nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::TryStreamExt;

use crate::DevStore;
use crate::blob::Reader;
use crate::record::Version;
use crate::store::Bucket;

impl DevStore {
    /// Every key that has an object now, and its length.
    pub fn objects(&self, bucket: &str) -> BTreeMap<String, u64> {
        self.look(bucket, |bucket| {
            let keys = bucket.versions.iter();
            let len = |versions: &Vec<Arc<Version>>| Some(versions.first()?.object()?.len);
            keys.filter_map(|(key, versions)| Some((key.clone(), len(versions)?))).collect()
        })
    }

    /// The content of an object.
    pub async fn object(&self, bucket: &str, key: &str) -> Option<Vec<u8>> {
        let reader = self.look(bucket, |bucket| {
            let version = bucket.newest(key)?;
            let object = version.object()?;
            Some(Reader::new(&self.store.blobs, &object.parts, 0..object.len))
        })?;
        let pieces: Vec<_> = reader.into_stream().try_collect().await.ok()?;
        Some(pieces.concat())
    }

    /// The key of every multipart upload that is neither completed nor aborted.
    pub fn uploads(&self, bucket: &str) -> Vec<String> {
        self.look(bucket, |bucket| {
            let uploads = bucket.uploads.iter();
            uploads.flat_map(|(key, ids)| ids.keys().map(|_| key.clone())).collect()
        })
    }

    fn look<T: Default>(&self, bucket: &str, look: impl FnOnce(&Bucket) -> T) -> T {
        let Ok(state) = self.store.state() else { return T::default() };
        state.buckets.get(bucket).map(look).unwrap_or_default()
    }
}
