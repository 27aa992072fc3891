//! Finds and removes the filesystems that killed tests left behind.
//!
//! A test that is killed (SIGKILL, out of memory, a time limit) drops nothing. The
//! name of its directory contains its process id. Creating the next filesystem
//! removes the directories of processes that are dead.

use std::fmt::Write;
use std::fs::{self, DirEntry};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process;

use rustix::mount::{UnmountFlags, unmount};
use tempfile::TempDir;

use crate::owner::{sudo_caller, temp_dir_named};

/// Directory in which the filesystem is mounted, below the directory of the test.
pub const MOUNT_DIR: &str = "mount";
const PREFIX: &str = "s3up-btrfs-";

pub fn new_dir() -> TempDir {
    temp_dir_named(&format!("{PREFIX}{}-", process::id()))
}

/// Removes the filesystems of dead processes from the directory of temporary files.
/// Errors are ignored: another process may do the same at the same time, and this
/// test does not depend on it.
pub fn remove_dead(temp_dir: &Path) {
    let entries = fs::read_dir(temp_dir).expect("the directory of temporary files");
    for dir in entries.flatten().filter(is_ours_and_dead).map(|entry| entry.path()) {
        let flags = UnmountFlags::NOFOLLOW | UnmountFlags::DETACH;
        unmount(dir.join(MOUNT_DIR), flags).ok();
        fs::remove_dir_all(dir).ok();
    }
}

/// Returns true if this module created the directory, in a process that is dead. Any
/// user can create a directory with such a name, so its owner must be root or the
/// caller of sudo.
fn is_ours_and_dead(entry: &DirEntry) -> bool {
    let name = entry.file_name();
    let Some(pid) = name.to_str().and_then(creator) else { return false };
    let Ok(metadata) = entry.metadata() else { return false };
    let is_ours =
        metadata.uid() == 0 || sudo_caller().is_some_and(|(uid, _)| uid == metadata.uid());
    metadata.is_dir() && is_ours && !Path::new(&format!("/proc/{pid}")).exists()
}

/// Returns the process id in the name of a directory.
fn creator(name: &str) -> Option<u32> {
    let (pid, _) = name.strip_prefix(PREFIX)?.split_once('-')?;
    pid.parse().ok()
}

/// Returns the loop devices that use a file.
pub fn loop_devices(image: &Path) -> Vec<PathBuf> {
    let devices = fs::read_dir("/sys/block").expect("the list of block devices");
    let uses_image = |device: &PathBuf| {
        let file = fs::read_to_string(device.join("loop/backing_file"));
        file.is_ok_and(|file| Path::new(file.trim_end_matches('\n')) == image)
    };
    devices.flatten().map(|device| device.path()).filter(uses_image).collect()
}

/// Lists the processes that have files open below a directory, for a message.
pub fn users(directory: &Path) -> String {
    let mut users = String::new();
    for process in fs::read_dir("/proc").expect("the list of processes").flatten() {
        let process = process.path();
        if uses(&process, directory) {
            let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
            let pid = process.file_name().unwrap_or_default().display();
            write!(users, "{} ({pid}) ", name.trim_end())
                .expect("writing to a string does not fail");
        }
    }
    if users.is_empty() { "no visible process".to_owned() } else { users }
}

fn uses(process: &Path, directory: &Path) -> bool {
    let files = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
    let mut links = files.map(|file| file.path()).chain([process.join("cwd"), process.join("exe")]);
    links.any(|link| fs::read_link(link).is_ok_and(|file| file.starts_with(directory)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::btrfs_or_skip;
    use crate::filesystem::{BtrfsFs, IMAGE, SIZE_BYTES_MIN, mount_image};

    #[test]
    fn the_filesystem_of_a_killed_test_is_removed() {
        if !btrfs_or_skip() {
            return;
        }
        // Other tests clean up the usual directory.
        let temp_dir = crate::temp_dir();
        let [dead, alive] = [dead_process(), process::id()]
            .map(|pid| temp_dir.path().join(format!("{PREFIX}{pid}-x")));
        [&dead, &alive]
            .into_iter()
            .for_each(|dir| fs::create_dir_all(dir.join(MOUNT_DIR)).unwrap());
        let image = dead.join(IMAGE);
        fs::copy(BtrfsFs::create(SIZE_BYTES_MIN).image(), &image).unwrap();
        mount_image(&image, &dead.join(MOUNT_DIR), "noatime");
        assert_eq!(loop_devices(&image).len(), 1);

        remove_dead(temp_dir.path());

        assert!(!dead.exists() && alive.exists());
        assert_eq!(loop_devices(&image), Vec::<PathBuf>::new());
    }

    fn dead_process() -> u32 {
        let mut process = process::Command::new("true").spawn().expect("a process");
        process.wait().expect("its end");
        process.id()
    }

    #[test]
    fn the_name_contains_the_process_id_of_its_creator() {
        assert_eq!(creator("s3up-btrfs-4711-x3Fz"), Some(4711));
        for other in ["s3up-btrfs-", "s3up-btrfs-x-y", "s3up-test-4711-x", "4711-x"] {
            assert_eq!(creator(other), None, "{other}");
        }
    }
}
