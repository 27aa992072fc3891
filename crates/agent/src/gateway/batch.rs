//! `POST /batch`: sends many short files in one request, and reads the answer to each.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::{StreamExt, TryStreamExt, stream};
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE};
use reqwest::{Body, Response};
use s3up_core::wire::{
    BATCH_ANSWERS_TYPE, BATCH_TYPE, BatchAnswer, BatchFile, BatchOutcome, UploadResponse,
};
use s3up_gateway_client::response;

use super::client::GatewayClient;
use super::error::{GatewayError, Refusal};
use super::idle_timer::IdleTimer;
use super::timeouts;

/// Maximum length of an answer. The gateway's have some hundred bytes and a path.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// A file of a batch, with its bytes.
#[derive(Clone, Debug)]
pub struct BatchUpload {
    pub header: BatchFile,
    pub bytes: Bytes,
}

/// The answer to one file of a batch, or to the rest of it.
#[derive(Debug)]
pub struct FileAnswer {
    /// Number of the file in the batch; `None` for all that have no answer of their own.
    pub file: Option<usize>,
    pub outcome: Result<UploadResponse, GatewayError>,
}

/// The answers to a batch, which arrive while it is sent.
#[derive(Debug)]
pub struct BatchAnswers {
    response: Response,
    timer: IdleTimer,
    received: BytesMut,
    lines: VecDeque<Bytes>,
}

impl GatewayClient {
    /// Sends a batch. Returns once the gateway began to answer.
    pub async fn put_batch(&self, files: Vec<BatchUpload>) -> Result<BatchAnswers, GatewayError> {
        let timer = IdleTimer::start();
        let body_timer = timer.clone();
        let frames: Vec<[Bytes; 2]> =
            files.into_iter().map(|it| [it.header.to_frame_head().into(), it.bytes]).collect();
        let length: usize = frames.iter().flatten().map(Bytes::len).sum();
        let pieces = stream::iter(frames.into_iter().flatten().filter(|it| !it.is_empty()));
        let body = self.bandwidth.clone().slow_down(pieces.map(Ok));
        let body = body.inspect_ok(move |_| body_timer.note_progress());
        let request = self
            .http
            .post(format!("{}/batch", self.base))
            .header(CONTENT_TYPE, BATCH_TYPE)
            .header(CONTENT_LENGTH, length)
            .body(Body::wrap_stream(body));
        let response = timer.run(timeouts::UPLOAD_IDLE, request.send()).await?;
        let response = response::check_status(response).await?;
        let found = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if found != Some(BATCH_ANSWERS_TYPE) {
            let what =
                format!("expected answers to a batch ({BATCH_ANSWERS_TYPE}), found {found:?}");
            return Err(GatewayError::InvalidAnswer { what });
        }
        Ok(BatchAnswers { response, timer, received: BytesMut::new(), lines: VecDeque::new() })
    }
}

impl BatchAnswers {
    /// Returns the next answer, or `None` after the last one.
    pub async fn next(&mut self) -> Result<Option<FileAnswer>, GatewayError> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return parse(&line).map(Some);
            }
            let chunk = self.timer.run(timeouts::UPLOAD_IDLE, self.response.chunk()).await?;
            let Some(chunk) = chunk else {
                if self.received.is_empty() {
                    return Ok(None);
                }
                let what = "expected a line of JSON for each file, found a line that is cut";
                return Err(GatewayError::InvalidAnswer { what: what.to_owned() });
            };
            self.timer.note_progress();
            self.received.extend_from_slice(&chunk);
            self.split_lines()?;
        }
    }

    fn split_lines(&mut self) -> Result<(), GatewayError> {
        while let Some(end) = self.received.iter().position(|byte| *byte == b'\n') {
            let line = self.received.split_to(end + 1);
            self.lines.push_back(line.freeze());
        }
        if self.received.len() > LINE_BYTES_MAX {
            let what = format!("expected a line of at most {LINE_BYTES_MAX} bytes, found more");
            return Err(GatewayError::InvalidAnswer { what });
        }
        Ok(())
    }
}

fn parse(line: &[u8]) -> Result<FileAnswer, GatewayError> {
    let answer: BatchAnswer = serde_json::from_slice(line)
        .map_err(|err| GatewayError::InvalidAnswer { what: err.to_string() })?;
    let outcome = match answer.outcome {
        BatchOutcome::Stored(stored) => Ok(stored),
        BatchOutcome::Refused(problem) => Err(GatewayError::Refused(Refusal {
            status: problem.status,
            code: problem.code,
            detail: problem.detail,
            retry_after: answer.retry_after.map(Duration::from_secs),
        })),
    };
    Ok(FileAnswer { file: answer.file, outcome })
}
