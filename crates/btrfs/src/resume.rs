//! Decides what becomes of a backup that an earlier run began and did not
//! finish: pure, from what was seen.
//!
//! It is gone on with only where that ends as if nothing had happened: the same
//! snapshot, the same settings, nothing published meanwhile. Then the snapshot is
//! sent again, and what S3 has acknowledged is not sent twice (`s3up_store`'s
//! replay proves that by hash). One that is complete but for its pointer is
//! published. Anything else is begun anew, which is never wrong, with the reason;
//! what was begun is removed after the new one is published.
//!
//! Not here: what is noted while a backup is under way ([`journal`]), and how it
//! is looked at ([`found`]).

pub mod found;
pub mod journal;
pub mod writer;

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use s3up_core::{Key, Size};
use s3up_store::{Kind as StoreKind, SWEEP_AGE, UploadError};

use self::found::InterruptedBackup;
use self::journal::{Settings, Unusable};
use crate::failure::Failure;
use crate::plan::{
    Decision, Identity, ParentOnDisk, Proof, ReceivedSnapshot, Step, Trigger, Why, WhyNow,
};
use crate::publish::PublishError;
use crate::record::RunId;
use crate::snapshot::{Kind, SnapshotName};

/// What is to be done for a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resumption {
    /// A snapshot is made, and sent.
    Fresh,
    /// The snapshot of an earlier run is sent again.
    Resume { run: RunId, acknowledged_bytes: u64 },
    /// All of it is in the bucket; its pointer is written.
    PublishOnly { run: RunId },
}

/// What an earlier run left can be gone on with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resumed {
    pub backup: SnapshotName,
    pub step: Step,
    pub work: Resumption,
}

/// What a backup that is made now would be.
pub struct Now<'a> {
    pub time: Timestamp,
    pub asked: Trigger,
    pub decision: &'a Decision,
    pub settings: &'a Settings,
    /// The manifest of the newest published backup, and its time.
    pub newest: Option<(&'a Key, Timestamp)>,
    /// What an incremental on that would be based on, if there can be one.
    pub parent: Option<(SnapshotName, Identity, Proof)>,
}

/// Why an interrupted backup is begun anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotResumable {
    FullAsked,
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
        expected: Identity,
        found: Identity,
    },
    NothingAcknowledged,
    Journal(Unusable),
    Settings {
        was: Box<Settings>,
        is: Box<Settings>,
    },
    TooOld {
        acknowledged_at: Timestamp,
    },
}

/// `None`: it is not its time, and what was begun waits.
pub fn decide(now: &Now<'_>, found: &InterruptedBackup) -> Option<Result<Resumed, NotResumable>> {
    let is_due = matches!(now.decision, Decision::Due(_));
    if !is_due && found.complete.is_none() {
        return None;
    }
    Some(step(now, found.backup.kind).and_then(|step| {
        let work = match &found.complete {
            Some(complete) => publish(now, found, complete)?,
            None => resume(now, found)?,
        };
        Ok(Resumed { backup: found.backup.clone(), step, work })
    }))
}

/// The step that was begun, if that would still be right.
fn step(now: &Now<'_>, kind: Kind) -> Result<Step, NotResumable> {
    match (kind, now.decision) {
        (Kind::Full, Decision::Due(Step::Full(why))) => Ok(Step::Full(why.clone())),
        (Kind::Full, _) => Ok(Step::Full(Why::Interrupted)),
        (Kind::Incremental, _) if now.asked == Trigger::Full => Err(NotResumable::FullAsked),
        (Kind::Incremental, Decision::Due(Step::Full(_))) => Err(NotResumable::FullDue),
        (Kind::Incremental, Decision::Due(step @ Step::Incremental { .. })) => Ok(step.clone()),
        (Kind::Incremental, Decision::NotDue) => {
            let (parent, identity, proof) = now.parent.clone().ok_or(NotResumable::ParentGone)?;
            Ok(Step::Incremental { parent, identity, proof, why: WhyNow::Interrupted })
        }
    }
}

fn publish(
    now: &Now<'_>,
    found: &InterruptedBackup,
    complete: &found::CompleteBackup,
) -> Result<Resumption, NotResumable> {
    unchanged(&complete.identity, &found.on_disk)?;
    let is_based = match found.backup.kind {
        Kind::Full => true,
        Kind::Incremental => complete.parent.as_ref() == now.newest.map(|(key, _)| key),
    };
    let is_newest = now.newest.is_none_or(|(_, at)| at < found.backup.stamp.time());
    if !(is_based && is_newest) {
        return Err(NotResumable::Published);
    }
    Ok(Resumption::PublishOnly { run: found.run.clone() })
}

fn resume(now: &Now<'_>, found: &InterruptedBackup) -> Result<Resumption, NotResumable> {
    let journal = found.journal.as_ref().map_err(|err| NotResumable::Journal(err.clone()))?;
    let header = &journal.header;
    let identity = match &journal.identity {
        Some(identity) if journal.acknowledged_bytes > 0 => identity,
        Some(_) | None => return Err(NotResumable::NothingAcknowledged),
    };
    if header.base.as_deref() != now.newest.map(|(key, _)| key.as_str()) {
        return Err(NotResumable::Published);
    }
    if header.settings != *now.settings {
        let (was, is) = (Box::new(header.settings.clone()), Box::new(now.settings.clone()));
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

fn unchanged(expected: &Identity, on_disk: &ParentOnDisk) -> Result<(), NotResumable> {
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

/// What becomes of a backup that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterFailure {
    /// The next run goes on with it.
    KeepForResume,
    /// It cannot be gone on with as it was begun; a new one may succeed now.
    StartOver,
    Discard,
}

/// `acknowledged_bytes` are those that S3 has of it.
pub fn after_failure(
    failure: &Failure,
    work: &Resumption,
    acknowledged_bytes: u64,
) -> AfterFailure {
    let of_store = |err: &UploadError| match err {
        UploadError::Store(err) => match err.kind {
            StoreKind::Precondition | StoreKind::Corrupt | StoreKind::Permanent => {
                AfterFailure::StartOver
            }
            StoreKind::NotFound
            | StoreKind::NoBucket
            | StoreKind::BadCredentials
            | StoreKind::NoCredentials
            | StoreKind::Denied
            | StoreKind::WrongRegion
            | StoreKind::ClockSkew
            | StoreKind::TooLong
            | StoreKind::Archived
            | StoreKind::Transient
            | StoreKind::Unreadable => AfterFailure::KeepForResume,
        },
        UploadError::ForeignChunk { .. } => AfterFailure::StartOver,
        UploadError::Source { .. }
        | UploadError::TooLong { .. }
        | UploadError::TooManyChunks { .. }
        | UploadError::TooShort { .. }
        | UploadError::Digest { .. }
        | UploadError::Buffers { .. } => AfterFailure::Discard,
    };
    let fate = match failure {
        // Whether it is published the next run finds out.
        Failure::StoppedPublishing(_) | Failure::Publish(PublishError::Unknown { .. }) => {
            return AfterFailure::KeepForResume;
        }
        Failure::Stopped(_) | Failure::Spool(_) => AfterFailure::KeepForResume,
        Failure::Upload(err) | Failure::Publish(PublishError::Upload(err)) => of_store(err),
        Failure::StreamMismatch(_) => AfterFailure::StartOver,
        Failure::Look(_)
        | Failure::Record(_)
        | Failure::Snapshots(_)
        | Failure::Snapshot(_)
        | Failure::Send(_)
        | Failure::Unfinished
        | Failure::Publish(PublishError::TooLong { .. } | PublishError::Conflict { .. }) => {
            AfterFailure::Discard
        }
    };
    match (fate, work) {
        (AfterFailure::KeepForResume, Resumption::PublishOnly { .. }) => {
            AfterFailure::KeepForResume
        }
        (AfterFailure::KeepForResume, _) if acknowledged_bytes == 0 => AfterFailure::Discard,
        (AfterFailure::StartOver, Resumption::Fresh) => AfterFailure::Discard,
        (fate, _) => fate,
    }
}

impl Resumption {
    /// The run that began it, where that is not this one.
    pub fn run(&self) -> Option<&RunId> {
        match self {
            Resumption::Fresh => None,
            Resumption::Resume { run, .. } | Resumption::PublishOnly { run } => Some(run),
        }
    }

    /// That need not be uploaded.
    pub fn acknowledged_bytes(&self) -> Option<u64> {
        match self {
            Resumption::Resume { acknowledged_bytes, .. } => Some(*acknowledged_bytes),
            Resumption::Fresh | Resumption::PublishOnly { .. } => None,
        }
    }

    /// One word.
    pub fn word(&self) -> &'static str {
        match self {
            Resumption::Fresh => "anew",
            Resumption::Resume { .. } => "resume",
            Resumption::PublishOnly { .. } => "publish",
        }
    }
}

impl fmt::Display for NotResumable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotResumable::FullAsked => f.write_str("a full was asked for"),
            NotResumable::FullDue => f.write_str("a full is due"),
            NotResumable::ParentGone => f.write_str("its parent is not what it was"),
            NotResumable::Published => f.write_str("another backup was published meanwhile"),
            NotResumable::SnapshotMissing => f.write_str("its snapshot is missing"),
            NotResumable::SnapshotWritable => f.write_str("its snapshot was made writable"),
            NotResumable::SnapshotUnreadable { reason } => {
                write!(f, "its snapshot cannot be sent: {reason}")
            }
            NotResumable::SnapshotChanged { expected, found } => {
                write!(f, "its snapshot was changed: sent was {expected}, it is {found}")
            }
            NotResumable::NothingAcknowledged => f.write_str("nothing of it is in the bucket"),
            NotResumable::Journal(unusable) => unusable.fmt(f),
            NotResumable::Settings { was, is } => write!(f, "it was begun with {was}, set is {is}"),
            NotResumable::TooOld { acknowledged_at } => {
                let at = crate::plan::seconds(*acknowledged_at);
                write!(f, "it is too old: its last part is of {at}")
            }
        }
    }
}

impl fmt::Display for Resumption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Resumption::Fresh => f.write_str("anew"),
            Resumption::Resume { acknowledged_bytes, .. } => {
                write!(f, "resume, {} acknowledged", Size(*acknowledged_bytes))
            }
            Resumption::PublishOnly { .. } => {
                f.write_str("complete in the bucket, to be published")
            }
        }
    }
}

#[cfg(test)]
mod tests;
