//! Decides in which state a file is, and so whether it is uploaded.
//!
//! Each entry on the host is in exactly one state: protected, pending,
//! baseline, excluded, or a problem. [`decide`] derives it from the file's
//! identity and its database rows. A scan acts on the state and `status` counts
//! it, so the two cannot disagree.
//!
//! Versions (`version`) are compared for equality, never by age: a clock may have jumped,
//! and files from an archive are dated in the past.
//!
//! Pure: no file, no database, no clock.

use std::fmt;

use s3up_core::{PathRule, RemotePath, Sha256Digest, Size};

use crate::files::identity::Identity;
use crate::states::problem::{ProblemKind, RecordedProblem};
use crate::states::version::{ObservedFile, VersionMatch};

/// Row of a file in the `files` table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRow {
    pub remote_path: String,
    pub size: u64,
    /// `None` in a row of an older agent, which the gateway has to confirm.
    pub version: Option<UploadedVersion>,
    /// True if a cleanup deleted the file. One that is there again is hashed, because the row is not
    /// about it.
    pub is_deleted: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UploadedVersion {
    pub identity: Identity,
    pub sha256: Sha256Digest,
    /// Permission bits that the gateway has; `None` if it never received them, or in a row of an older agent.
    pub mode: Option<u32>,
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
    /// The gateway may have files without a row that were last changed before this time.
    pub confirm_before_ns: Option<i64>,
    pub bytes_max: Option<u64>,
    /// Fingerprint of the configuration. A refusal stands while it is the same.
    pub config: String,
    pub retry_problems: RetryProblems,
}

/// Rule for files that existed before the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadExisting {
    Yes,
    /// It is not known yet whether the database was lost. Files last changed before this moment
    /// are pending, and wait until it is.
    Undecided {
        wall_ns: i64,
    },
    /// Files last changed before this moment are baseline. This holds until the
    /// first scan of the watch is complete.
    NotBefore {
        wall_ns: i64,
    },
    /// The first scan is complete: a file without a baseline row is new.
    BaselineIsComplete,
}

/// Treatment of recorded problems.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryProblems {
    /// They are reported, for `s3up status`.
    Never,
    /// They are retried. Each may have passed: a limit was raised, a right was given, a proxy was
    /// repaired, and the agent cannot know it.
    Now,
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
    /// An event says that the file was written, and its filesystem would not show
    /// that in its identity. The agent hashes it, and sends it if its content has changed.
    Written,
    ChangedSinceBaseline,
    UploadExisting,
    RemotePathChanged,
    /// A cleanup deleted the file, and it is there again.
    BackAfterCleanup,
    /// The gateway may have the file: its row comes from an older agent, or the database was
    /// lost. The gateway is asked first.
    Unconfirmed,
    /// It is not known yet whether the file is baseline.
    HistoryUnknown,
    /// The file had a problem that may have passed.
    Retried,
}

/// Reason that a file cannot be uploaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileProblem {
    InvalidPath(PathRule),
    TooLarge {
        bytes: u64,
        bytes_max: u64,
    },
    Recorded {
        kind: ProblemKind,
        reason: String,
    },
    /// It, or the directory that contains it, cannot be read; the text is the error.
    Unreadable(String),
}

/// A file with a problem, by its `local_path`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedProblem {
    pub local_path: String,
    pub problem: FileProblem,
}

/// Returns the state of a regular file.
pub fn decide(
    observed: &ObservedFile,
    remote_path: &Result<RemotePath, PathRule>,
    known: &KnownFile,
    policy: &FilePolicy,
) -> State {
    let remote_path = match remote_path {
        Ok(remote_path) => remote_path,
        Err(rule) => return State::Problem(FileProblem::InvalidPath(rule.clone())),
    };
    if let Some(row) = &known.row
        && is_protected(observed, remote_path, row)
    {
        return State::Protected;
    }
    if let Some(bytes_max) = policy.bytes_max
        && observed.identity.size > bytes_max
    {
        return State::Problem(FileProblem::TooLarge { bytes: observed.identity.size, bytes_max });
    }
    if let Some(problem) = &known.problem {
        return if still_stands(problem, observed, policy) {
            State::Problem(FileProblem::Recorded {
                kind: problem.kind,
                reason: problem.reason.clone(),
            })
        } else {
            State::Pending(PendingReason::Retried)
        };
    }
    match (&known.row, &known.baseline) {
        (Some(row), _) => State::Pending(pending_reason(observed, remote_path, row)),
        (None, Some(baseline)) => decide_by_baseline(observed, baseline, policy.upload_existing),
        (None, None) => decide_unknown_file(&observed.identity, policy),
    }
}

fn is_protected(observed: &ObservedFile, remote_path: &RemotePath, row: &FileRow) -> bool {
    !row.is_deleted
        && row.remote_path == remote_path.as_str()
        && row.version.is_some_and(|version| is_version(observed, &version.identity))
}

fn is_version(observed: &ObservedFile, recorded: &Identity) -> bool {
    observed.version(recorded) == VersionMatch::Same
}

fn pending_reason(
    observed: &ObservedFile,
    remote_path: &RemotePath,
    row: &FileRow,
) -> PendingReason {
    if row.remote_path != remote_path.as_str() {
        return PendingReason::RemotePathChanged;
    }
    if row.is_deleted {
        return PendingReason::BackAfterCleanup;
    }
    match &row.version {
        None => PendingReason::Unconfirmed,
        Some(version) if observed.version(&version.identity) == VersionMatch::Unknown => {
            PendingReason::Written
        }
        Some(_) => PendingReason::Changed,
    }
}

/// Returns true if the problem is to be reported. A refusal is about one version of the file, and about
/// the configuration at that time.
fn still_stands(problem: &RecordedProblem, observed: &ObservedFile, policy: &FilePolicy) -> bool {
    match (policy.retry_problems, problem.kind) {
        (RetryProblems::Now, _) => false,
        (RetryProblems::Never, ProblemKind::Refused) => {
            is_version(observed, &problem.identity) && problem.config == policy.config
        }
        (
            RetryProblems::Never,
            ProblemKind::Deferred
            | ProblemKind::Failing
            | ProblemKind::Unreadable
            | ProblemKind::NeverSettled
            | ProblemKind::Hot,
        ) => true,
    }
}

fn decide_by_baseline(
    observed: &ObservedFile,
    baseline: &Identity,
    existing: UploadExisting,
) -> State {
    if existing == UploadExisting::Yes {
        return State::Pending(PendingReason::UploadExisting);
    }
    if is_version(observed, baseline) {
        State::Baseline { recorded: true }
    } else {
        State::Pending(PendingReason::ChangedSinceBaseline)
    }
}

fn decide_unknown_file(disk: &Identity, policy: &FilePolicy) -> State {
    match policy.upload_existing {
        UploadExisting::NotBefore { wall_ns } if is_older(disk, wall_ns) => {
            State::Baseline { recorded: false }
        }
        UploadExisting::Undecided { wall_ns } if disk.ctime_ns < wall_ns => {
            State::Pending(PendingReason::HistoryUnknown)
        }
        UploadExisting::Yes
        | UploadExisting::BaselineIsComplete
        | UploadExisting::Undecided { .. }
        | UploadExisting::NotBefore { .. } => {
            let may_be_stored = policy.confirm_before_ns.is_some_and(|ns| disk.ctime_ns < ns);
            State::Pending(if may_be_stored {
                PendingReason::Unconfirmed
            } else {
                PendingReason::New
            })
        }
    }
}

impl FileProblem {
    /// Returns the next step of the operator.
    pub fn help(&self) -> &'static str {
        match self {
            FileProblem::InvalidPath(_) => "rename it, or exclude it",
            FileProblem::TooLarge { .. } => "raise upload.max_file_size_mb, or exclude it",
            FileProblem::Recorded { kind, .. } => kind.help(),
            FileProblem::Unreadable(_) => {
                "give the user of the agent the right to read it, or exclude it"
            }
        }
    }
}

/// Returns true if the file was last changed before `wall_ns`, whatever its stamp leaves out.
fn is_older(identity: &Identity, wall_ns: i64) -> bool {
    let resolution = i64::try_from(identity.stamp_resolution().as_nanos()).unwrap_or(i64::MAX);
    identity.ctime_ns.saturating_add(resolution) < wall_ns
}

impl fmt::Display for PendingReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PendingReason::New => "new",
            PendingReason::Changed => "changed",
            PendingReason::Written => "written, which its time stamps may not show",
            PendingReason::ChangedSinceBaseline => "changed since the baseline",
            PendingReason::UploadExisting => "scan.upload_existing is true",
            PendingReason::RemotePathChanged => "remote path changed",
            PendingReason::BackAfterCleanup => "deleted by a cleanup, and created again",
            PendingReason::Unconfirmed => "not confirmed by the gateway yet",
            PendingReason::HistoryUnknown => {
                "the gateway has not said yet whether it knows the file"
            }
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
            FileProblem::Recorded { reason, .. } | FileProblem::Unreadable(reason) => {
                f.write_str(reason)
            }
        }
    }
}

#[cfg(test)]
mod tests;
