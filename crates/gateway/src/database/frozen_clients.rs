//! The frozen clients, as the database has them and as the file beside it does.

use std::collections::BTreeMap;

use s3up_core::ClientName;

use crate::clock::{Millis, time_text};

/// The freeze of one client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Freeze {
    pub since: Millis,
    /// The words of the operator; empty if there are none.
    pub reason: String,
}

impl Freeze {
    /// Returns one clause that says so.
    pub(crate) fn sentence(&self) -> String {
        let since = time_text(self.since);
        match self.reason.as_str() {
            "" => format!("uploads are frozen since {since}"),
            reason => format!("uploads are frozen since {since}: {reason}"),
        }
    }
}

pub(super) type FrozenClients = BTreeMap<ClientName, Freeze>;
