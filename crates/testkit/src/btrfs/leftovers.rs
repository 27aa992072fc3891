//! What a filesystem of a test could leave behind, and sweeping it.
//!
//! A test that is killed (-9, out of memory, a time limit) drops nothing. The
//! name of its folder has its process id, and whoever creates the next
//! filesystem removes the folders of processes that are dead.

use std::fmt::Write;
use std::fs::{self, DirEntry};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process;

use rustix::mount::{UnmountFlags, unmount};
use tempfile::TempDir;

use super::MOUNT;
use crate::owner::{caller, temp_dir_named};

const PREFIX: &str = "s3up-btrfs-";

pub fn new_dir() -> TempDir {
    temp_dir_named(&format!("{PREFIX}{}-", process::id()))
}

/// Removes what dead processes left in the folder of temporary files. Another
/// process may do so at the same time, and what resists is not this test's
/// business.
pub fn sweep(temp_dir: &Path) {
    let entries = fs::read_dir(temp_dir).expect("the folder of temporary files");
    for dir in entries.flatten().filter(is_ours_and_dead).map(|entry| entry.path()) {
        let flags = UnmountFlags::NOFOLLOW | UnmountFlags::DETACH;
        unmount(dir.join(MOUNT), flags).ok();
        fs::remove_dir_all(dir).ok();
    }
}

/// Anybody may make a folder with such a name; only root's, or what root gave
/// to the caller of sudo, came from here.
fn is_ours_and_dead(entry: &DirEntry) -> bool {
    let name = entry.file_name();
    let Some(pid) = name.to_str().and_then(creator) else { return false };
    let Ok(metadata) = entry.metadata() else { return false };
    let is_ours = metadata.uid() == 0 || caller().is_some_and(|(uid, _)| uid == metadata.uid());
    metadata.is_dir() && is_ours && !Path::new(&format!("/proc/{pid}")).exists()
}

/// The process id in the name of a folder.
fn creator(name: &str) -> Option<u32> {
    let (pid, _) = name.strip_prefix(PREFIX)?.split_once('-')?;
    pid.parse().ok()
}

/// The loop devices that use a file.
pub fn loop_devices(image: &Path) -> Vec<PathBuf> {
    let devices = fs::read_dir("/sys/block").expect("the list of block devices");
    let uses_image = |device: &PathBuf| {
        let file = fs::read_to_string(device.join("loop/backing_file"));
        file.is_ok_and(|file| Path::new(file.trim_end_matches('\n')) == image)
    };
    devices.flatten().map(|device| device.path()).filter(uses_image).collect()
}

/// The processes that have something open below a folder, for people.
pub fn users(folder: &Path) -> String {
    let mut users = String::new();
    for process in fs::read_dir("/proc").expect("the list of processes").flatten() {
        let process = process.path();
        if uses(&process, folder) {
            let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
            let pid = process.file_name().unwrap_or_default().display();
            write!(users, "{} ({pid}) ", name.trim_end()).expect("a string takes all");
        }
    }
    if users.is_empty() { "no process that can be seen".to_owned() } else { users }
}

fn uses(process: &Path, folder: &Path) -> bool {
    let files = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
    let mut links = files.map(|file| file.path()).chain([process.join("cwd"), process.join("exe")]);
    links.any(|link| fs::read_link(link).is_ok_and(|file| file.starts_with(folder)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::btrfs::{BtrfsFs, IMAGE, SIZE_BYTES_MIN, mount_image};
    use crate::btrfs_or_skip;

    #[test]
    fn what_a_killed_test_left_is_swept() {
        if !btrfs_or_skip() {
            return;
        }
        // Not the usual folder, which other tests sweep.
        let temp_dir = crate::temp_dir();
        let [dead, alive] = [dead_process(), process::id()]
            .map(|pid| temp_dir.path().join(format!("{PREFIX}{pid}-x")));
        [&dead, &alive].into_iter().for_each(|dir| fs::create_dir_all(dir.join(MOUNT)).unwrap());
        let image = dead.join(IMAGE);
        fs::copy(BtrfsFs::create(SIZE_BYTES_MIN).image(), &image).unwrap();
        mount_image(&image, &dead.join(MOUNT), "noatime");
        assert_eq!(loop_devices(&image).len(), 1);

        sweep(temp_dir.path());

        assert!(!dead.exists() && alive.exists());
        assert_eq!(loop_devices(&image), Vec::<PathBuf>::new());
    }

    fn dead_process() -> u32 {
        let mut process = process::Command::new("true").spawn().expect("a process");
        process.wait().expect("its end");
        process.id()
    }

    #[test]
    fn the_creator_is_in_the_name() {
        assert_eq!(creator("s3up-btrfs-4711-x3Fz"), Some(4711));
        for other in ["s3up-btrfs-", "s3up-btrfs-x-y", "s3up-test-4711-x", "4711-x"] {
            assert_eq!(creator(other), None, "{other}");
        }
    }
}
