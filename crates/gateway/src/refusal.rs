//! A request that is refused: what the sender is told, and what the log is.
//!
//! The answer is a problem document (RFC 9457) with a stable code. The private
//! cause goes to the log, with the id that the answer carries, and never into
//! the answer: it may name the bucket.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use s3up_core::wire::{PROBLEM_TYPE, Problem};
use s3up_core::{Code, PathRule, Size};
use s3up_store::{Kind, PoolError, StoreError, UploadError};

use crate::body::BodyError;

/// Asked of clients whose request found no room or no store.
const RETRY_AFTER: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(crate) struct Refusal {
    pub code: Code,
    pub detail: String,
    /// For the log only.
    pub cause: Option<String>,
}

impl Refusal {
    pub(crate) fn new(code: Code, detail: impl fmt::Display) -> Refusal {
        Refusal { code, detail: detail.to_string(), cause: None }
    }

    fn because(mut self, err: &(dyn Error + 'static)) -> Refusal {
        self.cause = Some(chain(err));
        self
    }

    fn retry_after(&self) -> Option<Duration> {
        matches!(self.code.status(), 429 | 503).then_some(RETRY_AFTER)
    }
}

/// An error and its causes, on one line.
fn chain(err: &(dyn Error + 'static)) -> String {
    let mut text = err.to_string();
    let mut source = err.source();
    while let Some(err) = source {
        text = format!("{text}: {err}");
        source = err.source();
    }
    text
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.code.status());
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry_after = self.retry_after();
        let problem = Problem {
            status: status.as_u16(),
            title: self.code.title().to_owned(),
            detail: self.detail.clone(),
            code: self.code,
        };
        let body = serde_json::to_string(&problem).unwrap_or_default();
        let mut response =
            (status, [(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_TYPE))], body)
                .into_response();
        let headers = response.headers_mut();
        if let Some(wait) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs()));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        // For the log line of this request.
        response.extensions_mut().insert(Refused(self.code, self.detail, self.cause));
        response
    }
}

/// What the log says of a refused request.
#[derive(Clone)]
pub(crate) struct Refused(pub Code, pub String, pub Option<String>);

impl From<PathRule> for Refusal {
    fn from(rule: PathRule) -> Refusal {
        Refusal::new(Code::BadPath, rule)
    }
}

impl From<StoreError> for Refusal {
    fn from(err: StoreError) -> Refusal {
        let (code, detail) = match err.kind {
            Kind::Transient | Kind::Unreadable => (
                Code::StoreUnavailable,
                "the store behind the gateway is busy or out of reach; try again later",
            ),
            Kind::Corrupt => (
                Code::StoreUnavailable,
                "the bytes were damaged between gateway and store; nothing was kept, try again",
            ),
            Kind::Precondition => (Code::Exists, "another file stands under this path"),
            Kind::NotFound
            | Kind::NoBucket
            | Kind::BadCredentials
            | Kind::NoCredentials
            | Kind::Denied
            | Kind::WrongRegion
            | Kind::ClockSkew
            | Kind::Archived
            | Kind::TooLong
            | Kind::Permanent => (
                Code::StoreRefused,
                "the store refused the gateway; its operator finds the reason in the log",
            ),
        };
        Refusal::new(code, detail).because(&err)
    }
}

impl From<PoolError> for Refusal {
    fn from(err: PoolError) -> Refusal {
        match err {
            PoolError::Exhausted { .. } => Refusal::new(
                Code::Overloaded,
                "the gateway has no buffer free for this request; try again later",
            ),
            PoolError::OverBudget { bytes, budget_bytes } => Refusal::new(
                Code::TooLarge,
                format!(
                    "a file of this length needs parts of {}, the gateway has {} for buffers",
                    Size(bytes),
                    Size(budget_bytes)
                ),
            ),
            PoolError::Map { .. } => {
                Refusal::new(Code::Overloaded, "the gateway is out of memory; try again later")
                    .because(&err)
            }
        }
    }
}

impl From<UploadError> for Refusal {
    fn from(err: UploadError) -> Refusal {
        match err {
            UploadError::Source { source, .. } => Refusal::from_body(&source),
            // A file is one object, so the second never comes.
            UploadError::TooLong { limit, .. } | UploadError::TooManyChunks { limit } => {
                too_large(limit)
            }
            UploadError::TooShort { expected, found, .. } => Refusal::new(
                Code::Incomplete,
                format!("the body ended after {found} of {expected} bytes"),
            ),
            UploadError::Digest { expected, found, .. } => Refusal::new(
                Code::DigestMismatch,
                format!("announced was {expected}, what arrived has {found}; nothing was stored"),
            ),
            UploadError::Buffers { source, .. } => source.into(),
            // A file is sent once only.
            UploadError::ForeignChunk { .. } => {
                Refusal::new(Code::StoreRefused, "another upload of this file was begun")
                    .because(&err)
            }
            UploadError::Store(err) => err.into(),
        }
    }
}

impl Refusal {
    /// From what reading a request body said.
    pub(crate) fn from_body(err: &std::io::Error) -> Refusal {
        match err.get_ref().and_then(|inner| inner.downcast_ref::<BodyError>()) {
            Some(BodyError::TooSlow) => Refusal::new(Code::TooSlow, BodyError::TooSlow),
            Some(BodyError::Form(what)) => Refusal::new(Code::BadRequest, what),
            Some(BodyError::Broken(_)) | None => {
                Refusal::new(Code::Incomplete, "the body broke off").because(err)
            }
        }
    }
}

pub(crate) fn too_large(limit: u64) -> Refusal {
    Refusal::new(
        Code::TooLarge,
        format!("the limit for this client is {} ({limit} bytes)", Size(limit)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store_error(kind: Kind) -> StoreError {
        StoreError {
            op: "put",
            subject: "secret-bucket/a".to_owned(),
            kind,
            retry_after: None,
            source: Some("AccessDenied: arn:aws:iam::1".into()),
        }
    }

    #[test]
    fn a_failing_store_is_answered_by_what_the_client_can_do() {
        #[rustfmt::skip]
        let cases = [
            (Kind::Transient,      503, true),
            (Kind::Corrupt,        503, true),
            (Kind::Precondition,   409, false),
            (Kind::NoBucket,       502, false),
            (Kind::BadCredentials, 502, false),
            (Kind::Denied,         502, false),
        ];
        for (kind, status, retry_after) in cases {
            let response = Refusal::from(store_error(kind)).into_response();
            assert_eq!(response.status().as_u16(), status, "{kind:?}");
            assert_eq!(response.headers().contains_key("retry-after"), retry_after, "{kind:?}");
        }
    }

    #[test]
    fn the_cause_is_for_the_log_only() {
        let refusal = Refusal::from(store_error(Kind::Denied));

        assert!(!refusal.detail.contains("bucket") && !refusal.detail.contains("arn"));
        let cause = refusal.cause.unwrap();
        assert!(cause.contains("secret-bucket/a") && cause.contains("arn:aws:iam::1"));
    }
}
