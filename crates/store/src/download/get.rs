//! The description of one download: object, range and limits.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use s3up_core::{Crc64Nvme, Key, Sha256Digest};

use crate::buffers::pool::Share;
use crate::objects::facts::ObjectFacts;

/// A request for a range of an object.
#[derive(Clone, Debug)]
pub struct Get {
    pub key: Key,
    /// Result of [`crate::Store::head`], which pins the content.
    pub facts: ObjectFacts,
    /// The bytes to read, within the size of the object.
    pub range: Range<u64>,
    /// Length of the parts of `range` that are fetched by one call.
    pub part_bytes: u64,
    /// The SHA-256 of each of these parts, from the first on. A part with another
    /// digest is not returned.
    pub part_sha256: Option<Arc<[Sha256Digest]>>,
    /// Maximum number of parts that are being fetched or wait for the reader, at
    /// least 1.
    pub in_flight: usize,
    /// Time for which a failing call is retried without a byte of progress.
    pub retry_for: Duration,
    /// Time to wait for the first buffer; `None` means forever. For later ones there is no limit.
    pub buffer_wait: Option<Duration>,
    /// The share of the pool that the download may use; `None` means all of it.
    pub share: Option<Share>,
}

impl Get {
    /// Returns the checksum of the whole object if the download verifies it. The
    /// SHA-256 of each part, if given, is the stronger check.
    pub(crate) fn whole_crc64nvme(&self) -> Option<Crc64Nvme> {
        let is_checked = self.is_whole() && self.part_sha256.is_none();
        self.facts.crc64nvme.filter(|_| is_checked)
    }

    pub(crate) fn whole_sha256(&self) -> Option<Sha256Digest> {
        let is_checked = self.is_whole() && self.part_sha256.is_none();
        self.facts.sha256.filter(|_| is_checked)
    }

    fn is_whole(&self) -> bool {
        self.range == (0..self.facts.size)
    }
}
