//! What was seen of disk and bucket, as plain data: all that a decision knows.

use std::fmt;

use btrfs_host::identity::Identity;
use jiff::Timestamp;
use s3up_core::Key;
use s3up_repository::chain::Chain;
use s3up_repository::names::SnapshotName;
use serde::{Deserialize, Serialize};

use crate::snapshots::record::{Record, RunId, State};

/// The snapshot of the newest published backup, or of one that was begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParentOnDisk {
    Missing,
    /// It is writable now.
    Writable,
    /// Its identity could not be read.
    Unreadable {
        reason: String,
    },
    Found(Identity),
    Received(ReceivedSnapshot),
}

/// A snapshot that carries the UUID of the one that was sent: kept by a restore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedSnapshot {
    /// The received UUID, and its ctransid on this filesystem.
    pub identity: Identity,
    /// The ctransid of the snapshot that was sent.
    pub send_transid: Option<u64>,
    /// The transaction that made it: whatever changes it later has a higher one.
    pub made_transid: u64,
}

/// How a parent was found to be what its manifest says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// It is the snapshot that was sent.
    Sent,
    /// It was received, as that one, and not changed since.
    Received,
}

/// A backup that was begun and is not published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterruptedBackup {
    pub backup: SnapshotName,
    pub run: RunId,
    pub journal: Result<JournalFacts, Unusable>,
    pub on_disk: ParentOnDisk,
    /// Where everything but the pointer is in the bucket, and is right.
    pub complete: Option<CompleteBackup>,
}

/// What a manifest that no pointer leads to says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompleteBackup {
    pub identity: Identity,
    pub parent: Option<Key>,
}

/// What the journal of an interrupted backup says, as far as it decides anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalFacts {
    /// The manifest that was the newest published one then.
    pub base: Option<String>,
    pub settings: StreamSettings,
    /// Of the snapshot, as its stream named it; `None`: nothing was read of it.
    pub identity: Option<Identity>,
    pub acknowledged_bytes: u64,
    /// When the last line was written.
    pub acknowledged_at: Timestamp,
}

/// What a stream is cut and stored by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamSettings {
    pub part_bytes: u64,
    pub chunk_bytes: u64,
    pub storage_class: String,
    pub sse: String,
    pub form: String,
}

/// Why a journal cannot be gone by.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    #[error("it has no journal")]
    Missing,
    #[error("its journal cannot be read: {reason}")]
    Unreadable { reason: String },
    #[error("its journal does not begin as one: {what}")]
    NoHeader { what: String },
    #[error("its journal is of another bucket, prefix, snapshot or run")]
    Other,
}

/// The newest that was begun and is not in the chain.
pub fn newest_begun<'r>(
    records: &'r [(SnapshotName, Record)],
    chain: Option<&Chain>,
) -> Option<&'r (SnapshotName, Record)> {
    let is_published = |name: &SnapshotName| {
        let mut links = chain.into_iter().flat_map(Chain::entries);
        links.any(|link| link.manifest.snapshot.name == name.to_string())
    };
    let begun = records.iter().filter(|(_, record)| record.state == State::Begun);
    begun.filter(|(name, _)| !is_published(name)).max_by_key(|(name, _)| name.stamp)
}

impl fmt::Display for StreamSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let StreamSettings { part_bytes, chunk_bytes, storage_class, sse, form } = self;
        write!(
            f,
            "parts of {part_bytes} bytes, chunks of {chunk_bytes}, {storage_class}, \
             encryption {sse}, a {form} stream"
        )
    }
}
