//! A filesystem other than btrfs for one test: a sparse file on a loop device, mounted in a temporary
//! directory.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::owner::temp_dir;
use crate::program::{find, run, try_run};
use crate::requirements::btrfs_or_skip;
use crate::wait::wait_until;

/// `mkfs.xfs` refuses less than 300 MiB.
const SIZE_BYTES: u64 = 400 << 20;
/// A filesystem in user space writes its last blocks after it was unmounted.
const UNMOUNT_LIMIT: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherKind {
    Ext4,
    Xfs,
    /// In user space, since few kernels have it. It has no links, symlinks, owners, modes or
    /// extended attributes, and times of whole seconds.
    Exfat,
}

/// A mounted filesystem. Needs root.
pub struct OtherFs {
    /// The loop device of a filesystem in user space.
    device: Option<String>,
    mount: PathBuf,
    _directory: TempDir,
}

impl OtherKind {
    fn programs(self) -> &'static [&'static str] {
        match self {
            OtherKind::Ext4 => &["mkfs.ext4"],
            OtherKind::Xfs => &["mkfs.xfs"],
            OtherKind::Exfat => &["mkfs.exfat", "mount.exfat-fuse", "losetup"],
        }
    }
}

impl OtherFs {
    /// Returns an empty filesystem, or `None` after it has printed why there is none.
    #[expect(clippy::print_stdout, reason = "./check counts these lines")]
    pub fn create_or_skip(kind: OtherKind) -> Option<OtherFs> {
        if !btrfs_or_skip() {
            return None;
        }
        if let Some(name) = kind.programs().iter().find(|name| find(name).is_none()) {
            println!("SKIPPED: {name} is not installed");
            return None;
        }
        let directory = temp_dir();
        let (image, mount) = (directory.path().join("image"), directory.path().join("mount"));
        let sized = File::create_new(&image).and_then(|file| file.set_len(SIZE_BYTES));
        sized.expect("a new sparse file");
        fs::create_dir(&mount).expect("a new directory");
        let on_loop = |arguments: [&OsStr; 3]| {
            run("mount", arguments.into_iter().chain([image.as_os_str(), mount.as_os_str()]));
        };
        let mut device = None;
        match kind {
            OtherKind::Ext4 => {
                run("mkfs.ext4", [OsStr::new("-q"), image.as_ref()]);
                on_loop(["-o", "loop,acl,user_xattr", "--"].map(OsStr::new));
            }
            OtherKind::Xfs => {
                run("mkfs.xfs", [OsStr::new("-q"), image.as_ref()]);
                on_loop(["-o", "loop", "--"].map(OsStr::new));
            }
            OtherKind::Exfat => {
                run("mkfs.exfat", [image.as_os_str()]);
                let found = run(
                    "losetup",
                    ["--find", "--show"].map(OsStr::new).into_iter().chain([image.as_os_str()]),
                );
                let name =
                    String::from_utf8(found).expect("the name of a device").trim().to_owned();
                run("mount.exfat-fuse", [OsStr::new(&name), mount.as_ref()]);
                device = Some(name);
            }
        }
        Some(OtherFs { device, mount, _directory: directory })
    }

    pub fn path(&self) -> &Path {
        &self.mount
    }
}

impl Drop for OtherFs {
    fn drop(&mut self) {
        let unmounted = try_run("umount", [&self.mount]);
        let is_free = self.device.as_ref().is_none_or(|device| {
            wait_until(UNMOUNT_LIMIT, || try_run("losetup", ["--detach", device]).is_ok())
        });
        let has_ended = unmounted.is_ok() && is_free;
        assert!(has_ended || std::thread::panicking(), "{unmounted:?}, {:?}", self.device);
    }
}
