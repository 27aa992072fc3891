//! `GET /clients`, `GET /clients/{name}` and `GET /reports`: which clients are safe, for an admin key.

use serde::{Deserialize, Serialize};

use super::backup_report::{ProgramFacts, SubvolumeReport};
use super::fleet::{AgentFacts, Drill, FileTotals, Report, Total, Watcher, Watches};

/// Safety of the files and backups of a client, as the gateway sees it. The variants are in order of severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ClientState {
    Ok,
    /// Files are safe, but something that finds changes does not work.
    Degraded,
    /// No request with a key of the client has ever arrived.
    Never,
    /// Files wait longer than allowed, or the last complete scan or backup is too old.
    Late,
    /// Some files cannot be uploaded, a backup failed or cannot be restored.
    Failing,
    /// The client has not been heard of for too long, so nothing else is known.
    Silent,
}

impl ClientState {
    pub const ALL: [ClientState; 6] = [
        ClientState::Ok,
        ClientState::Degraded,
        ClientState::Never,
        ClientState::Late,
        ClientState::Failing,
        ClientState::Silent,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            ClientState::Ok => "ok",
            ClientState::Degraded => "degraded",
            ClientState::Never => "never",
            ClientState::Late => "late",
            ClientState::Failing => "failing",
            ClientState::Silent => "silent",
        }
    }

    /// Returns the state of this name.
    pub fn parse(text: &str) -> Option<ClientState> {
        ClientState::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// The 200 response to `GET /clients`: the worst state first, then by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ClientList {
    /// Time of the gateway: RFC 3339, UTC.
    pub at: String,
    pub clients: Vec<ClientStatus>,
}

/// The knowledge of the gateway about one client. All times are RFC 3339 in UTC. They are by the clock of the
/// gateway, except for those of an agent that sends no ages, and for those of `subvolumes`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ClientStatus {
    pub name: String,
    pub state: ClientState,
    /// One sentence; absent if all is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Time since which the client has been in this state.
    pub since: String,
    #[serde(default)]
    pub last_seen_at: Option<String>,
    #[serde(default)]
    pub last_heartbeat_at: Option<String>,
    /// End of the last complete scan.
    #[serde(default)]
    pub last_scan_at: Option<String>,
    /// End of the last upload that stored a file.
    #[serde(default)]
    pub last_stored_at: Option<String>,
    /// Day of the newest report by the clock of the client, `2026-01-31`.
    #[serde(default)]
    pub last_report_day: Option<String>,
    /// Time at which that report arrived.
    #[serde(default)]
    pub last_report_at: Option<String>,
    /// Age of the oldest pending file when the last heartbeat was sent.
    #[serde(default)]
    pub oldest_pending_seconds: Option<u64>,
    /// Files on the host by state, from the last heartbeat.
    #[serde(default)]
    pub files: Option<FileTotals>,
    #[serde(default)]
    pub watcher: Option<Watcher>,
    #[serde(default)]
    pub agent: Option<AgentFacts>,
    /// The watches of the agent; absent in `GET /clients`. The age of a scan is the one that it has now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watches: Option<Watches>,
    /// The last drill on the host, with the ages that its times have now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_drill: Option<Drill>,
    /// Time of the newest backup report of btrfs-to-s3 on the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_backup_report_at: Option<String>,
    /// The program that sent it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_program: Option<ProgramFacts>,
    /// The subvolumes of that report. The age of a backup is the one that it has now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subvolumes: Vec<SubvolumeReport>,
    /// Files of the catalogue, in their newest versions.
    pub stored: Total,
    #[serde(default)]
    pub quota_bytes: Option<u64>,
    /// Present while an operator has stopped the uploads of the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frozen: Option<Frozen>,
    /// Incidents of the client that are not over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub incidents: Vec<Incident>,
}

/// The freeze of a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Frozen {
    pub since: String,
    /// The words of the operator; empty if there are none.
    pub reason: String,
}

/// Something about a client that needs attention, beside its state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Incident {
    /// `quota`, `changes` or `drill`; a newer gateway may know others.
    pub topic: String,
    pub since: String,
    /// One sentence.
    pub reason: String,
}

/// The 200 response to `GET /reports`: the newest day first, then by client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReportList {
    pub reports: Vec<ClientReport>,
}

/// One report with its client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ClientReport {
    pub client: String,
    pub received_at: String,
    pub report: Report,
}
