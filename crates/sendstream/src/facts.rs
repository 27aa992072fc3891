//! What a stream says of itself.

use crate::{Protocol, StreamError, Uuid};

/// What the whole stream was found to be.
pub type Verdict = Result<Facts, StreamError>;

/// Of a stream that is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    pub protocol: Protocol,
    pub snapshot: Snapshot,
    /// What was last said of the subvolume's own folder. None in an incremental
    /// stream that does not change it.
    pub root_times: Option<Times>,
    /// From the one that names the snapshot to END.
    pub command_count: u64,
    pub total_bytes: u64,
}

/// When something was read and changed last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    pub accessed: Time,
    pub modified: Time,
}

/// A moment, counted from the beginning of 1970 in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time {
    pub seconds: i64,
    /// Of the second.
    pub nanos: u32,
}

/// The snapshot that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// One segment, as on disk: any bytes but `/` and NUL.
    pub name: Vec<u8>,
    /// Where the snapshot was itself received, its *received* UUID.
    pub uuid: Uuid,
    /// Its own, on the filesystem that sent it, also where it was received.
    pub ctransid: u64,
    pub parent: Option<Parent>,
}

impl Time {
    /// Of the kernel's `btrfs_timespec`.
    pub(crate) fn from_bytes(bytes: [u8; 12]) -> Time {
        let [s0, s1, s2, s3, s4, s5, s6, s7, n0, n1, n2, n3] = bytes;
        Time {
            seconds: i64::from_le_bytes([s0, s1, s2, s3, s4, s5, s6, s7]),
            nanos: u32::from_le_bytes([n0, n1, n2, n3]),
        }
    }
}

impl Snapshot {
    pub fn is_incremental(&self) -> bool {
        self.parent.is_some()
    }
}

/// What an incremental stream is based on. Its UUID and ctransid follow the
/// rules of [`Snapshot`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parent {
    pub uuid: Uuid,
    pub ctransid: u64,
}
