//! Records: what the gateway saw, as it is handed to the writer.

use std::sync::Arc;
use std::time::Duration;

use s3up_core::wire::ClientState;
use s3up_core::{ClientName, Code, RemotePath, Sha256Digest};
use s3up_store::{Listed, ObjectFacts};
use tokio::sync::oneshot;

use crate::clock::Millis;
use crate::counters::UploadResult;

/// Memory of a record apart from its longest text.
pub(super) const RECORD_BYTES: usize = 512;

#[derive(Debug)]
pub(crate) enum Record {
    /// The configuration has this client with this key.
    KeyKnown {
        client: ClientName,
        key: Sha256Digest,
        at: Millis,
    },
    KeyUsed {
        client: ClientName,
        key: Sha256Digest,
        at: Millis,
        /// False for a restore key: an operator may use it while the host is gone.
        by_host: bool,
    },
    /// The catalogue has every file of this client.
    Complete {
        client: ClientName,
        at: Millis,
    },
    /// A client came into another state.
    ClientState {
        client: ClientName,
        before: Option<ClientState>,
        state: RecordedState,
        reason: Option<String>,
    },
    Upload(Box<UploadRecord>),
    Download {
        client: ClientName,
        bytes: u64,
        at: Millis,
    },
    /// `body` is the checked heartbeat in JSON, without its watches.
    Heartbeat {
        client: ClientName,
        body: Arc<str>,
        watches: Option<Arc<str>>,
        at: Millis,
    },
    Report(Box<ReportRecord>),
    BackupReport(Box<BackupReportRecord>),
}

/// The state of a client when a gateway last found a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordedState {
    pub state: ClientState,
    pub since: Millis,
}

/// An upload that has ended, well or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UploadRecord {
    pub client: ClientName,
    pub path: RemotePath,
    pub started_at: Millis,
    pub elapsed_ms: i64,
    /// Time at which the outcome was known to be the newest version, since the start of the
    /// database by [`super::Database::elapsed`]. The writer turns it into a time of the clock
    /// that all gateways on one database share.
    pub newest_at: Duration,
    /// Change of the bytes that the client has stored. It counts until the record is written;
    /// from then on the total of the database does.
    pub change: i64,
    pub outcome: UploadOutcome,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum UploadOutcome {
    Stored(CatalogueEntry),
    /// The same content was stored already.
    Unchanged(CatalogueEntry),
    Refused(Code),
    /// The client went away, or the gateway stopped.
    Cancelled,
}

/// The facts about the newest version of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CatalogueEntry {
    pub size: u64,
    /// `None`: a rebuild found the file, and S3 does not keep its SHA-256.
    pub sha256: Option<Sha256Digest>,
    pub mtime_ns: Option<i64>,
    /// Permission bits.
    pub mode: Option<u32>,
    /// The ETag as S3 writes it, with quotes.
    pub etag: String,
    pub version_id: Option<String>,
}

#[derive(Debug)]
pub(crate) struct ReportRecord {
    pub client: ClientName,
    /// UTC, `2026-01-31`.
    pub day: String,
    /// The checked report in JSON.
    pub body: Arc<str>,
    pub at: Millis,
    /// Receives the outcome of the report.
    pub ended: oneshot::Sender<RecordEnd>,
}

#[derive(Debug)]
pub(crate) struct BackupReportRecord {
    pub client: ClientName,
    /// The checked backup report in JSON.
    pub body: Arc<str>,
    pub at: Millis,
    /// Receives the outcome of the report.
    pub ended: oneshot::Sender<RecordEnd>,
}

/// The end of a record that a request waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecordEnd {
    Committed,
    /// The database refuses it, and would refuse it again.
    Refused,
}

impl CatalogueEntry {
    /// Returns true if the entry is about this very version. The object may have been replaced by
    /// another gateway, or by other means.
    pub(crate) fn describes(&self, found: &ObjectFacts) -> bool {
        self.size == found.size && self.etag == found.etag && self.version_id == found.version_id
    }

    /// Returns true if the entry is about this object of a listing, which has no version. Equal
    /// ETags mean equal content.
    pub(crate) fn describes_listed(&self, listed: &Listed) -> bool {
        self.size == listed.size && self.etag == listed.etag
    }
}

impl Record {
    /// Returns the change of the bytes that a client has stored, if there is one.
    pub(super) fn change(&self) -> Option<(ClientName, i64)> {
        match self {
            Record::Upload(upload) if upload.change != 0 => {
                Some((upload.client.clone(), upload.change))
            }
            Record::Upload(_)
            | Record::KeyKnown { .. }
            | Record::KeyUsed { .. }
            | Record::Complete { .. }
            | Record::ClientState { .. }
            | Record::Download { .. }
            | Record::Heartbeat { .. }
            | Record::Report(_)
            | Record::BackupReport(_) => None,
        }
    }

    /// Tells the request that waits for the record, if there is one, how it ended.
    pub(super) fn end(self, end: RecordEnd) {
        let ended = match self {
            Record::Report(report) => report.ended,
            Record::BackupReport(report) => report.ended,
            Record::KeyKnown { .. }
            | Record::KeyUsed { .. }
            | Record::Complete { .. }
            | Record::ClientState { .. }
            | Record::Upload(_)
            | Record::Download { .. }
            | Record::Heartbeat { .. } => return,
        };
        // An error: the request has ended.
        ended.send(end).ok();
    }

    /// Returns the kind of the record and its client, for the log.
    pub(super) fn kind(&self) -> (&'static str, &ClientName) {
        match self {
            Record::KeyKnown { client, .. } | Record::KeyUsed { client, .. } => ("key", client),
            Record::Complete { client, .. } => ("complete catalogue", client),
            Record::ClientState { client, .. } => ("state of the client", client),
            Record::Upload(upload) => ("upload", &upload.client),
            Record::Download { client, .. } => ("download", client),
            Record::Heartbeat { client, .. } => ("heartbeat", client),
            Record::Report(report) => ("report", &report.client),
            Record::BackupReport(report) => ("backup report", &report.client),
        }
    }

    /// Returns the file of which this is the newest version.
    pub(super) fn stored_file(&self) -> Option<(ClientName, String)> {
        let Record::Upload(upload) = self else { return None };
        upload.outcome.entry()?;
        Some((upload.client.clone(), upload.path.to_string()))
    }

    /// Returns about how many bytes of memory the record takes.
    pub(super) fn bytes(&self) -> usize {
        let text = match self {
            Record::KeyKnown { .. }
            | Record::KeyUsed { .. }
            | Record::Complete { .. }
            | Record::ClientState { .. }
            | Record::Download { .. } => 0,
            Record::Upload(upload) => upload.path.as_str().len(),
            Record::Heartbeat { body, watches, .. } => {
                body.len() + watches.as_ref().map_or(0, |watches| watches.len())
            }
            Record::Report(report) => report.body.len(),
            Record::BackupReport(report) => report.body.len(),
        };
        RECORD_BYTES + text
    }
}

impl UploadOutcome {
    /// Returns the result that metrics count, and the bytes that were stored.
    pub(super) fn counted(&self) -> (UploadResult, u64) {
        match self {
            UploadOutcome::Stored(entry) => (UploadResult::Stored, entry.size),
            UploadOutcome::Unchanged(_) => (UploadResult::Unchanged, 0),
            UploadOutcome::Refused(_) => (UploadResult::Refused, 0),
            UploadOutcome::Cancelled => (UploadResult::Cancelled, 0),
        }
    }

    /// Returns the value of the column `result`.
    pub(super) fn name(&self) -> String {
        match self {
            UploadOutcome::Stored(_) => "stored".to_owned(),
            UploadOutcome::Unchanged(_) => "unchanged".to_owned(),
            UploadOutcome::Cancelled => "cancelled".to_owned(),
            UploadOutcome::Refused(code) => code_name(*code),
        }
    }

    pub(super) fn entry(&self) -> Option<&CatalogueEntry> {
        match self {
            UploadOutcome::Stored(entry) | UploadOutcome::Unchanged(entry) => Some(entry),
            UploadOutcome::Refused(_) | UploadOutcome::Cancelled => None,
        }
    }
}

/// Returns the code as the API writes it.
fn code_name(code: Code) -> String {
    let json = serde_json::to_value(code).unwrap_or_default();
    json.as_str().unwrap_or("unknown").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_of_a_refused_upload_is_the_code_of_the_api() {
        assert_eq!(UploadOutcome::Refused(Code::DigestMismatch).name(), "digest_mismatch");
        assert_eq!(UploadOutcome::Cancelled.name(), "cancelled");
    }
}
