//! Errors of the store, by what a caller can do about them.
//!
//! `Display` prints one layer, and the cause is in `source()`. The code and message
//! of S3 are only ever the cause. No error contains a secret.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use s3up_core::{Key, Sha256Digest, Size};

use crate::buffers::pool::PoolError;

/// A failed operation: what was tried, on what, and the kind of failure. Callers
/// branch on [`Kind`], never on the text.
#[derive(Debug, thiserror::Error)]
#[error("{op} {subject}: {kind}")]
pub struct StoreError {
    pub op: &'static str,
    /// The key or the bucket.
    pub subject: String,
    pub kind: Kind,
    /// Time that S3 asked us to wait.
    pub retry_after: Option<Duration>,
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    NotFound,
    NoBucket,
    /// S3 does not know the access key ID, or the signature is wrong.
    BadCredentials,
    /// The SDK found no credentials at all.
    NoCredentials,
    Denied,
    WrongRegion,
    ClockSkew,
    /// The condition of a conditional write does not hold.
    Precondition,
    /// A document is longer than its reader accepts.
    TooLong,
    /// The object is archived and was not thawed.
    Archived,
    /// S3 asked us to slow down, or the connection broke. A retry may help.
    Transient,
    /// The answer cannot be parsed: it was truncated, or the server speaks a
    /// dialect that we do not.
    Unreadable,
    /// The bytes differ from what was sent or expected.
    Corrupt,
    /// Any other failure. A retry would fail the same way.
    Permanent,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::NotFound => "no such object; check the key, and what else deletes below this prefix",
            Kind::NoBucket => {
                "no such bucket; check `s3.bucket`, `s3.region` and `s3.endpoint`, or create it"
            }
            Kind::BadCredentials => {
                "S3 does not accept these credentials; check the access key ID and its secret"
            }
            Kind::NoCredentials => {
                "no credentials found; set them in the configuration, the environment, a profile or a role"
            }
            Kind::Denied => "access denied; check what the policy of this key allows on the bucket",
            Kind::WrongRegion => "the bucket is in another region; check `s3.region`",
            Kind::ClockSkew => "the clock of this host is wrong; set it (NTP) and retry",
            Kind::Precondition => {
                "the object already exists or was changed; check what else writes below this prefix"
            }
            Kind::TooLong => "the object is longer than expected; check what wrote it",
            Kind::Archived => "the object is archived; thaw it first (S3 RestoreObject)",
            Kind::Transient => "S3 is busy or unreachable; check the network and `s3.endpoint`",
            Kind::Unreadable => "cannot parse the answer; check that `s3.endpoint` is an S3 server",
            Kind::Corrupt => {
                "the data does not match its checksum or size; retry, then check the memory of this host and the server"
            }
            Kind::Permanent => "the request cannot succeed; see the cause",
        })
    }
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
    pub(crate) fn new(op: &'static str, subject: &impl fmt::Display, kind: Kind) -> StoreError {
        StoreError { op, subject: subject.to_string(), kind, retry_after: None, source: None }
    }

    pub(crate) fn with_cause(mut self, cause: impl fmt::Display) -> StoreError {
        self.source = Some(Box::new(Cause(cause.to_string())));
        self
    }

    pub(crate) fn of_sdk<E>(
        op: &'static str,
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
            SdkError::DispatchFailure(failure) if failure.is_user() => Kind::Permanent,
            SdkError::DispatchFailure(_) => kind_of_text(&deepest(err)),
            SdkError::TimeoutError(_) => Kind::Transient,
            SdkError::ResponseError(_) | SdkError::ServiceError(_) | _ => {
                kind_of_answer(response.map_or(0, |r| r.status().as_u16()), code)
            }
        };
        let cause = match (code, err.message(), response) {
            (Some(code), Some(message), _) => format!("{code}: {message}"),
            (Some(code), None, _) => code.to_owned(),
            (None, _, Some(_)) if kind == Kind::Unreadable => deepest(err),
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

/// Returns the kind of a failure from the status of the answer and S3's error code:
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>
fn kind_of_answer(status: u16, code: Option<&str>) -> Kind {
    match code {
        Some("NoSuchKey" | "NoSuchUpload" | "NoSuchVersion" | "NotFound") => Kind::NotFound,
        Some("NoSuchBucket") => Kind::NoBucket,
        Some(
            "InvalidAccessKeyId"
            | "SignatureDoesNotMatch"
            | "ExpiredToken"
            | "InvalidToken"
            | "TokenRefreshRequired"
            | "InvalidClientTokenId",
        ) => Kind::BadCredentials,
        Some("AccessDenied" | "AllAccessDisabled" | "AccountProblem") => Kind::Denied,
        Some(
            "PermanentRedirect"
            | "AuthorizationHeaderMalformed"
            | "IllegalLocationConstraintException",
        ) => Kind::WrongRegion,
        Some("RequestTimeTooSkewed") => Kind::ClockSkew,
        Some("PreconditionFailed") => Kind::Precondition,
        Some("InvalidObjectState") => Kind::Archived,
        Some(
            "SlowDown"
            | "InternalError"
            | "ServiceUnavailable"
            | "RequestTimeout"
            | "Throttling"
            | "ThrottlingException"
            | "OperationAborted"
            | "ConditionalRequestConflict"
            | "RequestLimitExceeded",
        ) => Kind::Transient,
        Some("BadDigest" | "XAmzContentSHA256Mismatch" | "XAmzContentChecksumMismatch") => {
            Kind::Corrupt
        }
        _ => match status {
            301 | 307 => Kind::WrongRegion,
            401 | 403 => Kind::Denied,
            404 => Kind::NotFound,
            412 => Kind::Precondition,
            // A server that does not implement a call now will not do so later.
            501 | 505 => Kind::Permanent,
            408 | 429 | 500.. => Kind::Transient,
            200..=299 => Kind::Unreadable,
            // There was no status at all.
            0..=199 => Kind::Transient,
            _ => Kind::Permanent,
        },
    }
}

/// Returns the kind of a failure from S3's error code alone, as in the answer of a
/// batch.
pub(crate) fn kind_of_code(code: &str) -> Kind {
    kind_of_answer(400, Some(code))
}

/// Returns the kind of a failure from its text: the SDK has no types for these.
fn kind_of_text(cause: &str) -> Kind {
    let cause = cause.to_lowercase();
    if cause.contains("credentials") || cause.contains("identity") {
        Kind::NoCredentials
    } else if cause.contains("certificate") || cause.contains("unknownissuer") {
        Kind::Permanent
    } else {
        Kind::Transient
    }
}

fn deepest(err: &(dyn Error + 'static)) -> String {
    let mut deepest = err;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

/// The reason why an upload failed. Nothing of it is visible.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    #[error("upload {key}: cannot read the source")]
    Source { key: Key, source: std::io::Error },
    #[error("upload {key}: the source is longer than the limit of {} ({limit} bytes)", Size(*limit))]
    TooLong { key: Key, limit: u64 },
    /// An existing chunk is of another stream, and so may be everything after it.
    #[error("chunk {chunk}: {key} belongs to another stream than the one being uploaded")]
    ForeignChunk { key: Key, chunk: u64 },
    #[error("the stream needs more than {limit} chunks; increase the chunk size")]
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
    #[error("cannot read CA certificates from {path}; check `s3.ca_file`")]
    CaFile { path: String, source: std::io::Error },
    #[error("CA certificates in {path}: {what}")]
    CaContent { path: String, what: String },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_has_its_kind_of_failure() {
        #[rustfmt::skip]
        let cases = [
            (404, Some("NoSuchKey"),              Kind::NotFound),
            (404, Some("NoSuchBucket"),           Kind::NoBucket),
            (404, None,                           Kind::NotFound),
            (403, Some("InvalidAccessKeyId"),     Kind::BadCredentials),
            (403, Some("SignatureDoesNotMatch"),  Kind::BadCredentials),
            (403, Some("RequestTimeTooSkewed"),   Kind::ClockSkew),
            (403, Some("AccessDenied"),           Kind::Denied),
            (403, None,                           Kind::Denied),
            (301, Some("PermanentRedirect"),      Kind::WrongRegion),
            (403, Some("InvalidObjectState"),     Kind::Archived),
            (412, Some("PreconditionFailed"),     Kind::Precondition),
            (409, Some("ConditionalRequestConflict"), Kind::Transient),
            (503, Some("SlowDown"),               Kind::Transient),
            (500, None,                           Kind::Transient),
            (501, Some("NotImplemented"),         Kind::Permanent),
            (200, Some("InternalError"),          Kind::Transient),
            (200, None,                           Kind::Unreadable),
            (400, Some("BadDigest"),              Kind::Corrupt),
            (400, Some("InvalidArgument"),        Kind::Permanent),
            (400, None,                           Kind::Permanent),
        ];
        for (status, code, want) in cases {
            assert_eq!(kind_of_answer(status, code), want, "{status} {code:?}");
        }
    }

    #[test]
    fn a_message_names_the_operation_its_subject_and_what_to_check() {
        let err = StoreError::new("list", &"bucket photos", Kind::NoBucket)
            .with_cause("NoSuchBucket: gone");
        assert_eq!(
            err.to_string(),
            "list bucket photos: no such bucket; check `s3.bucket`, `s3.region` and `s3.endpoint`, or create it"
        );
        assert_eq!(err.source().map(ToString::to_string).as_deref(), Some("NoSuchBucket: gone"));
    }
}
