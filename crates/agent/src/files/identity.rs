//! Identity of a file: tells one version of it from another without reading it.
//!
//! Size and mtime are not enough. `rsync -t`, `cp -p` and `touch -r` replace
//! content and keep both, and two writes within one second have the same mtime
//! in seconds. The ctime cannot be set from user space, and the inode tells a
//! replaced file from a rewritten one.

use std::time::Duration;

use rustix::fs::Stat;

const SECOND_NS: i64 = 1_000_000_000;
/// Resolution of a filesystem whose stamps are whole seconds; vfat has the coarsest.
const WHOLE_SECONDS: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    pub device: u64,
    pub inode: u64,
    pub size: u64,
    /// Nanoseconds since the Unix epoch; may be negative.
    pub mtime_ns: i64,
    pub ctime_ns: i64,
}

impl Identity {
    pub fn of(stat: &Stat) -> Identity {
        Identity {
            device: stat.st_dev,
            inode: stat.st_ino,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            mtime_ns: nanoseconds(stat.st_mtime, stat.st_mtime_nsec),
            ctime_ns: nanoseconds(stat.st_ctime, stat.st_ctime_nsec),
        }
    }

    /// Time of the last change of content or metadata.
    pub fn changed_at_ns(&self) -> i64 {
        self.mtime_ns.max(self.ctime_ns)
    }

    /// Time within which a second change may leave the same time stamp. Filesystems
    /// with whole seconds (ext4 with inodes of 128 bytes, sshfs) or two of them
    /// (vfat) are known by stamps without a fraction.
    pub fn stamp_resolution(&self) -> Duration {
        if self.ctime_ns % SECOND_NS == 0 { WHOLE_SECONDS } else { Duration::ZERO }
    }
}

fn nanoseconds(seconds: i64, subsec: u64) -> i64 {
    let subsec = i64::try_from(subsec).unwrap_or(0);
    seconds.saturating_mul(SECOND_NS).saturating_add(subsec)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: Identity =
        Identity { device: 1, inode: 2, size: 3, mtime_ns: 4_000_000_000, ctime_ns: 5_000_000_000 };

    #[test]
    fn a_stamp_without_a_fraction_is_two_seconds_coarse() {
        for (ctime_ns, want) in
            [(5_000_000_000, 2), (5_000_000_001, 0), (-1_000_000_000, 2), (0, 2)]
        {
            let file = Identity { ctime_ns, ..FILE };
            assert_eq!(file.stamp_resolution(), Duration::from_secs(want), "{ctime_ns}");
        }
    }
}
