//! Refusals of servers that lack a feature of S3.

use http::StatusCode;
use s3s::{S3Error, S3ErrorCode};

/// Returns a refusal with this status. Its code is the one that goes with the
/// status; 400 comes from a server that answers so to a method that it does not know.
pub(crate) fn refusal(status: StatusCode) -> S3Error {
    let mut refusal = S3Error::new(match status {
        StatusCode::NOT_IMPLEMENTED => S3ErrorCode::NotImplemented,
        StatusCode::INTERNAL_SERVER_ERROR => S3ErrorCode::InternalError,
        StatusCode::PRECONDITION_FAILED => S3ErrorCode::PreconditionFailed,
        StatusCode::NOT_FOUND => S3ErrorCode::NoSuchKey,
        _ => S3ErrorCode::MethodNotAllowed,
    });
    refusal.set_status_code(status);
    refusal
}
