//! Decides what to do with a backup that an earlier run started and did not finish.
//! Pure: it reads only what was observed.
//!
//! A backup is resumed only if the result is the same as without the interruption: same
//! snapshot, same settings, nothing published meanwhile. The snapshot is then sent
//! again, and bytes that S3 has acknowledged are not uploaded twice (the replay of
//! `s3up_store` proves that by their hashes). A backup that lacks only its pointer is
//! published. Any other backup is started over, which is never wrong, with the reason;
//! what the interrupted one left is removed after the new backup is published.
//!
//! Not here: what is noted while a backup is under way ([`journal`](crate::backup::journal)), and how it
//! is observed ([`observe_interrupted`](crate::backup::observe_interrupted)).

use std::fmt;

use btrfs_host::identity::SnapshotIdentity;
use jiff::{SignedDuration, Timestamp};
use s3up_core::{Key, Size};
use s3up_repository::names::{BackupKind, SnapshotName};
use s3up_store::SWEEP_AGE;

use super::observed::{InterruptedBackup, StreamSettings, UnusableJournal};
use crate::plan::decide::{BackupStep, Decision, FullReason, IncrementalReason, Trigger};
use crate::plan::observed::{CompleteBackup, ParentOnDisk, ParentProof, ReceivedSnapshot};
use crate::snapshots::record::RunId;

/// The work that completes a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resumption {
    /// Make a snapshot and send it.
    Fresh,
    /// Send the snapshot of an earlier run again.
    Resume { run: RunId, acknowledged_bytes: u64 },
    /// Write the pointer; everything else is in the bucket.
    PublishOnly { run: RunId },
}

/// An interrupted backup that can be resumed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResumePlan {
    pub backup: SnapshotName,
    pub step: BackupStep,
    pub resumption: Resumption,
}

/// The backup that this run would make without an interrupted one.
pub struct PlannedBackup<'a> {
    pub time: Timestamp,
    pub trigger: Trigger,
    pub decision: &'a Decision,
    pub settings: &'a StreamSettings,
    /// Manifest of the newest published backup, and its time.
    pub newest: Option<(&'a Key, Timestamp)>,
    /// Parent of an incremental that is based on the newest backup, if there can be
    /// one.
    pub parent: Option<(SnapshotName, SnapshotIdentity, ParentProof)>,
}

/// The reason why an interrupted backup is not resumed but started over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotResumable {
    FullRequested,
    FullDue,
    ParentGone,
    /// Another backup was published meanwhile.
    Published,
    SnapshotMissing,
    SnapshotWritable,
    SnapshotUnreadable {
        reason: String,
    },
    SnapshotChanged {
        expected: SnapshotIdentity,
        found: SnapshotIdentity,
    },
    NothingAcknowledged,
    Journal(UnusableJournal),
    Settings {
        was: Box<StreamSettings>,
        is: Box<StreamSettings>,
    },
    TooOld {
        acknowledged_at: Timestamp,
    },
}

/// Returns how the interrupted backup is resumed, or why it is started over. `None` means that no
/// backup is due, so it waits.
pub fn decide(
    now: &PlannedBackup<'_>,
    found: &InterruptedBackup,
) -> Option<Result<ResumePlan, NotResumable>> {
    let is_due = matches!(now.decision, Decision::Due(_));
    if !is_due && found.complete.is_none() {
        return None;
    }
    Some(step(now, found.backup.kind).and_then(|step| {
        let resumption = match &found.complete {
            Some(complete) => publish(now, found, complete)?,
            None => resume(now, found)?,
        };
        Ok(ResumePlan { backup: found.backup.clone(), step, resumption })
    }))
}

/// Returns the interrupted step, if it is still the right one.
fn step(now: &PlannedBackup<'_>, kind: BackupKind) -> Result<BackupStep, NotResumable> {
    match (kind, now.decision) {
        (BackupKind::Full, Decision::Due(BackupStep::Full(reason))) => {
            Ok(BackupStep::Full(reason.clone()))
        }
        (BackupKind::Full, _) => Ok(BackupStep::Full(FullReason::Interrupted)),
        (BackupKind::Incremental, _) if now.trigger == Trigger::Full => {
            Err(NotResumable::FullRequested)
        }
        (BackupKind::Incremental, Decision::Due(BackupStep::Full(_))) => Err(NotResumable::FullDue),
        (BackupKind::Incremental, Decision::Due(step @ BackupStep::Incremental { .. })) => {
            Ok(step.clone())
        }
        (BackupKind::Incremental, Decision::NotDue) => {
            let (parent, identity, proof) = now.parent.clone().ok_or(NotResumable::ParentGone)?;
            Ok(BackupStep::Incremental {
                parent,
                identity,
                proof,
                reason: IncrementalReason::Interrupted,
            })
        }
    }
}

fn publish(
    now: &PlannedBackup<'_>,
    found: &InterruptedBackup,
    complete: &CompleteBackup,
) -> Result<Resumption, NotResumable> {
    unchanged(&complete.identity, &found.on_disk)?;
    let is_based = match found.backup.kind {
        BackupKind::Full => true,
        BackupKind::Incremental => complete.parent.as_ref() == now.newest.map(|(key, _)| key),
    };
    let is_newest = now.newest.is_none_or(|(_, at)| at < found.backup.stamp.time());
    if !(is_based && is_newest) {
        return Err(NotResumable::Published);
    }
    Ok(Resumption::PublishOnly { run: found.run.clone() })
}

fn resume(now: &PlannedBackup<'_>, found: &InterruptedBackup) -> Result<Resumption, NotResumable> {
    let journal = found.journal.as_ref().map_err(|err| NotResumable::Journal(err.clone()))?;
    let identity = match &journal.identity {
        Some(identity) if journal.acknowledged_bytes > 0 => identity,
        Some(_) | None => return Err(NotResumable::NothingAcknowledged),
    };
    if journal.base.as_deref() != now.newest.map(|(key, _)| key.as_str()) {
        return Err(NotResumable::Published);
    }
    if journal.settings != *now.settings {
        let (was, is) = (Box::new(journal.settings.clone()), Box::new(now.settings.clone()));
        return Err(NotResumable::Settings { was, is });
    }
    unchanged(identity, &found.on_disk)?;
    let acknowledged_at = journal.acknowledged_at;
    let age_max = SignedDuration::try_from(SWEEP_AGE).unwrap_or(SignedDuration::MAX);
    if now.time.duration_since(acknowledged_at) > age_max {
        return Err(NotResumable::TooOld { acknowledged_at });
    }
    let acknowledged_bytes = journal.acknowledged_bytes;
    Ok(Resumption::Resume { run: found.run.clone(), acknowledged_bytes })
}

fn unchanged(expected: &SnapshotIdentity, on_disk: &ParentOnDisk) -> Result<(), NotResumable> {
    match on_disk {
        ParentOnDisk::Missing => Err(NotResumable::SnapshotMissing),
        ParentOnDisk::Writable => Err(NotResumable::SnapshotWritable),
        ParentOnDisk::Unreadable { reason } => {
            Err(NotResumable::SnapshotUnreadable { reason: reason.clone() })
        }
        ParentOnDisk::Found(found)
        | ParentOnDisk::Received(ReceivedSnapshot { identity: found, .. })
            if found != expected =>
        {
            let (expected, found) = (expected.clone(), found.clone());
            Err(NotResumable::SnapshotChanged { expected, found })
        }
        ParentOnDisk::Found(_) | ParentOnDisk::Received(_) => Ok(()),
    }
}

impl Resumption {
    /// Returns the earlier run that started the backup.
    pub fn run(&self) -> Option<&RunId> {
        match self {
            Resumption::Fresh => None,
            Resumption::Resume { run, .. } | Resumption::PublishOnly { run } => Some(run),
        }
    }

    /// Returns the number of bytes that need not be uploaded.
    pub fn acknowledged_bytes(&self) -> Option<u64> {
        match self {
            Resumption::Resume { acknowledged_bytes, .. } => Some(*acknowledged_bytes),
            Resumption::Fresh | Resumption::PublishOnly { .. } => None,
        }
    }

    /// Returns one word for JSON.
    pub fn as_str(&self) -> &'static str {
        match self {
            Resumption::Fresh => "new",
            Resumption::Resume { .. } => "resume",
            Resumption::PublishOnly { .. } => "publish",
        }
    }
}

impl fmt::Display for NotResumable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotResumable::FullRequested => f.write_str("a full was requested"),
            NotResumable::FullDue => f.write_str("a full is due"),
            NotResumable::ParentGone => f.write_str("its parent snapshot has changed or is gone"),
            NotResumable::Published => f.write_str("another backup has been published since"),
            NotResumable::SnapshotMissing => f.write_str("its snapshot is missing"),
            NotResumable::SnapshotWritable => {
                f.write_str("its snapshot is writable and may have changed")
            }
            NotResumable::SnapshotUnreadable { reason } => {
                write!(f, "its snapshot cannot be sent: {reason}")
            }
            NotResumable::SnapshotChanged { expected, found } => {
                write!(
                    f,
                    "its snapshot has changed since it was sent: expected {expected}, found {found}"
                )
            }
            NotResumable::NothingAcknowledged => {
                f.write_str("S3 has acknowledged none of its parts")
            }
            NotResumable::Journal(unusable) => unusable.fmt(f),
            NotResumable::Settings { was, is } => {
                write!(f, "the settings have changed: expected {was}, found {is}")
            }
            NotResumable::TooOld { acknowledged_at } => {
                let at = s3up_repository::stamp::seconds(*acknowledged_at);
                write!(f, "S3 may have removed its parts, the last was uploaded at {at}")
            }
        }
    }
}

impl fmt::Display for Resumption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Resumption::Fresh => f.write_str("new backup"),
            Resumption::Resume { acknowledged_bytes, .. } => {
                write!(
                    f,
                    "resuming an interrupted backup, {} already uploaded",
                    Size(*acknowledged_bytes)
                )
            }
            Resumption::PublishOnly { .. } => {
                f.write_str("publishing an interrupted backup that is completely uploaded")
            }
        }
    }
}

#[cfg(test)]
mod tests;
