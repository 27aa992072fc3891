//! Problems: why a file cannot be uploaded, and when the agent tries again.
//!
//! A problem that only the running agent can know (an answer of the gateway, a
//! file that never settled) is recorded in the database, so that `status` can
//! show it. Its kind decides when it ends.

use std::fmt;

use crate::files::identity::Identity;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProblemKind {
    /// The gateway refused this file. It is retried at the next scan, and when the
    /// gateway works again after a failure.
    Refused,
    /// The gateway refused this file for a reason that may pass by itself: the quota, or
    /// the size limit of a proxy. It is retried like a refused one.
    Deferred,
    /// The upload of this file failed several times while others were stored. It is retried like
    /// a refused one.
    Failing,
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
    pub fn as_str(self) -> &'static str {
        match self {
            ProblemKind::Refused => "refused",
            ProblemKind::Deferred => "deferred",
            ProblemKind::Failing => "failing",
            ProblemKind::Unreadable => "unreadable",
            ProblemKind::NeverSettled => "never_settled",
            ProblemKind::Hot => "hot",
        }
    }

    /// Returns the next step of the operator.
    pub fn help(self) -> &'static str {
        match self {
            ProblemKind::Refused => {
                "change the settings of the client at the gateway, then run s3up retry; or exclude it"
            }
            ProblemKind::Deferred | ProblemKind::Failing => {
                "see the log of the gateway or proxy that answered, then run s3up retry"
            }
            ProblemKind::Unreadable => {
                "give the user of the agent the right to read it, then run s3up retry; or exclude it"
            }
            ProblemKind::NeverSettled | ProblemKind::Hot => {
                "exclude it and back up a dump of it, or raise stability.max_attempts"
            }
        }
    }

    pub fn parse(text: &str) -> Option<ProblemKind> {
        [
            ProblemKind::Refused,
            ProblemKind::Deferred,
            ProblemKind::Failing,
            ProblemKind::Unreadable,
            ProblemKind::NeverSettled,
            ProblemKind::Hot,
        ]
        .into_iter()
        .find(|kind| kind.as_str() == text)
    }
}

impl fmt::Display for ProblemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
