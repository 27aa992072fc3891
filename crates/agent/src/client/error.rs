//! How a call to the gateway fails, told apart by what the caller does next.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use s3up_core::Code;

/// The client cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("server.ca_file {path:?}: {what}")]
    CaFile { path: PathBuf, what: String },
    #[error("server.api_key cannot be sent in a header")]
    Key,
    #[error("set up the HTTP client")]
    Build(#[source] reqwest::Error),
}

#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The gateway's own word.
    #[error("the gateway refused: {0}")]
    Refused(Refusal),
    /// An answer that is not the gateway's: a proxy, a wrong address.
    #[error("{0}, which is no answer of a gateway; check server.url and what stands between")]
    Foreign(Refusal),
    #[error(
        "the gateway redirects (status {status}); the key is not sent on, so set server.url to the final address"
    )]
    Redirected { status: u16 },
    #[error("the gateway cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    #[error("nothing moved for {} seconds", super::IDLE_TIMEOUT.as_secs())]
    Stalled,
    #[error("the gateway's answer is not understood: {what}")]
    Answer { what: String },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub status: u16,
    pub code: Code,
    pub detail: String,
    pub retry_after: Option<Duration>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "status {}: {}", self.status, self.detail)
    }
}

impl GatewayError {
    /// Without the address, which the log line names as path.
    pub(super) fn unreachable(err: reqwest::Error) -> GatewayError {
        GatewayError::Unreachable(err.without_url())
    }

    pub fn code(&self) -> Option<Code> {
        match self {
            GatewayError::Refused(refusal) => Some(refusal.code),
            GatewayError::Foreign(_)
            | GatewayError::Redirected { .. }
            | GatewayError::Unreachable(_)
            | GatewayError::Stalled
            | GatewayError::Answer { .. } => None,
        }
    }

    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            GatewayError::Refused(refusal) | GatewayError::Foreign(refusal) => refusal.retry_after,
            GatewayError::Redirected { .. }
            | GatewayError::Unreachable(_)
            | GatewayError::Stalled
            | GatewayError::Answer { .. } => None,
        }
    }
}

/// An error with its causes, in one line for the log.
pub fn one_line(err: &dyn Error) -> String {
    let mut line = err.to_string();
    let mut source = err.source();
    while let Some(cause) = source {
        line.push_str(": ");
        line.push_str(&cause.to_string());
        source = cause.source();
    }
    line
}
