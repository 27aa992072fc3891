//! Refusals: how the gateway answers a request that it does not fulfil.
//!
//! The response is a problem document (RFC 9457) with a stable code and a
//! sentence for the client. The cause may name the bucket or hold other private
//! facts, so it goes only to the log.

pub(crate) mod body;
pub(crate) mod store;

use std::error::Error;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use s3up_core::wire::{PROBLEM_TYPE, Problem};
use s3up_core::{Code, PathRule, Sha256Digest, Size, error_chain};

/// The shortest `Retry-After` of responses with status 429 and 503, unless a refusal has its own.
/// A random part of the same length is added: clients that were refused at the same time do not
/// all return at the same time.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The sentence for a client whose upload was cancelled by a newer one.
pub(crate) const SUPERSEDED: &str =
    "a newer upload of this path was started; this one is cancelled";
/// The sentence for a client that may not overwrite the file of this path.
pub(crate) const EXISTS: &str = "the path holds a file with other content, and this client may not overwrite \
                                 files (`overwrite: never`); use another path";

/// A request that is not fulfilled, and why.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub code: Code,
    /// The sentence for the client.
    pub detail: String,
    /// The cause, which is written to the log and not sent to the client.
    pub cause: Option<String>,
    /// Time after which the same request may succeed, if it is known.
    retry_after: Option<Duration>,
}

/// Carries a refusal from the response to the log line of the request.
#[derive(Clone)]
pub(crate) struct RefusalRecord {
    pub code: Code,
    pub detail: String,
    pub cause: Option<String>,
}

/// A request that was refused, or a file of a batch, for the log line.
pub(crate) struct RefusedRequest<'r> {
    pub client: Option<&'r str>,
    pub peer: Option<IpAddr>,
    pub method: &'r Method,
    pub url_path: &'r str,
    /// The remote path of a file of a batch.
    pub path: Option<&'r str>,
    pub elapsed_seconds: Option<f64>,
}

impl Refusal {
    pub(crate) fn new(code: Code, detail: impl fmt::Display) -> Refusal {
        Refusal { code, detail: detail.to_string(), cause: None, retry_after: None }
    }

    /// Adds `err` and its sources as the cause.
    pub(crate) fn caused_by(mut self, err: &(dyn Error + 'static)) -> Refusal {
        self.cause = Some(error_chain(err));
        self
    }

    pub(crate) fn too_large(limit: u64) -> Refusal {
        let what = format!(
            "expected a file of at most {} ({limit} bytes), found a longer one",
            Size(limit)
        );
        Refusal::new(Code::TooLarge, what)
    }

    pub(crate) fn digest_mismatch(expected: Sha256Digest, found: Sha256Digest) -> Refusal {
        let what = format!(
            "expected content with SHA-256 {expected} as announced, found {found}; \
             nothing was stored"
        );
        Refusal::new(Code::DigestMismatch, what)
    }

    /// Adds the time after which the same request may succeed.
    pub(crate) fn retry_after(mut self, wait: Duration) -> Refusal {
        self.retry_after = Some(wait);
        self
    }

    /// Returns the problem document for the client, and the record for the log.
    pub(crate) fn into_problem(self) -> (Problem, RefusalRecord) {
        let Refusal { code, detail, cause, .. } = self;
        let title = code.title().to_owned();
        let problem = Problem { status: code.status(), title, detail: detail.clone(), code };
        (problem, RefusalRecord { code, detail, cause })
    }

    /// Returns the `Retry-After` in seconds, with a random part.
    pub(crate) fn retry_after_now(&self) -> Option<u64> {
        // Without a random number all clients wait for the same time, which is no error.
        self.retry_after_seconds(getrandom::u64().unwrap_or_default())
    }

    /// Returns the `Retry-After` in seconds. `random` spreads it.
    fn retry_after_seconds(&self, random: u64) -> Option<u64> {
        if !matches!(self.code.status(), 429 | 503) {
            return None;
        }
        let wait = self.retry_after.unwrap_or(RETRY_AFTER);
        let seconds = wait.as_millis().div_ceil(1000).max(1);
        let seconds = u64::try_from(seconds).unwrap_or(u64::MAX / 2);
        Some(seconds + random % (seconds + 1))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.code.status());
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry_after = self.retry_after_now();
        let (problem, record) = self.into_problem();
        let body = serde_json::to_string(&problem).unwrap_or_default();
        let mut response =
            (status, [(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_TYPE))], body)
                .into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(record);
        response
    }
}

impl RefusalRecord {
    /// Logs the refusal of a request, or of a file of a batch.
    pub(crate) fn log(&self, request: &RefusedRequest<'_>) {
        let RefusalRecord { code, detail, cause } = self;
        let RefusedRequest { client, peer, method, url_path, path, elapsed_seconds } = *request;
        let (status, cause) = (code.status(), cause.as_deref());
        let peer = peer.map(tracing::field::display);
        let code = serde_json::to_value(code).unwrap_or_default();
        let code = code.as_str().unwrap_or_default();
        if status >= 500 {
            tracing::error!(event = "request_refused", client, peer, %method, url_path, path, status, code, elapsed_seconds, cause, "{detail}");
        } else {
            tracing::info!(event = "request_refused", client, peer, %method, url_path, path, status, code, elapsed_seconds, cause, "{detail}");
        }
    }
}

impl From<PathRule> for Refusal {
    fn from(rule: PathRule) -> Refusal {
        Refusal::new(Code::BadPath, rule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_asked_to_come_again_at_different_times() {
        let busy = || Refusal::new(Code::RateLimited, "");
        let seconds = Duration::from_secs;
        #[rustfmt::skip]
        let cases = [
            // refusal                                    random  Retry-After
            (busy(),                                      0,      Some(5)),
            (busy(),                                      5,      Some(10)),
            (busy(),                                      6,      Some(5)),
            (busy().retry_after(Duration::from_millis(9)), 0,     Some(1)),
            (busy().retry_after(Duration::from_millis(9)), 3,     Some(2)),
            (busy().retry_after(seconds(60)),             30,     Some(90)),
            (Refusal::new(Code::Overloaded, ""),          1,      Some(6)),
            (Refusal::new(Code::Quota, ""),               1,      None),
            (Refusal::new(Code::BadPath, ""),             1,      None),
        ];
        for (refusal, random, want) in cases {
            assert_eq!(refusal.retry_after_seconds(random), want, "{refusal:?} {random}");
        }
    }
}
