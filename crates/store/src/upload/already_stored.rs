//! After a failed PUT or completion, finds out whether it took effect after all.
//!
//! S3 may do the work and lose the answer, or report an error inside a 200. The
//! object under the key is the only evidence: if its size and checksum are those of
//! what was sent, it is ours.

use std::time::Duration;

use crate::error::{StoreError, StoreErrorKind};
use crate::transport::connect::Store;
use crate::upload::put::{Facts, Put, Stored, is_ours};

/// The uncertainty that remains after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Uncertainty {
    /// Nothing was stored.
    None,
    /// S3 answers, and an earlier attempt may have succeeded.
    EarlierAttempt,
    /// The last attempt may have succeeded, and S3 may be unreachable now.
    LastAttempt,
}

/// Returns what is uncertain after the last of `attempts`.
fn uncertainty_after(kind: StoreErrorKind, attempts: u32) -> Uncertainty {
    match kind {
        StoreErrorKind::Transient | StoreErrorKind::Unreadable => Uncertainty::LastAttempt,
        StoreErrorKind::NotFound | StoreErrorKind::NoUpload | StoreErrorKind::Precondition
            if attempts > 1 =>
        {
            Uncertainty::EarlierAttempt
        }
        StoreErrorKind::NotFound
        | StoreErrorKind::NoUpload
        | StoreErrorKind::Precondition
        | StoreErrorKind::NoBucket
        | StoreErrorKind::NoLifecycleRules
        | StoreErrorKind::ExpiredCredentials
        | StoreErrorKind::Quota
        | StoreErrorKind::BadCredentials
        | StoreErrorKind::NoCredentials
        | StoreErrorKind::Denied
        | StoreErrorKind::WrongRegion
        | StoreErrorKind::ClockSkew
        | StoreErrorKind::Archived
        | StoreErrorKind::TooLong
        | StoreErrorKind::NotImplemented
        | StoreErrorKind::Corrupt
        | StoreErrorKind::Permanent => Uncertainty::None,
    }
}

impl Store {
    /// Returns what the failed call stored after all, or else its error.
    pub(crate) async fn find_already_stored(
        &self,
        put: &Put,
        facts: &Facts,
        attempts: u32,
        err: StoreError,
    ) -> Result<Stored, StoreError> {
        let retry_for = match uncertainty_after(err.kind, attempts) {
            Uncertainty::None => return Err(err),
            Uncertainty::EarlierAttempt => put.retry_for,
            Uncertainty::LastAttempt => Duration::ZERO,
        };
        match self.head(&put.key, None, retry_for).await {
            Ok(Some(found)) if is_ours(&found, put, facts) => {
                tracing::debug!(event = "stored_despite_error", key = %put.key, "stored despite an error: {err}");
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
    fn only_some_failures_leave_a_doubt() {
        #[rustfmt::skip]
        let cases = [
            // kind               attempts  doubt
            (StoreErrorKind::Transient,     1,     Uncertainty::LastAttempt),
            (StoreErrorKind::Unreadable,    3,     Uncertainty::LastAttempt),
            (StoreErrorKind::NotFound,      1,     Uncertainty::None),
            (StoreErrorKind::NotFound,      2,     Uncertainty::EarlierAttempt),
            (StoreErrorKind::NoUpload,      1,     Uncertainty::None),
            (StoreErrorKind::NoUpload,      2,     Uncertainty::EarlierAttempt),
            (StoreErrorKind::Precondition,  1,     Uncertainty::None),
            (StoreErrorKind::Precondition,  2,     Uncertainty::EarlierAttempt),
            (StoreErrorKind::Denied,        2,     Uncertainty::None),
            (StoreErrorKind::Corrupt,       2,     Uncertainty::None),
        ];
        for (kind, attempts, want) in cases {
            assert_eq!(uncertainty_after(kind, attempts), want, "{kind:?} {attempts}");
        }
    }
}
