//! The parameters and the result of an upload.

use std::collections::BTreeMap;
use std::time::Duration;

use s3up_core::{Crc64Nvme, Key, Sha256Digest};

use crate::buffers::pool::Share;
use crate::objects::facts::ObjectFacts;
use crate::overwrite::Overwrite;
use crate::upload::part_splitter::Length;

/// The version ID that means that there is none.
pub(crate) const NULL: &str = "null";

/// The description of one upload.
#[derive(Clone, Debug)]
pub struct Put {
    pub key: Key,
    pub length: Length,
    /// Length of a part, from [`s3up_core::part::part_bytes`].
    pub part_bytes: u64,
    pub content_type: Option<String>,
    /// ASCII only. `sha256` is added if it is known in time.
    pub metadata: BTreeMap<String, String>,
    /// The announced SHA-256; the upload fails if the bytes have another one.
    pub expect_sha256: Option<Sha256Digest>,
    pub overwrite: Overwrite,
    /// `None` means the one of the settings.
    pub storage_class: Option<String>,
    /// Maximum number of parts in flight, at least 1.
    pub in_flight: usize,
    /// Time for which a failing call is retried.
    pub retry_for: Duration,
    /// Time to wait for the first buffer; `None` means forever. For later ones there is no limit.
    pub buffer_wait: Option<Duration>,
    /// The share of the pool that the upload may use; `None` means all of it.
    pub share: Option<Share>,
}

/// Length and digests of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    pub len: u64,
    pub sha256: Sha256Digest,
    pub crc64nvme: Crc64Nvme,
}

/// An object that S3 has stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    pub facts: Facts,
    /// The ETag as S3 writes it, with quotes.
    pub etag: String,
    /// `None` if the bucket keeps no versions.
    pub version_id: Option<String>,
}

/// Facts about the new object in the answer to a successful PUT or completion.
#[derive(Debug)]
pub(crate) struct WriteAnswer {
    pub etag: Option<String>,
    pub version_id: Option<String>,
}

/// Returns true if an object is the upload: by size, by the strongest digest that
/// both know, and by its user metadata. Size alone proves nothing.
pub(crate) fn is_ours(found: &ObjectFacts, put: &Put, facts: &Facts) -> bool {
    let digests_agree = match (found.crc64nvme, found.sha256) {
        (Some(crc), _) => crc == facts.crc64nvme,
        (None, Some(sha256)) => sha256 == facts.sha256,
        (None, None) => false,
    };
    digests_agree && found.size == facts.len && has_metadata(found, &put.metadata)
}

/// Returns true if an object has all of this user metadata.
pub(crate) fn has_metadata(found: &ObjectFacts, metadata: &BTreeMap<String, String>) -> bool {
    metadata.iter().all(|(name, value)| found.metadata.get(name) == Some(value))
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn an_object_is_ours_only_by_size_and_digest() {
        let facts = Facts {
            len: 3,
            sha256: Sha256Digest::of(b"abc"),
            crc64nvme: crate::buffers::hashing::crc64_now(b"abc"),
        };
        let found = |size, crc64nvme, sha256| ObjectFacts {
            size,
            etag: String::new(),
            version_id: None,
            content_type: None,
            modified_at: SystemTime::UNIX_EPOCH,
            metadata: [("mode".to_owned(), "0644".to_owned())].into(),
            sha256,
            crc64nvme,
            storage_class: None,
            sse: None,
        };
        let (crc, sha) = (Some(facts.crc64nvme), Some(facts.sha256));
        let (other_crc, other_sha) = (Some(Crc64Nvme(1)), Some(Sha256Digest::of(b"")));
        #[rustfmt::skip]
        let cases = [
            // found                        is ours
            (found(3, crc, sha),            true),
            (found(3, crc, None),           true),
            (found(3, None, sha),           true),
            (found(3, None, None),          false),
            (found(4, crc, sha),            false),
            (found(3, other_crc, sha),      false),
            (found(3, None, other_sha),     false),
        ];
        for (found, want) in cases {
            assert_eq!(is_ours(&found, &put_with_mode("0644"), &facts), want, "{found:?}");
        }
        assert!(!is_ours(&found(3, crc, sha), &put_with_mode("0600"), &facts));
    }

    fn put_with_mode(mode: &str) -> Put {
        Put {
            key: Key::parse("a").expect("a key"),
            length: Length::AtMost(3),
            part_bytes: 3,
            content_type: None,
            metadata: [("mode".to_owned(), mode.to_owned())].into(),
            expect_sha256: None,
            overwrite: Overwrite::Allowed,
            storage_class: None,
            in_flight: 1,
            retry_for: Duration::ZERO,
            buffer_wait: None,
            share: None,
        }
    }
}
