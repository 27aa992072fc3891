//! The observed state of disk and bucket, as plain data. A decision knows nothing else.

use std::fmt;

use btrfs_host::identity::SnapshotIdentity;
use jiff::Timestamp;
use s3up_core::Key;
use s3up_repository::chain::Chain;
use s3up_repository::names::SnapshotName;
use serde::{Deserialize, Serialize};

use crate::snapshots::record::{RunId, SnapshotRecord, SnapshotState};

/// State on disk of the snapshot of the newest published backup, or of an interrupted
/// one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParentOnDisk {
    Missing,
    /// A person or a program made the snapshot writable.
    Writable,
    /// Reading its identity failed.
    Unreadable {
        reason: String,
    },
    Found(SnapshotIdentity),
    Received(ReceivedSnapshot),
}

/// A snapshot that a restore received. It carries the UUID of the snapshot that was
/// sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedSnapshot {
    /// Received UUID, and the ctransid on this filesystem.
    pub identity: SnapshotIdentity,
    /// Ctransid of the snapshot that was sent.
    pub send_transid: Option<u64>,
    /// Transaction that created the snapshot. Any later change raises its ctransid
    /// above this.
    pub made_transid: u64,
}

/// The proof that a parent is the snapshot of its manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParentProof {
    /// The parent is the very snapshot that was sent.
    Sent,
    /// The parent was received from that snapshot and has not changed since.
    Received,
}

/// A backup that was started and is not published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterruptedBackup {
    pub backup: SnapshotName,
    pub run: RunId,
    pub journal: Result<JournalFacts, UnusableJournal>,
    pub on_disk: ParentOnDisk,
    /// Set if everything but the pointer is in the bucket and correct.
    pub complete: Option<CompleteBackup>,
}

/// Content of a manifest that no pointer leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompleteBackup {
    pub identity: SnapshotIdentity,
    pub parent: Option<Key>,
}

/// The facts in the journal of an interrupted backup on which a decision depends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalFacts {
    /// Newest published manifest when the backup started.
    pub base: Option<String>,
    pub settings: StreamSettings,
    /// Identity of the snapshot as its stream names it. `None` if nothing was read from
    /// the stream.
    pub identity: Option<SnapshotIdentity>,
    pub acknowledged_bytes: u64,
    /// Time at which the last line was written.
    pub acknowledged_at: Timestamp,
}

/// Settings by which a stream is cut into objects and stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamSettings {
    pub part_bytes: u64,
    pub chunk_bytes: u64,
    pub storage_class: String,
    pub sse: String,
    pub form: String,
}

/// The reason why a journal cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnusableJournal {
    #[error("the journal is missing")]
    Missing,
    #[error("the journal cannot be read: {reason}")]
    Unreadable { reason: String },
    #[error("the journal has no valid header: {what}")]
    NoHeader { what: String },
    #[error("the journal belongs to another bucket, prefix, snapshot or run")]
    Other,
}

/// Returns the newest backup that was started and is not in the chain. One with a journal
/// is preferred: without one nothing of it is in the bucket.
pub fn newest_begun<'r>(
    records: &'r [(SnapshotName, SnapshotRecord)],
    chain: Option<&Chain>,
    has_journal: impl Fn(&SnapshotName) -> bool,
) -> Option<&'r (SnapshotName, SnapshotRecord)> {
    let is_published = |name: &SnapshotName| {
        let mut entries = chain.into_iter().flat_map(Chain::entries);
        entries.any(|entry| entry.manifest.snapshot.name == name.to_string())
    };
    let begun = records.iter().filter(|(_, record)| record.state == SnapshotState::Begun);
    let begun = begun.filter(|(name, _)| !is_published(name));
    begun.max_by_key(|(name, _)| (has_journal(name), name.stamp))
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
