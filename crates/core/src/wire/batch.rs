//! `POST /batch`: stores many short files in one request.
//!
//! The body is a sequence of frames, one for each file: the length of the header in four bytes (big
//! endian), the header ([`BatchFile`] in JSON), and the bytes of the file. The response has one line
//! of JSON ([`BatchAnswer`]) for each file, in the order in which they are stored.

use serde::{Deserialize, Serialize};

use super::answers::{Problem, UploadResponse};
use crate::Sha256Digest;

/// Media type of the body.
pub const BATCH_TYPE: &str = "application/octet-stream";
/// Media type of the response.
pub const BATCH_ANSWERS_TYPE: &str = "application/x-ndjson";
/// Maximum number of files in one batch. Their answers may all wait in memory for the client.
pub const BATCH_FILES_MAX: usize = 1000;
/// Maximum length of a file of a batch. A longer one gains nothing there.
pub const BATCH_FILE_BYTES_MAX: u64 = 1 << 20;
/// Maximum length of a header: the longest path, with each byte escaped in JSON.
pub const BATCH_HEADER_BYTES_MAX: usize = 8 << 10;

/// The header of one file of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchFile {
    pub path: String,
    pub size: u64,
    pub sha256: Sha256Digest,
    /// Modification time in nanoseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtime_ns: Option<i64>,
    /// Permission bits in octal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// True if the file had not settled.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hot: bool,
}

/// One line of the response to a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchAnswer {
    /// Number of the file in the batch, from 0. Without it the gateway did not read the rest of the
    /// batch: files without an answer of their own are not stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<usize>,
    #[serde(flatten)]
    pub outcome: BatchOutcome,
    /// Time after which a refused file may be sent again, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum BatchOutcome {
    /// The file is safe in S3.
    Stored(UploadResponse),
    Refused(Problem),
}

impl BatchFile {
    /// Returns the frame of the file up to its bytes.
    pub fn to_frame_head(&self) -> Vec<u8> {
        let mut frame = vec![0; 4];
        serde_json::to_writer(&mut frame, self).expect("a header is JSON");
        let bytes = u32::try_from(frame.len() - 4).expect("a header is short");
        frame[..4].copy_from_slice(&bytes.to_be_bytes());
        frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Code;

    #[test]
    fn a_frame_begins_with_the_length_of_its_header() {
        let file = BatchFile {
            path: "a/b".to_owned(),
            size: 3,
            sha256: Sha256Digest::of(b"abc"),
            mtime_ns: None,
            mode: Some("0644".to_owned()),
            hot: false,
        };

        let frame = file.to_frame_head();

        let (length, header) = frame.split_at(4);
        assert_eq!(length, u32::try_from(header.len()).unwrap().to_be_bytes());
        let text = str::from_utf8(header).unwrap();
        let sha256 = file.sha256;
        let want = format!(r#"{{"path":"a/b","size":3,"sha256":"{sha256}","mode":"0644"}}"#);
        assert_eq!(text, want);
        assert_eq!(serde_json::from_str::<BatchFile>(text).unwrap(), file);
    }

    #[test]
    fn the_longest_path_fits_into_a_header_with_each_of_its_bytes_escaped() {
        let path = "\"".repeat(crate::KEY_BYTES_MAX);
        let sha256 = Sha256Digest::of(b"");
        let (mtime_ns, mode) = (Some(i64::MIN), Some("07777".to_owned()));
        let file = BatchFile { path, size: u64::MAX, sha256, mtime_ns, mode, hot: true };
        assert!(file.to_frame_head().len() < BATCH_HEADER_BYTES_MAX);
    }

    #[test]
    fn an_answer_is_one_flat_object() {
        let code = Code::Exists;
        let problem =
            Problem { status: code.status(), title: "t".to_owned(), detail: "d".to_owned(), code };
        let outcome = BatchOutcome::Refused(problem);
        let answer = BatchAnswer { file: Some(7), outcome, retry_after: None };
        let json = serde_json::to_string(&answer).unwrap();
        let want =
            r#"{"file":7,"refused":{"status":409,"title":"t","detail":"d","code":"exists"}}"#;
        assert_eq!(json, want);
        assert_eq!(serde_json::from_str::<BatchAnswer>(&json).unwrap(), answer);
    }
}
