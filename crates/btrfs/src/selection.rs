//! Selects the subvolumes of a run and checks that they can be backed up, before
//! anything is done.

use std::path::{Path, PathBuf};

use btrfs_host::filesystem::{self, MountPointError};
use btrfs_host::spool::Spool;
use s3up_repository::names::{Subvolume, SubvolumeName};

/// The request or the configuration does not fit this host.
#[derive(Debug, thiserror::Error)]
pub enum SelectionError {
    #[error("subvolume {requested:?} is not in the configuration; expected one of {known}")]
    Unknown { requested: String, known: String },
    #[error("snapshots.base_dir")]
    BaseDir(#[source] MountPointError),
    #[error(
        "global.spool_dir {path:?}: expected an existing directory, because `s3.spool_enabled` is \
         on"
    )]
    Spool { path: PathBuf, source: std::io::Error },
    #[error("subvolume {name}")]
    MountPoint { name: SubvolumeName, source: MountPointError },
    #[error(
        "subvolume {name}: {path:?} is a directory, not a subvolume; \
         create one with `btrfs subvolume create`"
    )]
    NoSubvolume { name: SubvolumeName, path: PathBuf },
    #[error(
        "subvolume {name}: {path:?} is on another filesystem than `snapshots.base_dir` \
         ({base_dir:?}); snapshots cannot cross filesystems"
    )]
    OtherFilesystem { name: SubvolumeName, path: PathBuf, base_dir: PathBuf },
}

/// Returns the named subvolumes, or all.
pub fn select<'c>(
    configured: &'c [Subvolume],
    names: &[String],
) -> Result<Vec<&'c Subvolume>, SelectionError> {
    if names.is_empty() {
        return Ok(configured.iter().collect());
    }
    let mut selected: Vec<&Subvolume> = Vec::new();
    for requested in names {
        let found =
            SubvolumeName::parse(requested).ok().and_then(|name| of_name(configured, &name));
        let found = found.ok_or_else(|| unknown(configured, requested))?;
        if !selected.contains(&found) {
            selected.push(found);
        }
    }
    Ok(selected)
}

fn of_name<'c>(configured: &'c [Subvolume], name: &SubvolumeName) -> Option<&'c Subvolume> {
    configured.iter().find(|subvolume| subvolume.name == *name)
}

fn unknown(configured: &[Subvolume], requested: &str) -> SelectionError {
    let known: Vec<_> = configured.iter().map(|known| known.name.as_str()).collect();
    SelectionError::Unknown { requested: requested.to_owned(), known: known.join(", ") }
}

/// Checks that all are subvolumes on the filesystem of the snapshot directory, and that
/// the spool directory exists.
pub fn check_paths(
    base_dir: &Path,
    spool: Option<&Spool>,
    subvolumes: &[&Subvolume],
) -> Result<(), SelectionError> {
    if let Some(Spool { folder, .. }) = spool {
        // Reading it also refuses a file of that name.
        std::fs::read_dir(folder)
            .map_err(|source| SelectionError::Spool { path: folder.clone(), source })?;
    }
    let base = filesystem::on_btrfs(base_dir).map_err(SelectionError::BaseDir)?;
    for Subvolume { name, path } in subvolumes {
        let of = || (name.clone(), path.clone());
        let found = filesystem::on_btrfs(path)
            .map_err(|source| SelectionError::MountPoint { name: name.clone(), source })?;
        if !found.is_subvolume {
            let (name, path) = of();
            return Err(SelectionError::NoSubvolume { name, path });
        }
        if found.mount.device != base.mount.device {
            let ((name, path), base_dir) = (of(), base_dir.to_owned());
            return Err(SelectionError::OtherFilesystem { name, path, base_dir });
        }
    }
    Ok(())
}
