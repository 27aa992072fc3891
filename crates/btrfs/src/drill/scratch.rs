//! The scratch filesystem of a drill: btrfs in a sparse file, in our own directory in
//! `drill.scratch_dir`.
//!
//! `mount` creates the loop device, and the kernel releases it with the last use of the
//! filesystem, so unmounting is enough. The next drill removes what a killed one left, under a lock
//! that only one drill can hold. The directory and the lock file stay.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use btrfs_host::tool::{Tool, ToolError};
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};
use s3up_core::Clock;

use crate::lock::{Lock, LockError};
use crate::removal::ignore_missing;

const DIR_NAME: &str = ".btrfs-to-s3-drill";
const LOCK: &str = "lock";
const IMAGE: &str = "image";
const MOUNT: &str = "mount";
/// Minimum size, for the metadata of a small tree. `mkfs.btrfs` refuses less than 109 MiB.
const IMAGE_BYTES_MIN: u64 = 1 << 30;
/// Mount options: no program or device of the restored tree may be used.
const OPTIONS: &str = "loop,nosuid,nodev,noexec,noatime";
/// Time to wait for a busy mount, which is then detached. A `btrfs receive` that lost its pipe
/// ends within milliseconds; the rest is for a busy machine.
const UNMOUNT_WAIT: Duration = Duration::from_secs(10);
/// Pause between two attempts to unmount.
const UNMOUNT_PAUSE: Duration = Duration::from_millis(50);
/// Maximum number of mounts on top of each other. A drill makes one.
const MOUNTS_MAX: usize = 8;

/// The programs that make and mount a filesystem.
#[derive(Clone, Debug)]
pub struct Tools {
    mkfs: Tool,
    mount: Tool,
}

/// The scratch directory, locked by one drill.
#[derive(Debug)]
pub struct Scratch {
    directory: PathBuf,
    tools: Tools,
    clock: Clock,
    _lock: Lock,
}

#[derive(Debug, thiserror::Error)]
pub enum ScratchError {
    #[error("create the scratch filesystem in {path:?}; check `drill.scratch_dir`")]
    Make { path: PathBuf, source: io::Error },
    #[error(
        "{path:?} was not created by btrfs-to-s3; check what it is, then move it away and retry"
    )]
    Foreign { path: PathBuf },
    #[error("another drill is running in {directory:?}: process {holder}; wait until it ends")]
    Busy { directory: PathBuf, holder: String },
    #[error("lock the scratch directory of drills")]
    Lock(#[source] LockError),
    #[error("remove the scratch filesystem {path:?}")]
    Clear { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Tool(#[from] ToolError),
}

impl Tools {
    /// Finds the programs in `path`, the value of the variable PATH.
    pub fn find(path: Option<&OsStr>) -> Result<Tools, ToolError> {
        Ok(Tools {
            mkfs: Tool::find("mkfs.btrfs", "btrfs-progs", path)?,
            mount: Tool::find("mount", "mount", path)?,
        })
    }
}

impl Scratch {
    /// Opens our directory in `scratch_dir`, which must exist, and takes the lock.
    pub fn open(scratch_dir: &Path, tools: Tools, clock: Clock) -> Result<Scratch, ScratchError> {
        let directory = scratch_dir.join(DIR_NAME);
        let fail = |source| ScratchError::Make { path: directory.clone(), source };
        match DirBuilder::new().mode(0o700).create(&directory) {
            Ok(()) => {}
            Err(err) if err.kind() == io::ErrorKind::AlreadyExists => {}
            Err(err) => return Err(fail(err)),
        }
        // Refuse a symlink, and a directory that others can write.
        let found = fs::symlink_metadata(&directory).map_err(fail)?;
        let is_own = found.uid() == rustix::process::geteuid().as_raw();
        if !found.is_dir() || !is_own || found.mode() & 0o077 != 0 {
            return Err(ScratchError::Foreign { path: directory });
        }
        let lock = Lock::take(&directory.join(LOCK)).map_err(|err| match err {
            LockError::Held { holder, .. } => {
                ScratchError::Busy { directory: directory.clone(), holder }
            }
            err @ (LockError::Foreign { .. } | LockError::Io { .. }) => ScratchError::Lock(err),
        })?;
        Ok(Scratch { directory, tools, clock, _lock: lock })
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    pub fn free_bytes(&self) -> Result<u64, ScratchError> {
        let found = rustix::fs::statvfs(&self.directory);
        let found = found.map_err(|errno| self.fail(errno.into()))?;
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    }

    /// Creates and mounts a filesystem that is large enough for streams of this length, with
    /// metadata blocks of this size.
    pub async fn make(
        &self,
        stream_bytes: u64,
        node_bytes: Option<u64>,
    ) -> Result<PathBuf, ScratchError> {
        let (image, mount) = (self.directory.join(IMAGE), self.directory.join(MOUNT));
        let size = image_bytes(stream_bytes);
        let sized = File::create_new(&image).and_then(|file| file.set_len(size));
        sized.and_then(|()| fs::create_dir(&mount)).map_err(|source| self.fail(source))?;
        let node_size = node_bytes.map(|bytes| format!("--nodesize={bytes}"));
        let make = ["--quiet", "--metadata=single"].into_iter().chain(node_size.as_deref());
        let make: Vec<_> = make.map(OsStr::new).chain([image.as_ref()]).collect();
        self.tools.mkfs.run(&make).await?;
        let on = ["-t", "btrfs", "-o", OPTIONS].map(OsStr::new);
        self.tools.mount.run(&[&on[..], &[image.as_ref(), mount.as_ref()]].concat()).await?;
        Ok(mount)
    }

    /// Unmounts and removes the filesystem of this drill, or of one that was killed.
    pub async fn clear(&self) -> Result<(), ScratchError> {
        let (image, mount) = (self.directory.join(IMAGE), self.directory.join(MOUNT));
        self.unmount(&mount).await?;
        let fail = |path| move |source| ScratchError::Clear { path, source };
        ignore_missing(fs::remove_dir(&mount)).map_err(fail(mount))?;
        ignore_missing(fs::remove_file(&image)).map_err(fail(image))
    }

    async fn unmount(&self, mount: &Path) -> Result<(), ScratchError> {
        let began = self.clock.start();
        let mut unmounted = 0;
        let mut flags = UnmountFlags::NOFOLLOW;
        while unmounted < MOUNTS_MAX {
            match unmount(mount, flags) {
                Ok(()) => unmounted += 1,
                // Nothing is mounted, or the directory does not exist.
                Err(Errno::INVAL | Errno::NOENT) => break,
                Err(Errno::BUSY) if began.elapsed() < UNMOUNT_WAIT => {
                    tokio::time::sleep(UNMOUNT_PAUSE).await;
                }
                Err(Errno::BUSY) if !flags.contains(UnmountFlags::DETACH) => {
                    let path = mount.display();
                    tracing::warn!(event = "drill_mount_detached", %path, "a program still uses the mount");
                    flags |= UnmountFlags::DETACH;
                }
                Err(errno) => {
                    let path = mount.to_owned();
                    return Err(ScratchError::Clear { path, source: errno.into() });
                }
            }
        }
        Ok(())
    }

    fn fail(&self, source: io::Error) -> ScratchError {
        ScratchError::Make { path: self.directory.clone(), source }
    }
}

/// Returns the size of the image: twice the streams, because an incremental may delete data
/// that must fit before. The file is sparse, so its size costs nothing.
fn image_bytes(stream_bytes: u64) -> u64 {
    stream_bytes.saturating_mul(2).saturating_add(IMAGE_BYTES_MIN)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use s3up_testkit::CLOCK;

    use super::*;

    fn tools() -> Tools {
        Tools::find(Some(OsStr::new("/usr/bin:/bin"))).expect("mkfs.btrfs and mount")
    }

    #[test]
    fn only_one_drill_runs_and_only_in_our_own_directory() {
        if !s3up_testkit::btrfs_or_skip() {
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let open = || Scratch::open(directory.path(), tools(), CLOCK);
        let first = open().unwrap();
        assert!(matches!(open(), Err(ScratchError::Busy { .. })));
        drop(first);

        let ours = directory.path().join(DIR_NAME);
        fs::set_permissions(&ours, PermissionsExt::from_mode(0o755)).unwrap();

        assert!(matches!(open(), Err(ScratchError::Foreign { .. })));
        let none = Scratch::open(Path::new("/no/such"), tools(), CLOCK).unwrap_err().to_string();
        assert!(none.ends_with("check `drill.scratch_dir`"), "{none}");
    }

    #[tokio::test]
    async fn a_filesystem_is_removed_even_while_a_file_is_open() {
        if !s3up_testkit::btrfs_or_skip() {
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let scratch = Scratch::open(directory.path(), tools(), CLOCK).unwrap();
        scratch.clear().await.unwrap();
        let mount = scratch.make(0, Some(64 << 10)).await.unwrap();
        fs::write(mount.join("file"), "x").unwrap();
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        let line = mounts.lines().find(|line| line.contains(DIR_NAME)).unwrap();
        assert!(line.contains("nosuid,nodev,noexec"), "{line}");
        // A process that a killed drill left may still have a file open.
        let held = File::open(mount.join("file")).unwrap();
        let closing = async {
            tokio::time::sleep(2 * UNMOUNT_PAUSE).await;
            drop(held);
        };

        let (cleared, ()) = tokio::join!(scratch.clear(), closing);

        cleared.unwrap();
        let left = fs::read_dir(scratch.directory()).unwrap().count();
        assert_eq!(left, 1, "only the lock is left");
        assert!(!fs::read_to_string("/proc/self/mounts").unwrap().contains(DIR_NAME));
    }

    #[test]
    fn an_image_is_larger_than_its_streams() {
        assert_eq!(image_bytes(0), 1 << 30);
        assert_eq!(image_bytes(5 << 30), 11 << 30);
        assert_eq!(image_bytes(u64::MAX), u64::MAX);
    }
}
