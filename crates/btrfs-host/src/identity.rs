//! The identity of a snapshot and of its state, as `btrfs send` names it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Identifies a snapshot on disk the way `btrfs send` does in a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotIdentity {
    pub uuid: String,
    /// Grows with every change to the content, including one that was undone later.
    pub ctransid: u64,
}

impl fmt::Display for SnapshotIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at transaction {}", self.uuid, self.ctransid)
    }
}
