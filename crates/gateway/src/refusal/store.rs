//! Errors of the store, and the refusals that they become: the client learns
//! what it can do about the error, the log learns the cause.

use s3up_core::{Code, Size};
use s3up_store::{PoolError, Store, StoreError, StoreErrorKind, UploadError};

use super::{EXISTS, Refusal, SUPERSEDED};

/// Refuses a request that needs S3 while it is known to be away.
pub(crate) fn require_s3(store: &Store) -> Result<(), Refusal> {
    match store.away_for() {
        None => Ok(()),
        Some(away_for) => {
            let seconds = away_for.as_secs();
            let what = format!("S3 has not answered the gateway for {seconds} s; try again later");
            Err(Refusal::new(Code::StoreUnavailable, what))
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(err: StoreError) -> Refusal {
        let (code, detail) = match err.kind {
            StoreErrorKind::Transient | StoreErrorKind::Unreadable => {
                (Code::StoreUnavailable, "S3 is busy or unreachable; try again later")
            }
            StoreErrorKind::Corrupt => (
                Code::StoreUnavailable,
                "the data was damaged on its way to S3, and nothing was stored; send the file again",
            ),
            StoreErrorKind::Archived => (
                Code::Archived,
                "the file is archived in S3; thaw it first (S3 RestoreObject), then try again",
            ),
            StoreErrorKind::Precondition => (Code::Exists, EXISTS),
            StoreErrorKind::NotFound
            | StoreErrorKind::NoUpload
            | StoreErrorKind::ExpiredCredentials
            | StoreErrorKind::Quota
            | StoreErrorKind::NoBucket
            | StoreErrorKind::NoLifecycleRules
            | StoreErrorKind::BadCredentials
            | StoreErrorKind::NoCredentials
            | StoreErrorKind::Denied
            | StoreErrorKind::WrongRegion
            | StoreErrorKind::ClockSkew
            | StoreErrorKind::TooLong
            | StoreErrorKind::NotImplemented
            | StoreErrorKind::Permanent => (
                Code::StoreRefused,
                "S3 refused a request of the gateway; the log of the gateway has the cause",
            ),
        };
        Refusal::new(code, detail).caused_by(&err)
    }
}

impl From<PoolError> for Refusal {
    fn from(err: PoolError) -> Refusal {
        match err {
            PoolError::Exhausted { .. } => Refusal::new(
                Code::Overloaded,
                "the gateway has no free buffer for this request; try again later",
            ),
            PoolError::OverBudget { bytes, budget_bytes } => Refusal::new(
                Code::TooLarge,
                format!(
                    "the file needs parts of {}, more than the {} of the gateway's buffer budget; raise \
                     `server.buffer_budget_mb`",
                    Size(bytes),
                    Size(budget_bytes)
                ),
            ),
            PoolError::Map { .. } => {
                Refusal::new(Code::Overloaded, "the gateway is out of memory; try again later")
                    .caused_by(&err)
            }
        }
    }
}

impl From<UploadError> for Refusal {
    fn from(err: UploadError) -> Refusal {
        match err {
            UploadError::Source { source, .. } => Refusal::from_body(&source),
            // A file is one object, so there is never a second chunk.
            UploadError::TooLong { limit, .. } | UploadError::TooManyChunks { limit } => {
                Refusal::too_large(limit)
            }
            UploadError::TooShort { expected, found, .. } => Refusal::new(
                Code::Incomplete,
                format!("expected a body of {expected} bytes as announced, found {found}"),
            ),
            UploadError::Digest { expected, found, .. } => {
                Refusal::digest_mismatch(expected, found)
            }
            UploadError::Buffers { source, .. } => source.into(),
            // The gateway never resumes an upload, so there is nothing to differ from.
            UploadError::ForeignChunk { .. } => {
                Refusal::new(Code::StoreRefused, SUPERSEDED).caused_by(&err)
            }
            UploadError::Store(err) => err.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;

    use super::*;

    fn store_error(kind: StoreErrorKind) -> StoreError {
        StoreError {
            op: s3up_store::Operation::Put,
            subject: "secret-bucket/a".to_owned(),
            kind,
            retry_after: None,
            source: Some("AccessDenied: arn:aws:iam::1".into()),
        }
    }

    #[test]
    fn the_status_tells_the_client_whether_to_retry() {
        #[rustfmt::skip]
        let cases = [
            // error               status  has Retry-After
            (StoreErrorKind::Archived,       409,    false),
            (StoreErrorKind::Transient,      503,    true),
            (StoreErrorKind::Corrupt,        503,    true),
            (StoreErrorKind::Precondition,   409,    false),
            (StoreErrorKind::NoBucket,       502,    false),
            (StoreErrorKind::BadCredentials, 502,    false),
            (StoreErrorKind::Denied,         502,    false),
        ];
        for (kind, status, retry_after) in cases {
            let response = Refusal::from(store_error(kind)).into_response();
            assert_eq!(response.status().as_u16(), status, "{kind:?}");
            assert_eq!(response.headers().contains_key("retry-after"), retry_after, "{kind:?}");
        }
    }

    #[test]
    fn the_cause_goes_only_to_the_log() {
        let refusal = Refusal::from(store_error(StoreErrorKind::Denied));

        assert!(!refusal.detail.contains("bucket") && !refusal.detail.contains("arn"));
        let cause = refusal.cause.unwrap();
        assert!(cause.contains("secret-bucket/a") && cause.contains("arn:aws:iam::1"));
    }
}
