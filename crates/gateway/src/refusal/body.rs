//! Errors of reading a request body, and the refusals that they become.

use std::fmt;
use std::io;
use std::time::Duration;

use s3up_core::Code;

use super::Refusal;
use crate::request::frames::FrameError;

/// The reason why a body could not be read. It travels inside an [`io::Error`].
#[derive(Clone, Debug)]
pub(crate) enum BodyFailure {
    TooSlow {
        bytes_min: u64,
        window: Duration,
    },
    /// The body is not a valid form.
    Form(String),
    /// The connection failed before the body was complete.
    Interrupted(String),
}

impl fmt::Display for BodyFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BodyFailure::TooSlow { bytes_min, window } => {
                let seconds = window.as_secs();
                write!(f, "expected at least {bytes_min} bytes of the body within {seconds} s")
            }
            BodyFailure::Form(what) | BodyFailure::Interrupted(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for BodyFailure {}

impl From<BodyFailure> for io::Error {
    fn from(err: BodyFailure) -> io::Error {
        io::Error::other(err)
    }
}

impl From<FrameError> for Refusal {
    fn from(err: FrameError) -> Refusal {
        match err {
            FrameError::HeaderTooLong { .. } | FrameError::Header(_) => {
                Refusal::new(Code::BadRequest, err)
            }
            FrameError::EndedEarly => Refusal::new(Code::Incomplete, err),
            FrameError::Read(err) => Refusal::from_body(&err),
        }
    }
}

impl Refusal {
    /// Returns the refusal for an error of reading a request body.
    pub(crate) fn from_body(err: &io::Error) -> Refusal {
        match err.get_ref().and_then(|inner| inner.downcast_ref::<BodyFailure>()) {
            Some(slow @ BodyFailure::TooSlow { .. }) => Refusal::new(Code::TooSlow, slow),
            Some(BodyFailure::Form(what)) => {
                Refusal::new(Code::BadRequest, format!("malformed form: {what}"))
            }
            Some(BodyFailure::Interrupted(_)) | None => {
                let what = "the connection failed before the request body was complete; nothing was stored";
                Refusal::new(Code::Incomplete, what).caused_by(err)
            }
        }
    }
}
