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

use self::found::Found;
use self::journal::{Settings, Unusable};
use crate::failure::Failure;
use crate::plan::{
    Asked, Decision, Identity, ParentOnDisk, Proof, ReceivedSnapshot, Step, Why, WhyNow,
};
use crate::publish::PublishError;
use crate::record::RunId;
use crate::snapshot::{Kind, SnapshotName};

/// What is to be done for a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// A snapshot is made, and sent.
    Anew,
    /// The snapshot of an earlier run is sent again.
    Resume { run: RunId, acknowledged_bytes: u64 },
    /// All of it is in the bucket; its pointer is written.
    Publish { run: RunId },
}

/// What an earlier run left can be gone on with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resumed {
    pub backup: SnapshotName,
    pub step: Step,
    pub work: Work,
}

/// What a backup that is made now would be.
pub struct Now<'a> {
    pub time: Timestamp,
    pub asked: Asked,
    pub decision: &'a Decision,
    pub settings: &'a Settings,
    /// The manifest of the newest published backup, and its time.
    pub newest: Option<(&'a Key, Timestamp)>,
    /// What an incremental on that would be based on, if there can be one.
    pub parent: Option<(SnapshotName, Identity, Proof)>,
}

/// Why an interrupted backup is begun anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dropped {
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
pub fn decide(now: &Now<'_>, found: &Found) -> Option<Result<Resumed, Dropped>> {
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
fn step(now: &Now<'_>, kind: Kind) -> Result<Step, Dropped> {
    match (kind, now.decision) {
        (Kind::Full, Decision::Due(Step::Full(why))) => Ok(Step::Full(why.clone())),
        (Kind::Full, _) => Ok(Step::Full(Why::Interrupted)),
        (Kind::Incremental, _) if now.asked == Asked::Full => Err(Dropped::FullAsked),
        (Kind::Incremental, Decision::Due(Step::Full(_))) => Err(Dropped::FullDue),
        (Kind::Incremental, Decision::Due(step @ Step::Incremental { .. })) => Ok(step.clone()),
        (Kind::Incremental, Decision::NotDue) => {
            let (parent, identity, proof) = now.parent.clone().ok_or(Dropped::ParentGone)?;
            Ok(Step::Incremental { parent, identity, proof, why: WhyNow::Interrupted })
        }
    }
}

fn publish(now: &Now<'_>, found: &Found, complete: &found::Complete) -> Result<Work, Dropped> {
    unchanged(&complete.identity, &found.on_disk)?;
    let is_based = match found.backup.kind {
        Kind::Full => true,
        Kind::Incremental => complete.parent.as_ref() == now.newest.map(|(key, _)| key),
    };
    let is_newest = now.newest.is_none_or(|(_, at)| at < found.backup.stamp.time());
    if !(is_based && is_newest) {
        return Err(Dropped::Published);
    }
    Ok(Work::Publish { run: found.run.clone() })
}

fn resume(now: &Now<'_>, found: &Found) -> Result<Work, Dropped> {
    let journal = found.journal.as_ref().map_err(|err| Dropped::Journal(err.clone()))?;
    let header = &journal.header;
    let identity = match &journal.identity {
        Some(identity) if journal.acknowledged_bytes > 0 => identity,
        Some(_) | None => return Err(Dropped::NothingAcknowledged),
    };
    if header.base.as_deref() != now.newest.map(|(key, _)| key.as_str()) {
        return Err(Dropped::Published);
    }
    if header.settings != *now.settings {
        let (was, is) = (Box::new(header.settings.clone()), Box::new(now.settings.clone()));
        return Err(Dropped::Settings { was, is });
    }
    unchanged(identity, &found.on_disk)?;
    let acknowledged_at = journal.acknowledged_at;
    let age_max = SignedDuration::try_from(SWEEP_AGE).unwrap_or(SignedDuration::MAX);
    if now.time.duration_since(acknowledged_at) > age_max {
        return Err(Dropped::TooOld { acknowledged_at });
    }
    let acknowledged_bytes = journal.acknowledged_bytes;
    Ok(Work::Resume { run: found.run.clone(), acknowledged_bytes })
}

fn unchanged(expected: &Identity, on_disk: &ParentOnDisk) -> Result<(), Dropped> {
    match on_disk {
        ParentOnDisk::Missing => Err(Dropped::SnapshotMissing),
        ParentOnDisk::Writable => Err(Dropped::SnapshotWritable),
        ParentOnDisk::Unreadable { reason } => {
            Err(Dropped::SnapshotUnreadable { reason: reason.clone() })
        }
        ParentOnDisk::Found(found)
        | ParentOnDisk::Received(ReceivedSnapshot { identity: found, .. })
            if found != expected =>
        {
            let (expected, found) = (expected.clone(), found.clone());
            Err(Dropped::SnapshotChanged { expected, found })
        }
        ParentOnDisk::Found(_) | ParentOnDisk::Received(_) => Ok(()),
    }
}

/// What becomes of a backup that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The next run goes on with it.
    Kept,
    /// It cannot be gone on with as it was begun; a new one may succeed now.
    BegunAnew,
    Removed,
}

/// `acknowledged_bytes` are those that S3 has of it.
pub fn fate(failure: &Failure, work: &Work, acknowledged_bytes: u64) -> Fate {
    let of_store = |err: &UploadError| match err {
        UploadError::Store(err) => match err.kind {
            StoreKind::Precondition | StoreKind::Corrupt | StoreKind::Permanent => Fate::BegunAnew,
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
            | StoreKind::Unreadable => Fate::Kept,
        },
        UploadError::Differs { .. } => Fate::BegunAnew,
        UploadError::Source { .. }
        | UploadError::TooLong { .. }
        | UploadError::TooManyChunks { .. }
        | UploadError::TooShort { .. }
        | UploadError::Digest { .. }
        | UploadError::Buffers { .. } => Fate::Removed,
    };
    let fate = match failure {
        // Whether it is published the next run finds out.
        Failure::StoppedPublishing(_) | Failure::Publish(PublishError::Unknown { .. }) => {
            return Fate::Kept;
        }
        Failure::Stopped(_) | Failure::Spool(_) => Fate::Kept,
        Failure::Upload(err) | Failure::Publish(PublishError::Upload(err)) => of_store(err),
        Failure::Unplanned(_) => Fate::BegunAnew,
        Failure::Look(_)
        | Failure::Record(_)
        | Failure::Snapshots(_)
        | Failure::Snapshot(_)
        | Failure::Send(_)
        | Failure::Unfinished
        | Failure::Publish(PublishError::TooLong { .. } | PublishError::Conflict { .. }) => {
            Fate::Removed
        }
    };
    match (fate, work) {
        (Fate::Kept, Work::Publish { .. }) => Fate::Kept,
        (Fate::Kept, _) if acknowledged_bytes == 0 => Fate::Removed,
        (Fate::BegunAnew, Work::Anew) => Fate::Removed,
        (fate, _) => fate,
    }
}

impl Work {
    /// The run that began it, where that is not this one.
    pub fn run(&self) -> Option<&RunId> {
        match self {
            Work::Anew => None,
            Work::Resume { run, .. } | Work::Publish { run } => Some(run),
        }
    }

    /// That need not be uploaded.
    pub fn acknowledged_bytes(&self) -> Option<u64> {
        match self {
            Work::Resume { acknowledged_bytes, .. } => Some(*acknowledged_bytes),
            Work::Anew | Work::Publish { .. } => None,
        }
    }

    /// One word.
    pub fn word(&self) -> &'static str {
        match self {
            Work::Anew => "anew",
            Work::Resume { .. } => "resume",
            Work::Publish { .. } => "publish",
        }
    }
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Dropped::FullAsked => f.write_str("a full was asked for"),
            Dropped::FullDue => f.write_str("a full is due"),
            Dropped::ParentGone => f.write_str("its parent is not what it was"),
            Dropped::Published => f.write_str("another backup was published meanwhile"),
            Dropped::SnapshotMissing => f.write_str("its snapshot is missing"),
            Dropped::SnapshotWritable => f.write_str("its snapshot was made writable"),
            Dropped::SnapshotUnreadable { reason } => {
                write!(f, "its snapshot cannot be sent: {reason}")
            }
            Dropped::SnapshotChanged { expected, found } => {
                write!(f, "its snapshot was changed: sent was {expected}, it is {found}")
            }
            Dropped::NothingAcknowledged => f.write_str("nothing of it is in the bucket"),
            Dropped::Journal(unusable) => unusable.fmt(f),
            Dropped::Settings { was, is } => write!(f, "it was begun with {was}, set is {is}"),
            Dropped::TooOld { acknowledged_at } => {
                let at = crate::plan::seconds(*acknowledged_at);
                write!(f, "it is too old: its last part is of {at}")
            }
        }
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Work::Anew => f.write_str("anew"),
            Work::Resume { acknowledged_bytes, .. } => {
                write!(f, "resume, {} acknowledged", Size(*acknowledged_bytes))
            }
            Work::Publish { .. } => f.write_str("complete in the bucket, to be published"),
        }
    }
}

#[cfg(test)]
mod tests;
