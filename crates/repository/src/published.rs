//! The published backups of one subvolume: what its pointer leads to.

use s3up_core::error_chain;
use s3up_store::{StoreError, StoreErrorKind};

use crate::catalogue::unrestorable::{THAW_ADVICE, Unrestorable};
use crate::chain::{Chain, ChainError};
use crate::documents::{Bucket, PointerRead, ReadChainError};
use crate::layout::Layout;
use crate::manifest::Pointer;
use crate::names::SubvolumeName;

/// The published state of a subvolume.
#[derive(Debug)]
pub enum Published {
    Nothing,
    /// The pointer names a manifest that does not exist.
    ManifestMissing {
        key: String,
    },
    /// The pointer names a chain that no incremental can be based on.
    Broken {
        reason: String,
    },
    Chain(Chain),
}

impl Published {
    /// Returns the chain, if an incremental can be based on it.
    pub fn chain(&self) -> Option<&Chain> {
        match self {
            Published::Chain(chain) => Some(chain),
            Published::Nothing | Published::ManifestMissing { .. } | Published::Broken { .. } => {
                None
            }
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum PublishedError {
    #[error(transparent)]
    Store(StoreError),
    /// Nothing may be decided before it is thawed.
    #[error("a document is archived and was not read; {THAW_ADVICE}")]
    Archived(#[source] StoreError),
    #[error(
        "the published backup was made by a newer version of btrfs-to-s3; install that version"
    )]
    Newer(#[source] ChainError),
}

impl From<StoreError> for PublishedError {
    fn from(err: StoreError) -> PublishedError {
        match err.kind == StoreErrorKind::Archived {
            true => PublishedError::Archived(err),
            false => PublishedError::Store(err),
        }
    }
}

/// Reads the pointer, and follows it to its chain.
pub async fn published(
    bucket: &Bucket,
    layout: &Layout,
    name: &SubvolumeName,
) -> Result<(Published, Option<PointerRead>), PublishedError> {
    let pointer = bucket.pointer(&layout.pointer(name)).await?;
    Ok((follow(bucket, layout, name, pointer.as_ref()).await?, pointer))
}

async fn follow(
    bucket: &Bucket,
    layout: &Layout,
    name: &SubvolumeName,
    pointer: Option<&PointerRead>,
) -> Result<Published, PublishedError> {
    let Some(PointerRead { pointer, .. }) = pointer else { return Ok(Published::Nothing) };
    let key = match pointer.as_ref().map(Pointer::key) {
        Ok(Ok(key)) => key,
        Ok(Err(err)) => return Ok(Published::Broken { reason: error_chain(&err) }),
        Err(err) => return Ok(Published::Broken { reason: error_chain(err) }),
    };
    let chain = match bucket.chain(key).await {
        Ok(chain) => chain,
        Err(ReadChainError::Store(err)) => return Err(err.into()),
        Err(ReadChainError::Chain(err)) if err.is_newer() => {
            return Err(PublishedError::Newer(err));
        }
        Err(ReadChainError::Chain(ChainError::Missing { key })) => {
            return Ok(Published::ManifestMissing { key: key.as_str().to_owned() });
        }
        Err(ReadChainError::Chain(err)) => {
            return Ok(Published::Broken { reason: error_chain(&err) });
        }
    };
    let newest = chain.newest();
    if newest.manifest.subvolume != name.as_str() {
        let reason = format!(
            "manifest {}: expected subvolume {:?}, found {:?}",
            newest.key,
            name.as_str(),
            newest.manifest.subvolume
        );
        return Ok(Published::Broken { reason });
    }
    let missing = bucket.missing(&layout.directory(name), &chain).await?;
    Ok(match missing.first() {
        None => Published::Chain(chain),
        Some(first) => {
            let first = format!("{first} is missing or has the wrong size");
            let reason = Unrestorable::of_objects(missing.len(), &first).to_string();
            Published::Broken { reason }
        }
    })
}
