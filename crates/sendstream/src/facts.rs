//! What a stream says of itself.

use crate::{Protocol, StreamError, Uuid};

/// What the whole stream was found to be.
pub type Verdict = Result<Facts, StreamError>;

/// Of a stream that is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    pub protocol: Protocol,
    pub snapshot: Snapshot,
    /// From the one that names the snapshot to END.
    pub command_count: u64,
    pub total_bytes: u64,
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
