//! Turns the records of one batch into the rows to write. Pure.
//!
//! Many records become one row: a client that uploads a thousand files changes one row of
//! `activity`. The rows are sorted, so that two gateways on one database take its locks in the
//! same order and cannot wait for each other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use s3up_core::wire::ClientState;
use s3up_core::{ClientName, Sha256Digest};

use super::record::{CatalogueEntry, Record, RecordedState, UploadOutcome, UploadRecord};
use crate::clock::Millis;

/// The rows of one transaction.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub clients: BTreeMap<ClientName, FirstAndLastUse>,
    pub keys: BTreeMap<Sha256Digest, (ClientName, FirstAndLastUse)>,
    /// Clients of which the catalogue has every file, since a time.
    pub complete: BTreeMap<ClientName, Millis>,
    /// The newest version of each file.
    pub files: BTreeMap<(ClientName, String), FileRow>,
    pub uploads: Vec<UploadRow>,
    /// Change of the bytes that each client has stored, as it was counted for its quota.
    pub changes: BTreeMap<ClientName, i64>,
    pub activity: BTreeMap<(ClientName, String), Activity>,
    /// End of the last upload that stored a file.
    pub last_stored: BTreeMap<ClientName, Millis>,
    /// The state before, the state, and its reason.
    pub client_states: BTreeMap<ClientName, (Option<ClientState>, RecordedState, Option<String>)>,
    pub heartbeats: BTreeMap<ClientName, HeartbeatRow>,
    pub reports: BTreeMap<(ClientName, String), (Millis, Arc<str>)>,
    pub backup_reports: BTreeMap<ClientName, (Millis, Arc<str>)>,
}

/// Time of arrival, body and watches of a heartbeat.
pub(super) type HeartbeatRow = (Millis, Arc<str>, Option<Arc<str>>);

/// The newest version of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileRow {
    pub entry: CatalogueEntry,
    /// Time at which it was the newest.
    pub newest_at: Duration,
    /// False if the same content was stored before.
    pub is_stored: bool,
}

/// Times at which a client or a key was first known and last used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FirstAndLastUse {
    pub known_at: Millis,
    pub used_at: Option<Millis>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct UploadRow {
    pub client: ClientName,
    pub path: String,
    pub started_at: Millis,
    pub elapsed_ms: i64,
    pub size: Option<u64>,
    pub result: String,
}

/// Numbers of one client on one day, to be added to its row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Activity {
    pub stored: i64,
    pub stored_bytes: i64,
    pub unchanged: i64,
    pub refused: i64,
    pub cancelled: i64,
    pub downloads: i64,
    pub downloaded_bytes: i64,
}

impl Batch {
    /// Later records replace earlier ones where a table keeps only the newest.
    pub(super) fn of<'r>(records: impl IntoIterator<Item = &'r Record>) -> Batch {
        let mut batch = Batch::default();
        for record in records {
            batch.add(record);
        }
        batch
    }

    fn add(&mut self, record: &Record) {
        match record {
            Record::KeyKnown { client, key, at } => {
                let known = FirstAndLastUse { known_at: *at, used_at: None };
                self.seen(client, *key, known, known);
            }
            Record::KeyUsed { client, key, at, by_host } => {
                let used = FirstAndLastUse { known_at: *at, used_at: Some(*at) };
                let of_client = FirstAndLastUse { used_at: by_host.then_some(*at), ..used };
                self.seen(client, *key, of_client, used);
            }
            Record::Complete { client, at } => {
                self.complete.insert(client.clone(), *at);
            }
            Record::ClientState { client, before, state, reason } => {
                self.client_states.insert(client.clone(), (*before, *state, reason.clone()));
            }
            Record::Upload(upload) => self.add_upload(upload),
            Record::Download { client, bytes, at } => {
                let activity = self.activity.entry((client.clone(), day_of(*at))).or_default();
                activity.downloads += 1;
                activity.downloaded_bytes += signed(*bytes);
            }
            Record::Heartbeat { client, body, watches, at } => {
                let row = (*at, body.clone(), watches.clone());
                self.heartbeats.insert(client.clone(), row);
            }
            Record::Report(report) => {
                let row = (report.at, report.body.clone());
                self.reports.insert((report.client.clone(), report.day.clone()), row);
            }
            Record::BackupReport(report) => {
                let row = (report.at, report.body.clone());
                self.backup_reports.insert(report.client.clone(), row);
            }
        }
    }

    fn seen(
        &mut self,
        client: &ClientName,
        key: Sha256Digest,
        of_client: FirstAndLastUse,
        of_key: FirstAndLastUse,
    ) {
        self.clients.entry(client.clone()).or_insert(of_client).merge(of_client);
        self.keys.entry(key).or_insert((client.clone(), of_key)).1.merge(of_key);
    }

    fn add_upload(&mut self, upload: &UploadRecord) {
        let UploadRecord { client, path, started_at, elapsed_ms, newest_at, change, outcome } =
            upload;
        let (started_at, elapsed_ms, newest_at) = (*started_at, *elapsed_ms, *newest_at);
        if *change != 0 {
            *self.changes.entry(client.clone()).or_default() += change;
        }
        let day = day_of(started_at.saturating_add(elapsed_ms));
        let activity = self.activity.entry((client.clone(), day)).or_default();
        match outcome {
            UploadOutcome::Stored(entry) => {
                activity.stored += 1;
                activity.stored_bytes += signed(entry.size);
                let at = started_at.saturating_add(elapsed_ms);
                let last = self.last_stored.entry(client.clone()).or_insert(at);
                *last = at.max(*last);
            }
            UploadOutcome::Unchanged(_) => activity.unchanged += 1,
            UploadOutcome::Refused(_) => activity.refused += 1,
            UploadOutcome::Cancelled => activity.cancelled += 1,
        }
        let path = path.to_string();
        self.uploads.push(UploadRow {
            client: client.clone(),
            path: path.clone(),
            started_at,
            elapsed_ms,
            size: outcome.entry().map(|entry| entry.size),
            result: outcome.name(),
        });
        let (entry, is_stored) = match outcome {
            UploadOutcome::Stored(entry) => (entry.clone(), true),
            UploadOutcome::Unchanged(entry) => (entry.clone(), false),
            UploadOutcome::Refused(_) | UploadOutcome::Cancelled => return,
        };
        let key = (client.clone(), path);
        match self.files.get_mut(&key) {
            // The record came late: its version was the newest before this one.
            Some(row) if row.newest_at > newest_at => row.is_stored |= is_stored,
            // A version that was stored earlier in this batch is as new to the database.
            Some(row) => *row = FileRow { entry, newest_at, is_stored: is_stored || row.is_stored },
            None => drop(self.files.insert(key, FileRow { entry, newest_at, is_stored })),
        }
    }
}

impl FirstAndLastUse {
    fn merge(&mut self, other: FirstAndLastUse) {
        self.known_at = self.known_at.min(other.known_at);
        self.used_at = self.used_at.max(other.used_at);
    }
}

/// Returns the day of a time in UTC, `2026-01-31`.
pub(super) fn day_of(at: Millis) -> String {
    let at = Timestamp::from_millisecond(at).unwrap_or_default();
    at.to_zoned(TimeZone::UTC).date().to_string()
}

/// SQL has signed integers only.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use s3up_core::{Code, RemotePath};

    use super::*;

    const DAY: Millis = 86_400_000;

    #[test]
    fn many_records_become_one_row_of_activity_for_each_client_and_day() {
        let records = [
            upload("web", "a", 0, UploadOutcome::Stored(entry(10))),
            upload("web", "b", 5, UploadOutcome::Stored(entry(20))),
            upload("web", "a", 9, UploadOutcome::Unchanged(entry(10))),
            upload("web", "c", 9, UploadOutcome::Refused(Code::TooLarge)),
            upload("web", "c", 9, UploadOutcome::Cancelled),
            Record::Download { client: client("web"), bytes: 7, at: 9 },
            upload("web", "a", DAY, UploadOutcome::Stored(entry(1))),
            upload("api", "a", 0, UploadOutcome::Stored(entry(2))),
        ];

        let batch = Batch::of(&records);

        let day = |name, day: &str| batch.activity[&(client(name), day.to_owned())];
        let first = Activity {
            stored: 2,
            stored_bytes: 30,
            unchanged: 1,
            refused: 1,
            cancelled: 1,
            downloads: 1,
            downloaded_bytes: 7,
        };
        assert_eq!(day("web", "1970-01-01"), first);
        assert_eq!(day("web", "1970-01-02").stored, 1);
        assert_eq!(day("api", "1970-01-01").stored_bytes, 2);
        assert_eq!((batch.activity.len(), batch.uploads.len()), (3, 7));
    }

    #[test]
    fn the_newest_record_of_a_file_wins_and_a_refused_one_changes_nothing() {
        let batch = Batch::of(&[
            upload("web", "a", 0, UploadOutcome::Stored(entry(10))),
            upload("web", "a", 1, UploadOutcome::Stored(entry(20))),
            upload("web", "a", 2, UploadOutcome::Refused(Code::DigestMismatch)),
        ]);

        assert_eq!(batch.files[&(client("web"), "a".to_owned())].entry.size, 20);
        let results: Vec<_> = batch.uploads.iter().map(|row| row.result.as_str()).collect();
        assert_eq!(results, ["stored", "stored", "digest_mismatch"]);
        assert_eq!(batch.uploads[2].size, None);
    }

    #[test]
    fn a_record_that_comes_late_does_not_replace_a_newer_one() {
        let mut records = [
            upload("web", "a", 9, UploadOutcome::Stored(entry(20))),
            upload("web", "a", 1, UploadOutcome::Unchanged(entry(10))),
        ];
        for (record, seconds) in records.iter_mut().zip([5, 0]) {
            let Record::Upload(upload) = record else { panic!("expected an upload") };
            upload.newest_at = Duration::from_secs(seconds);
        }

        let batch = Batch::of(&records);

        let row = &batch.files[&(client("web"), "a".to_owned())];
        assert_eq!((row.entry.size, row.is_stored), (20, true));
        assert_eq!(batch.uploads.len(), 2);
    }

    #[test]
    fn a_key_keeps_its_first_and_its_last_time() {
        let key = Sha256Digest::of(b"key");
        let batch = Batch::of(&[
            Record::KeyKnown { client: client("web"), key, at: 5 },
            used(key, 9, true),
            used(key, 7, true),
        ]);

        let want = FirstAndLastUse { known_at: 5, used_at: Some(9) };
        assert_eq!(batch.keys[&key], (client("web"), want));
        assert_eq!(batch.clients[&client("web")], want);
    }

    #[test]
    fn a_restore_key_is_used_without_its_host() {
        let key = Sha256Digest::of(b"key");
        #[rustfmt::skip]
        let cases: [(&[_], _); 3] = [
            (&[used(key, 5, false)],                      None),
            (&[used(key, 5, true), used(key, 9, false)],  Some(5)),
            (&[used(key, 5, false), used(key, 9, true)],  Some(9)),
        ];
        for (records, seen_at) in cases {
            let batch = Batch::of(records);
            assert_eq!(batch.clients[&client("web")].used_at, seen_at, "{records:?}");
            assert!(batch.keys[&key].1.used_at.is_some());
        }
    }

    fn used(key: Sha256Digest, at: Millis, by_host: bool) -> Record {
        Record::KeyUsed { client: client("web"), key, at, by_host }
    }

    fn client(name: &str) -> ClientName {
        ClientName::parse(name).unwrap()
    }

    fn upload(name: &str, path: &str, started_at: Millis, outcome: UploadOutcome) -> Record {
        let path = RemotePath::parse(path).unwrap();
        let client = client(name);
        let newest_at = Duration::ZERO;
        let record =
            UploadRecord { client, path, started_at, elapsed_ms: 1, newest_at, change: 0, outcome };
        Record::Upload(Box::new(record))
    }

    fn entry(size: u64) -> CatalogueEntry {
        CatalogueEntry {
            size,
            sha256: Some(Sha256Digest::of(b"")),
            mtime_ns: None,
            mode: None,
            etag: "\"e\"".to_owned(),
            version_id: None,
        }
    }
}
