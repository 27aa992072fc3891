//! After a failed PUT or completion: did it happen all the same?
//!
//! S3 may do its work and lose the answer, or say so with an error inside a
//! 200. What stands under the key then is the only witness: if its size and its
//! checksum are those of what was sent, it is ours.

use std::time::Duration;

use crate::connect::Store;
use crate::error::{Kind, StoreError};
use crate::put::{Facts, Put, Stored, is_ours};

/// What a failure leaves open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doubt {
    /// It did not happen.
    None,
    /// The store answers, and an earlier try may have succeeded.
    Earlier,
    /// The last try may have succeeded; the store may be away.
    Last,
}

/// `tries` counts all of them.
fn doubt(kind: Kind, tries: u32) -> Doubt {
    match kind {
        Kind::Transient | Kind::Unreadable => Doubt::Last,
        Kind::NotFound | Kind::Precondition if tries > 1 => Doubt::Earlier,
        Kind::NotFound
        | Kind::Precondition
        | Kind::NoBucket
        | Kind::BadCredentials
        | Kind::NoCredentials
        | Kind::Denied
        | Kind::WrongRegion
        | Kind::ClockSkew
        | Kind::Archived
        | Kind::TooLong
        | Kind::Corrupt
        | Kind::Permanent => Doubt::None,
    }
}

impl Store {
    /// What the failed call stored all the same; its error where it did not.
    pub(crate) async fn recognise(
        &self,
        put: &Put,
        facts: &Facts,
        tries: u32,
        err: StoreError,
    ) -> Result<Stored, StoreError> {
        let retry_for = match doubt(err.kind, tries) {
            Doubt::None => return Err(err),
            Doubt::Earlier => put.retry_for,
            Doubt::Last => Duration::ZERO,
        };
        match self.head(&put.key, None, retry_for).await {
            Ok(Some(found)) if is_ours(&found, put, facts) => {
                tracing::debug!(event = "store_recognised", key = %put.key, "{err}; it is there");
                Ok(Stored { facts: *facts, etag: found.etag, version_id: found.version_id })
            }
            Ok(_) | Err(_) => Err(err),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_failure_leaves_open() {
        #[rustfmt::skip]
        let cases = [
            // kind               tries  doubt
            (Kind::Transient,     1,     Doubt::Last),
            (Kind::Unreadable,    3,     Doubt::Last),
            (Kind::NotFound,      1,     Doubt::None),
            (Kind::NotFound,      2,     Doubt::Earlier),
            (Kind::Precondition,  1,     Doubt::None),
            (Kind::Precondition,  2,     Doubt::Earlier),
            (Kind::Denied,        2,     Doubt::None),
            (Kind::Corrupt,       2,     Doubt::None),
        ];
        for (kind, tries, want) in cases {
            assert_eq!(doubt(kind, tries), want, "{kind:?} {tries}");
        }
    }
}
