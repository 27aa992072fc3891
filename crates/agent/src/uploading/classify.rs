//! Classifies a failed call by what it implies for the file.
//!
//! A failure that may be due to the gateway, to the network or to the
//! configuration is retried forever. Only what the gateway itself says about
//! this file becomes a problem of the file. Pure.

use s3up_core::Code;

use crate::gateway::error::{GatewayError, Refusal};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FailureClass {
    /// The body was not as announced: the file may have changed meanwhile.
    MayHaveChanged,
    /// The gateway, S3 or the network failed: retry.
    Transient,
    /// The gateway does not know the key: retry slowly, because a quick retry is
    /// pointless and giving up would lose files.
    Unauthorized,
    /// Refused for a reason that may pass: retry at the next scan.
    Deferred,
    /// Refused until the file or the configuration changes.
    Refused,
}

pub(super) fn classify(err: &GatewayError) -> FailureClass {
    match err {
        GatewayError::Refused(refusal) => classify_gateway(refusal),
        GatewayError::NotTheGateway(refusal) => classify_proxy(refusal),
        // A file that shrinks ends its body early, which breaks the connection.
        GatewayError::Unreachable(_) => FailureClass::MayHaveChanged,
        GatewayError::Redirected { .. }
        | GatewayError::Stalled
        | GatewayError::InvalidAnswer { .. } => FailureClass::Transient,
    }
}

fn classify_gateway(refusal: &Refusal) -> FailureClass {
    match refusal.code {
        Code::Unauthorized => FailureClass::Unauthorized,
        Code::Incomplete | Code::DigestMismatch | Code::SizeMismatch => {
            FailureClass::MayHaveChanged
        }
        Code::Quota => FailureClass::Deferred,
        Code::BadRequest
        | Code::BadPath
        | Code::Forbidden
        | Code::Exists
        | Code::TooLarge
        | Code::LengthRequired
        | Code::UnsupportedEncoding
        | Code::NotImplemented
        | Code::RangeNotSatisfiable => FailureClass::Refused,
        // Not about the file: server.url leads elsewhere.
        Code::NotFound | Code::MethodNotAllowed => FailureClass::Transient,
        Code::TooSlow
        | Code::Superseded
        | Code::RateLimited
        | Code::Internal
        | Code::StoreRefused
        | Code::StoreUnavailable
        | Code::Overloaded
        | Code::DatabaseUnavailable => FailureClass::Transient,
        // A code of a newer gateway: the status says on which side the fault is.
        Code::Unknown if (400..500).contains(&refusal.status) => FailureClass::Refused,
        Code::Unknown => FailureClass::Transient,
    }
}

/// Classifies the answer of a proxy. Only a size limit can be about the file, and
/// that limit may be raised at any time.
fn classify_proxy(refusal: &Refusal) -> FailureClass {
    match refusal.status {
        401 => FailureClass::Unauthorized,
        413 => FailureClass::Deferred,
        _ => FailureClass::Transient,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_has_its_class() {
        use FailureClass::*;
        #[rustfmt::skip]
        let cases = [
            // status  code                     from the gateway    from a proxy
            (400,      Code::BadPath,           Refused,            Transient),
            (400,      Code::Incomplete,        MayHaveChanged,            Transient),
            (401,      Code::Unauthorized,      Unauthorized,           Unauthorized),
            (403,      Code::Forbidden,         Refused,            Transient),
            (404,      Code::NotFound,          Transient,               Transient),
            (409,      Code::Exists,            Refused,            Transient),
            (409,      Code::Superseded,        Transient,               Transient),
            (413,      Code::TooLarge,          Refused,            Deferred),
            (418,      Code::Unknown,           Refused,            Transient),
            (422,      Code::DigestMismatch,    MayHaveChanged,            Transient),
            (429,      Code::RateLimited,       Transient,               Transient),
            (500,      Code::Internal,          Transient,               Transient),
            (502,      Code::StoreRefused,      Transient,               Transient),
            (503,      Code::Overloaded,        Transient,               Transient),
            (507,      Code::Quota,             Deferred,           Transient),
            (599,      Code::Unknown,           Transient,               Transient),
        ];
        for (status, code, gateway, proxy) in cases {
            let refusal = Refusal { status, code, detail: String::new(), retry_after: None };
            assert_eq!(classify(&GatewayError::Refused(refusal.clone())), gateway, "{code:?}");
            assert_eq!(classify(&GatewayError::NotTheGateway(refusal)), proxy, "a proxy: {status}");
        }
    }

    #[test]
    fn a_transient_code_is_never_a_problem_of_the_file() {
        for code in [Code::TooSlow, Code::StoreUnavailable, Code::StoreRefused, Code::Internal] {
            assert!(code.is_transient());
            let (status, detail) = (code.status(), String::new());
            let refusal = Refusal { status, code, detail, retry_after: None };
            assert_eq!(
                classify(&GatewayError::Refused(refusal)),
                FailureClass::Transient,
                "{code:?}"
            );
        }
    }
}
