//! Why the gateway refuses a request: stable codes that a client branches on.
//!
//! A code never changes its meaning or its status; the sentence beside it may.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The `code` of a problem document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The request is not what the call takes: a missing field, a bad number.
    BadRequest,
    /// The remote path breaks a rule of the grammar.
    BadPath,
    /// The body ended before its announced length.
    Incomplete,
    Unauthorized,
    /// The key is good, but not for this.
    Forbidden,
    NotFound,
    MethodNotAllowed,
    /// The body came too slowly.
    TooSlow,
    /// This client may not overwrite a file.
    Exists,
    /// A newer upload of the same path took the place of this one.
    Superseded,
    TooLarge,
    RangeNotSatisfiable,
    DigestMismatch,
    SizeMismatch,
    RateLimited,
    Internal,
    /// S3 refused: credentials, bucket or policy are wrong on the gateway.
    StoreRefused,
    /// S3 is busy or out of reach.
    StoreUnavailable,
    /// The gateway has no buffer or no place left.
    Overloaded,
    Quota,
    /// A code that this version does not know.
    #[serde(other)]
    Unknown,
}

impl Code {
    /// The HTTP status that always goes with this code.
    pub fn status(self) -> u16 {
        match self {
            Code::BadRequest | Code::BadPath | Code::Incomplete => 400,
            Code::Unauthorized => 401,
            Code::Forbidden => 403,
            Code::NotFound => 404,
            Code::MethodNotAllowed => 405,
            Code::TooSlow => 408,
            Code::Exists | Code::Superseded => 409,
            Code::TooLarge => 413,
            Code::RangeNotSatisfiable => 416,
            Code::DigestMismatch | Code::SizeMismatch => 422,
            Code::RateLimited => 429,
            Code::Internal | Code::Unknown => 500,
            Code::StoreRefused => 502,
            Code::StoreUnavailable | Code::Overloaded => 503,
            Code::Quota => 507,
        }
    }

    /// The `title` of a problem document: the same for every use of the code.
    pub fn title(self) -> &'static str {
        match self {
            Code::BadRequest => "the request is not understood",
            Code::BadPath => "the path breaks a rule",
            Code::Incomplete => "the body is incomplete",
            Code::Unauthorized => "no valid API key",
            Code::Forbidden => "not allowed",
            Code::NotFound => "no such file",
            Code::MethodNotAllowed => "this address does not take that method",
            Code::TooSlow => "the body came too slowly",
            Code::Exists => "the file may not be overwritten",
            Code::Superseded => "a newer upload took its place",
            Code::TooLarge => "the file is too large",
            Code::RangeNotSatisfiable => "the range lies outside the file",
            Code::DigestMismatch => "the content does not match its SHA-256",
            Code::SizeMismatch => "the content does not match its size",
            Code::RateLimited => "too many requests",
            Code::Internal => "the gateway failed",
            Code::StoreRefused => "the store refused",
            Code::StoreUnavailable => "the store is unavailable",
            Code::Overloaded => "the gateway is overloaded",
            Code::Quota => "the quota is used up",
            Code::Unknown => "unknown",
        }
    }

    /// True where the same request may succeed later, unchanged.
    pub fn is_transient(self) -> bool {
        matches!(self.status(), 401 | 408 | 429 | 500..=503) || self == Code::Superseded
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.title())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_of_a_newer_gateway_is_unknown_and_not_an_error() {
        let code: Code = serde_json::from_str("\"from_the_future\"").unwrap();
        assert_eq!(code, Code::Unknown);
    }

    #[test]
    fn codes_are_written_in_snake_case() {
        let json = serde_json::to_string(&Code::DigestMismatch).unwrap();
        assert_eq!(json, "\"digest_mismatch\"");
    }

    #[test]
    fn what_a_retry_can_mend_is_transient() {
        #[rustfmt::skip]
        let cases = [
            (Code::BadPath, false), (Code::TooLarge, false), (Code::Forbidden, false),
            (Code::Exists, false), (Code::DigestMismatch, false), (Code::Quota, false),
            (Code::Overloaded, true), (Code::StoreUnavailable, true), (Code::StoreRefused, true),
            (Code::RateLimited, true), (Code::Superseded, true), (Code::Unauthorized, true),
            (Code::TooSlow, true), (Code::Internal, true),
        ];
        for (code, want) in cases {
            assert_eq!(code.is_transient(), want, "{code:?}");
        }
    }
}
