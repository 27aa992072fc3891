//! Decides whether a test can run on this machine: as root, and with btrfs.
//!
//! `./check` decides the same (`can_mount_btrfs`). It fails if a test was skipped
//! on a machine that meets the requirements.

use std::fs::{self, OpenOptions};

use crate::program::find;

/// Capability for mounting, which root in a container often lacks: capabilities(7).
const CAP_SYS_ADMIN: u32 = 21;

/// Returns true if a test can use [`BtrfsFs`](crate::BtrfsFs). If not, it prints
/// one line, `SKIPPED: reason`, and the test should return.
#[must_use]
pub fn btrfs_or_skip() -> bool {
    or_skip(missing_for_btrfs())
}

/// Returns true if this process is root, for a test that needs owners or devices;
/// otherwise says why the test is skipped.
#[must_use]
pub fn root_or_skip() -> bool {
    or_skip(missing_for_root())
}

#[expect(clippy::print_stdout, reason = "./check counts these lines")]
fn or_skip(missing: Option<String>) -> bool {
    let Some(reason) = missing else { return true };
    println!("SKIPPED: {reason}");
    false
}

fn missing_for_root() -> Option<String> {
    let is_root = rustix::process::geteuid().is_root();
    (!is_root).then(|| "needs root".to_owned())
}

fn missing_for_btrfs() -> Option<String> {
    if let Some(reason) = missing_for_root() {
        return Some(reason);
    }
    let missing_program =
        ["mkfs.btrfs", "btrfs", "mount"].into_iter().find(|name| find(name).is_none());
    if let Some(name) = missing_program {
        return Some(format!("{name} is not installed"));
    }
    if !knows_btrfs(&fs::read_to_string("/proc/filesystems").unwrap_or_default()) {
        return Some("the kernel has no btrfs (try: modprobe btrfs)".to_owned());
    }
    if !may_mount(&fs::read_to_string("/proc/self/status").unwrap_or_default()) {
        return Some("root cannot mount here: no CAP_SYS_ADMIN".to_owned());
    }
    let loops = OpenOptions::new().read(true).write(true).open("/dev/loop-control");
    loops.err().map(|err| format!("no loop devices: /dev/loop-control: {err}"))
}

fn knows_btrfs(filesystems: &str) -> bool {
    filesystems.split_whitespace().any(|word| word == "btrfs")
}

fn may_mount(status: &str) -> bool {
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let mask = effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> CAP_SYS_ADMIN & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_the_kernel_are_parsed() {
        assert!(knows_btrfs("nodev\tproc\n\text4\n\tbtrfs\n"));
        assert!(!knows_btrfs("nodev\tproc\n\tbtrfs2\n"));
        assert!(may_mount("Name:\tx\nCapEff:\t000001ffffffffff\n"));
        assert!(!may_mount("Name:\tx\nCapEff:\t00000000a80425fb\n"), "the default of a container");
        assert!(!may_mount(""));
    }
}
