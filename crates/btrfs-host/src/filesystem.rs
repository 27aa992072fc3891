//! Finds the filesystem of a path, and whether the path is a subvolume.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Inode of the root of every btrfs subvolume, and of nothing else:
/// BTRFS_FIRST_FREE_OBJECTID in the kernel's btrfs_tree.h.
pub const SUBVOLUME_INODE: u64 = 256;
/// Unit of `st_blocks`, independent of the block size of the filesystem.
pub const STAT_BLOCK_BYTES: u64 = 512;
/// Maximum size of one attribute, and of all attribute names of a file: xattr(7).
pub const XATTR_BYTES_MAX: usize = 1 << 16;
/// A directory for each mounted btrfs filesystem, named by its UUID.
const SYSFS: &str = "/sys/fs/btrfs";

/// The fields of a mount that we use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// `major:minor` of the filesystem, the same for all its mounts.
    pub device: String,
    pub filesystem: String,
    /// Directory that the filesystem is mounted on.
    pub point: PathBuf,
    /// Block device that the filesystem is mounted from.
    pub source: PathBuf,
    /// Options of the filesystem.
    pub options: String,
}

/// A directory and the mount that it is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountPoint {
    /// Resolved, without symlinks.
    pub path: PathBuf,
    pub mount: Mount,
    pub is_subvolume: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum MountPointError {
    #[error("read the metadata of {path:?}")]
    Io { path: PathBuf, source: io::Error },
    #[error("{path:?}: expected a directory, found something else")]
    NoDir { path: PathBuf },
    #[error("{path:?}: expected a directory on btrfs, found one on {filesystem}")]
    NotBtrfs { path: PathBuf, filesystem: String },
    #[error("no mount in /proc/self/mountinfo contains {path:?}")]
    NoMount { path: PathBuf },
}

#[derive(Debug, thiserror::Error)]
pub enum UuidError {
    #[error(transparent)]
    MountPoint(#[from] MountPointError),
    #[error("list {SYSFS}")]
    Io(#[from] io::Error),
    #[error("expected a filesystem in {SYSFS} with the device {device:?}, found none")]
    Unknown { device: PathBuf },
}

/// Returns the UUID of the filesystem of a path.
pub fn uuid(path: &Path) -> Result<String, UuidError> {
    let source = on_btrfs(path)?.mount.source;
    // `/dev/mapper/name` is a link to `/dev/dm-0`.
    let device = fs::canonicalize(&source).unwrap_or_else(|_| source.clone());
    let Some(name) = device.file_name() else { return Err(UuidError::Unknown { device }) };
    for entry in fs::read_dir(SYSFS)? {
        let entry = entry?;
        if entry.path().join("devices").join(name).symlink_metadata().is_ok() {
            return Ok(entry.file_name().to_string_lossy().into_owned());
        }
    }
    Err(UuidError::Unknown { device: source })
}

/// Reads a directory and its mount. Fails if it is not on btrfs.
pub fn on_btrfs(path: &Path) -> Result<MountPoint, MountPointError> {
    let io = |source| MountPointError::Io { path: path.to_owned(), source };
    let resolved = fs::canonicalize(path).map_err(io)?;
    let metadata = fs::metadata(&resolved).map_err(io)?;
    if !metadata.is_dir() {
        return Err(MountPointError::NoDir { path: path.to_owned() });
    }
    let mounts = fs::read("/proc/self/mountinfo").map_err(io)?;
    let mount = mount_of(&mounts, &resolved)
        .ok_or_else(|| MountPointError::NoMount { path: path.to_owned() })?;
    if mount.filesystem != "btrfs" {
        let (path, filesystem) = (path.to_owned(), mount.filesystem);
        return Err(MountPointError::NotBtrfs { path, filesystem });
    }
    Ok(MountPoint { path: resolved, mount, is_subvolume: metadata.ino() == SUBVOLUME_INODE })
}

/// Returns the mount of `path`, which must not contain symlinks. The format is
/// described at
/// <https://www.kernel.org/doc/html/latest/filesystems/proc.html#proc-pid-mountinfo-information-about-mounts>
fn mount_of(mountinfo: &[u8], path: &Path) -> Option<Mount> {
    let mut found: Option<(usize, Mount)> = None;
    for line in mountinfo.split(|byte| *byte == b'\n') {
        let Some(mount) = parse_line(line) else { continue };
        let depth = mount.point.components().count();
        // The last of several mounts on one directory hides the others.
        let is_nearer = found.as_ref().is_none_or(|(so_far, _)| depth >= *so_far);
        if path.starts_with(&mount.point) && is_nearer {
            found = Some((depth, mount));
        }
    }
    found.map(|(_, mount)| mount)
}

/// Parses a line like `36 35 98:0 /root /point rw,noatime shared:1 - ext3 /dev/root
/// rw`.
fn parse_line(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ');
    let device = fields.nth(2)?;
    let point = fields.nth(1)?;
    let mut rest = fields.skip_while(|field| *field != b"-").skip(1);
    let filesystem = rest.next()?;
    // Neither is missing in the file of the kernel.
    let (source, options) = (rest.next().unwrap_or_default(), rest.next().unwrap_or_default());
    let path = |field: &[u8]| PathBuf::from(OsStr::from_bytes(&unescaped(field)));
    Some(Mount {
        device: String::from_utf8_lossy(device).into_owned(),
        filesystem: String::from_utf8_lossy(filesystem).into_owned(),
        point: path(point),
        source: path(source),
        options: String::from_utf8_lossy(options).into_owned(),
    })
}

/// Replaces escapes: space, tab, line break and backslash are written as `\040`.
fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, more)) = rest.split_first() {
        match (first, more) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', more @ ..]) => {
                bytes.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = more;
            }
            _ => {
                bytes.push(*first);
                rest = more;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
21 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
30 21 0:39 / /srv rw shared:1 - btrfs /dev/sdb rw,subvol=/
31 30 0:39 /@home /srv/home rw shared:1 master:2 - btrfs /dev/sdb rw,subvol=/@home
32 21 0:40 / /mnt/my\\040disk rw - btrfs /dev/sdc rw
33 21 0:41 / /srv2 rw - xfs /dev/sdd rw
34 30 0:42 / /srv/over rw - ext4 /dev/sde rw
35 30 0:43 / /srv/over rw - btrfs /dev/sdf rw
";

    #[test]
    fn a_path_is_on_the_nearest_mount() {
        #[rustfmt::skip]
        let cases = [
            ("/",                 "8:1",  "ext4"),
            ("/home",             "8:1",  "ext4"),
            ("/srv",              "0:39", "btrfs"),
            ("/srv/data",         "0:39", "btrfs"),
            ("/srv/home/me",      "0:39", "btrfs"),
            ("/srv2/data",        "0:41", "xfs"),
            ("/srv22",            "8:1",  "ext4"),
            ("/mnt/my disk/data", "0:40", "btrfs"),
            ("/srv/over/a",       "0:43", "btrfs"),
        ];
        for (path, device, filesystem) in cases {
            let mount = mount_of(MOUNTS.as_bytes(), Path::new(path)).unwrap();
            assert_eq!((&*mount.device, &*mount.filesystem), (device, filesystem), "{path}");
        }
    }

    #[test]
    fn only_a_directory_on_btrfs_is_accepted() {
        let directory = Path::new("/proc");
        let err = on_btrfs(directory).unwrap_err().to_string();
        assert_eq!(err, "\"/proc\": expected a directory on btrfs, found one on proc");
        assert!(matches!(on_btrfs(Path::new("/proc/version")), Err(MountPointError::NoDir { .. })));
        assert!(matches!(on_btrfs(Path::new("/no/such")), Err(MountPointError::Io { .. })));
    }

    proptest::proptest! {
        #[test]
        fn no_mounts_make_a_reader_panic(
            bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200),
            text in r"([ 0-9a-z/:\\\n-]{0,12} ){0,12}",
        ) {
            for mounts in [&bytes[..], text.as_bytes()] {
                if let Some(mount) = mount_of(mounts, Path::new("/a")) {
                    proptest::prop_assert!(!mount.filesystem.contains(' '));
                }
            }
        }
    }
}
