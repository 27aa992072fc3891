//! The rights and limits of a client.

use std::fmt;
use std::time::Duration;

use s3up_core::{ClientName, Code};
use serde::Deserialize;

use crate::refusal::Refusal;

/// A group of calls that a client may be allowed to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Right {
    Upload,
    Exists,
    Download,
    /// `GET /list` and `GET /versions`.
    List,
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Right::Upload => "upload",
            Right::Exists => "exists",
            Right::Download => "download",
            Right::List => "list",
        })
    }
}

/// Says if an upload may replace a file that has other content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OverwritePolicy {
    Versioned,
    Never,
}

impl fmt::Display for OverwritePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            OverwritePolicy::Versioned => "versioned",
            OverwritePolicy::Never => "never",
        })
    }
}

/// The rights and limits of one client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientPolicy {
    pub name: ClientName,
    /// `None`: the limit of S3.
    pub file_bytes_max: Option<u64>,
    pub rights: Vec<Right>,
    pub overwrite: OverwritePolicy,
    /// Lower case, without the dot; `None`: any.
    pub extensions: Option<Vec<String>>,
    pub uploads_max: usize,
    /// `None`: no limit.
    pub requests_per_second_max: Option<u32>,
    /// Maximum bytes of the newest versions of all files; `None`: no limit.
    pub quota_bytes: Option<u64>,
    /// Longest time without a heartbeat or a backup report, or without any request if it never sent
    /// either.
    pub silent_after: Duration,
    /// Longest wait of a pending file.
    pub lag_after: Duration,
    /// Maximum age of the newest backup of a subvolume; `None`: by the schedule of its host.
    pub backup_late_after: Option<Duration>,
    /// Longest time since the last good drill of a client that makes drills.
    pub drill_after: Duration,
    /// Percent of the known files whose change within an hour is suspicious; 0: none.
    pub changed_percent: u64,
    /// Number of files that must have changed for it.
    pub changed_files_min: u64,
}

impl ClientPolicy {
    /// Refuses the request if the client lacks `right`.
    pub(crate) fn require(&self, right: Right) -> Result<(), Refusal> {
        if self.rights.contains(&right) {
            return Ok(());
        }
        let what =
            format!("this client key lacks the right `{right}`; add it to `clients[].allow`");
        Err(Refusal::new(Code::Forbidden, what))
    }

    /// Returns a policy with no limit but one concurrent upload.
    #[cfg(test)]
    pub(crate) fn unlimited(name: ClientName, rights: Vec<Right>) -> ClientPolicy {
        ClientPolicy {
            name,
            file_bytes_max: None,
            rights,
            overwrite: OverwritePolicy::Versioned,
            extensions: None,
            uploads_max: 1,
            requests_per_second_max: None,
            quota_bytes: None,
            silent_after: Duration::from_secs(26 * 3600),
            lag_after: Duration::from_secs(3600),
            backup_late_after: None,
            drill_after: Duration::from_secs(62 * 24 * 3600),
            changed_percent: 25,
            changed_files_min: 100,
        }
    }
}
