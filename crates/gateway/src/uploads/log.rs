//! Records how an upload ended: once, also if its request is dropped.

use s3up_core::{ClientName, Code, Key, KeyPrefix, RemotePath, Stopwatch};
use s3up_store::{ObjectFacts, Stored};

use super::metadata::{self, FileMetadata};
use crate::database::record::{CatalogueEntry, Millis, Record, UploadOutcome, UploadRecord};
use crate::database::{Database, millis};
use crate::refusal::Refusal;

/// The database, as uploads need it.
#[derive(Clone)]
pub(crate) struct UploadLog {
    database: Database,
    prefix: KeyPrefix,
}

/// An upload that has not ended. Dropped, it is recorded as cancelled.
pub(crate) struct OpenUpload {
    database: Database,
    /// `None` once the end is recorded.
    file: Option<(ClientName, RemotePath)>,
    started_at: Millis,
    began: Stopwatch,
}

impl UploadLog {
    pub(crate) fn new(database: Database, prefix: KeyPrefix) -> UploadLog {
        UploadLog { database, prefix }
    }

    pub(crate) fn begin(&self, client: &ClientName, key: &Key, began: Stopwatch) -> OpenUpload {
        let file = key.file_path(&self.prefix, client).map(|path| (client.clone(), path));
        let database = self.database.clone();
        OpenUpload { started_at: database.now(), database, file, began }
    }
}

impl OpenUpload {
    pub(crate) fn refused(&mut self, refusal: &Refusal) {
        self.refused_with(refusal.code);
    }

    pub(crate) fn refused_with(&mut self, code: Code) {
        self.end(UploadOutcome::Refused(code));
    }

    pub(crate) fn stored(&mut self, stored: &Stored, announced: &FileMetadata) {
        let entry = CatalogueEntry {
            size: stored.facts.len,
            sha256: stored.facts.sha256,
            mtime_ns: announced.mtime_ns,
            mode: announced.mode,
            etag: stored.etag.clone(),
            version_id: stored.version_id.clone(),
            uploaded_at: self.database.now(),
        };
        self.end(UploadOutcome::Stored(entry));
    }

    /// The object was there already. What the client announced is not in S3, so it is not in the
    /// catalogue either.
    pub(crate) fn unchanged(&mut self, found: &ObjectFacts, sha256: s3up_core::Sha256Digest) {
        let entry = CatalogueEntry {
            size: found.size,
            sha256,
            mtime_ns: metadata::stored_mtime_ns(&found.metadata),
            mode: metadata::stored_mode(&found.metadata),
            etag: found.etag.clone(),
            version_id: found.version_id.clone(),
            uploaded_at: millis(found.modified_at),
        };
        self.end(UploadOutcome::Unchanged(entry));
    }

    fn end(&mut self, outcome: UploadOutcome) {
        let Some((client, path)) = self.file.take() else { return };
        let elapsed_ms = i64::try_from(self.began.elapsed().as_millis()).unwrap_or(i64::MAX);
        let started_at = self.started_at;
        let record = UploadRecord { client, path, started_at, elapsed_ms, outcome };
        self.database.record(Record::Upload(Box::new(record)));
    }
}

impl Drop for OpenUpload {
    fn drop(&mut self) {
        self.end(UploadOutcome::Cancelled);
    }
}
