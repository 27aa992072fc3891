//! Which state of which snapshot: as `btrfs send` names it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a snapshot on disk is, as `btrfs send` names it in a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    pub uuid: String,
    /// Changes with every change of its content, also where that was undone.
    pub ctransid: u64,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at transaction {}", self.uuid, self.ctransid)
    }
}
