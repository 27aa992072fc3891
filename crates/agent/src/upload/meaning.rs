//! What a failed call says about the file: pure, one row per answer.
//!
//! The rule of thumb: what may be about the gateway, the way to it or the
//! configuration is tried on, for ever; only what the gateway itself says about
//! this very file is a problem of the file.

use s3up_core::Code;

use crate::client::{GatewayError, Refusal};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Not what was announced: the file may have changed under way.
    Changed,
    /// The gateway, S3, or something on the way: try again.
    Away,
    /// Trying again soon is pointless; giving up would lose files.
    WrongKey,
    /// Refused for a reason that may pass: try again at the next scan.
    Deferred,
    /// Refused until the file or the configuration changes.
    Refused,
}

pub(super) fn meaning(err: &GatewayError) -> Meaning {
    match err {
        GatewayError::Refused(refusal) => said(refusal),
        GatewayError::Foreign(refusal) => said_by_a_proxy(refusal),
        // A body that ends early breaks the connection.
        GatewayError::Unreachable(_) => Meaning::Changed,
        GatewayError::Redirected { .. } | GatewayError::Stalled | GatewayError::Answer { .. } => {
            Meaning::Away
        }
    }
}

fn said(refusal: &Refusal) -> Meaning {
    match refusal.code {
        Code::Unauthorized => Meaning::WrongKey,
        Code::Incomplete | Code::DigestMismatch | Code::SizeMismatch => Meaning::Changed,
        Code::Quota => Meaning::Deferred,
        Code::BadRequest
        | Code::BadPath
        | Code::Forbidden
        | Code::Exists
        | Code::TooLarge
        | Code::RangeNotSatisfiable => Meaning::Refused,
        // Not about the file: the address is not the gateway's own.
        Code::NotFound | Code::MethodNotAllowed => Meaning::Away,
        Code::TooSlow
        | Code::Superseded
        | Code::RateLimited
        | Code::Internal
        | Code::StoreRefused
        | Code::StoreUnavailable
        | Code::Overloaded => Meaning::Away,
        // Of a newer gateway: its status says whose fault it is.
        Code::Unknown if (400..500).contains(&refusal.status) => Meaning::Refused,
        Code::Unknown => Meaning::Away,
    }
}

/// Only the size can be about the file, and a proxy's limit may be raised
/// without a change of ours.
fn said_by_a_proxy(refusal: &Refusal) -> Meaning {
    match refusal.status {
        401 => Meaning::WrongKey,
        413 => Meaning::Deferred,
        _ => Meaning::Away,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meanings() {
        use Meaning::*;
        #[rustfmt::skip]
        let cases = [
            // status  code                     the gateway's word  a proxy's
            (400,      Code::BadPath,           Refused,            Away),
            (400,      Code::Incomplete,        Changed,            Away),
            (401,      Code::Unauthorized,      WrongKey,           WrongKey),
            (403,      Code::Forbidden,         Refused,            Away),
            (404,      Code::NotFound,          Away,               Away),
            (409,      Code::Exists,            Refused,            Away),
            (409,      Code::Superseded,        Away,               Away),
            (413,      Code::TooLarge,          Refused,            Deferred),
            (418,      Code::Unknown,           Refused,            Away),
            (422,      Code::DigestMismatch,    Changed,            Away),
            (429,      Code::RateLimited,       Away,               Away),
            (500,      Code::Internal,          Away,               Away),
            (502,      Code::StoreRefused,      Away,               Away),
            (503,      Code::Overloaded,        Away,               Away),
            (507,      Code::Quota,             Deferred,           Away),
            (599,      Code::Unknown,           Away,               Away),
        ];
        for (status, code, gateway, proxy) in cases {
            let refusal = Refusal { status, code, detail: String::new(), retry_after: None };
            assert_eq!(meaning(&GatewayError::Refused(refusal.clone())), gateway, "{code:?}");
            assert_eq!(meaning(&GatewayError::Foreign(refusal)), proxy, "a proxy: {status}");
        }
    }

    #[test]
    fn whatever_may_pass_is_never_the_files_fault() {
        for code in [Code::TooSlow, Code::StoreUnavailable, Code::StoreRefused, Code::Internal] {
            assert!(code.is_transient());
            let (status, detail) = (code.status(), String::new());
            let refusal = Refusal { status, code, detail, retry_after: None };
            assert_eq!(meaning(&GatewayError::Refused(refusal)), Meaning::Away, "{code:?}");
        }
    }
}
