//! Decides what follows after a failed download. Pure.
//!
//! A failure that may pass is retried with back-off, some times for each file. A refusal that every
//! other file would get as well, and a gateway that stays unreachable, end the restore: it is resumed
//! by running it again.

use std::time::Duration;

use s3up_core::Code;

use crate::gateway::error::GatewayError;
use crate::uploading::retry::{RetryHint, RetryPolicy};

/// Attempts for each file. With the delays below they take up to half a minute, about as long as a
/// gateway needs to start again.
const ATTEMPTS_MAX: u32 = 7;
const POLICY: RetryPolicy = RetryPolicy { quick_tries: 1, quick_delay: Duration::from_millis(500) };
/// Files in a row that may fail although each was retried. The next one would fail, too.
pub const FAILURES_IN_A_ROW_MAX: u32 = 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterFailure {
    RetryAfter(Duration),
    /// This file cannot be restored.
    GiveUpFile,
    /// No file can be restored.
    Stop,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The failure may pass.
    Transient,
    /// No connection was made, which may pass.
    NoConnection,
    OfFile,
    OfAll,
}

/// `attempt` counts from 1, and `random` is in 0..1.
pub fn after(err: &GatewayError, attempt: u32, random: f64) -> AfterFailure {
    let is_last = attempt >= ATTEMPTS_MAX;
    match kind(err) {
        Kind::OfAll => AfterFailure::Stop,
        Kind::OfFile => AfterFailure::GiveUpFile,
        Kind::NoConnection if is_last => AfterFailure::Stop,
        Kind::Transient if is_last => AfterFailure::GiveUpFile,
        Kind::Transient | Kind::NoConnection => {
            let hint = RetryHint { retry_after: err.retry_after(), slow: false };
            AfterFailure::RetryAfter(POLICY.delay(attempt, hint, random))
        }
    }
}

/// Returns true if the next file may fail in the same way.
pub fn is_of_gateway(err: &GatewayError) -> bool {
    kind(err) != Kind::OfFile
}

fn kind(err: &GatewayError) -> Kind {
    match err {
        GatewayError::Refused(refusal) => of_code(refusal.code),
        GatewayError::NotTheGateway(refusal) if refusal.status == 401 => Kind::OfAll,
        GatewayError::NotTheGateway(_)
        | GatewayError::Stalled(_)
        | GatewayError::InvalidAnswer { .. } => Kind::Transient,
        GatewayError::Redirected { .. } | GatewayError::Handshake(_) => Kind::OfAll,
        GatewayError::Unreachable(cause) if cause.is_connect() => Kind::NoConnection,
        GatewayError::Unreachable(_) => Kind::Transient,
    }
}

fn of_code(code: Code) -> Kind {
    if matches!(code, Code::Unauthorized | Code::Forbidden) {
        Kind::OfAll
    } else if code.is_transient() {
        Kind::Transient
    } else {
        Kind::OfFile
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::error::Refusal;

    #[test]
    fn each_failure_has_a_consequence() {
        use AfterFailure::*;
        let retry = RetryAfter(Duration::from_secs(7));
        #[rustfmt::skip]
        let cases = [
            // code                  first attempt  last attempt  of the gateway
            (Code::Unauthorized,     Stop,          Stop,         true),
            (Code::Forbidden,        Stop,          Stop,         true),
            (Code::NotFound,         GiveUpFile,    GiveUpFile,   false),
            (Code::Archived,         GiveUpFile,    GiveUpFile,   false),
            (Code::RateLimited,      retry,         GiveUpFile,   true),
            (Code::StoreUnavailable, retry,         GiveUpFile,   true),
            (Code::StoreRefused,     retry,         GiveUpFile,   true),
            (Code::Overloaded,       retry,         GiveUpFile,   true),
        ];
        for (code, first, last, of_gateway) in cases {
            let retry_after = Some(Duration::from_secs(7));
            let refusal =
                Refusal { status: code.status(), code, detail: String::new(), retry_after };
            let err = GatewayError::Refused(refusal);
            assert_eq!(after(&err, 1, 0.0), first, "{code:?}");
            assert_eq!(after(&err, ATTEMPTS_MAX, 0.0), last, "{code:?}");
            assert_eq!(is_of_gateway(&err), of_gateway, "{code:?}");
        }
        let redirect = GatewayError::Redirected { status: 302 };
        assert_eq!(after(&redirect, 1, 0.0), Stop);
        let stalled = GatewayError::Stalled(Duration::from_secs(1));
        assert_eq!(after(&stalled, 2, 1.0), RetryAfter(Duration::from_secs(1)));
    }

    #[test]
    fn the_attempts_for_a_file_take_half_a_minute_at_most() {
        let stalled = GatewayError::Stalled(Duration::from_secs(1));
        let delays: Duration = (1..ATTEMPTS_MAX)
            .map(|attempt| match after(&stalled, attempt, 1.0) {
                AfterFailure::RetryAfter(delay) => delay,
                AfterFailure::GiveUpFile | AfterFailure::Stop => panic!("attempt {attempt}"),
            })
            .sum();
        assert!((Duration::from_secs(15)..Duration::from_secs(40)).contains(&delays), "{delays:?}");
    }
}
