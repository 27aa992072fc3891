//! Observes one subvolume: its snapshots on disk and its backups in the bucket. It
//! changes nothing and decides nothing.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use btrfs_host::subvolume::{self, SubvolumeInfo};
use btrfs_host::tool::Btrfs;
use btrfs_host::{filesystem, send};
use s3up_core::error_chain;
use s3up_repository::documents::{Bucket, PointerRead};
use s3up_repository::layout::Layout;
use s3up_repository::names::{SnapshotName, Subvolume};
use s3up_repository::origin::Lineage;
use s3up_repository::published::{Published, PublishedError, published};
use s3up_store::StoreError;

use crate::plan::decide::parent_of;
use crate::plan::observed::{ParentOnDisk, ReceivedSnapshot};
use crate::snapshots::dir::{ListError, snapshots_in};
use crate::snapshots::received_parent;

/// Pauses before the state of a snapshot is read again.
const RETRY_PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(3)];

/// The observed state of one subvolume.
#[derive(Debug)]
pub struct Observed {
    pub published: Published,
    /// ETag of the pointer that a new backup will replace.
    pub pointer_etag: Option<String>,
    /// Lineage of the newest published backup, if its origin is recorded.
    pub published_lineage: Option<Lineage>,
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
    Snapshots(#[from] ListError),
    #[error(transparent)]
    Published(#[from] PublishedError),
}

pub async fn observe(
    bucket: &Bucket,
    layout: &Layout,
    btrfs: &Btrfs,
    base_dir: &Path,
    Subvolume { name, path }: &Subvolume,
) -> Result<Observed, ObserveError> {
    let (published, pointer) = published(bucket, layout, name).await?;
    let (parent, parent_path) = observe_parent(btrfs, base_dir, path, &published).await;
    let mut snapshots = snapshots_in(base_dir)?;
    snapshots.retain(|snapshot| snapshot.subvolume == *name);
    let published_lineage = lineage(&published, pointer.as_ref());
    let pointer_etag = pointer.map(|pointer| pointer.etag);
    Ok(Observed { published, pointer_etag, published_lineage, parent, parent_path, snapshots })
}

/// Returns the lineage of the newest published backup, if its origin is recorded: from its
/// manifest, else from the pointer.
pub fn lineage(published: &Published, pointer: Option<&PointerRead>) -> Option<Lineage> {
    let newest = published.chain().map(|chain| &chain.newest().manifest);
    let of_manifest = newest.and_then(|manifest| {
        let (origin, earlier) = (manifest.origin.clone()?, manifest.earlier_origins.clone());
        Some(Lineage { origin, earlier })
    });
    let of_pointer = || {
        let pointer = pointer?.pointer.as_ref().ok()?;
        let (origin, earlier) = (pointer.origin.clone()?, pointer.earlier_origins.clone());
        Some(Lineage { origin, earlier })
    };
    of_manifest.or_else(of_pointer)
}

/// Reads the state on disk of the snapshot of the newest published backup, and returns its
/// path.
pub async fn observe_parent(
    btrfs: &Btrfs,
    base_dir: &Path,
    subvolume: &Path,
    published: &Published,
) -> (ParentOnDisk, Option<PathBuf>) {
    let parent = published.chain().and_then(parent_of);
    let Some(path) = parent.and_then(|parent| find(base_dir, subvolume, &parent)) else {
        return (ParentOnDisk::Missing, None);
    };
    (on_disk(btrfs, &path).await, Some(path))
}

/// Returns the path of the snapshot `name` that can serve as a parent. Snapshots cannot
/// cross filesystems, so another filesystem does not count.
fn find(base_dir: &Path, subvolume: &Path, name: &SnapshotName) -> Option<PathBuf> {
    let device = |path: &Path| filesystem::on_btrfs(path).ok().map(|found| found.mount.device);
    let is_near = |path: &PathBuf| path.starts_with(base_dir) || device(path) == device(base_dir);
    let mut candidates = received_parent::candidates(base_dir, subvolume, name).into_iter();
    // A path whose metadata cannot be read is not missing.
    let is_there = |path: &PathBuf| match path.symlink_metadata() {
        Err(err) => err.kind() != io::ErrorKind::NotFound,
        Ok(_) => true,
    };
    candidates.find(|path| is_there(path) && is_near(path))
}

/// Reads the state of a snapshot on disk. A read that fails is repeated: it may have
/// failed for lack of memory, and a parent that counts as gone means a full.
pub(crate) async fn on_disk(btrfs: &Btrfs, path: &Path) -> ParentOnDisk {
    for pause in RETRY_PAUSES {
        match observe_once(btrfs, path).await {
            ParentOnDisk::Unreadable { reason } => tracing::warn!(
                event = "parent_read_repeated",
                path = %path.display(),
                "cannot read the state of a snapshot, trying again in {} s: {reason}",
                pause.as_secs()
            ),
            found @ (ParentOnDisk::Missing
            | ParentOnDisk::Writable
            | ParentOnDisk::Found(_)
            | ParentOnDisk::Received(_)) => return found,
        }
        tokio::time::sleep(pause).await;
    }
    observe_once(btrfs, path).await
}

async fn observe_once(btrfs: &Btrfs, path: &Path) -> ParentOnDisk {
    match path.symlink_metadata() {
        Err(err) if err.kind() == io::ErrorKind::NotFound => return ParentOnDisk::Missing,
        Err(err) => return ParentOnDisk::Unreadable { reason: err.to_string() },
        Ok(_) => {}
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
    let SubvolumeInfo { received_uuid, send_transid, made_transid, .. } = shown;
    match received_uuid {
        None => ParentOnDisk::Found(identity),
        Some(_) => {
            ParentOnDisk::Received(ReceivedSnapshot { identity, send_transid, made_transid })
        }
    }
}
