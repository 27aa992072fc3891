//! Why a file, or a whole watch, is not protected although it should be.
//!
//! A problem that only the agent can know (what the gateway said, what never
//! settled) is kept in the database, so that `status` can tell it. The kind
//! says what ends it.

use std::fmt;

use crate::identity::Identity;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The gateway refused this file. Tried again when the file or the
    /// configuration changes, or on command.
    Refused,
    /// Refused for a reason that may pass: no quota left, or the limit of a
    /// proxy on the way. Tried again at the next scan.
    Deferred,
    /// It could not be opened or read. Tried again at the next scan.
    Unreadable,
    /// It never stopped changing. Ends when it falls quiet.
    NeverSettled,
    /// It never stopped changing and was sent as it was.
    Hot,
}

/// A problem as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parked {
    pub kind: Kind,
    pub reason: String,
    /// The version of the file that it is about.
    pub identity: Identity,
    /// The configuration under which it came up.
    pub config: String,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Refused => "refused",
            Kind::Deferred => "deferred",
            Kind::Unreadable => "unreadable",
            Kind::NeverSettled => "never_settled",
            Kind::Hot => "hot",
        }
    }

    pub fn parse(text: &str) -> Option<Kind> {
        [Kind::Refused, Kind::Deferred, Kind::Unreadable, Kind::NeverSettled, Kind::Hot]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
