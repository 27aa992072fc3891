//! Reads a [`Catalogue`] from the bucket: pointer, listing, then each manifest.
//!
//! This order ensures that the listing contains everything the pointer led to. Objects
//! that are written meanwhile appear as unpublished, and objects that are deleted
//! meanwhile as missing. Neither leads to a wrong deletion.

use std::collections::BTreeSet;

use futures::StreamExt;
use s3up_core::error_chain;
use s3up_store::StoreError;

use super::builder::ObjectIndex;
use super::{Catalogue, ManifestKey, TooManyObjects};
use crate::documents::{Bucket, ReadChainError};
use crate::layout::Layout;
use crate::manifest::{Manifest, Pointer};
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
    #[error("{folder} has more than {SUBVOLUMES_MAX} subvolumes, the limit; check `s3.prefix`")]
    TooManySubvolumes { folder: String },
}

/// Returns the names of all subvolumes that have objects in the bucket.
pub async fn subvolumes(
    bucket: &Bucket,
    layout: &Layout,
) -> Result<BTreeSet<SubvolumeName>, CatalogueError> {
    let folder = layout.subvolumes();
    let mut names = BTreeSet::new();
    let mut listing = bucket.store.list(&folder, bucket.retry_for);
    while let Some(page) = listing.next_page().await? {
        let name = |key: &str| {
            let (name, _) = key.strip_prefix(&folder)?.split_once('/')?;
            SubvolumeName::parse(name).ok()
        };
        names.extend(page.iter().filter_map(|listed| name(&listed.key)));
        if names.len() > SUBVOLUMES_MAX {
            return Err(CatalogueError::TooManySubvolumes { folder });
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
        let pointer = bucket.pointer(&layout.pointer(subvolume)).await?;
        let folder = layout.folder(subvolume);
        let mut index = ObjectIndex::new(folder.clone());
        let mut listing = bucket.store.list(&folder, bucket.retry_for);
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
        let etag = pointer.as_ref().map(|pointer| pointer.etag.clone());
        let named = pointer.map(|pointer| {
            let key = pointer.pointer.as_ref().map(Pointer::key);
            key.map_err(|err| error_chain(err))?.map_err(|err| error_chain(&err))
        });
        Ok(draft.finish(named, etag))
    }
}

async fn read_manifest(
    bucket: &Bucket,
    found: ManifestKey,
) -> Result<(ManifestKey, Result<Manifest, String>), StoreError> {
    match bucket.entry(found.key.clone()).await {
        Ok(entry) => Ok((found, Ok(entry.manifest))),
        Err(ReadChainError::Chain(err)) => Ok((found, Err(error_chain(&err)))),
        // A manifest that is too long is not from us; its error says so.
        Err(ReadChainError::Store(err)) if err.kind == s3up_store::Kind::TooLong => {
            Ok((found, Err(error_chain(&err))))
        }
        Err(ReadChainError::Store(err)) => Err(err),
    }
}
