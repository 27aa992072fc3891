//! Checks that a stream is the one that was planned.

use btrfs_host::identity::SnapshotIdentity;
use btrfs_sendstream::{Parent, StreamSummary};
use s3up_repository::names::SnapshotName;

use crate::plan::decide::BackupStep;

/// The reason why a stream is not the one that was planned.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamMismatch {
    #[error("the stream: expected the snapshot {expected}, found {found:?}")]
    Name { expected: SnapshotName, found: String },
    #[error("parent of the stream: expected {}, found {}", shown(expected), shown(found))]
    Parent { expected: Option<SnapshotIdentity>, found: Option<SnapshotIdentity> },
}

fn shown(parent: &Option<SnapshotIdentity>) -> String {
    parent.as_ref().map_or_else(|| "no parent".to_owned(), ToString::to_string)
}

/// Checks that the stream holds this snapshot and is based on the planned parent.
pub fn check(
    backup: &SnapshotName,
    step: &BackupStep,
    facts: &StreamSummary,
) -> Result<(), StreamMismatch> {
    if facts.snapshot.name != backup.to_string().as_bytes() {
        let found = String::from_utf8_lossy(&facts.snapshot.name).into_owned();
        return Err(StreamMismatch::Name { expected: backup.clone(), found });
    }
    let expected = match step {
        BackupStep::Full(_) => None,
        BackupStep::Incremental { identity, .. } => Some(identity.clone()),
    };
    let found = facts
        .snapshot
        .parent
        .map(|Parent { uuid, ctransid }| SnapshotIdentity { uuid: uuid.to_string(), ctransid });
    if found != expected {
        return Err(StreamMismatch::Parent { expected, found });
    }
    Ok(())
}
