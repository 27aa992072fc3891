//! Lets a test read a bucket without S3 calls.
//!
//! Therefore no fault fires, no call is counted, and the test does not depend on a
//! client. A bucket that does not exist counts as empty.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::TryStreamExt;

use crate::model::record::Version;
use crate::server::DevStore;
use crate::storage::blob::Reader;
use crate::storage::bucket::Bucket;

impl DevStore {
    /// Returns every key with a current object, and the object's length.
    pub fn objects(&self, bucket: &str) -> BTreeMap<String, u64> {
        self.read_bucket(bucket, |bucket| {
            let keys = bucket.versions.iter();
            let len = |versions: &Vec<Arc<Version>>| Some(versions.first()?.object()?.len);
            keys.filter_map(|(key, versions)| Some((key.clone(), len(versions)?))).collect()
        })
    }

    /// Returns the content of an object.
    pub async fn object(&self, bucket: &str, key: &str) -> Option<Vec<u8>> {
        let reader = self.read_bucket(bucket, |bucket| {
            let version = bucket.newest(key)?;
            let object = version.object()?;
            Some(Reader::new(&self.store.blobs, &object.parts, 0..object.len))
        })?;
        let pieces: Vec<_> = reader.into_stream().try_collect().await.ok()?;
        Some(pieces.concat())
    }

    /// Returns the key of every multipart upload that is neither completed nor
    /// aborted.
    pub fn uploads(&self, bucket: &str) -> Vec<String> {
        self.read_bucket(bucket, |bucket| {
            let uploads = bucket.uploads.iter();
            uploads.flat_map(|(key, ids)| ids.keys().map(|_| key.clone())).collect()
        })
    }

    fn read_bucket<T: Default>(&self, bucket: &str, read: impl FnOnce(&Bucket) -> T) -> T {
        let Ok(state) = self.store.state() else { return T::default() };
        state.buckets.get(bucket).map(read).unwrap_or_default()
    }
}
