//! The record of a resumable upload of a stream: what S3 acknowledged, so that it
//! need not be sent twice.
//!
//! Every byte is read and hashed again. A recorded part counts only if its SHA-256
//! and length are those of the new part, and S3 still lists it with the recorded
//! ETag. After the first mismatch nothing recorded counts any more, because the
//! rest may be of another stream.
//!
//! Not here: where the record is kept, which is up to the caller.

use std::collections::{BTreeMap, BTreeSet};

use s3up_core::Sha256Digest;
use tokio::sync::mpsc;

use crate::objects::etag::{is_reported, unquoted};
use crate::objects::facts::ObjectFacts;
use crate::upload::parts::PartListed;
use crate::upload::put::Facts;

/// The uploads of earlier attempts, by the number of the chunk.
pub type AlreadyUploaded = BTreeMap<u64, UploadedChunk>;

/// The recorded facts of a chunk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UploadedChunk {
    /// ID of the multipart upload that was started for it.
    pub upload_id: Option<String>,
    /// Acknowledged parts by number, from 1.
    pub parts: BTreeMap<i32, UploadedPart>,
    /// ETag of the object, once the chunk was completed.
    pub etag: Option<String>,
}

/// A part that S3 acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadedPart {
    pub len: u64,
    pub sha256: Sha256Digest,
    /// The ETag as S3 writes it, with quotes.
    pub etag: String,
}

/// Something that S3 acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProgressEvent {
    UploadStarted {
        chunk: u64,
        upload_id: String,
    },
    PartUploaded {
        chunk: u64,
        number: i32,
        part: UploadedPart,
    },
    /// The chunk is visible now.
    ChunkCompleted {
        chunk: u64,
        etag: String,
        bytes: u64,
    },
}

impl ProgressEvent {
    /// Adds the event to the record.
    pub fn apply_to(self, uploaded: &mut AlreadyUploaded) {
        match self {
            ProgressEvent::UploadStarted { chunk, upload_id } => {
                let parts = BTreeMap::new();
                let started = UploadedChunk { upload_id: Some(upload_id), parts, etag: None };
                uploaded.insert(chunk, started);
            }
            ProgressEvent::PartUploaded { chunk, number, part } => {
                uploaded.entry(chunk).or_default().parts.insert(number, part);
            }
            ProgressEvent::ChunkCompleted { chunk, etag, bytes: _ } => {
                uploaded.entry(chunk).or_default().etag = Some(etag);
            }
        }
    }
}

/// The two ends of a resumable upload: the record of earlier attempts, and the
/// receiver of progress. What a failed or dropped upload leaves in the bucket stays
/// there; the caller resumes from it or deletes it.
#[derive(Debug)]
pub struct ResumeLog {
    /// The record of earlier attempts. `None` means that there were none, so that
    /// the upload does not look for existing chunks.
    pub already_uploaded: Option<AlreadyUploaded>,
    /// Receives what S3 acknowledges. A receiver slower than S3 slows down the
    /// upload; a closed one does not.
    pub tx: mpsc::Sender<ProgressEvent>,
}

/// A resumable upload at work.
pub(crate) struct ResumeState {
    tx: mpsc::Sender<ProgressEvent>,
    /// The record of the chunks that are not compared yet; `None` means that there
    /// was no earlier attempt.
    pub already_uploaded: Option<AlreadyUploaded>,
    /// The stream is not the recorded one, so nothing recorded counts.
    pub has_mismatch: bool,
}

impl ResumeState {
    pub fn new(log: ResumeLog) -> ResumeState {
        let ResumeLog { already_uploaded, tx } = log;
        ResumeState { tx, already_uploaded, has_mismatch: false }
    }

    pub fn progress_of(&self, chunk: u64) -> ProgressSender {
        ProgressSender { chunk, tx: self.tx.clone() }
    }
}

/// Sends the progress events of one chunk.
#[derive(Clone)]
pub(crate) struct ProgressSender {
    pub chunk: u64,
    tx: mpsc::Sender<ProgressEvent>,
}

impl ProgressSender {
    pub async fn upload_started(&self, upload_id: &str) {
        let upload_id = upload_id.to_owned();
        self.send(ProgressEvent::UploadStarted { chunk: self.chunk, upload_id }).await;
    }

    pub async fn part_uploaded(&self, number: i32, part: UploadedPart) {
        self.send(ProgressEvent::PartUploaded { chunk: self.chunk, number, part }).await;
    }

    pub async fn chunk_completed(&self, etag: &str, bytes: u64) {
        let etag = etag.to_owned();
        self.send(ProgressEvent::ChunkCompleted { chunk: self.chunk, etag, bytes }).await;
    }

    async fn send(&self, event: ProgressEvent) {
        if self.tx.send(event).await.is_err() {
            tracing::debug!(
                event = "progress_not_recorded",
                chunk = self.chunk,
                "the receiver of progress events is closed"
            );
        }
    }
}

/// Returns those of the recorded parts that S3 still lists.
pub(crate) fn confirmed_by_listing(
    mut recorded: BTreeMap<i32, UploadedPart>,
    listed: &[PartListed],
) -> BTreeMap<i32, UploadedPart> {
    // Some servers list a part once for each time that it was sent.
    let listed: BTreeSet<_> =
        listed.iter().map(|part| (part.number, part.len, unquoted(&part.etag))).collect();
    recorded.retain(|number, part| listed.contains(&(*number, part.len, unquoted(&part.etag))));
    recorded
}

/// Returns true if an existing chunk has the content that was read now. `parts` is
/// the number of parts that were read; each agreed with its record, if there is one.
pub(crate) fn is_same_content(
    found: &ObjectFacts,
    recorded: &UploadedChunk,
    facts: &Facts,
    parts: usize,
) -> bool {
    let is_recorded = || {
        recorded.parts.len() == parts
            && match &recorded.etag {
                Some(etag) if is_reported(&found.etag) => unquoted(etag) == unquoted(&found.etag),
                // A server that returns no ETag leaves the parts, which were compared.
                Some(_) => true,
                None => false,
            }
    };
    let digests_agree = match (found.crc64nvme, found.sha256) {
        (Some(crc), _) => crc == facts.crc64nvme,
        (None, Some(sha256)) => sha256 == facts.sha256,
        (None, None) => is_recorded(),
    };
    digests_agree && found.size == facts.len
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use s3up_core::Crc64Nvme;

    use super::*;

    fn part(len: u64, etag: &str) -> UploadedPart {
        UploadedPart { len, sha256: Sha256Digest::of(b"x"), etag: etag.to_owned() }
    }

    #[test]
    fn only_recorded_parts_that_s3_lists_unchanged_are_confirmed() {
        let recorded: BTreeMap<_, _> = [(1, part(5, "\"a\"")), (2, part(5, "\"b\""))].into();
        let listed = |number, len, etag: &str| PartListed {
            number,
            len,
            etag: etag.to_owned(),
            crc64nvme: None,
        };
        #[rustfmt::skip]
        let cases = [
            ("both",        vec![listed(1, 5, "\"a\""), listed(2, 5, "b")], vec![1, 2]),
            ("one is gone", vec![listed(2, 5, "b")],                        vec![2]),
            ("other bytes", vec![listed(1, 5, "c"), listed(2, 5, "b")],     vec![2]),
            ("other length", vec![listed(1, 4, "a")],                       vec![]),
            ("one more",    vec![listed(1, 5, "a"), listed(3, 5, "c")],     vec![1]),
            ("nothing",     vec![],                                         vec![]),
        ];
        for (situation, listed, want) in cases {
            let confirmed = confirmed_by_listing(recorded.clone(), &listed);
            assert_eq!(confirmed.into_keys().collect::<Vec<_>>(), want, "{situation}");
        }
    }

    #[test]
    fn an_existing_chunk_counts_only_if_it_has_the_same_content() {
        let crc = Crc64Nvme(7);
        let facts = Facts { len: 10, sha256: Sha256Digest::of(b"ten"), crc64nvme: crc };
        let found = |size, crc64nvme, sha256| ObjectFacts {
            size,
            etag: "\"e\"".to_owned(),
            version_id: None,
            content_type: None,
            modified_at: SystemTime::UNIX_EPOCH,
            metadata: BTreeMap::new(),
            sha256,
            crc64nvme,
            storage_class: None,
            sse: None,
        };
        let recorded = |etag: &str, parts| UploadedChunk {
            upload_id: None,
            parts: (1..=parts).map(|number| (number, part(5, "p"))).collect(),
            etag: Some(etag.to_owned()),
        };
        let nothing = UploadedChunk::default();
        let (same, other) = (Sha256Digest::of(b"ten"), Sha256Digest::of(b"other"));
        #[rustfmt::skip]
        let cases = [
            ("by checksum",         found(10, Some(crc), None),          nothing.clone(), true),
            ("other checksum",      found(10, Some(Crc64Nvme(8)), None), recorded("e", 2),   false),
            ("other length",        found(9, Some(crc), None),           recorded("e", 2),   false),
            ("by SHA-256",          found(10, None, Some(same)),         nothing.clone(), true),
            ("other SHA-256",       found(10, None, Some(other)),        recorded("e", 2),   false),
            ("nothing to compare",    found(10, None, None),               nothing,         false),
            ("by the record"    ,   found(10, None, None),               recorded("e", 2),   true),
            ("other ETag",          found(10, None, None),               recorded("f", 2),   false),
            ("an unrecorded part" , found(10, None, None),               recorded("e", 1),   false),
        ];
        for (situation, found, recorded, want) in cases {
            assert_eq!(is_same_content(&found, &recorded, &facts, 2), want, "{situation}");
        }
    }
}
