//! Problems: why a file cannot be uploaded, and when the agent tries again.
//!
//! A problem that only the running agent can know (an answer of the gateway, a
//! file that never settled) is recorded in the database, so that `status` can
//! show it. Its kind decides when it ends.

use std::fmt;

use crate::files::identity::Identity;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProblemKind {
    /// The gateway refused this file. It is retried when the file or the
    /// configuration changes, and by `s3up scan`.
    Refused,
    /// The gateway refused this file for a reason that may pass: the quota, or
    /// the size limit of a proxy. It is retried at the next scan.
    Deferred,
    /// The file could not be opened or read. It is retried at the next scan.
    Unreadable,
    /// The file never settled. The problem ends when it does.
    NeverSettled,
    /// The file never settled and was uploaded as it was.
    Hot,
}

/// A problem as the database records it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedProblem {
    pub kind: ProblemKind,
    pub reason: String,
    /// Version of the file that has the problem.
    pub identity: Identity,
    /// Fingerprint of the configuration at that time.
    pub config: String,
}

impl ProblemKind {
    const ALL: [ProblemKind; 5] = [
        ProblemKind::Refused,
        ProblemKind::Deferred,
        ProblemKind::Unreadable,
        ProblemKind::NeverSettled,
        ProblemKind::Hot,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            ProblemKind::Refused => "refused",
            ProblemKind::Deferred => "deferred",
            ProblemKind::Unreadable => "unreadable",
            ProblemKind::NeverSettled => "never_settled",
            ProblemKind::Hot => "hot",
        }
    }

    pub fn parse(text: &str) -> Option<ProblemKind> {
        ProblemKind::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

impl fmt::Display for ProblemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
