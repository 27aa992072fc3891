//! A stream that is sent again: what S3 acknowledged of it is noted as it goes,
//! and what was noted need not be sent twice.
//!
//! Every byte is read and hashed again. A part stays in S3 only where its
//! SHA-256 and its length are those that were noted, and S3 still lists it with
//! the ETag that was noted. Once anything differs, nothing noted counts any
//! more: what follows may be of another stream.
//!
//! Not here: where the notes are kept, which is the caller's.

use std::collections::BTreeMap;

use s3up_core::Sha256Digest;
use tokio::sync::mpsc;

use crate::facts::ObjectFacts;
use crate::parts::{PartListed, bare};
use crate::put::Facts;

/// What an earlier send left, by the number of the chunk.
pub type Known = BTreeMap<u64, KnownChunk>;

/// What is noted of a chunk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownChunk {
    /// Of the multipart upload that was begun for it.
    pub upload_id: Option<String>,
    /// By number, from 1.
    pub parts: BTreeMap<i32, KnownPart>,
    /// Once it was completed.
    pub etag: Option<String>,
}

/// A part that S3 acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownPart {
    pub len: u64,
    pub sha256: Sha256Digest,
    /// As S3 writes it, with its quotes.
    pub etag: String,
}

/// Something that S3 has acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acknowledged {
    Begun {
        chunk: u64,
        upload_id: String,
    },
    Part {
        chunk: u64,
        number: i32,
        part: KnownPart,
    },
    /// It is visible now.
    Completed {
        chunk: u64,
        etag: String,
        bytes: u64,
    },
}

impl Acknowledged {
    /// Adds it to what is known.
    pub fn note_in(self, known: &mut Known) {
        match self {
            Acknowledged::Begun { chunk, upload_id } => {
                let parts = BTreeMap::new();
                let begun = KnownChunk { upload_id: Some(upload_id), parts, etag: None };
                known.insert(chunk, begun);
            }
            Acknowledged::Part { chunk, number, part } => {
                known.entry(chunk).or_default().parts.insert(number, part);
            }
            Acknowledged::Completed { chunk, etag, bytes: _ } => {
                known.entry(chunk).or_default().etag = Some(etag);
            }
        }
    }
}

/// For a stream that may be sent again. What it leaves in the bucket when it
/// fails or is dropped is kept: what becomes of that is the caller's decision.
#[derive(Debug)]
pub struct Noted {
    /// What was noted of an earlier send; `None`: there was none, and no chunk
    /// is looked for.
    pub known: Option<Known>,
    /// A receiver that is slower than S3 holds up the sending; one that is gone
    /// does not.
    pub tell: mpsc::Sender<Acknowledged>,
}

/// Tells of one chunk.
#[derive(Clone)]
pub(crate) struct Note {
    pub(crate) chunk: u64,
    pub(crate) tell: mpsc::Sender<Acknowledged>,
}

impl Note {
    pub(crate) async fn begun(&self, upload_id: &str) {
        let upload_id = upload_id.to_owned();
        self.send(Acknowledged::Begun { chunk: self.chunk, upload_id }).await;
    }

    pub(crate) async fn part(&self, number: i32, part: KnownPart) {
        self.send(Acknowledged::Part { chunk: self.chunk, number, part }).await;
    }

    pub(crate) async fn completed(&self, etag: &str, bytes: u64) {
        let etag = etag.to_owned();
        self.send(Acknowledged::Completed { chunk: self.chunk, etag, bytes }).await;
    }

    async fn send(&self, acknowledged: Acknowledged) {
        if self.tell.send(acknowledged).await.is_err() {
            tracing::debug!(event = "not_noted", chunk = self.chunk, "nobody takes notes any more");
        }
    }
}

/// Of what was noted, what S3 still has.
pub(crate) fn still_there(
    mut known: BTreeMap<i32, KnownPart>,
    listed: &[PartListed],
) -> BTreeMap<i32, KnownPart> {
    let listed: BTreeMap<_, _> = listed.iter().map(|part| (part.number, part)).collect();
    known.retain(|number, part| {
        listed
            .get(number)
            .is_some_and(|listed| listed.len == part.len && bare(&listed.etag) == bare(&part.etag))
    });
    known
}

/// Whether a chunk in the bucket is what went by now. `parts` is how many that
/// were, each of which is what was noted of it, if anything was.
pub(crate) fn stands(found: &ObjectFacts, known: &KnownChunk, facts: &Facts, parts: usize) -> bool {
    let is_noted =
        || known.parts.len() == parts && known.etag.as_deref().map(bare) == Some(bare(&found.etag));
    let digests_agree = match (found.crc64nvme, found.sha256) {
        (Some(crc), _) => crc == facts.crc64nvme,
        (None, Some(sha256)) => sha256 == facts.sha256,
        (None, None) => is_noted(),
    };
    digests_agree && found.size == facts.len
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use s3up_core::Crc64Nvme;

    use super::*;

    fn part(len: u64, etag: &str) -> KnownPart {
        KnownPart { len, sha256: Sha256Digest::of(b"x"), etag: etag.to_owned() }
    }

    #[test]
    fn only_what_s3_lists_as_it_was_noted_is_still_there() {
        let known: BTreeMap<_, _> = [(1, part(5, "\"a\"")), (2, part(5, "\"b\""))].into();
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
            let there = still_there(known.clone(), &listed);
            assert_eq!(there.into_keys().collect::<Vec<_>>(), want, "{situation}");
        }
    }

    #[test]
    fn a_chunk_stands_only_where_it_is_what_went_by() {
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
        let known = |etag: &str, parts| KnownChunk {
            upload_id: None,
            parts: (1..=parts).map(|number| (number, part(5, "p"))).collect(),
            etag: Some(etag.to_owned()),
        };
        let nothing = KnownChunk::default();
        let (same, other) = (Sha256Digest::of(b"ten"), Sha256Digest::of(b"other"));
        #[rustfmt::skip]
        let cases = [
            ("by checksum",         found(10, Some(crc), None),          nothing.clone(), true),
            ("other checksum",      found(10, Some(Crc64Nvme(8)), None), known("e", 2),   false),
            ("other length",        found(9, Some(crc), None),           known("e", 2),   false),
            ("by SHA-256",          found(10, None, Some(same)),         nothing.clone(), true),
            ("other SHA-256",       found(10, None, Some(other)),        known("e", 2),   false),
            ("nothing to go by",    found(10, None, None),               nothing,         false),
            ("by what was noted",   found(10, None, None),               known("e", 2),   true),
            ("other ETag",          found(10, None, None),               known("f", 2),   false),
            ("a part is not noted", found(10, None, None),               known("e", 1),   false),
        ];
        for (situation, found, known, want) in cases {
            assert_eq!(stands(&found, &known, &facts, 2), want, "{situation}");
        }
    }
}
