//! In which state a file is, and so what to do with it.
//!
//! Each entry on the host is in exactly one state: protected, pending,
//! baseline, excluded, or a problem. [`decide`] says which, from what stands on
//! disk and what the database knows; a scan acts on it and `status` counts it,
//! so the two cannot disagree.
//!
//! Versions are compared for inequality, never by which is newer: a clock may
//! have jumped, and an unpacked archive is dated in the past.
//!
//! Pure: no file, no database, no clock.

use std::fmt;

use s3up_core::{PathRule, RemotePath, Sha256Digest, Size};

use crate::identity::Identity;
use crate::problem::{Kind, Parked};

/// What the `files` table says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub remote_path: String,
    pub size: u64,
    /// `None` in a row of an older database, which the gateway has to confirm.
    pub version: Option<Recorded>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recorded {
    pub identity: Identity,
    pub sha256: Sha256Digest,
}

/// All that the database knows of a path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    pub row: Option<Row>,
    pub baseline: Option<Identity>,
    pub parked: Option<Parked>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    pub upload_existing: UploadExisting,
    pub bytes_max: Option<u64>,
    /// Names the configuration; a refusal holds as long as it stays the same.
    pub config: String,
    pub parked: ParkedFiles,
}

/// What becomes of files that were there before the agent was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadExisting {
    Yes,
    /// Those last changed before this moment are baseline, until the first scan
    /// of the watch is complete.
    NotBefore {
        wall_ns: i64,
    },
    /// The first scan is complete: what is not in the baseline is new.
    BaselineIsComplete,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParkedFiles {
    /// Say what is known.
    Hold,
    /// A scan: try again what a scan may mend.
    RetryMendable,
    /// On command: try everything again.
    RetryAll,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    Protected,
    Pending(Why),
    /// There before the agent was, and not to be uploaded. `Known` or not yet
    /// in the table.
    Baseline {
        recorded: bool,
    },
    Problem(Trouble),
}

/// Why a file is to be uploaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    New,
    Changed,
    ChangedSinceBaseline,
    ExistingToo,
    RemotePathChanged,
    /// The row comes from an older database; the gateway has to confirm it.
    Unconfirmed,
    /// It was a problem; what stood against it may be gone.
    TriedAgain,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    BadName(PathRule),
    TooLarge { bytes: u64, bytes_max: u64 },
    Parked { kind: Kind, reason: String },
}

/// The state of a regular file.
pub fn decide(
    disk: &Identity,
    remote_path: &Result<RemotePath, PathRule>,
    known: &Known,
    policy: &Policy,
) -> State {
    let remote_path = match remote_path {
        Ok(remote_path) => remote_path,
        Err(rule) => return State::Problem(Trouble::BadName(rule.clone())),
    };
    if let Some(row) = &known.row
        && is_protected(disk, remote_path, row)
    {
        return State::Protected;
    }
    if let Some(bytes_max) = policy.bytes_max
        && disk.size > bytes_max
    {
        return State::Problem(Trouble::TooLarge { bytes: disk.size, bytes_max });
    }
    if let Some(parked) = &known.parked {
        return if holds(parked, disk, policy) {
            State::Problem(Trouble::Parked { kind: parked.kind, reason: parked.reason.clone() })
        } else {
            State::Pending(Why::TriedAgain)
        };
    }
    match (&known.row, &known.baseline) {
        (Some(row), _) => State::Pending(why_again(remote_path, row)),
        (None, Some(baseline)) => beside_baseline(disk, baseline, policy.upload_existing),
        (None, None) => first_sight(disk, policy.upload_existing),
    }
}

fn is_protected(disk: &Identity, remote_path: &RemotePath, row: &Row) -> bool {
    row.remote_path == remote_path.as_str()
        && row.version.is_some_and(|version| disk.is_recorded_as(&version.identity))
}

fn why_again(remote_path: &RemotePath, row: &Row) -> Why {
    if row.remote_path != remote_path.as_str() {
        return Why::RemotePathChanged;
    }
    if row.version.is_none() { Why::Unconfirmed } else { Why::Changed }
}

/// True where a problem still stands.
fn holds(parked: &Parked, disk: &Identity, policy: &Policy) -> bool {
    match (parked.kind, policy.parked) {
        (_, ParkedFiles::RetryAll) => false,
        (Kind::Refused, ParkedFiles::Hold | ParkedFiles::RetryMendable) => {
            disk.is_recorded_as(&parked.identity) && parked.config == policy.config
        }
        (Kind::Deferred | Kind::Unreadable | Kind::NeverSettled | Kind::Hot, ParkedFiles::Hold) => {
            true
        }
        (
            Kind::Deferred | Kind::Unreadable | Kind::NeverSettled | Kind::Hot,
            ParkedFiles::RetryMendable,
        ) => false,
    }
}

fn beside_baseline(disk: &Identity, baseline: &Identity, existing: UploadExisting) -> State {
    if existing == UploadExisting::Yes {
        return State::Pending(Why::ExistingToo);
    }
    if disk.is_recorded_as(baseline) {
        State::Baseline { recorded: true }
    } else {
        State::Pending(Why::ChangedSinceBaseline)
    }
}

fn first_sight(disk: &Identity, existing: UploadExisting) -> State {
    match existing {
        UploadExisting::NotBefore { wall_ns } if disk.ctime_ns < wall_ns => {
            State::Baseline { recorded: false }
        }
        UploadExisting::Yes
        | UploadExisting::BaselineIsComplete
        | UploadExisting::NotBefore { .. } => State::Pending(Why::New),
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Why::New => "new",
            Why::Changed => "changed",
            Why::ChangedSinceBaseline => "changed since the baseline",
            Why::ExistingToo => "scan.upload_existing is true",
            Why::RemotePathChanged => "its remote path changed",
            Why::Unconfirmed => "not confirmed by the gateway yet",
            Why::TriedAgain => "tried again",
        })
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::BadName(rule) => write!(f, "bad name: {rule}"),
            Trouble::TooLarge { bytes, bytes_max } => {
                let (bytes, bytes_max) = (Size(*bytes), Size(*bytes_max));
                write!(f, "too large: is {bytes}, upload.max_file_size_mb allows {bytes_max}")
            }
            Trouble::Parked { reason, .. } => f.write_str(reason),
        }
    }
}

#[cfg(test)]
mod tests;
