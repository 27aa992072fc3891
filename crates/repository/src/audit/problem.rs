//! The problems that an audit finds, and their texts.

use std::fmt;

use crate::catalogue::unrestorable::THAW_ADVICE;

/// One object that is not as expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditFinding {
    pub key: String,
    pub problem: ObjectProblem,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ObjectProblem {
    Missing,
    Size {
        expected: u64,
        found: u64,
    },
    Checksum {
        expected: String,
        found: String,
    },
    Class {
        expected: String,
        found: String,
    },
    Encryption {
        expected: &'static str,
        found: String,
    },
    /// A document was moved to an archive class, so that a restore has to thaw it first.
    ArchivedDocument {
        class: String,
    },
    /// A manifest is archived and was not thawed, so nothing is known of its objects.
    ArchivedManifest {
        class: String,
    },
    /// The manifest cannot be read, or its chain does not lead to a full.
    Chain {
        reason: String,
    },
    /// The downloaded bytes are not the ones that were sent.
    Content {
        reason: String,
    },
    /// An index is damaged, or does not describe its stream. The backup is as good without it.
    Index {
        reason: String,
    },
}

impl ObjectProblem {
    /// Returns true if the object is not the one that was sent; false if only its class or
    /// encryption differs, or if it could not be read.
    pub fn is_damage(&self) -> bool {
        !matches!(
            self,
            ObjectProblem::Class { .. }
                | ObjectProblem::Encryption { .. }
                | ObjectProblem::ArchivedDocument { .. }
                | ObjectProblem::ArchivedManifest { .. }
                | ObjectProblem::Index { .. }
        )
    }

    /// Returns the word for JSON.
    pub fn as_str(&self) -> &'static str {
        match self {
            ObjectProblem::Missing => "missing",
            ObjectProblem::Size { .. } => "size",
            ObjectProblem::Checksum { .. } => "checksum",
            ObjectProblem::Class { .. } => "storage_class",
            ObjectProblem::Encryption { .. } => "encryption",
            ObjectProblem::ArchivedDocument { .. } | ObjectProblem::ArchivedManifest { .. } => {
                "archived_document"
            }
            ObjectProblem::Chain { .. } => "chain",
            ObjectProblem::Content { .. } => "content",
            ObjectProblem::Index { .. } => "index",
        }
    }
}

impl fmt::Display for ObjectProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ObjectProblem::Missing => f.write_str("is missing"),
            ObjectProblem::Size { expected, found } => {
                write!(f, "expected {expected} bytes, found {found}")
            }
            ObjectProblem::Checksum { expected, found } => {
                write!(f, "expected checksum {expected}, found {found}")
            }
            ObjectProblem::Class { expected, found } => {
                write!(f, "expected storage class {expected}, found {found}")
            }
            ObjectProblem::Encryption { expected, found } => {
                write!(f, "expected encryption {expected}, found {found}")
            }
            ObjectProblem::ArchivedDocument { class } => write!(
                f,
                "is archived ({class}), so a restore has to thaw it before anything else; \
                 {THAW_ADVICE}"
            ),
            ObjectProblem::ArchivedManifest { class } => write!(
                f,
                "is archived ({class}) and was not read, so its chunks were not checked; \
                 {THAW_ADVICE}"
            ),
            ObjectProblem::Chain { reason } | ObjectProblem::Content { reason } => {
                f.write_str(reason)
            }
            ObjectProblem::Index { reason } => {
                write!(
                    f,
                    "{reason}; the backup is sound, build its index again with `index --build`"
                )
            }
        }
    }
}

impl fmt::Display for AuditFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.problem)
    }
}
