//! Selects the subvolumes of a run and checks that they can be backed up, before
//! anything is done.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use btrfs_host::filesystem::{self, MountPointError};
use btrfs_host::spool::Spool;
use s3up_repository::names::{Subvolume, SubvolumeName};

/// The request or the configuration does not fit this host.
#[derive(Debug, thiserror::Error)]
pub enum SelectionError {
    #[error("subvolume {requested:?} is not in the configuration; expected one of {known}")]
    Unknown { requested: String, known: String },
    #[error("check `snapshots.base_dir`")]
    BaseDir(#[source] MountPointError),
    #[error("create `snapshots.base_dir` {path:?}")]
    Create { path: PathBuf, source: io::Error },
    #[error(
        "`global.spool_dir` {path:?}: expected an existing directory, because `s3.spool_enabled` is \
         true"
    )]
    Spool { path: PathBuf, source: io::Error },
    #[error("subvolume {name}")]
    MountPoint { name: SubvolumeName, source: MountPointError },
    #[error(
        "subvolume {name}: {path:?}: expected a subvolume, found a plain directory; create one with \
         `btrfs subvolume create`"
    )]
    NoSubvolume { name: SubvolumeName, path: PathBuf },
    #[error(
        "subvolume {name}: {path:?}: expected the filesystem of `snapshots.base_dir` ({base_dir:?}), \
         which snapshots cannot leave, found another one; back it up with a configuration of its \
         own, whose `snapshots.base_dir` is on the filesystem of the subvolume"
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

/// The subvolumes that can be backed up, and those that cannot, each with its reason.
#[derive(Debug)]
pub struct Usable<'c> {
    pub subvolumes: Vec<&'c Subvolume>,
    pub failed: Vec<(&'c Subvolume, SelectionError)>,
}

/// Treatment of a snapshot directory that does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingBaseDir {
    Create,
    /// Check that it can be created, and create nothing.
    Leave,
}

/// Checks that each is a subvolume on the filesystem of the snapshot directory, and that
/// the spool directory exists. One bad subvolume does not stop the others.
///
/// # Errors
///
/// No subvolume can be backed up.
pub fn check_paths<'c>(
    base_dir: &Path,
    spool: Option<&Spool>,
    selected: &[&'c Subvolume],
    missing: MissingBaseDir,
) -> Result<Usable<'c>, SelectionError> {
    if let Some(Spool { directory, .. }) = spool {
        // Reading it also refuses a file of that name.
        std::fs::read_dir(directory)
            .map_err(|source| SelectionError::Spool { path: directory.clone(), source })?;
    }
    let base = base_device(base_dir)?;
    let mut usable = Usable { subvolumes: Vec::new(), failed: Vec::new() };
    for subvolume in selected {
        match check(subvolume, base_dir, &base) {
            Ok(()) => usable.subvolumes.push(subvolume),
            Err(err) => usable.failed.push((subvolume, err)),
        }
    }
    if missing == MissingBaseDir::Create && !usable.subvolumes.is_empty() {
        create(base_dir)?;
    }
    Ok(usable)
}

/// Returns the device of the snapshot directory. One that does not exist will lie on the
/// filesystem of its parent.
fn base_device(base_dir: &Path) -> Result<String, SelectionError> {
    let err = match filesystem::on_btrfs(base_dir) {
        Ok(found) => return Ok(found.mount.device),
        Err(err) => err,
    };
    let is_missing = matches!(
        &err,
        MountPointError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound
    );
    let parent = base_dir.parent().filter(|_| is_missing);
    match parent.map(filesystem::on_btrfs) {
        Some(Ok(found)) => Ok(found.mount.device),
        Some(Err(_)) | None => Err(SelectionError::BaseDir(err)),
    }
}

fn check(
    Subvolume { name, path }: &Subvolume,
    base_dir: &Path,
    device: &str,
) -> Result<(), SelectionError> {
    let of = || (name.clone(), path.clone());
    let found = filesystem::on_btrfs(path)
        .map_err(|source| SelectionError::MountPoint { name: name.clone(), source })?;
    if !found.is_subvolume {
        let (name, path) = of();
        return Err(SelectionError::NoSubvolume { name, path });
    }
    if found.mount.device != device {
        let ((name, path), base_dir) = (of(), base_dir.to_owned());
        return Err(SelectionError::OtherFilesystem { name, path, base_dir });
    }
    Ok(())
}

/// Creates the snapshot directory for root only: a snapshot shows what its subvolume hides
/// behind the rights of a parent directory.
fn create(base_dir: &Path) -> Result<(), SelectionError> {
    match DirBuilder::new().mode(0o700).create(base_dir) {
        Ok(()) => {
            let path = base_dir.display();
            tracing::info!(event = "base_dir_created", %path, "created the snapshot directory");
            Ok(())
        }
        Err(err) if err.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(source) => Err(SelectionError::Create { path: base_dir.to_owned(), source }),
    }
}
