//! The problems that an audit finds, and their texts.

use std::fmt;

use crate::catalogue::unrestorable::THAW_ADVICE;

/// One object that is not as expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub key: String,
    pub problem: Problem,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
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
}

impl Problem {
    /// True if the object is not the one that was sent; false if only its class or
    /// encryption differs, or if it could not be read.
    pub fn is_damage(&self) -> bool {
        !matches!(
            self,
            Problem::Class { .. }
                | Problem::Encryption { .. }
                | Problem::ArchivedDocument { .. }
                | Problem::ArchivedManifest { .. }
        )
    }

    /// Returns the word for JSON.
    pub fn as_str(&self) -> &'static str {
        match self {
            Problem::Missing => "missing",
            Problem::Size { .. } => "size",
            Problem::Checksum { .. } => "checksum",
            Problem::Class { .. } => "storage_class",
            Problem::Encryption { .. } => "encryption",
            Problem::ArchivedDocument { .. } | Problem::ArchivedManifest { .. } => {
                "archived_document"
            }
            Problem::Chain { .. } => "chain",
            Problem::Content { .. } => "content",
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Missing => f.write_str("is missing"),
            Problem::Size { expected, found } => {
                write!(f, "expected {expected} bytes, found {found}")
            }
            Problem::Checksum { expected, found } => {
                write!(f, "expected checksum {expected}, found {found}")
            }
            Problem::Class { expected, found } => {
                write!(f, "expected storage class {expected}, found {found}")
            }
            Problem::Encryption { expected, found } => {
                write!(f, "expected encryption {expected}, found {found}")
            }
            Problem::ArchivedDocument { class } => write!(
                f,
                "is archived ({class}), so a restore has to thaw it before anything else; \
                 {THAW_ADVICE}"
            ),
            Problem::ArchivedManifest { class } => write!(
                f,
                "is archived ({class}) and was not read, so its chunks were not checked; \
                 {THAW_ADVICE}"
            ),
            Problem::Chain { reason } | Problem::Content { reason } => f.write_str(reason),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.problem)
    }
}
