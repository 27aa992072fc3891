//! A small filesystem in memory, for one test. It reports its usage, and writes to
//! it fail when it is full.

use std::ffi::OsStr;
use std::path::Path;

use rustix::fs::statvfs;
use rustix::mount::{UnmountFlags, unmount};
use tempfile::TempDir;

use crate::owner::temp_dir;
use crate::program::run;

/// A tmpfs. Needs root; see [`btrfs_or_skip`](crate::btrfs_or_skip).
pub struct SmallDisk {
    directory: TempDir,
}

impl SmallDisk {
    pub fn create(size_bytes: u64) -> SmallDisk {
        let directory = temp_dir();
        let options = format!("size={size_bytes}");
        let arguments = ["-t", "tmpfs", "-o", &options, "none"].map(OsStr::new);
        run("mount", arguments.into_iter().chain([directory.path().as_os_str()]));
        SmallDisk { directory }
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Returns the bytes used by files, including deleted ones that are still open.
    pub fn used_bytes(&self) -> u64 {
        let stat = statvfs(self.path()).expect("a mounted filesystem");
        (stat.f_blocks - stat.f_bfree) * stat.f_frsize
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = unmount(self.path(), UnmountFlags::DETACH);
        assert!(unmounted.is_ok() || std::thread::panicking(), "{unmounted:?}");
    }
}
