//! The reason why a backup cannot be restored now.
//!
//! A document that S3 has archived could not be read, which says nothing about its
//! content: it is neither missing nor damaged, and nothing may be deleted because of it.

use std::fmt;

use s3up_core::{Key, error_chain};
use s3up_store::{StoreError, StoreErrorKind};

/// The reason why a document, or the backup that it describes, is of no use now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unrestorable {
    /// The document must be thawed before anything is known about the backup.
    Archived(Key),
    /// An object is missing or damaged, or belongs to something else.
    Broken(String),
}

impl Unrestorable {
    /// Returns the reason why a document could not be read, if S3 answered for it.
    ///
    /// # Errors
    ///
    /// Any other failure of the store.
    pub(crate) fn of_read(key: &Key, err: StoreError) -> Result<Unrestorable, StoreError> {
        if err.kind == StoreErrorKind::Archived {
            return Ok(Unrestorable::Archived(key.clone()));
        }
        // A document that is too long is not from us; its error says so.
        if err.kind == StoreErrorKind::TooLong {
            return Ok(Unrestorable::Broken(error_chain(&err)));
        }
        Err(err)
    }

    /// Returns the reason that objects of the backup are missing or have another size. `first`
    /// names the first of them.
    pub(crate) fn of_objects(count: usize, first: &str) -> Unrestorable {
        Unrestorable::Broken(match count {
            1 => first.to_owned(),
            _ => {
                format!("{count} objects are missing or have the wrong size, the first is {first}")
            }
        })
    }

    pub fn is_archived(&self) -> bool {
        matches!(self, Unrestorable::Archived(_))
    }
}

impl fmt::Display for Unrestorable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unrestorable::Archived(key) => {
                write!(f, "{key} is archived and was not read; {THAW_ADVICE}")
            }
            Unrestorable::Broken(reason) => f.write_str(reason),
        }
    }
}

/// The cure for an archived document, and for its cause.
pub(crate) const THAW_ADVICE: &str =
    "thaw it with `thaw --documents`, and limit the lifecycle rule of the bucket to chunks";
