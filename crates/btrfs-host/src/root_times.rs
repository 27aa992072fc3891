//! The times of the root directory of a restored subvolume.
//!
//! `btrfs send` creates new entries in that directory before it moves them to their place, and does
//! not always send the times of the directory after the last of them. `btrfs receive` can
//! therefore leave the time of the restore there. So the last times in the stream are set again
//! at the end. A stream without such times did not change the directory, which keeps those of
//! the parent.

use std::io;
use std::path::Path;

use btrfs_sendstream::{Time, Times};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
use serde::{Deserialize, Serialize};

/// Access and modification time, each in seconds since 1970 and nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootTimes {
    accessed: (i64, u32),
    modified: (i64, u32),
}

impl RootTimes {
    pub fn of(times: Times) -> RootTimes {
        let pair = |time: Time| (time.seconds, time.nanos);
        RootTimes { accessed: pair(times.accessed), modified: pair(times.modified) }
    }

    /// Returns the modification time as `MetadataExt` does.
    pub fn modified(self) -> (i64, i64) {
        (self.modified.0, self.modified.1.into())
    }

    pub fn set(self, path: &Path) -> io::Result<()> {
        let spec = |(seconds, nanos)| Timespec { tv_sec: seconds, tv_nsec: i64::from(nanos) };
        let times =
            Timestamps { last_access: spec(self.accessed), last_modification: spec(self.modified) };
        Ok(utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
    }
}
