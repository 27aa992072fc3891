//! The read-only snapshot that a restore keeps, so that the next backup is an
//! incremental on it and no new full.
//!
//! It is a snapshot of what was received, made where it stays: it carries the
//! received UUID and the send transid on, and since it is made in one go its
//! ctransid is at most the transaction that made it for as long as nobody
//! changes it. (What was received cannot say that: its data is still being
//! written when it is done. Nor can it be moved: a read-only subvolume cannot
//! be renamed into another folder.)
//!
//! Where the restored subvolume is one of the configuration, that is the folder
//! of snapshots, with a record as for those that backups make. On an empty host
//! it is a folder beside the target, which later backups look into; whoever
//! moves the restored subvolume moves that folder beside it again, or into the
//! folder of snapshots.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use btrfs_host::subvolume;
use btrfs_host::tool::{Btrfs, ToolError};
use s3up_repository::names::SnapshotName;

use crate::sibling_dir::folder_for;
use crate::snapshots::dir::{delete_read_only, snapshots_in};

const SUFFIX: &str = ".btrfs-to-s3-parent";
/// A folder of snapshots has some hundreds of entries.
const FOLDERS_MAX: usize = 1_000;

/// What a host has to do with the subvolume that is restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configured {
    /// Of the subvolume, as configured.
    pub path: PathBuf,
    pub base_dir: PathBuf,
    /// Whether the target is on the filesystem of `base_dir`.
    pub is_same_filesystem: bool,
    /// Whether there is anything at `path`.
    pub is_there: bool,
}

/// Where it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeepLocation {
    /// In the folder of snapshots.
    SnapshotDir(PathBuf),
    /// In a folder of its own.
    Beside(PathBuf),
}

#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    #[error("make the folder {path:?}")]
    Folder { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Tool(#[from] ToolError),
}

/// Decides. Another subvolume that is in use under that name has nothing to do
/// with what is restored, and an incremental of it would hold everything.
pub fn place(configured: Option<&Configured>, target: &Path) -> KeepLocation {
    match configured {
        Some(Configured { path, base_dir, is_same_filesystem: true, is_there })
            if path == target || !is_there =>
        {
            KeepLocation::SnapshotDir(base_dir.clone())
        }
        Some(_) | None => KeepLocation::Beside(folder_beside(target)),
    }
}

/// `.data.btrfs-to-s3-parent` beside `data`.
pub fn folder_beside(subvolume: &Path) -> PathBuf {
    folder_for(subvolume, SUFFIX)
}

/// Keeps a snapshot of what was received, in a folder of its own. One that an
/// earlier restore kept there is of no use any more.
pub async fn keep_beside(
    btrfs: &Btrfs,
    received: &Path,
    folder: &Path,
    name: &SnapshotName,
) -> Result<(), KeepError> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
            return Err(KeepError::Folder { path: folder.to_owned(), source });
        }
        Ok(()) | Err(_) => {}
    }
    let at = folder.join(name.to_string());
    if at.symlink_metadata().is_err() {
        subvolume::snapshot_read_only(btrfs, received, &at).await?;
    }
    forget(btrfs, folder, |kept| kept.subvolume == name.subvolume && kept != name).await;
    Ok(())
}

/// Where the snapshot of that name may be, the likeliest first: in the folder of
/// snapshots; beside the subvolume; in a folder that was moved into the folder
/// of snapshots.
pub fn candidates(base_dir: &Path, subvolume: &Path, name: &SnapshotName) -> Vec<PathBuf> {
    let folders = [base_dir.to_owned(), folder_beside(subvolume)].into_iter();
    let folders = folders.chain(moved_into(base_dir));
    folders.map(|folder| folder.join(name.to_string())).collect()
}

/// Removes what was kept outside of the folder of snapshots, once a newer backup
/// is published. What cannot be removed is a warning.
pub async fn clear(btrfs: &Btrfs, base_dir: &Path, subvolume: &Path, published: &SnapshotName) {
    for folder in [folder_beside(subvolume)].into_iter().chain(moved_into(base_dir)) {
        let is_older =
            |kept: &SnapshotName| kept.subvolume == published.subvolume && kept < published;
        forget(btrfs, &folder, is_older).await;
    }
}

fn moved_into(base_dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(base_dir) else { return Vec::new() };
    let is_ours = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with('.') && name.ends_with(SUFFIX))
    };
    let paths = entries.filter_map(Result::ok).map(|entry| entry.path());
    let mut folders: Vec<_> = paths.filter(is_ours).take(FOLDERS_MAX).collect();
    folders.sort();
    folders
}

/// Removes snapshots from a folder of its own, and the folder when it is empty.
async fn forget(btrfs: &Btrfs, folder: &Path, is_meant: impl Fn(&SnapshotName) -> bool) {
    // A folder that is not there is the usual case.
    let Ok(snapshots) = snapshots_in(folder) else { return };
    for name in snapshots.iter().filter(|name| is_meant(name)) {
        let path = folder.join(name.to_string());
        if let Err(err) = delete_read_only(btrfs, &path).await {
            tracing::warn!(event = "snapshot_not_deleted", path = %path.display(), "{err}");
            return;
        }
        tracing::info!(event = "snapshot_deleted", path = %path.display(), "it was a kept parent");
    }
    match fs::remove_dir(folder) {
        Err(err) if err.kind() != io::ErrorKind::DirectoryNotEmpty => {
            tracing::warn!(event = "cleanup_failed", folder = %folder.display(), "{err}");
        }
        Ok(()) | Err(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_parent_is_kept() {
        let configured = |path: &str, is_same_filesystem, is_there| {
            let (path, base_dir) = (PathBuf::from(path), PathBuf::from("/srv/snapshots"));
            Some(Configured { path, base_dir, is_same_filesystem, is_there })
        };
        let in_snapshots = || KeepLocation::SnapshotDir(PathBuf::from("/srv/snapshots"));
        let beside = || KeepLocation::Beside(PathBuf::from("/srv/.data.btrfs-to-s3-parent"));
        #[rustfmt::skip]
        let cases = [
            ("no configuration",         None,                                  beside()),
            ("it is what is backed up",  configured("/srv/data", true, true),   in_snapshots()),
            ("it will be",               configured("/srv/other", true, false), in_snapshots()),
            ("another is",               configured("/srv/other", true, true),  beside()),
            ("on another filesystem",    configured("/srv/data", false, true),  beside()),
        ];
        for (situation, configured, want) in cases {
            assert_eq!(place(configured.as_ref(), Path::new("/srv/data")), want, "{situation}");
        }
    }

    #[test]
    fn where_a_parent_is_looked_for() {
        let folder = tempfile::tempdir().unwrap();
        for name in [".old.btrfs-to-s3-parent", "x.btrfs-to-s3-parent", ".btrfs-to-s3"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let name = SnapshotName::parse("data__20260131T235959Z__inc").unwrap();

        let found = candidates(folder.path(), Path::new("/srv/data"), &name);

        let moved = folder.path().join(".old.btrfs-to-s3-parent");
        let beside = PathBuf::from("/srv/.data.btrfs-to-s3-parent");
        let folders = [folder.path().to_owned(), beside, moved];
        assert_eq!(found, folders.map(|folder| folder.join(name.to_string())));
    }
}
