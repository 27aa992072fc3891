//! Identity of a file: distinguishes its versions without reading it.
//!
//! Size and mtime are not enough. `rsync -t`, `cp -p` and `touch -r` replace
//! content and keep both, and two writes within one second have the same mtime
//! in seconds. The ctime cannot be set from user space, and the inode distinguishes
//! a replaced file from a rewritten one.

use rustix::fs::Stat;

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

    /// True if `recorded` is the same version of the same file. The device is not
    /// compared, because its number may change with a reboot or a remount. One
    /// watch is one filesystem, so inode and ctime suffice.
    pub fn is_recorded_as(&self, recorded: &Identity) -> bool {
        Identity { device: recorded.device, ..*self } == *recorded
    }

    /// Time of the last change of content or metadata.
    pub fn changed_at_ns(&self) -> i64 {
        self.mtime_ns.max(self.ctime_ns)
    }
}

fn nanoseconds(seconds: i64, subsec: u64) -> i64 {
    let subsec = i64::try_from(subsec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(subsec)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: Identity =
        Identity { device: 1, inode: 2, size: 3, mtime_ns: 4_000_000_000, ctime_ns: 5_000_000_000 };

    #[test]
    fn any_difference_except_the_device_is_another_version() {
        #[rustfmt::skip]
        let cases = [
            ("the same",              FILE,                                      true),
            ("another device number", Identity { device: 9, ..FILE },            true),
            ("replaced",              Identity { inode: 9, ..FILE },             false),
            ("longer",                Identity { size: 9, ..FILE },              false),
            ("mtime one ns later",    Identity { mtime_ns: 4_000_000_001, ..FILE }, false),
            ("mtime in the past",     Identity { mtime_ns: -1, ..FILE },         false),
            ("only the ctime moved",  Identity { ctime_ns: 5_000_000_001, ..FILE }, false),
        ];
        for (situation, disk, want) in cases {
            assert_eq!(disk.is_recorded_as(&FILE), want, "{situation}");
        }
    }
}
