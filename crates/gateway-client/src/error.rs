//! Errors of calls to the gateway, divided by what the caller does next.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use s3up_core::Code;

use crate::handshake;

/// The client cannot be created.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("read ca_file {path:?}: {what}")]
    CaFile { path: PathBuf, what: String },
    #[error("client key: expected printable ASCII, found other characters")]
    Key,
    #[error("set up the HTTP client")]
    Build(#[source] reqwest::Error),
}

#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The gateway itself refused the request.
    #[error("gateway refused the request: {0}")]
    Refused(Refusal),
    /// Something else answered: a proxy, or another server at a wrong address.
    #[error(
        "expected an answer of the gateway, found {0}; check the URL of the gateway and any proxy"
    )]
    NotTheGateway(Refusal),
    #[error(
        "gateway redirects (status {status}); set its URL to the final address, because \
         the key is never sent after a redirect"
    )]
    Redirected { status: u16 },
    #[error("cannot reach the gateway")]
    Unreachable(#[source] reqwest::Error),
    /// A setting here or at the gateway prevents every connection.
    #[error("cannot connect to the gateway: {0}")]
    Handshake(String),
    #[error("the transfer stalled: no data for {} s", .0.as_secs())]
    Stalled(Duration),
    #[error("cannot parse the answer of the gateway: {what}")]
    InvalidAnswer { what: String },
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
    /// Returns the reason without the URL, because the log line names the path.
    pub fn unreachable(err: reqwest::Error) -> GatewayError {
        match handshake::explain(&err) {
            Some(explanation) => GatewayError::Handshake(explanation),
            None => GatewayError::Unreachable(err.without_url()),
        }
    }

    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            GatewayError::Refused(refusal) | GatewayError::NotTheGateway(refusal) => {
                refusal.retry_after
            }
            GatewayError::Redirected { .. }
            | GatewayError::Unreachable(_)
            | GatewayError::Handshake(_)
            | GatewayError::Stalled(_)
            | GatewayError::InvalidAnswer { .. } => None,
        }
    }
}
