//! Preflight: checks whether this host can receive a backup, before anything is downloaded.

use std::path::{Component, Path};

use btrfs_host::filesystem::{self, MountPointError};
use btrfs_host::receivable::{Receivable, receivable};
use btrfs_sendstream::{ProgsRelease, xattr_bytes_max};
use rustix::fs::{Access, AtFlags, CWD, accessat};
use s3up_core::Size;
use s3up_repository::chain::Chain;
use s3up_repository::manifest::needed_btrfs_progs;

use super::error::RestoreError;

/// Checks that the target does not exist, and that its parent directory exists, is on btrfs
/// and is writable.
pub fn check_target(target: &Path) -> Result<(), RestoreError> {
    check_absent(target)?;
    let directory = dir_of(target);
    filesystem::on_btrfs(directory).map_err(RestoreError::TargetDir)?;
    check_writable(directory)
}

/// Does the same for a target on any filesystem.
pub fn check_new(target: &Path) -> Result<(), RestoreError> {
    check_absent(target)?;
    check_writable(dir_of(target))
}

/// Returns the filesystem that a new target would be on, unless it is btrfs or not known.
pub fn other_filesystem(target: &Path) -> Option<String> {
    match filesystem::on_btrfs(dir_of(target)) {
        Err(MountPointError::NotBtrfs { filesystem, .. }) => Some(filesystem),
        Ok(_) | Err(_) => None,
    }
}

fn check_absent(target: &Path) -> Result<(), RestoreError> {
    let path = || target.to_owned();
    let is_plain = target.is_absolute()
        && target.file_name().is_some()
        && !target.components().any(|part| part == Component::ParentDir);
    if !is_plain {
        return Err(RestoreError::TargetPath { path: path() });
    }
    match target.symlink_metadata() {
        Ok(_) => Err(RestoreError::TargetExists { path: path() }),
        Err(_) => Ok(()),
    }
}

fn check_writable(directory: &Path) -> Result<(), RestoreError> {
    // This also finds a read-only mount and a read-only subvolume.
    let write = Access::WRITE_OK | Access::EXEC_OK;
    accessat(CWD, directory, write, AtFlags::EACCESS).map_err(|errno| {
        let path = directory.to_owned();
        RestoreError::TargetDirReadOnly { path, source: errno.into() }
    })
}

/// Checks what `btrfs receive` can do in the parent directory of the target. Fails if a backup of
/// this chain cannot be received there at all, and warns of what some backups may contain.
pub fn check_receivable(chain: &Chain, directory: &Path) -> Result<Receivable, RestoreError> {
    let found = receivable(directory)?;
    if !found.missing.is_empty() {
        let names = found.missing.join(" and ");
        return Err(RestoreError::MissingCapability { names });
    }
    if let (Some(point), true) = (found.mount_of_dir.clone(), chain.entries().len() > 1) {
        return Err(RestoreError::MountOfDir { path: directory.to_owned(), point });
    }
    if let Some(node_bytes) = found.node_bytes {
        check_node_size(chain, node_bytes)?;
    }
    for what in &found.limits {
        tracing::warn!(
            event = "target_limited",
            path = %directory.display(),
            "a restore to this host fails if the backups contain {what}"
        );
    }
    Ok(found)
}

/// Checks that the extended attributes of a chain fit into metadata blocks of this size.
fn check_node_size(chain: &Chain, node_bytes: u64) -> Result<(), RestoreError> {
    for entry in chain.entries() {
        if let Some(bytes) = entry.manifest.largest_xattr_bytes
            && bytes > xattr_bytes_max(node_bytes)
        {
            let (manifest, needed) = (entry.key.clone(), entry.manifest.node_bytes);
            return Err(RestoreError::NodeSize { manifest, bytes, needed, node_bytes });
        }
    }
    Ok(())
}

pub fn dir_of(target: &Path) -> &Path {
    target.parent().unwrap_or(Path::new("/"))
}

/// Checks that this `btrfs receive` handles the streams of a chain. If a manifest does not
/// say what its stream needs, the stream does, and it is checked before it is fed.
pub fn check_version(chain: &Chain, version: &str) -> Result<(), RestoreError> {
    for entry in chain.entries() {
        if let Some(needed) = entry.manifest.needed_btrfs_progs()
            && !is_at_least(version, needed)
        {
            let (manifest, needed) = (entry.key.clone(), needed.to_owned());
            return Err(RestoreError::ProgramTooOld {
                manifest,
                needed,
                found: version.to_owned(),
            });
        }
    }
    Ok(())
}

/// Returns true if `version`, as `btrfs --version` prints it, handles a protocol.
pub fn receives(version: &str, protocol: u32) -> bool {
    needed_btrfs_progs(protocol).is_none_or(|needed| is_at_least(version, needed))
}

/// Compares two releases. One that cannot be parsed is taken for new enough: distributions build
/// from any commit.
fn is_at_least(version: &str, needed: &str) -> bool {
    match (ProgsRelease::parse(version), ProgsRelease::parse(needed)) {
        (Some(found), Some(needed)) => found >= needed,
        (None, _) | (_, None) => true,
    }
}

/// Returns the bytes that are available to an unprivileged user.
pub fn free_bytes(directory: &Path) -> Result<u64, RestoreError> {
    let found = rustix::fs::statvfs(directory).map_err(|errno| RestoreError::FreeSpace {
        path: directory.to_owned(),
        source: errno.into(),
    })?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

/// Warns if the streams are longer than the free space. This is not an error, because the
/// filesystem may compress, and backups of the chain may overwrite each other's data.
pub fn warn_of_little_space(chain: &Chain, directory: &Path) -> Result<u64, RestoreError> {
    let (needed, free) = (chain.total_bytes(), free_bytes(directory)?);
    if needed > free {
        tracing::warn!(
            event = "space_low",
            path = %directory.display(),
            needed_bytes = needed,
            free_bytes = free,
            "the streams of this chain have {}, and {} is free; trying anyway, because the \
             filesystem may compress",
            Size(needed),
            Size(free)
        );
    }
    Ok(free)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_that_exists_or_cannot_be_made_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let text = |target: &Path| check_target(target).unwrap_err().to_string();
        assert!(text(Path::new("data")).contains("expected an absolute path"));
        assert!(text(Path::new("/srv/../data")).contains("expected an absolute path"));
        assert!(text(Path::new("/")).contains("expected an absolute path"));
        assert!(text(directory.path()).contains("exists"));
        assert!(text(&directory.path().join("no/such")).contains("parent directory of the target"));
    }

    #[test]
    fn protocol_2_needs_btrfs_progs_6_2() {
        #[rustfmt::skip]
        let cases = [
            ("6.2",     2, true),
            ("6.1.3",   2, false),
            ("5.16.2",  2, false),
            ("5.16.2",  1, true),
            ("v6.10",   2, true),
            ("10.0",    2, true),
            ("6.2-rc1", 2, true),
            ("unknown", 2, true),
            ("",        2, true),
        ];
        for (version, protocol, want) in cases {
            assert_eq!(receives(version, protocol), want, "{version} {protocol}");
        }
    }
}
