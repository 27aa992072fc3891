//! Names what a restore has to read: chunks, and the documents that describe them.
//!
//! Documents are stored in a class of their own and are not archived, unless a lifecycle rule of
//! the bucket moves them. (A rule of AWS leaves objects under 128 KiB alone, so it takes the
//! chunks and long part indexes, and leaves the manifests.)

use std::collections::{BTreeMap, BTreeSet};

use s3up_core::Key;
use s3up_store::StoreError;

use crate::chain::ChainEntry;
use crate::documents::Bucket;
use crate::layout::Layout;
use crate::manifest::DocumentError;
use crate::names::{BackupKind, SubvolumeName};

/// The objects to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequiredObjects {
    /// Each chunk and its length.
    pub chunks: BTreeMap<Key, u64>,
    /// Pointer, manifests and part indexes. They count only while they are archived.
    pub documents: BTreeSet<Key>,
}

impl RequiredObjects {
    /// Returns every object of these entries.
    pub fn of(entries: &[ChainEntry]) -> Result<RequiredObjects, (Key, DocumentError)> {
        let mut wanted = RequiredObjects::default();
        for entry in entries {
            let fail = |err| (entry.key.clone(), err);
            let facts = entry.manifest.chunk_facts().map_err(fail)?;
            wanted.chunks.extend(facts.into_iter().map(|chunk| (chunk.key, chunk.size)));
            wanted.documents.insert(entry.key.clone());
            let parts = entry.manifest.parts_key().transpose();
            wanted.documents.extend(parts.map_err(fail)?);
        }
        Ok(wanted)
    }

    /// Returns the documents of all backups of a subvolume, from a listing: while a manifest is
    /// archived, it is unknown which others its chain has.
    pub async fn documents_of(
        bucket: &Bucket,
        layout: &Layout,
        subvolume: &SubvolumeName,
    ) -> Result<RequiredObjects, StoreError> {
        let pointer = layout.pointer(subvolume);
        let mut documents = BTreeSet::new();
        let kinds = [BackupKind::Full, BackupKind::Incremental];
        let dirs = kinds.map(|kind| layout.manifests(subvolume, kind)).into_iter();
        for prefix in dirs.chain([pointer.as_str().to_owned()]) {
            let mut listing = bucket.store.list(&prefix, bucket.retry_for);
            while let Some(page) = listing.next_page().await? {
                documents.extend(page.iter().filter_map(|listed| Key::parse(&listed.key).ok()));
            }
        }
        Ok(RequiredObjects { chunks: BTreeMap::new(), documents })
    }

    /// Returns the pointer and the manifests of a subvolume, from a listing.
    pub async fn manifests_of(
        bucket: &Bucket,
        layout: &Layout,
        subvolume: &SubvolumeName,
    ) -> Result<RequiredObjects, StoreError> {
        let mut required = RequiredObjects::documents_of(bucket, layout, subvolume).await?;
        required.documents.retain(|key| !layout.is_stream_object(subvolume, key));
        Ok(required)
    }

    /// Returns all keys.
    pub fn keys(&self) -> Vec<Key> {
        self.chunks.keys().chain(&self.documents).cloned().collect()
    }
}
