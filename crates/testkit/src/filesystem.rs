//! A btrfs filesystem for one test: a sparse file on a loop device, mounted in a
//! temporary directory.
//!
//! `mount` creates the loop device, and the kernel clears it with the last use of
//! the filesystem. So unmounting is enough, and a device cannot outlive its
//! filesystem. Dropping the filesystem waits until device, mount and file are
//! gone. It fails the test if a process still uses the filesystem, because the
//! test left that process behind.
//!
//! Needs root; see [`btrfs_or_skip`](crate::btrfs_or_skip).

mod leftovers;

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};
use tempfile::TempDir;

use crate::owner::give_to_sudo_caller;
use crate::program::{run, try_run};
use crate::wait::wait_until;

/// `mkfs.btrfs` refuses less than 109 MiB; this leaves room to write.
const SIZE_BYTES_MIN: u64 = 128 << 20;
/// Another test may take the free loop device first, but not this often in a row.
const MOUNT_ATTEMPTS_MAX: usize = 10;
/// A killed process closes its files within milliseconds. The rest is for a busy
/// machine.
const UNMOUNT_LIMIT: Duration = Duration::from_secs(2);

const IMAGE: &str = "image";

/// A mounted filesystem. Dropping it removes the mount, the loop device and the
/// file.
pub struct BtrfsFs {
    image: PathBuf,
    mount: PathBuf,
    _dir: TempDir,
}

impl BtrfsFs {
    /// Creates an empty filesystem. Its file is sparse, so a large size is cheap.
    pub fn create(size_bytes: u64) -> BtrfsFs {
        BtrfsFs::create_with(size_bytes, "noatime")
    }

    /// Creates an empty filesystem with options for `mount -o`, separated by commas.
    pub fn create_with(size_bytes: u64, mount_options: &str) -> BtrfsFs {
        assert!(
            size_bytes >= SIZE_BYTES_MIN,
            "expected at least {SIZE_BYTES_MIN} bytes, found {size_bytes}"
        );
        leftovers::remove_dead(&env::temp_dir());
        let dir = leftovers::new_dir();
        // The kernel reports paths with symlinks resolved.
        let root = dir.path().canonicalize().expect("the new directory");
        let (image, mount) = (root.join(IMAGE), root.join(leftovers::MOUNT_DIR));
        let sized = File::create_new(&image).and_then(|file| file.set_len(size_bytes));
        sized.expect("a new sparse file");
        give_to_sudo_caller(&image);
        fs::create_dir(&mount).expect("a new directory");
        // One copy of the metadata is enough, since no disk can fail here.
        run("mkfs.btrfs", [OsStr::new("--quiet"), "--metadata=single".as_ref(), image.as_ref()]);
        mount_image(&image, &mount, mount_options);
        BtrfsFs { image, mount, _dir: dir }
    }

    /// Returns the device number of its loop device (`major:minor`), with which the
    /// kernel can throttle it.
    pub fn device_number(&self) -> String {
        let devices = leftovers::loop_devices(&self.image);
        let device = devices.first().expect("a mounted filesystem has a loop device");
        let number = fs::read_to_string(device.join("dev")).expect("the number of a device");
        number.trim_end().to_owned()
    }

    /// Enlarges the filesystem while it is mounted.
    pub fn grow(&self, size_bytes: u64) {
        let sized = File::options().write(true).open(&self.image);
        sized.and_then(|file| file.set_len(size_bytes)).expect("a longer file");
        let devices = leftovers::loop_devices(&self.image);
        let name = devices.first().and_then(|device| device.file_name()).expect("a loop device");
        let device = Path::new("/dev").join(name);
        run("losetup", ["--set-capacity".as_ref(), device.as_os_str()]);
        let resize = ["filesystem", "resize", "max"].map(OsStr::new);
        run("btrfs", resize.into_iter().chain([self.mount.as_os_str()]));
    }

    /// Returns the mount point, which is the top-level subvolume.
    pub fn path(&self) -> &Path {
        &self.mount
    }

    /// Returns the file that contains the filesystem.
    pub fn image(&self) -> &Path {
        &self.image
    }

    /// Creates a subvolume. The parent directories of `name` must exist.
    pub fn subvolume(&self, name: impl AsRef<Path>) -> PathBuf {
        let path = self.mount.join(name);
        run("btrfs", ["subvolume".as_ref(), "create".as_ref(), path.as_os_str()]);
        path
    }

    /// Creates a read-only snapshot.
    pub fn snapshot(&self, subvolume: &Path, name: impl AsRef<Path>) -> PathBuf {
        let path = self.mount.join(name);
        let args = ["subvolume", "snapshot", "-r"].map(OsStr::new);
        run("btrfs", args.into_iter().chain([subvolume.as_os_str(), path.as_os_str()]));
        path
    }

    /// Returns all subvolumes except the top-level one, sorted.
    pub fn subvolumes(&self) -> Vec<PathBuf> {
        let listed = run("btrfs", ["subvolume".as_ref(), "list".as_ref(), self.mount.as_os_str()]);
        let lines = listed.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let mut paths: Vec<_> = lines.map(|line| self.mount.join(path_of(line))).collect();
        paths.sort();
        paths
    }

    /// Returns the subvolumes inside `directory`, at any depth.
    pub fn subvolumes_below(&self, directory: &Path) -> Vec<PathBuf> {
        let is_below = |path: &PathBuf| path != directory && path.starts_with(directory);
        self.subvolumes().into_iter().filter(is_below).collect()
    }
}

impl Drop for BtrfsFs {
    fn drop(&mut self) {
        let unused = wait_until(UNMOUNT_LIMIT, || {
            unmount(&self.mount, UnmountFlags::NOFOLLOW) != Err(Errno::BUSY)
        });
        if unused {
            let image = &self.image;
            let cleared = wait_until(UNMOUNT_LIMIT, || leftovers::loop_devices(image).is_empty());
            assert!(
                cleared || thread::panicking(),
                "{} is still on a loop device",
                image.display()
            );
            return;
        }
        let users = leftovers::users(&self.mount);
        // The kernel clears the loop device when the last of them ends.
        unmount(&self.mount, UnmountFlags::NOFOLLOW | UnmountFlags::DETACH).ok();
        assert!(thread::panicking(), "{} is still used by {users}", self.mount.display());
    }
}

/// Sets the read-only property of a subvolume. `btrfs` requires `-f` to make a
/// received subvolume writable.
pub fn set_read_only(subvolume: &Path, read_only: bool) {
    let args = ["property", "set", "-f", "-t", "subvol"].map(OsStr::new);
    let value = if read_only { "true" } else { "false" };
    let rest = [subvolume.as_os_str(), "ro".as_ref(), value.as_ref()];
    run("btrfs", args.into_iter().chain(rest));
}

/// Gives a writable subvolume a received UUID (32 hexadecimal digits), as old versions of
/// btrfs-progs left it on a subvolume that was received and then made writable.
pub fn set_received_uuid(subvolume: &Path, uuid: &str) {
    // BTRFS_IOC_SET_RECEIVED_SUBVOL of linux/btrfs.h; its argument has 200 bytes and starts
    // with the UUID and the transid.
    let script = "use Fcntl; sysopen(my $d, $ARGV[0], O_RDONLY) or die $!; \
                  my $a = pack('a16 Q x176', pack('H32', $ARGV[1]), 7); \
                  ioctl($d, 0xC0C89425, $a) or die $!";
    run("perl", ["-e".as_ref(), script.as_ref(), subvolume.as_os_str(), uuid.as_ref()]);
}

pub fn delete_subvolume(subvolume: &Path) {
    run("btrfs", ["subvolume".as_ref(), "delete".as_ref(), subvolume.as_os_str()]);
}

fn mount_image(image: &Path, mount: &Path, options: &str) {
    let options = format!("loop,{options}");
    let args = ["-t", "btrfs", "-o", &options].map(OsStr::new);
    let args = || args.into_iter().chain([image.as_os_str(), mount.as_os_str()]);
    let mut failure = String::new();
    for _ in 0..MOUNT_ATTEMPTS_MAX {
        match try_run("mount", args()) {
            Ok(_) => return,
            Err(error) => failure = error,
        }
    }
    panic!("{failure}");
}

/// Returns the path in a line like `ID 256 gen 7 top level 5 path a/b`.
fn path_of(line: &[u8]) -> OsString {
    const BEFORE: &[u8] = b" path ";
    let at = line.windows(BEFORE.len()).position(|window| window == BEFORE);
    let at = at.unwrap_or_else(|| panic!("no path in {:?}", OsStr::from_bytes(line)));
    OsString::from_vec(line[at + BEFORE.len()..].to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_may_contain_the_word_path() {
        assert_eq!(path_of(b"ID 256 gen 7 top level 5 path a/b"), "a/b");
        assert_eq!(path_of(b"ID 256 gen 7 top level 5 path my path to"), "my path to");
    }
}
