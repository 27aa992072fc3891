//! Classifies a failed call by what it implies for the file.
//!
//! A failure that may be due to the gateway, to the network or to the
//! configuration is retried forever. Only what the gateway itself says about
//! this file becomes a problem of the file. Pure.

use s3up_core::Code;

use crate::gateway::error::{GatewayError, Refusal};

/// The part that a failure which may pass points to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// The gateway, S3 or the network: no upload would succeed now.
    Gateway,
    /// Perhaps only this file: a proxy may answer a refusal with a status of its own.
    #[default]
    File,
    /// There are too many uploads at a time.
    Concurrency,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FailureClass {
    /// The body was not as announced: the file may have changed meanwhile.
    MayHaveChanged,
    /// The failure may pass: retry.
    Transient(Scope),
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
        GatewayError::Unreachable(cause) if cause.is_connect() => {
            FailureClass::Transient(Scope::Gateway)
        }
        // A file that shrinks ends its body early, which breaks the connection.
        GatewayError::Unreachable(_) => FailureClass::MayHaveChanged,
        GatewayError::Redirected { .. } | GatewayError::Handshake(_) => {
            FailureClass::Transient(Scope::Gateway)
        }
        GatewayError::Stalled(_) | GatewayError::InvalidAnswer { .. } => {
            FailureClass::Transient(Scope::File)
        }
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
        | Code::Archived
        | Code::TooLarge
        | Code::LengthRequired
        | Code::HeadersTooLarge
        | Code::UnsupportedEncoding
        | Code::NotImplemented
        | Code::RangeNotSatisfiable => FailureClass::Refused,
        Code::RateLimited => FailureClass::Transient(Scope::Concurrency),
        // Not about the file: server.url leads elsewhere.
        Code::NotFound | Code::MethodNotAllowed => FailureClass::Transient(Scope::Gateway),
        Code::StoreUnavailable | Code::Overloaded | Code::DatabaseUnavailable | Code::Frozen => {
            FailureClass::Transient(Scope::Gateway)
        }
        Code::TooSlow | Code::Superseded | Code::Internal | Code::StoreRefused => {
            FailureClass::Transient(Scope::File)
        }
        // A code of a newer gateway: the status tells whose fault it is.
        Code::Unknown if (400..500).contains(&refusal.status) => FailureClass::Refused,
        Code::Unknown => FailureClass::Transient(Scope::File),
    }
}

/// Classifies the answer of a proxy. It may replace an answer of the gateway about this file, or
/// say that the gateway is down: only other uploads tell. A size limit is about the file, and may
/// be raised at any time.
fn classify_proxy(refusal: &Refusal) -> FailureClass {
    match refusal.status {
        401 => FailureClass::Unauthorized,
        413 => FailureClass::Deferred,
        429 => FailureClass::Transient(Scope::Concurrency),
        _ => FailureClass::Transient(Scope::File),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_has_its_class() {
        use FailureClass::*;
        let (gateway, file) = (Transient(Scope::Gateway), Transient(Scope::File));
        let concurrency = Transient(Scope::Concurrency);
        #[rustfmt::skip]
        let cases = [
            // status  code                     from the gateway  from a proxy
            (400,      Code::BadPath,           Refused,          file),
            (400,      Code::Incomplete,        MayHaveChanged,   file),
            (401,      Code::Unauthorized,      Unauthorized,     Unauthorized),
            (403,      Code::Forbidden,         Refused,          file),
            (404,      Code::NotFound,          gateway,          file),
            (409,      Code::Exists,            Refused,          file),
            (409,      Code::Superseded,        file,             file),
            (413,      Code::TooLarge,          Refused,          Deferred),
            (418,      Code::Unknown,           Refused,          file),
            (422,      Code::DigestMismatch,    MayHaveChanged,   file),
            (429,      Code::RateLimited,       concurrency,      concurrency),
            (500,      Code::Internal,          file,             file),
            (502,      Code::StoreRefused,      file,             file),
            (503,      Code::Overloaded,        gateway,          file),
            (503,      Code::Frozen,            gateway,          file),
            (507,      Code::Quota,             Deferred,         file),
            (599,      Code::Unknown,           file,             file),
        ];
        for (status, code, from_gateway, from_proxy) in cases {
            let refusal = Refusal { status, code, detail: String::new(), retry_after: None };
            assert_eq!(classify(&GatewayError::Refused(refusal.clone())), from_gateway, "{code:?}");
            let proxy = classify(&GatewayError::NotTheGateway(refusal));
            assert_eq!(proxy, from_proxy, "a proxy: {status}");
        }
    }

    #[test]
    fn a_transient_code_is_never_a_problem_of_the_file() {
        for code in [Code::TooSlow, Code::StoreUnavailable, Code::StoreRefused, Code::Internal] {
            assert!(code.is_transient());
            let (status, detail) = (code.status(), String::new());
            let refusal = Refusal { status, code, detail, retry_after: None };
            let class = classify(&GatewayError::Refused(refusal));
            assert!(matches!(class, FailureClass::Transient(_)), "{code:?}");
        }
    }
}
