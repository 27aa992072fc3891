//! The summary of a verified stream.

use crate::error::StreamError;
use crate::protocol::Protocol;
use crate::uuid::Uuid;

/// The result of verifying a whole stream.
pub type StreamVerdict = Result<StreamSummary, StreamError>;

/// The content of a complete and valid stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamSummary {
    pub protocol: Protocol,
    pub snapshot: Snapshot,
    /// Times that the stream sets last on the root of the subvolume. `None` for
    /// an incremental stream that does not change the root.
    pub root_times: Option<Times>,
    /// The longest path and the largest attribute, if not every host can receive them.
    pub unreceivable: Unreceivable,
    /// Number of commands, from the one that names the snapshot to END.
    pub command_count: u64,
    pub total_bytes: u64,
}

/// Times of the last access and the last change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    pub accessed: Time,
    pub modified: Time,
}

/// A point in time, as the time since 1970-01-01 00:00:00 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time {
    pub seconds: i64,
    /// Nanoseconds within the second.
    pub nanos: u32,
}

/// The snapshot that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Name of the snapshot: a single path segment of any bytes but `/` and NUL.
    pub name: Vec<u8>,
    /// UUID of the snapshot. For a snapshot that was itself received, this is its
    /// *received* UUID.
    pub uuid: Uuid,
    /// Transaction of its last change on the filesystem that sent it, also for a
    /// snapshot that was itself received.
    pub ctransid: u64,
    pub parent: Option<Parent>,
}

/// The longest path and the largest attribute of a stream, if they exceed what can be received
/// everywhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unreceivable {
    pub path: Option<Vec<u8>>,
    pub xattr: Option<LargeXattr>,
}

/// An extended attribute that needs large metadata blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LargeXattr {
    pub path: Vec<u8>,
    pub name: Vec<u8>,
    /// Length of its name and value.
    pub bytes: u64,
}

impl Time {
    /// Parses a `btrfs_timespec` of the kernel.
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

/// The snapshot that an incremental stream is based on. The rules of
/// [`Snapshot`] apply to its UUID and ctransid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parent {
    pub uuid: Uuid,
    pub ctransid: u64,
}
