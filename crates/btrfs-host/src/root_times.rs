//! The times of the subvolume's own folder.
//!
//! `btrfs send` makes new entries in that folder before it moves them to where
//! they belong, and does not always say its times again after the last of them:
//! what `btrfs receive` leaves there can be the time of the restore. So what the
//! stream said last is set again at the end. A stream that says nothing of them
//! has not changed the folder: those of its parent stay.

use std::io;
use std::path::Path;

use btrfs_sendstream::{Time, Times};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
use serde::{Deserialize, Serialize};

/// Each in seconds since the beginning of 1970, and nanoseconds.
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

    /// As `MetadataExt` says it.
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
