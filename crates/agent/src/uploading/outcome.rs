//! The outcome of one upload.

use s3up_core::Code;

use super::classify::Scope;
use super::retry::RetryHint;
use crate::database::Change;
use crate::states::problem::ProblemKind;

#[derive(Debug)]
pub enum Outcome {
    /// The gateway acknowledged the file. `sent` is false if it had it already.
    Stored {
        change: Box<Change>,
        sent: bool,
        changed_since: bool,
    },
    /// There is nothing to send. The database may need a change.
    Skipped {
        as_state: SkippedAs,
        change: Option<Box<Change>>,
    },
    /// The file could not be observed, so nothing follows for it. A scan finds it again.
    NotObserved {
        reason: String,
    },
    /// The file has another version now and has to settle again.
    Changed,
    /// The file does not exist any more.
    Gone,
    Problem {
        kind: ProblemKind,
        reason: String,
    },
    /// The upload failed and is to be retried.
    Failed {
        hint: RetryHint,
        scope: Scope,
        reason: String,
        code: Option<Code>,
    },
}

/// State of a file that is not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SkippedAs {
    Protected,
    Baseline,
    Excluded,
    Problem(String),
}

impl Outcome {
    /// The upload panicked.
    pub fn panicked() -> Outcome {
        Outcome::failed(RetryHint::default(), "bug: the upload panicked".to_owned())
    }

    pub(super) fn skipped(as_state: SkippedAs) -> Outcome {
        Outcome::Skipped { as_state, change: None }
    }

    pub(super) fn failed(hint: RetryHint, reason: String) -> Outcome {
        Outcome::Failed { hint, scope: Scope::File, reason, code: None }
    }
}
