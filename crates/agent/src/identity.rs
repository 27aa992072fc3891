//! What tells one version of a file from another without reading it.
//!
//! Size and mtime are not enough: `rsync -t`, `cp -p` and `touch -r` replace
//! content and keep both, and two writes within a second share their mtime in
//! seconds. The ctime cannot be set from user space, and the inode tells a
//! replaced file from a rewritten one.

use rustix::fs::Stat;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    pub device: u64,
    pub inode: u64,
    pub size: u64,
    /// Nanoseconds since 1970; may be negative.
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

    /// True where `recorded` is this very version. The device is left out: its
    /// number may change with a reboot or a remount, one watch is one
    /// filesystem, and inode and ctime together say the rest.
    pub fn is_recorded_as(&self, recorded: &Identity) -> bool {
        Identity { device: recorded.device, ..*self } == *recorded
    }

    /// The same file, whatever was written to it since.
    pub fn is_same_file(&self, other: &Identity) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }

    /// When content or metadata last changed, as far as the file tells.
    pub fn changed_at_ns(&self) -> i64 {
        self.mtime_ns.max(self.ctime_ns)
    }
}

fn nanoseconds(seconds: i64, rest: u64) -> i64 {
    let rest = i64::try_from(rest).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: Identity =
        Identity { device: 1, inode: 2, size: 3, mtime_ns: 4_000_000_000, ctime_ns: 5_000_000_000 };

    #[test]
    fn any_difference_but_the_device_is_another_version() {
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
