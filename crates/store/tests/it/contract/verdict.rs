//! What came of asking a server: it did what we rely on, or something else.
//!
//! What it did instead is told in words that are the same each time, since they
//! are compared with the list of differences: statuses and codes, no ids and no
//! sentences of the server.

use std::fmt::Debug;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStreamError;

pub type Verdict = Result<Held, Differs>;

#[derive(Debug)]
pub struct Held;

/// What the server did instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Differs(pub String);

impl<E: ProvideErrorMetadata> From<SdkError<E, HttpResponse>> for Differs {
    fn from(err: SdkError<E, HttpResponse>) -> Differs {
        Differs(refusal(&err))
    }
}

impl From<ByteStreamError> for Differs {
    fn from(_: ByteStreamError) -> Differs {
        Differs("a body that breaks off".to_owned())
    }
}

/// Goes on where `condition` is true.
pub fn holds(condition: bool, instead: impl Into<String>) -> Result<(), Differs> {
    if condition { Ok(()) } else { Err(Differs(instead.into())) }
}

/// Goes on where `found` is what was wanted.
pub fn is<T: PartialEq + Debug>(what: &str, found: T, wanted: T) -> Result<(), Differs> {
    if found == wanted { Ok(()) } else { Err(Differs(format!("{what}: {found:?}"))) }
}

/// Goes on where there is something.
pub fn some<T>(what: &str, found: Option<T>) -> Result<T, Differs> {
    found.ok_or_else(|| Differs(format!("no {what}")))
}

/// Goes on where the call was refused with one of these statuses or codes.
pub fn refused<T, E: ProvideErrorMetadata>(
    answer: Result<T, SdkError<E, HttpResponse>>,
    wanted: &[&str],
) -> Result<(), Differs> {
    let Err(err) = answer else { return Err(Differs("taken".to_owned())) };
    let status = status(&err).unwrap_or_default().to_string();
    let is_wanted = wanted.iter().any(|want| err.code() == Some(want) || *want == status);
    holds(is_wanted, refusal(&err))
}

pub fn status<E>(err: &SdkError<E, HttpResponse>) -> Option<u16> {
    Some(err.raw_response()?.status().as_u16())
}

/// Status and code of a refusal.
fn refusal<E: ProvideErrorMetadata>(err: &SdkError<E, HttpResponse>) -> String {
    match (status(err), err.code()) {
        (None, _) => "no answer".to_owned(),
        (Some(200..300), None) => "an answer that cannot be read".to_owned(),
        (Some(status), None) => format!("refused: {status}"),
        (Some(status), Some(code)) => format!("refused: {status} {code}"),
    }
}
