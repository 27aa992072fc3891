//! Decides in which state a file is, and so whether it is uploaded.
//!
//! Each entry on the host is in exactly one state: protected, pending,
//! baseline, excluded, or a problem. [`decide`] derives it from the file's
//! identity and its database rows. A scan acts on the state and `status` counts
//! it, so the two cannot disagree.
//!
//! Versions are compared for equality, never by age: a clock may have jumped,
//! and files from an archive are dated in the past.
//!
//! Pure: no file, no database, no clock.

use std::fmt;

use s3up_core::{PathRule, RemotePath, Sha256Digest, Size};

use crate::files::identity::Identity;
use crate::states::problem::{ProblemKind, RecordedProblem};

/// Row of a file in the `files` table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRow {
    pub remote_path: String,
    pub size: u64,
    /// `None` in a row of an older agent, which the gateway has to confirm.
    pub version: Option<UploadedVersion>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UploadedVersion {
    pub identity: Identity,
    pub sha256: Sha256Digest,
}

/// All rows of one path in the database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownFile {
    pub row: Option<FileRow>,
    pub baseline: Option<Identity>,
    pub problem: Option<RecordedProblem>,
}

/// Settings that decide on the state of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePolicy {
    pub upload_existing: UploadExisting,
    pub bytes_max: Option<u64>,
    /// Fingerprint of the configuration. A refusal stands while it is the same.
    pub config: String,
    pub retry_problems: RetryProblems,
}

/// Rule for files that existed before the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadExisting {
    Yes,
    /// Files last changed before this moment are baseline. This holds until the
    /// first scan of the watch is complete.
    NotBefore {
        wall_ns: i64,
    },
    /// The first scan is complete: a file without a baseline row is new.
    BaselineIsComplete,
}

/// The recorded problems that are retried now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryProblems {
    /// Retries no problem: they are only reported.
    Never,
    /// Retries problems that may have passed, in a scan of the daemon.
    Transient,
    /// Retries all problems, in `s3up scan`.
    All,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    Protected,
    Pending(PendingReason),
    /// The file existed before the agent and is not uploaded. `recorded` is false
    /// if it has no baseline row yet.
    Baseline {
        recorded: bool,
    },
    Problem(FileProblem),
}

/// Reason for uploading a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PendingReason {
    New,
    Changed,
    ChangedSinceBaseline,
    UploadExisting,
    RemotePathChanged,
    /// The row comes from an older agent; the gateway has to confirm it.
    Unconfirmed,
    /// The file had a problem that may have passed.
    Retried,
}

/// Reason that a file cannot be uploaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileProblem {
    InvalidPath(PathRule),
    TooLarge { bytes: u64, bytes_max: u64 },
    Recorded { kind: ProblemKind, reason: String },
}

/// Returns the state of a regular file.
pub fn decide(
    disk: &Identity,
    remote_path: &Result<RemotePath, PathRule>,
    known: &KnownFile,
    policy: &FilePolicy,
) -> State {
    let remote_path = match remote_path {
        Ok(remote_path) => remote_path,
        Err(rule) => return State::Problem(FileProblem::InvalidPath(rule.clone())),
    };
    if let Some(row) = &known.row
        && is_protected(disk, remote_path, row)
    {
        return State::Protected;
    }
    if let Some(bytes_max) = policy.bytes_max
        && disk.size > bytes_max
    {
        return State::Problem(FileProblem::TooLarge { bytes: disk.size, bytes_max });
    }
    if let Some(problem) = &known.problem {
        return if still_stands(problem, disk, policy) {
            State::Problem(FileProblem::Recorded {
                kind: problem.kind,
                reason: problem.reason.clone(),
            })
        } else {
            State::Pending(PendingReason::Retried)
        };
    }
    match (&known.row, &known.baseline) {
        (Some(row), _) => State::Pending(pending_reason(remote_path, row)),
        (None, Some(baseline)) => decide_by_baseline(disk, baseline, policy.upload_existing),
        (None, None) => decide_unknown_file(disk, policy.upload_existing),
    }
}

fn is_protected(disk: &Identity, remote_path: &RemotePath, row: &FileRow) -> bool {
    row.remote_path == remote_path.as_str()
        && row.version.is_some_and(|version| disk.is_recorded_as(&version.identity))
}

fn pending_reason(remote_path: &RemotePath, row: &FileRow) -> PendingReason {
    if row.remote_path != remote_path.as_str() {
        return PendingReason::RemotePathChanged;
    }
    if row.version.is_none() { PendingReason::Unconfirmed } else { PendingReason::Changed }
}

/// True if the problem still prevents an upload.
fn still_stands(problem: &RecordedProblem, disk: &Identity, policy: &FilePolicy) -> bool {
    match (problem.kind, policy.retry_problems) {
        (_, RetryProblems::All) => false,
        (ProblemKind::Refused, RetryProblems::Never | RetryProblems::Transient) => {
            disk.is_recorded_as(&problem.identity) && problem.config == policy.config
        }
        (
            ProblemKind::Deferred
            | ProblemKind::Unreadable
            | ProblemKind::NeverSettled
            | ProblemKind::Hot,
            RetryProblems::Never,
        ) => true,
        (
            ProblemKind::Deferred
            | ProblemKind::Unreadable
            | ProblemKind::NeverSettled
            | ProblemKind::Hot,
            RetryProblems::Transient,
        ) => false,
    }
}

fn decide_by_baseline(disk: &Identity, baseline: &Identity, existing: UploadExisting) -> State {
    if existing == UploadExisting::Yes {
        return State::Pending(PendingReason::UploadExisting);
    }
    if disk.is_recorded_as(baseline) {
        State::Baseline { recorded: true }
    } else {
        State::Pending(PendingReason::ChangedSinceBaseline)
    }
}

fn decide_unknown_file(disk: &Identity, existing: UploadExisting) -> State {
    match existing {
        UploadExisting::NotBefore { wall_ns } if disk.ctime_ns < wall_ns => {
            State::Baseline { recorded: false }
        }
        UploadExisting::Yes
        | UploadExisting::BaselineIsComplete
        | UploadExisting::NotBefore { .. } => State::Pending(PendingReason::New),
    }
}

impl fmt::Display for PendingReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PendingReason::New => "new",
            PendingReason::Changed => "changed",
            PendingReason::ChangedSinceBaseline => "changed since the baseline",
            PendingReason::UploadExisting => "existing file (scan.upload_existing)",
            PendingReason::RemotePathChanged => "remote path changed",
            PendingReason::Unconfirmed => "not acknowledged by the gateway",
            PendingReason::Retried => "retried after a problem",
        })
    }
}

impl fmt::Display for FileProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileProblem::InvalidPath(rule) => write!(f, "invalid remote path: {rule}"),
            FileProblem::TooLarge { bytes, bytes_max } => {
                let (bytes, bytes_max) = (Size(*bytes), Size(*bytes_max));
                write!(
                    f,
                    "too large: expected at most {bytes_max} (upload.max_file_size_mb), found {bytes}"
                )
            }
            FileProblem::Recorded { reason, .. } => f.write_str(reason),
        }
    }
}

#[cfg(test)]
mod tests;
