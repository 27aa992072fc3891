//! Reads and writes the documents that describe backups in the bucket.

use std::collections::BTreeMap;
use std::time::Duration;

use s3up_core::{Key, Sha256Digest};
use s3up_store::{Overwrite, PutDocument, Store, StoreError, StoreErrorKind, Stored, UploadError};
use serde::Serialize;

use crate::chain::{Chain, ChainEntry, ChainError, Next, PartialChain};
use crate::manifest::{
    DocumentError, MANIFEST_BYTES_MAX, Manifest, PART_INDEX_BYTES_MAX, POINTER_BYTES_MAX,
    PartIndex, PartIndexRef, Pointer, to_json,
};

/// The store, and for how long a failing call is retried.
#[derive(Clone)]
pub struct Bucket {
    pub store: Store,
    pub retry_for: Duration,
    /// Storage class of manifests, part indexes and pointers.
    pub storage_class: Option<String>,
    /// User metadata of every object that is written.
    pub metadata: BTreeMap<String, String>,
}

/// A pointer, and the version of it that was read.
#[derive(Debug)]
pub struct PointerRead {
    /// The pointer, or why it cannot be read. An unreadable pointer can still be
    /// replaced.
    pub pointer: Result<Pointer, DocumentError>,
    pub etag: String,
}

#[derive(Debug, thiserror::Error)]
pub enum BucketError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("part index {key} of manifest {manifest} is missing in the bucket")]
    PartIndexMissing { key: Key, manifest: Key },
    #[error("part index {key}: expected the SHA-256 {expected}, found {found}")]
    PartIndexDigest { key: Key, expected: Sha256Digest, found: Sha256Digest },
    #[error("read part index {key}")]
    PartIndex { key: Key, source: DocumentError },
    #[error("read manifest {key}")]
    Manifest { key: Key, source: DocumentError },
}

/// The reason why a chain was not read: S3 failed, or the manifests do not lead to a full.
#[derive(Debug, thiserror::Error)]
pub enum ReadChainError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Chain(#[from] ChainError),
}

impl Bucket {
    /// Reads a pointer. `None` means that nothing was ever published.
    pub async fn pointer(&self, key: &Key) -> Result<Option<PointerRead>, StoreError> {
        match self.store.read(key, POINTER_BYTES_MAX, self.retry_for).await {
            Ok(document) => Ok(document.map(|document| PointerRead {
                pointer: Pointer::parse(&document.bytes),
                etag: document.facts.etag,
            })),
            Err(err) if err.kind == StoreErrorKind::TooLong => {
                let pointer = Err(DocumentError::TooLong { limit: POINTER_BYTES_MAX });
                let found = self.store.head(key, None, self.retry_for).await?;
                Ok(found.map(|found| PointerRead { pointer, etag: found.etag }))
            }
            Err(err) => Err(err),
        }
    }

    /// Reads the chain that ends with `newest`.
    pub async fn chain(&self, newest: Key) -> Result<Chain, ReadChainError> {
        let mut partial = PartialChain::default();
        let mut key = newest;
        loop {
            let entry = self.entry(key).await?;
            let (so_far, next) = partial.with(entry)?;
            match next {
                Next::Whole(chain) => return Ok(chain),
                Next::Parent(parent) => (partial, key) = (so_far, parent),
            }
        }
    }

    pub async fn entry(&self, key: Key) -> Result<ChainEntry, ReadChainError> {
        let Some(document) = self.store.read(&key, MANIFEST_BYTES_MAX, self.retry_for).await?
        else {
            return Err(ChainError::Missing { key }.into());
        };
        match Manifest::parse(&document.bytes) {
            Ok(manifest) => Ok(ChainEntry { key, manifest }),
            Err(source) => Err(ChainError::Document { key, source }.into()),
        }
    }

    /// Reads the part index of a backup. `None` means that its manifest names none.
    pub async fn parts(&self, entry: &ChainEntry) -> Result<Option<PartIndex>, BucketError> {
        let Some(PartIndexRef { sha256: expected, .. }) = &entry.manifest.parts else {
            return Ok(None);
        };
        let document = |source| BucketError::Manifest { key: entry.key.clone(), source };
        let Some(key) = entry.manifest.parts_key().transpose().map_err(document)? else {
            return Ok(None);
        };
        let Some(document) = self.store.read(&key, PART_INDEX_BYTES_MAX, self.retry_for).await?
        else {
            return Err(BucketError::PartIndexMissing { key, manifest: entry.key.clone() });
        };
        let found = Sha256Digest::of(&document.bytes);
        if found != *expected {
            return Err(BucketError::PartIndexDigest { key, expected: *expected, found });
        }
        match PartIndex::parse(&document.bytes, &entry.manifest) {
            Ok(parts) => Ok(Some(parts)),
            Err(source) => Err(BucketError::PartIndex { key, source }),
        }
    }

    /// Returns the objects of a chain that are missing or have another length, from one
    /// listing of the subvolume.
    pub async fn missing(&self, directory: &str, chain: &Chain) -> Result<Vec<String>, StoreError> {
        let mut wanted: BTreeMap<&str, Option<u64>> = BTreeMap::new();
        for entry in chain.entries() {
            let chunks = entry.manifest.chunks.iter();
            wanted.extend(chunks.map(|chunk| (chunk.key.as_str(), Some(chunk.size))));
            wanted.extend(entry.manifest.parts.iter().map(|parts| (parts.key.as_str(), None)));
        }
        let mut listing = self.store.list(directory, self.retry_for);
        while let Some(page) = listing.next_page().await? {
            for listed in page {
                let size = wanted.get(listed.key.as_str());
                if size.is_some_and(|size| size.is_none_or(|size| size == listed.size)) {
                    wanted.remove(listed.key.as_str());
                }
            }
        }
        Ok(wanted.into_keys().map(str::to_owned).collect())
    }

    pub async fn write(
        &self,
        key: &Key,
        document: &impl Serialize,
        overwrite: Overwrite,
    ) -> Result<Stored, UploadError> {
        let put = PutDocument {
            key: key.clone(),
            content_type: "application/json",
            metadata: self.metadata.clone(),
            storage_class: self.storage_class.clone(),
            overwrite,
            retry_for: self.retry_for,
        };
        self.store.write(put, &to_json(document)).await
    }
}

/// Returns true if a conditional write found an object that another run had written.
pub fn is_conflict(err: &UploadError) -> bool {
    matches!(err, UploadError::Store(err) if err.kind == StoreErrorKind::Precondition)
}

/// Returns true if S3 refused a write, so that nothing was written.
pub fn is_refusal(err: &UploadError) -> bool {
    let UploadError::Store(err) = err else { return true };
    !matches!(
        err.kind,
        StoreErrorKind::Transient | StoreErrorKind::Unreadable | StoreErrorKind::Corrupt
    )
}
