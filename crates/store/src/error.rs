//! What can go wrong with the store, by what a caller can do about it.
//!
//! `Display` says one layer; the cause is in `source()`. S3's own code and
//! sentence are the cause, never the whole message, and never a secret.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use s3up_core::{Key, Sha256Digest, Size};

use crate::pool::PoolError;

/// One failed store operation: what we tried, on what, and what kind of
/// failure it was. Callers branch on [`Kind`], never on the text.
#[derive(Debug, thiserror::Error)]
#[error("{op} {subject}: {kind}")]
pub struct StoreError {
    pub op: &'static str,
    /// The key, or the bucket.
    pub subject: String,
    pub kind: Kind,
    /// How long the store asked us to wait.
    pub retry_after: Option<Duration>,
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    NotFound,
    NoBucket,
    /// The store does not know the key id, or the signature is wrong.
    BadCredentials,
    /// No credentials were found at all.
    NoCredentials,
    Denied,
    WrongRegion,
    ClockSkew,
    /// A conditional write found something else.
    Precondition,
    /// A document is longer than its reader takes.
    TooLong,
    /// The object is in an archive and was not thawed.
    Archived,
    /// The store asked us to slow down, or the connection broke: worth a retry.
    Transient,
    /// The answer makes no sense: it was cut, or the server speaks a dialect
    /// that we do not.
    Unreadable,
    /// What S3 holds or reports is not what was sent.
    Corrupt,
    /// Anything else. A retry would fail the same way.
    Permanent,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::NotFound => "no such object",
            Kind::NoBucket => {
                "no such bucket; check `s3.bucket`, `s3.region` and `s3.endpoint`, or create it"
            }
            Kind::BadCredentials => {
                "the store does not accept these credentials; check the access key id and its secret"
            }
            Kind::NoCredentials => {
                "no credentials; set them in the configuration, the environment, a profile or a role"
            }
            Kind::Denied => "access denied; check what the policy of this key allows on the bucket",
            Kind::WrongRegion => "the bucket is in another region; check `s3.region`",
            Kind::ClockSkew => "the clock of this host is wrong; set it (NTP) and try again",
            Kind::Precondition => "the object is there already, or is not the one expected",
            Kind::TooLong => "the object is too long to be what it should be",
            Kind::Archived => "the object is archived; thaw it first (S3 RestoreObject)",
            Kind::Transient => "the store is busy or unreachable",
            Kind::Unreadable => "the answer of the store is not understood",
            Kind::Corrupt => "what the store holds is not what was sent",
            Kind::Permanent => "the store refused",
        })
    }
}

/// S3's code and sentence, or the deepest cause of a broken connection.
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

    pub(crate) fn because(mut self, cause: impl fmt::Display) -> StoreError {
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
        let mut error = StoreError::new(op, subject, kind).because(cause);
        error.retry_after = response
            .and_then(|r| r.headers().get("retry-after"))
            .and_then(|seconds| seconds.parse().ok())
            .map(Duration::from_secs);
        error
    }
}

/// What an answer means, from its status and S3's error code:
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
            // What a server does not know, it will not know later.
            501 | 505 => Kind::Permanent,
            408 | 429 | 500.. => Kind::Transient,
            200..=299 => Kind::Unreadable,
            // No status at all.
            0..=199 => Kind::Transient,
            _ => Kind::Permanent,
        },
    }
}

/// What a code means by itself, as in the answer of a batch.
pub(crate) fn kind_of_code(code: &str) -> Kind {
    kind_of_answer(400, Some(code))
}

/// The SDK has no kinds for these two; its sentences are all there is.
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

/// Why an upload did not happen. Nothing of it is visible then.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    #[error("upload {key}: the source broke off")]
    Source { key: Key, source: std::io::Error },
    #[error("upload {key}: longer than the limit of {} ({limit} bytes)", Size(*limit))]
    TooLong { key: Key, limit: u64 },
    /// Nothing of that chunk, nor after it, is of the stream that was sent now.
    #[error("chunk {chunk}: {key} is of another stream than the one that is sent now")]
    Differs { key: Key, chunk: u64 },
    #[error("more than {limit} chunks; make them longer")]
    TooManyChunks { limit: u64 },
    #[error("upload {key}: ended after {found} of {expected} bytes")]
    TooShort { key: Key, expected: u64, found: u64 },
    #[error("upload {key}: the SHA-256 of what arrived is {found}, announced was {expected}")]
    Digest { key: Key, expected: Sha256Digest, found: Sha256Digest },
    #[error("upload {key}")]
    Buffers { key: Key, source: PoolError },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why there is no connection to the store.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("read CA certificates from {path}")]
    CaFile { path: String, source: std::io::Error },
    #[error("CA certificates in {path}: {what}")]
    CaContent { path: String, what: String },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_mean() {
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
    fn a_message_names_operation_thing_and_what_to_do() {
        let err =
            StoreError::new("list", &"bucket photos", Kind::NoBucket).because("NoSuchBucket: gone");
        assert_eq!(
            err.to_string(),
            "list bucket photos: no such bucket; check `s3.bucket`, `s3.region` and `s3.endpoint`, or create it"
        );
        assert_eq!(err.source().map(ToString::to_string).as_deref(), Some("NoSuchBucket: gone"));
    }
}
