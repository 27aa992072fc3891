//! The received parent: the read-only snapshot that a restore keeps, so that the next
//! backup is an incremental and not a full.
//!
//! It is a snapshot of the received subvolume, made at its final place. It carries the
//! received UUID and the send transid. Since it is made in one transaction, its
//! ctransid never exceeds that transaction unless the snapshot is changed. (The received
//! subvolume cannot show that, because its data is still being written when the receive
//! ends. And it cannot be moved: a read-only subvolume cannot be renamed into another
//! directory.)
//!
//! If the restored subvolume is in the configuration, the received parent lies in the
//! snapshot directory, with a record like those of backups. On an empty host it lies in
//! a hidden directory beside the target, which later backups search. If the restored
//! subvolume is moved, that directory must be moved beside it again, or into the
//! snapshot directory.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use btrfs_host::subvolume;
use btrfs_host::tool::{Btrfs, ToolError};
use s3up_repository::names::SnapshotName;

use crate::sibling_dir::dir_for;
use crate::snapshots::dir::{delete_read_only, snapshots_in};

const SUFFIX: &str = ".btrfs-to-s3-parent";
/// A snapshot directory has some hundreds of entries.
const DIRS_MAX: usize = 1_000;

/// The configured subvolume of the same name, if this host has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfiguredSubvolume {
    /// Path of the subvolume in the configuration.
    pub path: PathBuf,
    pub base_dir: PathBuf,
    /// True if the target is on the filesystem of `base_dir`.
    pub is_same_filesystem: bool,
    /// True if `path` exists.
    pub is_there: bool,
}

/// The place of the received parent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeepLocation {
    /// In the snapshot directory.
    SnapshotDir(PathBuf),
    /// In a directory of its own.
    Beside(PathBuf),
}

#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    #[error("create the directory {path:?}")]
    Dir { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Tool(#[from] ToolError),
}

/// Returns where the received snapshot is kept. If the configured subvolume exists elsewhere, it has nothing to do with the
/// restored one, and an incremental of it would hold everything.
pub fn keep_location(configured: Option<&ConfiguredSubvolume>, target: &Path) -> KeepLocation {
    match configured {
        Some(ConfiguredSubvolume { path, base_dir, is_same_filesystem: true, is_there })
            if path == target || !is_there =>
        {
            KeepLocation::SnapshotDir(base_dir.clone())
        }
        Some(_) | None => KeepLocation::Beside(dir_beside(target)),
    }
}

/// `.data.btrfs-to-s3-parent` beside `data`.
pub fn dir_beside(subvolume: &Path) -> PathBuf {
    dir_for(subvolume, SUFFIX)
}

/// Keeps a snapshot of the received subvolume in a directory of its own, and removes
/// the ones of earlier restores.
pub async fn keep_beside(
    btrfs: &Btrfs,
    received: &Path,
    directory: &Path,
    name: &SnapshotName,
) -> Result<(), KeepError> {
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
            return Err(KeepError::Dir { path: directory.to_owned(), source });
        }
        Ok(()) | Err(_) => {}
    }
    let at = directory.join(name.to_string());
    if at.symlink_metadata().is_err() {
        subvolume::snapshot_read_only(btrfs, received, &at).await?;
    }
    forget(btrfs, directory, |kept| kept.subvolume == name.subvolume && kept != name).await;
    Ok(())
}

/// Returns the paths where the snapshot `name` may be, the likeliest first: the
/// snapshot directory, the directory beside the subvolume, and such directories that
/// were moved into the snapshot directory.
pub fn candidates(base_dir: &Path, subvolume: &Path, name: &SnapshotName) -> Vec<PathBuf> {
    let dirs = [base_dir.to_owned(), dir_beside(subvolume)].into_iter();
    let dirs = dirs.chain(moved_into(base_dir));
    dirs.map(|directory| directory.join(name.to_string())).collect()
}

/// Removes received parents outside the snapshot directory, once a newer backup is
/// published. Failures are warnings.
pub async fn clear(btrfs: &Btrfs, base_dir: &Path, subvolume: &Path, published: &SnapshotName) {
    for directory in [dir_beside(subvolume)].into_iter().chain(moved_into(base_dir)) {
        let is_older =
            |kept: &SnapshotName| kept.subvolume == published.subvolume && kept < published;
        forget(btrfs, &directory, is_older).await;
    }
}

fn moved_into(base_dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(base_dir) else { return Vec::new() };
    let is_ours = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with('.') && name.ends_with(SUFFIX))
    };
    let paths = entries.filter_map(Result::ok).map(|entry| entry.path());
    let mut dirs: Vec<_> = paths.filter(is_ours).take(DIRS_MAX).collect();
    dirs.sort();
    dirs
}

/// Removes snapshots from a directory of its own, and the directory once it is empty.
async fn forget(btrfs: &Btrfs, directory: &Path, is_meant: impl Fn(&SnapshotName) -> bool) {
    // Usually there is no such directory.
    let Ok(snapshots) = snapshots_in(directory) else { return };
    for name in snapshots.iter().filter(|name| is_meant(name)) {
        let path = directory.join(name.to_string());
        if let Err(err) = delete_read_only(btrfs, &path).await {
            tracing::warn!(event = "snapshot_not_deleted", path = %path.display(), "{err}");
            return;
        }
        tracing::info!(
            event = "snapshot_deleted",
            path = %path.display(),
            "deleted a received parent that is no longer needed"
        );
    }
    match fs::remove_dir(directory) {
        Ok(()) => {}
        Err(err) if is_expected(err.kind()) => {}
        Err(err) => {
            tracing::warn!(event = "cleanup_failed", path = %directory.display(), "{err}");
        }
    }
}

/// Returns true if a directory stays for its contents, or was not there.
fn is_expected(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotFound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_received_parent_is_kept_where_the_next_backup_finds_it() {
        let configured = |path: &str, is_same_filesystem, is_there| {
            let (path, base_dir) = (PathBuf::from(path), PathBuf::from("/srv/snapshots"));
            Some(ConfiguredSubvolume { path, base_dir, is_same_filesystem, is_there })
        };
        let in_snapshots = || KeepLocation::SnapshotDir(PathBuf::from("/srv/snapshots"));
        let beside = || KeepLocation::Beside(PathBuf::from("/srv/.data.btrfs-to-s3-parent"));
        #[rustfmt::skip]
        let cases = [
            ("no configuration",         None,                                  beside()),
            ("target is configured",   configured("/srv/data", true, true),   in_snapshots()),
            ("configured, missing",     configured("/srv/other", true, false), in_snapshots()),
            ("another one exists",      configured("/srv/other", true, true),  beside()),
            ("on another filesystem",    configured("/srv/data", false, true),  beside()),
        ];
        for (situation, configured, want) in cases {
            assert_eq!(
                keep_location(configured.as_ref(), Path::new("/srv/data")),
                want,
                "{situation}"
            );
        }
    }

    #[test]
    fn a_received_parent_is_searched_in_three_places() {
        let directory = tempfile::tempdir().unwrap();
        for name in [".old.btrfs-to-s3-parent", "x.btrfs-to-s3-parent", ".btrfs-to-s3"] {
            fs::create_dir(directory.path().join(name)).unwrap();
        }
        let name = SnapshotName::parse("data__20260131T235959Z__inc").unwrap();

        let found = candidates(directory.path(), Path::new("/srv/data"), &name);

        let moved = directory.path().join(".old.btrfs-to-s3-parent");
        let beside = PathBuf::from("/srv/.data.btrfs-to-s3-parent");
        let dirs = [directory.path().to_owned(), beside, moved];
        assert_eq!(found, dirs.map(|directory| directory.join(name.to_string())));
    }
}
