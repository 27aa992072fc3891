//! Whether a test can run here: is it root, and can it mount a btrfs filesystem?
//! `./check` asks the same questions (`can_mount_btrfs`), and fails where the
//! answer is yes and a test was skipped.

use std::fs::{self, OpenOptions};

use crate::program::find;

/// Mounting needs it, and root in a container often lacks it: capabilities(7).
const CAP_SYS_ADMIN: u32 = 21;

/// `true` where a test may use [`BtrfsFs`](crate::BtrfsFs). Else prints one
/// line, `SKIPPED: reason`, and the test returns.
#[must_use]
pub fn btrfs_or_skip() -> bool {
    or_skip(obstacle_to_btrfs())
}

/// The same for a test that needs root for other things: owners, devices.
#[must_use]
pub fn root_or_skip() -> bool {
    or_skip(obstacle_to_root())
}

#[expect(clippy::print_stdout, reason = "./check counts these lines")]
fn or_skip(obstacle: Option<String>) -> bool {
    let Some(reason) = obstacle else { return true };
    println!("SKIPPED: {reason}");
    false
}

fn obstacle_to_root() -> Option<String> {
    let is_root = rustix::process::geteuid().is_root();
    (!is_root).then(|| "needs root".to_owned())
}

fn obstacle_to_btrfs() -> Option<String> {
    if let Some(reason) = obstacle_to_root() {
        return Some(reason);
    }
    let missing = ["mkfs.btrfs", "btrfs", "mount"].into_iter().find(|name| find(name).is_none());
    if let Some(name) = missing {
        return Some(format!("{name} is not installed"));
    }
    if !knows_btrfs(&fs::read_to_string("/proc/filesystems").unwrap_or_default()) {
        return Some("the kernel has no btrfs (try: modprobe btrfs)".to_owned());
    }
    if !may_mount(&fs::read_to_string("/proc/self/status").unwrap_or_default()) {
        return Some("root may not mount here: no CAP_SYS_ADMIN".to_owned());
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
    fn what_the_kernel_says_is_understood() {
        assert!(knows_btrfs("nodev\tproc\n\text4\n\tbtrfs\n"));
        assert!(!knows_btrfs("nodev\tproc\n\tbtrfs2\n"));
        assert!(may_mount("Name:\tx\nCapEff:\t000001ffffffffff\n"));
        assert!(!may_mount("Name:\tx\nCapEff:\t00000000a80425fb\n"), "a container's default");
        assert!(!may_mount(""));
    }
}
