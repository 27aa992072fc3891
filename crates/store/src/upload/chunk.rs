//! Chunks: the objects into which one stream is split.

use std::collections::BTreeMap;
use std::time::Duration;

use s3up_core::{Key, Sha256Digest};

use crate::overwrite::Overwrite;
use crate::upload::part_splitter::Length;
use crate::upload::put::{Put, Stored};

/// Settings of storing a stream as chunks.
pub struct PutChunks<'a> {
    /// Returns the key of chunk 0, 1, 2…
    pub key_of: &'a (dyn Fn(u64) -> Key + Send + Sync),
    /// Length of each chunk but the last, at least 1.
    pub chunk_bytes: u64,
    /// Length of a part, from [`s3up_core::part::part_bytes`] for `chunk_bytes`.
    pub part_bytes: u64,
    /// Maximum number of chunks; a longer stream is an error.
    pub chunk_count_max: u64,
    pub content_type: Option<String>,
    /// User metadata, ASCII only.
    pub metadata: BTreeMap<String, String>,
    pub overwrite: Overwrite,
    /// `None` means the one of the settings.
    pub storage_class: Option<String>,
    /// Maximum number of parts in flight, over all chunks, at least 1.
    pub in_flight: usize,
    /// Time for which a failing call is retried.
    pub retry_for: Duration,
}

/// A chunk that is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    pub key: Key,
    pub stored: Stored,
    /// Length of each part but the last.
    pub part_bytes: u64,
    /// SHA-256 of each part, in order.
    pub part_sha256: Vec<Sha256Digest>,
}

impl PutChunks<'_> {
    /// Returns how to store one chunk.
    pub(super) fn put_of(&self, chunk: u64) -> Put {
        Put {
            key: (self.key_of)(chunk),
            length: Length::AtMost(self.chunk_bytes),
            part_bytes: self.part_bytes,
            content_type: self.content_type.clone(),
            metadata: self.metadata.clone(),
            expect_sha256: None,
            overwrite: self.overwrite.clone(),
            storage_class: self.storage_class.clone(),
            in_flight: self.in_flight,
            retry_for: self.retry_for,
            buffer_wait: None,
            share: None,
        }
    }
}
