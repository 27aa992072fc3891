//! Facts about one client, as the database has them.

use s3up_core::ClientName;
use s3up_core::wire::{Heartbeat, Total};

use super::backup_reports::ReceivedBackupReport;
use super::freezes::Freeze;
use super::record::RecordedState;
use crate::clock::{Millis, before};

/// The knowledge of the gateway about one client. All times are those of the gateway.
#[derive(Clone, Debug)]
pub(crate) struct ClientFacts {
    pub name: ClientName,
    /// Time at which a gateway first had the client in its configuration.
    pub created_at: Millis,
    /// Last request with a valid key.
    pub last_seen_at: Option<Millis>,
    pub heartbeat: Option<ReceivedHeartbeat>,
    pub backup_report: Option<ReceivedBackupReport>,
    /// Day of the newest report by the clock of the client, `2026-01-31`.
    pub last_report_day: Option<String>,
    /// Time at which that report arrived.
    pub last_report_at: Option<Millis>,
    /// End of the last upload that stored a file.
    pub last_stored_at: Option<Millis>,
    pub stored: Total,
    pub recorded: Option<RecordedState>,
    pub frozen: Option<Freeze>,
}

#[derive(Clone, Debug)]
pub(crate) struct ReceivedHeartbeat {
    pub at: Millis,
    pub body: Heartbeat,
}

impl ReceivedHeartbeat {
    /// Returns the time of the gateway at which something was that was so old when the heartbeat was sent.
    /// The clock of the host may be wrong, so its times count for nothing.
    pub(crate) fn time_of(&self, age_seconds: Option<u64>) -> Option<Millis> {
        Some(before(self.at, age_seconds?))
    }
}

impl ClientFacts {
    /// Returns the facts about a client that the database does not have yet.
    pub(crate) fn unknown(name: &ClientName, now: Millis) -> ClientFacts {
        ClientFacts {
            name: name.clone(),
            created_at: now,
            last_seen_at: None,
            heartbeat: None,
            backup_report: None,
            last_report_day: None,
            last_report_at: None,
            last_stored_at: None,
            stored: Total::default(),
            recorded: None,
            frozen: None,
        }
    }
}
