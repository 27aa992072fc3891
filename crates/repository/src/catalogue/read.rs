//! Reads a [`Catalogue`] from the bucket: pointer, listing, then each manifest.
//!
//! This order ensures that the listing contains everything the pointer led to. Objects
//! that are written meanwhile appear as unpublished, and objects that are deleted
//! meanwhile as missing. Neither leads to a wrong deletion.

use std::collections::BTreeSet;

use futures::StreamExt;
use s3up_core::{Key, error_chain};
use s3up_store::StoreError;

use super::builder::ObjectIndex;
use super::{Catalogue, ManifestKey, TooManyObjects, Unrestorable};
use crate::documents::{Bucket, PointerRead, ReadChainError};
use crate::layout::Layout;
use crate::manifest::{DocumentError, Manifest};
use crate::names::SubvolumeName;

/// Hides the latency of the calls. Most manifests are some KiB long; the longest are 16
/// MiB.
pub const MANIFESTS_IN_FLIGHT: usize = 8;
/// Far more than one host backs up.
const SUBVOLUMES_MAX: usize = 10_000;

#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    TooManyObjects(#[from] TooManyObjects),
    #[error(
        "list {directory}: expected at most {SUBVOLUMES_MAX} subvolumes, found more; check the prefix"
    )]
    TooManySubvolumes { directory: String },
}

/// Returns the names of all subvolumes that have objects in the bucket.
pub async fn subvolumes(
    bucket: &Bucket,
    layout: &Layout,
) -> Result<BTreeSet<SubvolumeName>, CatalogueError> {
    let directory = layout.subvolumes();
    let mut names = BTreeSet::new();
    let mut listing = bucket.store.list(&directory, bucket.retry_for);
    while let Some(page) = listing.next_page().await? {
        let name = |key: &str| {
            let (name, _) = key.strip_prefix(&directory)?.split_once('/')?;
            SubvolumeName::parse(name).ok()
        };
        names.extend(page.iter().filter_map(|listed| name(&listed.key)));
        if names.len() > SUBVOLUMES_MAX {
            return Err(CatalogueError::TooManySubvolumes { directory });
        }
    }
    Ok(names)
}

impl Catalogue {
    pub async fn read(
        bucket: &Bucket,
        layout: &Layout,
        subvolume: &SubvolumeName,
    ) -> Result<Catalogue, CatalogueError> {
        let pointer = read_pointer(bucket, &layout.pointer(subvolume)).await?;
        let directory = layout.directory(subvolume);
        let mut index = ObjectIndex::new(directory.clone());
        let mut listing = bucket.store.list(&directory, bucket.retry_for);
        while let Some(page) = listing.next_page().await? {
            for listed in page {
                index.add(listed)?;
            }
        }
        let found = index.manifests(layout, subvolume);
        let mut draft = index.into_draft(subvolume.clone());
        // The bucket is cloned because the future must be `Send`.
        let each = found.into_iter().map(|found| {
            let bucket = bucket.clone();
            async move { read_manifest(&bucket, found).await }
        });
        let mut read = futures::stream::iter(each).buffered(MANIFESTS_IN_FLIGHT);
        while let Some(outcome) = read.next().await {
            let (found, manifest) = outcome?;
            draft.add(found, manifest);
        }
        let etag = pointer.as_ref().ok().and_then(Option::as_ref).map(|read| read.etag.clone());
        Ok(draft.finish(manifest_named_by(pointer), etag))
    }
}

/// Reads the pointer, or returns why it cannot be read now.
async fn read_pointer(
    bucket: &Bucket,
    key: &Key,
) -> Result<Result<Option<PointerRead>, Unrestorable>, StoreError> {
    match bucket.pointer(key).await {
        Ok(read) => Ok(Ok(read)),
        Err(err) => Unrestorable::of_read(key, err).map(Err),
    }
}

/// Returns the manifest that a pointer names; `None` if there is no pointer.
fn manifest_named_by(
    pointer: Result<Option<PointerRead>, Unrestorable>,
) -> Option<Result<Key, Unrestorable>> {
    let broken = |err: &DocumentError| Unrestorable::Broken(error_chain(err));
    match pointer {
        Ok(None) => None,
        Ok(Some(PointerRead { pointer: Ok(pointer), .. })) => {
            Some(pointer.key().map_err(|err| broken(&err)))
        }
        Ok(Some(PointerRead { pointer: Err(err), .. })) => Some(Err(broken(&err))),
        Err(reason) => Some(Err(reason)),
    }
}

async fn read_manifest(
    bucket: &Bucket,
    found: ManifestKey,
) -> Result<(ManifestKey, Result<Manifest, Unrestorable>), StoreError> {
    match bucket.entry(found.key.clone()).await {
        Ok(entry) => Ok((found, Ok(entry.manifest))),
        Err(ReadChainError::Chain(err)) => {
            Ok((found, Err(Unrestorable::Broken(error_chain(&err)))))
        }
        Err(ReadChainError::Store(err)) => {
            let reason = Unrestorable::of_read(&found.key, err)?;
            Ok((found, Err(reason)))
        }
    }
}
