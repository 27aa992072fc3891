//! Looks at one subvolume, its snapshots on disk, and its backups in the
//! bucket. Changes nothing, decides nothing.

use std::path::Path;

use s3up_store::StoreError;

use crate::bucket::{Bucket, PointerRead, ReadChainError};
use crate::cause::with_cause;
use crate::chain::ChainError;
use crate::layout::Layout;
use crate::manifest::Pointer;
use crate::plan::{ParentOnDisk, Published, parent_of};
use crate::send;
use crate::snapshot::{SnapshotName, SubvolumeName};
use crate::subvolume::{self, SubvolumeError};
use crate::tool::Btrfs;

/// What was seen of one subvolume.
#[derive(Debug)]
pub struct Seen {
    pub published: Published,
    /// The version of the pointer that a new one replaces.
    pub pointer_etag: Option<String>,
    pub parent: ParentOnDisk,
    /// Our snapshots of this subvolume, in order.
    pub snapshots: Vec<SnapshotName>,
}

#[derive(Debug, thiserror::Error)]
pub enum LookError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Snapshots(#[from] SubvolumeError),
    #[error("the published backup was made by a newer program; use that one")]
    Newer(#[source] ChainError),
}

pub async fn look(
    bucket: &Bucket,
    layout: &Layout,
    btrfs: &Btrfs,
    base_dir: &Path,
    name: &SubvolumeName,
) -> Result<Seen, LookError> {
    let pointer = bucket.pointer(&layout.pointer(name)).await?;
    let published = published(bucket, layout, name, pointer.as_ref()).await?;
    let parent = match &published {
        Published::Chain(chain) => match parent_of(chain) {
            Some(parent) => on_disk(btrfs, &base_dir.join(parent.to_string())).await,
            None => ParentOnDisk::Missing,
        },
        Published::Nothing | Published::ManifestMissing { .. } | Published::Broken { .. } => {
            ParentOnDisk::Missing
        }
    };
    let mut snapshots = subvolume::snapshots_in(base_dir)?;
    snapshots.retain(|snapshot| snapshot.subvolume == *name);
    let pointer_etag = pointer.map(|pointer| pointer.etag);
    Ok(Seen { published, pointer_etag, parent, snapshots })
}

/// What the pointer leads to.
pub async fn published(
    bucket: &Bucket,
    layout: &Layout,
    name: &SubvolumeName,
    pointer: Option<&PointerRead>,
) -> Result<Published, LookError> {
    let Some(PointerRead { pointer, .. }) = pointer else { return Ok(Published::Nothing) };
    let key = match pointer.as_ref().map(Pointer::key) {
        Ok(Ok(key)) => key,
        Ok(Err(err)) => return Ok(Published::Broken { reason: with_cause(&err) }),
        Err(err) => return Ok(Published::Broken { reason: with_cause(err) }),
    };
    let chain = match bucket.chain(key).await {
        Ok(chain) => chain,
        Err(ReadChainError::Store(err)) => return Err(err.into()),
        Err(ReadChainError::Chain(err)) if err.is_newer() => return Err(LookError::Newer(err)),
        Err(ReadChainError::Chain(ChainError::Missing { key })) => {
            return Ok(Published::ManifestMissing { key: key.as_str().to_owned() });
        }
        Err(ReadChainError::Chain(err)) => {
            return Ok(Published::Broken { reason: with_cause(&err) });
        }
    };
    let newest = chain.newest();
    if newest.manifest.subvolume != name.as_str() {
        let reason = format!(
            "{} is of the subvolume {:?}, expected {:?}",
            newest.key,
            newest.manifest.subvolume,
            name.as_str()
        );
        return Ok(Published::Broken { reason });
    }
    let missing = bucket.missing(&layout.folder(name), &chain).await?;
    match missing.first() {
        None => Ok(Published::Chain(chain)),
        Some(first) => {
            let count = missing.len();
            let reason = format!("{count} objects are missing or have another size, as {first}");
            Ok(Published::Broken { reason })
        }
    }
}

/// What a snapshot is.
pub(crate) async fn on_disk(btrfs: &Btrfs, path: &Path) -> ParentOnDisk {
    if !path.exists() {
        return ParentOnDisk::Missing;
    }
    match subvolume::show(btrfs, path).await {
        Err(err) => return ParentOnDisk::Unreadable { reason: with_cause(&err) },
        Ok(shown) if !shown.is_read_only => return ParentOnDisk::Writable,
        Ok(_) => {}
    }
    match send::identity(btrfs, path).await {
        Ok(identity) => ParentOnDisk::Found(identity),
        Err(err) => ParentOnDisk::Unreadable { reason: with_cause(&err) },
    }
}
