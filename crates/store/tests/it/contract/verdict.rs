//! The verdict on a behaviour: the server holds it, or does something else.
//!
//! The other behaviour is described in the same words each time, because it is
//! compared with the list of differences: statuses and codes, no IDs and no
//! messages of the server.

use std::fmt::Debug;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStreamError;

pub type Verdict = Result<Held, Differs>;

#[derive(Debug)]
pub struct Held;

/// The behaviour of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Differs(pub String);

impl<E: ProvideErrorMetadata> From<SdkError<E, HttpResponse>> for Differs {
    fn from(err: SdkError<E, HttpResponse>) -> Differs {
        Differs(refusal(&err))
    }
}

impl From<ByteStreamError> for Differs {
    fn from(_: ByteStreamError) -> Differs {
        Differs("a truncated body".to_owned())
    }
}

/// Checks that `condition` is true.
pub fn holds(condition: bool, instead: impl Into<String>) -> Result<(), Differs> {
    if condition { Ok(()) } else { Err(Differs(instead.into())) }
}

/// Checks that `found` is what was wanted.
pub fn is<T: PartialEq + Debug>(what: &str, found: T, wanted: T) -> Result<(), Differs> {
    if found == wanted { Ok(()) } else { Err(Differs(format!("{what}: {}", in_words(&found)))) }
}

/// Describes a value as a reader of the document expects it.
fn in_words(found: &impl Debug) -> String {
    let text = format!("{found:?}");
    let inner = text.strip_prefix("Some(").and_then(|text| text.strip_suffix(')'));
    inner.unwrap_or(&text).replace("None", "none")
}

/// Checks that there is something.
pub fn some<T>(what: &str, found: Option<T>) -> Result<T, Differs> {
    found.ok_or_else(|| Differs(format!("no {what}")))
}

/// Checks that the call was refused with one of these statuses or codes.
pub fn refused<T, E: ProvideErrorMetadata>(
    answer: Result<T, SdkError<E, HttpResponse>>,
    wanted: &[&str],
) -> Result<(), Differs> {
    let Err(err) = answer else { return Err(Differs("accepted".to_owned())) };
    let status = status(&err).unwrap_or_default().to_string();
    let is_wanted = wanted.iter().any(|want| err.code() == Some(want) || *want == status);
    holds(is_wanted, refusal(&err))
}

pub fn status<E>(err: &SdkError<E, HttpResponse>) -> Option<u16> {
    Some(err.raw_response()?.status().as_u16())
}

/// Describes a refusal by status and code.
fn refusal<E: ProvideErrorMetadata>(err: &SdkError<E, HttpResponse>) -> String {
    match (status(err), err.code()) {
        (None, _) => "no answer".to_owned(),
        (Some(200..300), None) => "an unreadable answer".to_owned(),
        (Some(status), None) => format!("refused: {status}"),
        (Some(status), Some(code)) => format!("refused: {status} {code}"),
    }
}
