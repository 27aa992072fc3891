//! Decides which backup a subvolume needs, and of which kind. Pure: it reads only what
//! was observed.
//!
//! An incremental is based on the last *published* backup, and only while its snapshot
//! is on disk and unchanged since it was sent. Every other case leads to a full, which
//! is never wrong, and the plan gives the reason.

use btrfs_host::identity::SnapshotIdentity;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};
use s3up_repository::chain::Chain;
use s3up_repository::names::{BackupKind, SnapshotName};
use s3up_repository::origin::ParentHere;
use s3up_repository::published::Published;

use crate::plan::observed::{ParentOnDisk, ParentProof, ReceivedSnapshot};
use crate::plan::schedule::{NextDue, Schedule};

/// Clocks are corrected by minutes. A full that lies further ahead was dated by a wrong
/// clock, so its real age is unknown.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_hours(24);

/// The reason why a run considers a subvolume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// The timer fired; the schedule decides.
    Scheduled,
    /// `--once`: back up in any case, full or incremental as the plan decides.
    Now,
    Full,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    Due(BackupStep),
    NotDue,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackupStep {
    Full(FullReason),
    /// Based on the snapshot of the newest published backup.
    Incremental {
        parent: SnapshotName,
        /// Identity that `btrfs send` will write for the parent.
        identity: SnapshotIdentity,
        proof: ParentProof,
        reason: IncrementalReason,
    },
}

/// The reason why a full is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FullReason {
    FirstBackup,
    Requested,
    /// An earlier run started this full and was interrupted.
    Interrupted,
    /// `--adopt`: this host takes the prefix over.
    Adopted,
    ManifestMissing {
        key: String,
    },
    ChainBroken {
        reason: String,
    },
    /// `full_every_days` have passed.
    Due {
        full_at: Timestamp,
        since: Timestamp,
        days: u32,
    },
    /// The full of the chain is dated in the future.
    ClockWentBack {
        full_at: Timestamp,
    },
    /// The manifest names a snapshot that btrfs-to-s3 did not make.
    ParentUnknown {
        name: String,
    },
    ParentMissing {
        parent: SnapshotName,
    },
    ParentWritable {
        parent: SnapshotName,
    },
    ParentUnreadable {
        parent: SnapshotName,
        reason: String,
    },
    /// The manifest lacks the identity of the snapshot.
    ParentUnproven {
        parent: SnapshotName,
    },
    ParentChanged {
        parent: SnapshotName,
        expected: SnapshotIdentity,
        found: SnapshotIdentity,
    },
    ParentTouched {
        parent: SnapshotName,
    },
}

/// The reason why an incremental is made now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IncrementalReason {
    Requested,
    /// An earlier run started this incremental and was interrupted.
    Interrupted,
    /// The interrupted backup of an earlier run was finished first.
    AfterInterrupted,
    /// `incremental_every_days` have passed.
    Due {
        last_at: Timestamp,
        since: Timestamp,
        days: u32,
    },
    /// The newest backup is dated in the future. Waiting for that date might mean
    /// waiting for ever.
    ClockWentBack {
        last_at: Timestamp,
    },
}

/// Returns the snapshot that an incremental would be based on.
pub fn parent_of(chain: &Chain) -> Option<SnapshotName> {
    SnapshotName::parse(&chain.newest().manifest.snapshot.name)
}

pub fn decide(
    trigger: Trigger,
    schedule: &Schedule,
    now: &Zoned,
    published: &Published,
    on_disk: &ParentOnDisk,
) -> Decision {
    let chain = match (trigger, published) {
        (_, Published::Nothing) => return full(FullReason::FirstBackup),
        (Trigger::Full, _) => return full(FullReason::Requested),
        (_, Published::ManifestMissing { key }) => {
            return full(FullReason::ManifestMissing { key: key.clone() });
        }
        (_, Published::Broken { reason }) => {
            return full(FullReason::ChainBroken { reason: reason.clone() });
        }
        (Trigger::Scheduled | Trigger::Now, Published::Chain(chain)) => chain,
    };
    if let Some(reason) = full_is_due(schedule, now, chain) {
        return full(reason);
    }
    let due = match trigger {
        Trigger::Now | Trigger::Full => Some(IncrementalReason::Requested),
        Trigger::Scheduled => incremental_is_due(schedule, now, chain),
    };
    match (on_parent(chain, on_disk), due) {
        (Err(reason), None) if may_pass(&reason) => Decision::NotDue,
        (Err(reason), _) => full(reason),
        (Ok(_), None) => Decision::NotDue,
        (Ok((parent, identity, proof)), Some(reason)) => {
            Decision::Due(BackupStep::Incremental { parent, identity, proof, reason })
        }
    }
}

fn full(reason: FullReason) -> Decision {
    Decision::Due(BackupStep::Full(reason))
}

fn full_is_due(schedule: &Schedule, now: &Zoned, chain: &Chain) -> Option<FullReason> {
    let full_at = chain.full().manifest.made_at();
    let since = schedule.full_due_at(full_at, now.time_zone());
    let days = schedule.full_every_days;
    if full_at.duration_since(now.timestamp()) > CLOCK_TOLERANCE {
        return Some(FullReason::ClockWentBack { full_at });
    }
    (since <= now.timestamp()).then_some(FullReason::Due { full_at, since, days })
}

fn incremental_is_due(
    schedule: &Schedule,
    now: &Zoned,
    chain: &Chain,
) -> Option<IncrementalReason> {
    let last_at = chain.newest().manifest.made_at();
    let since = schedule.incremental_due_at(last_at, now.time_zone());
    let days = schedule.incremental_every_days;
    if last_at > now.timestamp() {
        return Some(IncrementalReason::ClockWentBack { last_at });
    }
    (since <= now.timestamp()).then_some(IncrementalReason::Due { last_at, since, days })
}

/// Returns the parent of an incremental, or the reason why there is none.
pub fn on_parent(
    chain: &Chain,
    on_disk: &ParentOnDisk,
) -> Result<(SnapshotName, SnapshotIdentity, ParentProof), FullReason> {
    let Some(parent) = parent_of(chain) else {
        let name = chain.newest().manifest.snapshot.name.clone();
        return Err(FullReason::ParentUnknown { name });
    };
    let expected = || expected(chain).ok_or(FullReason::ParentUnproven { parent: parent.clone() });
    match on_disk {
        ParentOnDisk::Missing => Err(FullReason::ParentMissing { parent }),
        ParentOnDisk::Writable => Err(FullReason::ParentWritable { parent }),
        ParentOnDisk::Unreadable { reason } => {
            let reason = reason.clone();
            Err(FullReason::ParentUnreadable { parent, reason })
        }
        ParentOnDisk::Found(found) => match expected()? {
            expected if expected == *found => Ok((parent, expected, ParentProof::Sent)),
            expected => Err(FullReason::ParentChanged { parent, expected, found: found.clone() }),
        },
        ParentOnDisk::Received(found) => {
            let expected = expected()?;
            on_received(parent, expected, found)
        }
    }
}

/// Returns whether the snapshot of the newest published backup is on this host.
pub fn parent_here(published: &Published, on_disk: &ParentOnDisk) -> ParentHere {
    match published.chain().map(|chain| on_parent(chain, on_disk)) {
        Some(Ok(_)) => ParentHere::Proven,
        Some(Err(_)) | None => ParentHere::Unproven,
    }
}

/// A received snapshot has a ctransid of its own filesystem. `btrfs send` writes that
/// one beside the UUID of the original snapshot.
fn on_received(
    parent: SnapshotName,
    expected: SnapshotIdentity,
    found: &ReceivedSnapshot,
) -> Result<(SnapshotName, SnapshotIdentity, ParentProof), FullReason> {
    let ReceivedSnapshot { identity, send_transid, made_transid } = found;
    if identity.ctransid > *made_transid {
        return Err(FullReason::ParentTouched { parent });
    }
    // Compare this first: on two filesystems a ctransid can be equal by chance.
    if identity.uuid == expected.uuid && *send_transid == Some(expected.ctransid) {
        return Ok((parent, identity.clone(), ParentProof::Received));
    }
    // The snapshot of a subvolume that was itself received, and that was sent from this
    // host.
    if *identity == expected {
        return Ok((parent, expected, ParentProof::Sent));
    }
    let ctransid = send_transid.unwrap_or(identity.ctransid);
    let found = SnapshotIdentity { uuid: identity.uuid.clone(), ctransid };
    Err(FullReason::ParentChanged { parent, expected, found })
}

/// True for a reason that may be gone when the next backup is due, so that it forces no
/// full before then.
fn may_pass(reason: &FullReason) -> bool {
    matches!(reason, FullReason::ParentWritable { .. } | FullReason::ParentUnreadable { .. })
}

fn expected(chain: &Chain) -> Option<SnapshotIdentity> {
    let snapshot = &chain.newest().manifest.snapshot;
    Some(SnapshotIdentity { uuid: snapshot.uuid.clone()?, ctransid: snapshot.ctransid? })
}

/// Returns when the next backup is due, provided that `decision` is carried out `now`.
pub fn next_due(
    schedule: &Schedule,
    now: &Zoned,
    published: &Published,
    decision: &Decision,
) -> NextDue {
    let zone = now.time_zone();
    match (decision, times_of(published)) {
        (Decision::NotDue, Some((full_at, last_at))) => schedule.next_due(full_at, last_at, zone),
        (Decision::Due(BackupStep::Incremental { .. }), Some((full_at, _))) => {
            schedule.next_due(full_at, now.timestamp(), zone)
        }
        (Decision::Due(_) | Decision::NotDue, _) => {
            schedule.next_due(now.timestamp(), now.timestamp(), zone)
        }
    }
}

/// Returns when the full of the published chain and its newest backup were made.
fn times_of(published: &Published) -> Option<(Timestamp, Timestamp)> {
    let chain = published.chain()?;
    Some((chain.full().manifest.made_at(), chain.newest().manifest.made_at()))
}

/// Returns when the newest published backup was made.
pub fn last_at(published: &Published) -> Option<Timestamp> {
    times_of(published).map(|(_, last_at)| last_at)
}

/// Returns when a backup is due, without reading the disk. `None` means now.
pub fn due_by_schedule(
    schedule: &Schedule,
    published: &Published,
    zone: &TimeZone,
) -> Option<NextDue> {
    let (full_at, last_at) = times_of(published)?;
    Some(schedule.next_due(full_at, last_at, zone))
}

impl BackupStep {
    pub fn kind(&self) -> BackupKind {
        match self {
            BackupStep::Full(_) => BackupKind::Full,
            BackupStep::Incremental { .. } => BackupKind::Incremental,
        }
    }
}

#[cfg(test)]
mod tests;
