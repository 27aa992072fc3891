//! Records how an upload ended: once, also if its request is dropped.

use std::time::Duration;

use s3up_core::{ClientName, Code, Key, KeyPrefix, RemotePath, Stopwatch};
use s3up_store::{ObjectFacts, Stored};

use super::metadata::{self, FileMetadata};
use crate::clock::Millis;
use crate::database::Database;
use crate::database::record::{CatalogueEntry, Record, UploadOutcome, UploadRecord};
use crate::refusal::Refusal;

/// The database, as uploads need it.
#[derive(Clone)]
pub(crate) struct UploadRecorder {
    database: Database,
    prefix: KeyPrefix,
}

/// An upload that has not ended. Dropped, it is recorded as cancelled.
pub(crate) struct OpenUpload {
    database: Database,
    /// `None` once the end is recorded.
    file: Option<(ClientName, RemotePath)>,
    started_at: Millis,
    /// The same time, as [`Database::elapsed`] returns it.
    begun_at: Duration,
    change: i64,
    began: Stopwatch,
}

impl UploadRecorder {
    pub(crate) fn new(database: Database, prefix: KeyPrefix) -> UploadRecorder {
        UploadRecorder { database, prefix }
    }

    /// Returns the path of a file.
    pub(crate) fn path(&self, client: &ClientName, key: &Key) -> Option<RemotePath> {
        key.file_path(&self.prefix, client)
    }

    /// Returns the path of a file whose key S3 listed.
    pub(crate) fn path_of_text(&self, client: &ClientName, key: &str) -> Option<RemotePath> {
        s3up_core::file_path(key, &self.prefix, client)
    }

    /// Returns the prefix of all keys of a client.
    pub(crate) fn client_prefix(&self, client: &ClientName) -> String {
        format!("{}{client}/", self.prefix)
    }

    pub(crate) fn begin(&self, client: &ClientName, key: &Key, began: Stopwatch) -> OpenUpload {
        let file = self.path(client, key).map(|path| (client.clone(), path));
        let database = self.database.clone();
        let (started_at, begun_at) = (database.now(), database.elapsed());
        OpenUpload { database, file, started_at, begun_at, change: 0, began }
    }
}

impl OpenUpload {
    pub(crate) fn refused(&mut self, refusal: &Refusal) {
        self.refused_with(refusal.code);
    }

    pub(crate) fn refused_with(&mut self, code: Code) {
        self.end(UploadOutcome::Refused(code));
    }

    /// `change` is that of the client's total, for its quota.
    pub(crate) fn stored(&mut self, stored: &Stored, announced: &FileMetadata, change: i64) {
        self.change = change;
        let entry = CatalogueEntry {
            size: stored.facts.len,
            sha256: Some(stored.facts.sha256),
            mtime_ns: announced.mtime_ns,
            mode: announced.mode,
            etag: stored.etag.clone(),
            version_id: stored.version_id.clone(),
        };
        self.end_at(self.database.elapsed(), UploadOutcome::Stored(entry));
    }

    /// The object was there already. What the client announced is not in S3, so it is not in the
    /// catalogue either.
    pub(crate) fn unchanged(&mut self, found: &ObjectFacts, sha256: s3up_core::Sha256Digest) {
        let entry = entry_of(found, sha256);
        // It was the newest version when S3 was asked. Another gateway may have stored a newer
        // one since.
        self.end_at(self.begun_at, UploadOutcome::Unchanged(entry));
    }

    /// The object has other metadata from now on, or was found to have it.
    pub(crate) fn metadata_updated(&mut self, now: &ObjectFacts, sha256: s3up_core::Sha256Digest) {
        let outcome = UploadOutcome::Unchanged(entry_of(now, sha256));
        self.end_at(self.database.elapsed(), outcome);
    }

    fn end(&mut self, outcome: UploadOutcome) {
        self.end_at(self.begun_at, outcome);
    }

    fn end_at(&mut self, newest_at: Duration, outcome: UploadOutcome) {
        let Some((client, path)) = self.file.take() else { return };
        let elapsed_ms = i64::try_from(self.began.elapsed().as_millis()).unwrap_or(i64::MAX);
        let (started_at, change) = (self.started_at, self.change);
        let record =
            UploadRecord { client, path, started_at, elapsed_ms, newest_at, change, outcome };
        self.database.record(Record::Upload(Box::new(record)));
    }
}

fn entry_of(found: &ObjectFacts, sha256: s3up_core::Sha256Digest) -> CatalogueEntry {
    CatalogueEntry {
        size: found.size,
        sha256: Some(sha256),
        mtime_ns: metadata::stored_mtime_ns(&found.metadata),
        mode: metadata::stored_mode(&found.metadata),
        etag: found.etag.clone(),
        version_id: found.version_id.clone(),
    }
}

impl Drop for OpenUpload {
    fn drop(&mut self) {
        self.end(UploadOutcome::Cancelled);
    }
}
