//! Refusals: how the gateway answers a request that it does not fulfil.
//!
//! The response is a problem document (RFC 9457) with a stable code and a
//! sentence for the client. The cause may name the bucket or hold other private
//! facts, so it goes only to the log.

pub(crate) mod body;
mod store;

use std::error::Error;
use std::fmt;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use s3up_core::wire::{PROBLEM_TYPE, Problem};
use s3up_core::{Code, PathRule, Sha256Digest, Size, error_chain};

/// The `Retry-After` of responses with status 429 and 503.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The sentence for a client whose upload was cancelled by a newer one.
pub(crate) const SUPERSEDED: &str =
    "a newer upload of this path was started; this one is cancelled";

/// A request that is not fulfilled, and why.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub code: Code,
    /// The sentence for the client.
    pub detail: String,
    /// The cause, which is written to the log and not sent to the client.
    pub cause: Option<String>,
}

/// Carries a refusal from the response to the log line of the request.
#[derive(Clone)]
pub(crate) struct RefusalRecord {
    pub code: Code,
    pub detail: String,
    pub cause: Option<String>,
}

impl Refusal {
    pub(crate) fn new(code: Code, detail: impl fmt::Display) -> Refusal {
        Refusal { code, detail: detail.to_string(), cause: None }
    }

    /// Adds `err` and its sources as the cause.
    pub(crate) fn caused_by(mut self, err: &(dyn Error + 'static)) -> Refusal {
        self.cause = Some(error_chain(err));
        self
    }

    pub(crate) fn too_large(limit: u64) -> Refusal {
        let what = format!("the file is larger than the limit of {} ({limit} bytes)", Size(limit));
        Refusal::new(Code::TooLarge, what)
    }

    pub(crate) fn digest_mismatch(expected: Sha256Digest, found: Sha256Digest) -> Refusal {
        let what = format!(
            "expected content with SHA-256 {expected} as announced, found {found}; \
             nothing was stored"
        );
        Refusal::new(Code::DigestMismatch, what)
    }

    fn retry_after(&self) -> Option<Duration> {
        matches!(self.code.status(), 429 | 503).then_some(RETRY_AFTER)
    }
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
        let Refusal { code, detail, cause } = self;
        response.extensions_mut().insert(RefusalRecord { code, detail, cause });
        response
    }
}

impl From<PathRule> for Refusal {
    fn from(rule: PathRule) -> Refusal {
        Refusal::new(Code::BadPath, rule)
    }
}
