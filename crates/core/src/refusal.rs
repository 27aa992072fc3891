//! The codes of refusals, on which clients branch.
//!
//! A code never changes its meaning or its HTTP status. Its title may change.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The `code` of a problem document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The request has a missing field, an unknown one or a malformed value.
    BadRequest,
    /// The remote path breaks a rule ([`crate::PathRule`]).
    BadPath,
    /// The body ended before its announced length, or its connection broke.
    Incomplete,
    Unauthorized,
    /// The client key is valid but does not have the right to make this call.
    Forbidden,
    NotFound,
    MethodNotAllowed,
    /// The request does not say how long its body is, and HTTP/1.0 has no other end.
    LengthRequired,
    /// The URL and the headers are longer than the gateway reads.
    HeadersTooLarge,
    /// The body arrived below the minimum rate.
    TooSlow,
    /// The path is taken, and this client may not overwrite files.
    Exists,
    /// A newer upload of the same path cancelled this one.
    Superseded,
    /// The file is archived in S3 and has to be thawed before it can be downloaded.
    Archived,
    TooLarge,
    /// The body is compressed or encoded, and the gateway would lose how.
    UnsupportedEncoding,
    RangeNotSatisfiable,
    DigestMismatch,
    /// Reserved for a call that announces a size; no gateway sends it yet.
    SizeMismatch,
    RateLimited,
    Internal,
    /// The request uses a transfer coding that the gateway does not know.
    NotImplemented,
    /// S3 refused the gateway: its credentials, bucket or policy are wrong.
    StoreRefused,
    /// S3 is busy or unreachable.
    StoreUnavailable,
    /// The gateway has no free buffer or no space for a temporary file.
    Overloaded,
    /// The database of the gateway does not take what has to be recorded.
    DatabaseUnavailable,
    /// The file would exceed the quota of the client.
    Quota,
    /// An operator of the gateway stopped the uploads of the client for a while.
    Frozen,
    /// A code of a newer gateway, unknown to this version.
    #[serde(other)]
    Unknown,
}

impl Code {
    /// Returns the HTTP status of this code; it never changes.
    pub fn status(self) -> u16 {
        match self {
            Code::BadRequest | Code::BadPath | Code::Incomplete => 400,
            Code::Unauthorized => 401,
            Code::Forbidden => 403,
            Code::NotFound => 404,
            Code::MethodNotAllowed => 405,
            Code::TooSlow => 408,
            Code::Exists | Code::Superseded | Code::Archived => 409,
            Code::LengthRequired => 411,
            Code::TooLarge => 413,
            Code::UnsupportedEncoding => 415,
            Code::RangeNotSatisfiable => 416,
            Code::DigestMismatch | Code::SizeMismatch => 422,
            Code::RateLimited => 429,
            Code::HeadersTooLarge => 431,
            Code::Internal | Code::Unknown => 500,
            Code::NotImplemented => 501,
            Code::StoreRefused => 502,
            Code::StoreUnavailable
            | Code::Overloaded
            | Code::DatabaseUnavailable
            | Code::Frozen => 503,
            Code::Quota => 507,
        }
    }

    /// Returns the `title` of the problem document, the same for every refusal
    /// with this code.
    pub fn title(self) -> &'static str {
        match self {
            Code::BadRequest => "malformed request",
            Code::BadPath => "invalid path",
            Code::Incomplete => "incomplete request body",
            Code::Unauthorized => "missing or unknown client key",
            Code::Forbidden => "not allowed",
            Code::NotFound => "not found",
            Code::MethodNotAllowed => "method not allowed",
            Code::LengthRequired => "length of the request body required",
            Code::HeadersTooLarge => "the URL and the headers of the request are too long",
            Code::TooSlow => "request body sent too slowly",
            Code::Exists => "the file exists and may not be overwritten",
            Code::Superseded => "superseded by a newer upload of the same path",
            Code::Archived => "archived in S3",
            Code::TooLarge => "the content is too large",
            Code::UnsupportedEncoding => "unsupported encoding of the content",
            Code::RangeNotSatisfiable => "range outside the file",
            Code::DigestMismatch => "the content does not match its SHA-256",
            Code::SizeMismatch => "the content does not match its size",
            Code::RateLimited => "too many requests",
            Code::Internal => "internal error of the gateway",
            Code::NotImplemented => "unsupported transfer coding",
            Code::StoreRefused => "S3 refused a request of the gateway",
            Code::StoreUnavailable => "S3 is unavailable",
            Code::Overloaded => "the gateway is overloaded",
            Code::DatabaseUnavailable => "the gateway's database is unavailable",
            Code::Quota => "quota exceeded",
            Code::Frozen => "uploads of this client are frozen",
            Code::Unknown => "unknown error code",
        }
    }

    /// Returns true if the same request may succeed later.
    pub fn is_transient(self) -> bool {
        matches!(self.status(), 401 | 408 | 429 | 500 | 502 | 503) || self == Code::Superseded
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
    fn a_code_of_a_newer_gateway_is_read_as_unknown() {
        let code: Code = serde_json::from_str("\"from_the_future\"").unwrap();
        assert_eq!(code, Code::Unknown);
    }

    #[test]
    fn codes_are_written_in_snake_case() {
        let json = serde_json::to_string(&Code::DigestMismatch).unwrap();
        assert_eq!(json, "\"digest_mismatch\"");
    }

    #[test]
    fn only_refusals_that_a_retry_can_resolve_are_transient() {
        #[rustfmt::skip]
        let cases = [
            (Code::BadPath, false), (Code::TooLarge, false), (Code::Forbidden, false),
            (Code::Exists, false), (Code::Archived, false), (Code::DigestMismatch, false), (Code::Quota, false),
            (Code::LengthRequired, false), (Code::UnsupportedEncoding, false), (Code::NotImplemented, false),
            (Code::Overloaded, true), (Code::StoreUnavailable, true), (Code::StoreRefused, true),
            (Code::RateLimited, true), (Code::Superseded, true), (Code::Unauthorized, true),
            (Code::TooSlow, true), (Code::Internal, true), (Code::DatabaseUnavailable, true),
            (Code::Frozen, true),
        ];
        for (code, want) in cases {
            assert_eq!(code.is_transient(), want, "{code:?}");
        }
    }
}
