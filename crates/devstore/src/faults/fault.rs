//! What can go wrong with a call.

use serde::{Deserialize, Serialize};

use super::Op;

/// What goes wrong. As JSON it is an object with a `kind`, for example
/// `{"kind": "slow_down", "retry_after_seconds": 7}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// Answers 500 and does nothing.
    InternalError,
    /// Answers 403 `AccessDenied` and does nothing.
    AccessDenied,
    /// Answers 503 `SlowDown` and does nothing.
    SlowDown { retry_after_seconds: Option<u64> },
    /// Never answers, and does nothing, until the client or the test gives up.
    Stall,
    /// Breaks the connection once more than so many bytes of the request's body
    /// have come, chunk signatures and all; does nothing. It is for the calls
    /// that carry an object or a part.
    CutUpload { after_bytes: u64 },
    /// Breaks the connection once exactly so many bytes of the answer's body
    /// are sent.
    CutBody { after_bytes: u64 },
    /// Inverts one byte of the answer's body.
    FlipByte { offset: u64 },
    /// Does the work, then breaks the connection instead of answering.
    LoseAnswer,
    /// Does the work, then answers 500.
    LateInternalError,
    /// Answers 200 and then, in the body, that it failed, as S3 may do where the
    /// work takes long (CompleteMultipartUpload, CopyObject); does nothing.
    #[serde(rename = "error_in_200")]
    ErrorIn200,
    /// The same, but does the work.
    #[serde(rename = "late_error_in_200")]
    LateErrorIn200,
}

/// A fault, and the call that it waits for, counted from the start of the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Injected {
    pub op: Op,
    pub call: u64,
    pub fault: Fault,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_faults_are_written() {
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
