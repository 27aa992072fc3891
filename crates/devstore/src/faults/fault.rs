//! The faults that can be injected into a call.

use serde::{Deserialize, Serialize};

use super::operation::Op;

/// A fault. Its JSON form is an object with a `kind`, for example
/// `{"kind": "slow_down", "retry_after_seconds": 7}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// Answers 500 without doing the work.
    InternalError,
    /// Answers 403 `AccessDenied` without doing the work.
    AccessDenied,
    /// Answers 503 `SlowDown` without doing the work.
    SlowDown { retry_after_seconds: Option<u64> },
    /// Neither does the work nor answers, until the client or the test gives up.
    Stall,
    /// Breaks the connection without doing the work, once more than `after_bytes`
    /// bytes of the request's body have arrived (including chunk signatures). For
    /// calls that carry an object or a part.
    CutUpload { after_bytes: u64 },
    /// Breaks the connection once exactly `after_bytes` bytes of the answer's
    /// body were sent.
    CutBody { after_bytes: u64 },
    /// Inverts one byte of the answer's body.
    FlipByte { offset: u64 },
    /// Does the work, then breaks the connection instead of answering.
    LoseAnswer,
    /// Does the work, then answers 500.
    LateInternalError,
    /// Answers 200 with an error in the body, without doing the work. S3 may do
    /// so if the work takes long (CompleteMultipartUpload, CopyObject).
    #[serde(rename = "error_in_200")]
    ErrorIn200,
    /// Does the work, then answers like [`Fault::ErrorIn200`].
    #[serde(rename = "late_error_in_200")]
    LateErrorIn200,
}

/// A fault and the call that it is injected into, counted from the start of the
/// server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InjectedFault {
    pub op: Op,
    pub call: u64,
    pub fault: Fault,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_have_their_documented_json_form() {
        #[rustfmt::skip]
        let cases = [
            (Fault::InternalError,                               r#"{"kind":"internal_error"}"#),
            (Fault::AccessDenied,                                r#"{"kind":"access_denied"}"#),
            (Fault::SlowDown { retry_after_seconds: Some(7) },   r#"{"kind":"slow_down","retry_after_seconds":7}"#),
            (Fault::Stall,                                       r#"{"kind":"stall"}"#),
            (Fault::CutUpload { after_bytes: 9 },                r#"{"kind":"cut_upload","after_bytes":9}"#),
            (Fault::CutBody { after_bytes: 9 },                  r#"{"kind":"cut_body","after_bytes":9}"#),
            (Fault::FlipByte { offset: 9 },                      r#"{"kind":"flip_byte","offset":9}"#),
            (Fault::LoseAnswer,                                  r#"{"kind":"lose_answer"}"#),
            (Fault::LateInternalError,                           r#"{"kind":"late_internal_error"}"#),
            (Fault::ErrorIn200,                                  r#"{"kind":"error_in_200"}"#),
            (Fault::LateErrorIn200,                              r#"{"kind":"late_error_in_200"}"#),
        ];
        for (fault, text) in cases {
            assert_eq!(serde_json::to_string(&fault).unwrap(), text);
            assert_eq!(serde_json::from_str::<Fault>(text).unwrap(), fault);
        }
        let misspelt = r#"{"kind":"slow_down","retry_after":7}"#;
        assert!(serde_json::from_str::<Fault>(misspelt).is_err());
    }
}
