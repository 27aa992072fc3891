//! Observes one subvolume: its snapshots on disk and its backups in the bucket. It
//! changes nothing and decides nothing.

use std::path::{Path, PathBuf};

use s3up_store::StoreError;

use crate::bucket::{Bucket, PointerRead, ReadChainError};
use crate::cause::error_chain;
use crate::chain::ChainError;
use crate::config::Subvolume;
use crate::filesystem;
use crate::kept;
use crate::layout::Layout;
use crate::manifest::Pointer;
use crate::plan::{ParentOnDisk, Published, ReceivedSnapshot, parent_of};
use crate::send;
use crate::snapshot::{SnapshotName, SubvolumeName};
use crate::subvolume::{self, Shown, SubvolumeError};
use crate::tool::Btrfs;

/// What was observed of one subvolume.
#[derive(Debug)]
pub struct Observed {
    pub published: Published,
    /// ETag of the pointer that a new backup will replace.
    pub pointer_etag: Option<String>,
    pub parent: ParentOnDisk,
    /// Path of the parent. It is outside the snapshot directory if a restore kept it
    /// elsewhere.
    pub parent_path: Option<PathBuf>,
    /// Snapshots of this subvolume that btrfs-to-s3 made, in order.
    pub snapshots: Vec<SnapshotName>,
}

#[derive(Debug, thiserror::Error)]
pub enum ObserveError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Snapshots(#[from] SubvolumeError),
    #[error(
        "the published backup was made by a newer version of btrfs-to-s3; install that version"
    )]
    Newer(#[source] ChainError),
}

pub async fn look(
    bucket: &Bucket,
    layout: &Layout,
    btrfs: &Btrfs,
    base_dir: &Path,
    Subvolume { name, path }: &Subvolume,
) -> Result<Observed, ObserveError> {
    let pointer = bucket.pointer(&layout.pointer(name)).await?;
    let published = published(bucket, layout, name, pointer.as_ref()).await?;
    let parent_path = match &published {
        Published::Chain(chain) => {
            parent_of(chain).and_then(|parent| find(base_dir, path, &parent))
        }
        Published::Nothing | Published::ManifestMissing { .. } | Published::Broken { .. } => None,
    };
    let parent = match &parent_path {
        Some(path) => on_disk(btrfs, path).await,
        None => ParentOnDisk::Missing,
    };
    let mut snapshots = subvolume::snapshots_in(base_dir)?;
    snapshots.retain(|snapshot| snapshot.subvolume == *name);
    let pointer_etag = pointer.map(|pointer| pointer.etag);
    Ok(Observed { published, pointer_etag, parent, parent_path, snapshots })
}

/// Follows the pointer to its chain.
pub async fn published(
    bucket: &Bucket,
    layout: &Layout,
    name: &SubvolumeName,
    pointer: Option<&PointerRead>,
) -> Result<Published, ObserveError> {
    let Some(PointerRead { pointer, .. }) = pointer else { return Ok(Published::Nothing) };
    let key = match pointer.as_ref().map(Pointer::key) {
        Ok(Ok(key)) => key,
        Ok(Err(err)) => return Ok(Published::Broken { reason: error_chain(&err) }),
        Err(err) => return Ok(Published::Broken { reason: error_chain(err) }),
    };
    let chain = match bucket.chain(key).await {
        Ok(chain) => chain,
        Err(ReadChainError::Store(err)) => return Err(err.into()),
        Err(ReadChainError::Chain(err)) if err.is_newer() => return Err(ObserveError::Newer(err)),
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
            "{} belongs to the subvolume {:?}, expected {:?}",
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
            let reason =
                format!("{count} objects are missing or have the wrong size, the first is {first}");
            Ok(Published::Broken { reason })
        }
    }
}

/// Returns the path of the snapshot `name` that can serve as a parent. Snapshots cannot
/// cross filesystems, so another filesystem does not count.
fn find(base_dir: &Path, subvolume: &Path, name: &SnapshotName) -> Option<PathBuf> {
    let device = |path: &Path| filesystem::on_btrfs(path).ok().map(|place| place.mount.device);
    let is_near = |path: &PathBuf| path.starts_with(base_dir) || device(path) == device(base_dir);
    let mut candidates = kept::candidates(base_dir, subvolume, name).into_iter();
    candidates.find(|path| path.exists() && is_near(path))
}

/// Reads the state of a snapshot on disk.
pub(crate) async fn on_disk(btrfs: &Btrfs, path: &Path) -> ParentOnDisk {
    if !path.exists() {
        return ParentOnDisk::Missing;
    }
    let shown = match subvolume::show(btrfs, path).await {
        Err(err) => return ParentOnDisk::Unreadable { reason: error_chain(&err) },
        Ok(shown) if !shown.is_read_only => return ParentOnDisk::Writable,
        Ok(shown) => shown,
    };
    let identity = match send::identity(btrfs, path).await {
        Ok(identity) => identity,
        Err(err) => return ParentOnDisk::Unreadable { reason: error_chain(&err) },
    };
    let Shown { received_uuid, send_transid, made_transid, .. } = shown;
    match received_uuid {
        None => ParentOnDisk::Found(identity),
        Some(_) => {
            ParentOnDisk::Received(ReceivedSnapshot { identity, send_transid, made_transid })
        }
    }
}
