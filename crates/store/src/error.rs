//! Errors of the store, by what a caller can do about them.
//!
//! Advice names the settings of a store ([`Settings`](crate::Settings)), by which programs call
//! the keys of their configuration, too.
//!
//! `Display` prints one layer, and the cause is in `source()`. The code and message
//! of S3 are only ever the cause. No error contains a secret.

pub(crate) mod codes;
mod kind;
mod operation;

use std::error::Error;
use std::fmt;
use std::time::Duration;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use s3up_core::{Key, Sha256Digest, Size};

use self::codes::kind_of_answer;
pub use self::kind::StoreErrorKind;
pub use self::operation::Operation;
use crate::buffers::pool::PoolError;

/// A failed operation: what was tried, on what, and the kind of failure. Callers
/// branch on [`StoreErrorKind`], never on the text.
#[derive(Debug, thiserror::Error)]
#[error("{op} {subject}: {}", advice(*kind, *op))]
pub struct StoreError {
    pub op: Operation,
    /// The key or the bucket.
    pub subject: String,
    pub kind: StoreErrorKind,
    /// Time that S3 asked us to wait.
    pub retry_after: Option<Duration>,
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

/// Returns the advice for a failed call; for one that was denied, the right that it
/// needs.
fn advice(kind: StoreErrorKind, op: Operation) -> String {
    if kind == StoreErrorKind::Denied {
        return format!("{kind}; it needs {}", op.action());
    }
    kind.to_string()
}

/// The code and message of S3, or the deepest cause of a broken connection.
#[derive(Debug)]
struct Cause(String);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Cause {}

impl StoreError {
    pub(crate) fn new(
        op: Operation,
        subject: &impl fmt::Display,
        kind: StoreErrorKind,
    ) -> StoreError {
        StoreError { op, subject: subject.to_string(), kind, retry_after: None, source: None }
    }

    pub(crate) fn with_cause(mut self, cause: impl fmt::Display) -> StoreError {
        self.source = Some(Box::new(Cause(cause.to_string())));
        self
    }

    pub(crate) fn of_sdk<E>(
        op: Operation,
        subject: &impl fmt::Display,
        err: &SdkError<E, HttpResponse>,
    ) -> StoreError
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let response = err.raw_response();
        let code = err.code();
        let kind = match err {
            SdkError::ConstructionFailure(_) => kind_of_text(&deepest(err)),
            SdkError::DispatchFailure(failure) if failure.is_user() => StoreErrorKind::Permanent,
            SdkError::DispatchFailure(_) => kind_of_text(&deepest(err)),
            SdkError::TimeoutError(_) => StoreErrorKind::Transient,
            SdkError::ResponseError(_) | SdkError::ServiceError(_) | _ => {
                kind_of_answer(response.map_or(0, |r| r.status().as_u16()), code)
            }
        };
        let message = err.message().filter(|message| !message.trim().is_empty());
        let cause = match (code, message, response) {
            (Some(code), Some(message), _) => format!("{code}: {message}"),
            (Some(code), None, _) => code.to_owned(),
            (None, _, Some(_)) if kind == StoreErrorKind::Unreadable => deepest(err),
            (None, _, Some(response)) if region_of(response).is_some() => {
                format!("the bucket is in {}", region_of(response).unwrap_or_default())
            }
            (None, _, Some(response)) => format!("HTTP status {}", response.status().as_u16()),
            (None, _, None) => deepest(err),
        };
        let mut error = StoreError::new(op, subject, kind).with_cause(cause);
        error.retry_after = response
            .and_then(|r| r.headers().get("retry-after"))
            .and_then(|seconds| seconds.parse().ok())
            .map(Duration::from_secs);
        error
    }
}

/// Returns the kind of a failure from its text: the SDK has no types for these.
fn kind_of_text(cause: &str) -> StoreErrorKind {
    let cause = cause.to_lowercase();
    if cause.contains("credentials") || cause.contains("identity") {
        StoreErrorKind::NoCredentials
    } else if cause.contains("certificate") || cause.contains("unknownissuer") {
        StoreErrorKind::Permanent
    } else {
        StoreErrorKind::Transient
    }
}

/// Returns the region of the bucket, which an answer for another region names.
fn region_of(response: &HttpResponse) -> Option<&str> {
    let is_redirect = matches!(response.status().as_u16(), 301 | 307 | 400);
    response.headers().get("x-amz-bucket-region").filter(|_| is_redirect)
}

fn deepest(err: &(dyn Error + 'static)) -> String {
    let mut deepest = err;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

/// The reason why an upload failed. Its object is not known to be visible. Of a chunked upload the complete
/// chunks remain.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    #[error("upload {key}: cannot read the source")]
    Source { key: Key, source: std::io::Error },
    #[error("upload {key}: expected a source of at most {limit} bytes ({}), found more", Size(*limit))]
    TooLong { key: Key, limit: u64 },
    /// An existing chunk is of another stream, and so may be everything after it.
    #[error("chunk {chunk}: {key} belongs to another stream than the one being uploaded")]
    ForeignChunk { key: Key, chunk: u64 },
    #[error("upload the stream: expected at most {limit} chunks, found more; use longer chunks")]
    TooManyChunks { limit: u64 },
    #[error("upload {key}: the source ended early: expected {expected} bytes, found {found}")]
    TooShort { key: Key, expected: u64, found: u64 },
    #[error("upload {key}: SHA-256 mismatch: expected {expected}, found {found}")]
    Digest { key: Key, expected: Sha256Digest, found: Sha256Digest },
    #[error("upload {key}: cannot get a part buffer")]
    Buffers { key: Key, source: PoolError },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The reason why a store cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("read CA certificates from {path}; check `ca_file`")]
    CaFile { path: String, source: std::io::Error },
    #[error("read CA certificates from {path}: {what}; check `ca_file`")]
    CaContent { path: String, what: String },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_the_operation_its_subject_and_what_to_check() {
        let err = StoreError::new(Operation::List, &"bucket photos", StoreErrorKind::NoBucket)
            .with_cause("NoSuchBucket: gone");
        assert_eq!(
            err.to_string(),
            "list bucket photos: no such bucket; check `bucket`, `region` and `endpoint`, or create it"
        );
        assert_eq!(err.source().map(ToString::to_string).as_deref(), Some("NoSuchBucket: gone"));
    }

    #[test]
    fn a_denied_operation_names_the_right_that_it_needs() {
        let err =
            StoreError::new(Operation::ListVersions, &"a", StoreErrorKind::Denied).to_string();
        assert!(err.ends_with("it needs s3:ListBucketVersions"), "{err}");
    }
}
