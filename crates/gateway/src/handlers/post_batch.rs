//! `POST /batch`: stores many short files in one request.
//!
//! The response begins as soon as the first header was read, and has a line for each file once it is
//! stored or refused. So a request that breaks loses only the files that have no answer yet.

mod files;

use std::convert::Infallible;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use s3up_core::Code;
use s3up_core::wire::{BATCH_ANSWERS_TYPE, BATCH_FILES_MAX, BatchAnswer};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use self::files::FileBatch;
use crate::clients::Right;
use crate::gateway::Gateway;
use crate::openapi::{BatchBody, BatchRefusals};
use crate::refusal::Refusal;
use crate::request::frames::Frames;
use crate::request::{body, headers};

/// Maximum number of answers that are sent in one piece.
const ANSWERS_AT_ONCE: usize = 64;

/// Store many short files in one request
///
/// The body has a frame for each file: the length of its header in four bytes (big endian), its
/// header in JSON (`BatchFile`), and its bytes. The response has one line of JSON for each file, in
/// the order in which they were stored or refused.
#[utoipa::path(
    post, path = "/batch",
    request_body(content = inline(BatchBody), content_type = "application/octet-stream"),
    responses(
        (status = 200, description = "One line for each file: it is safe in S3, or refused", body = BatchAnswer, content_type = "application/x-ndjson"),
        BatchRefusals,
    ),
    security(("client_key" = []))
)]
pub(crate) async fn post_batch(
    State(gateway): State<Gateway>,
    request: Request,
) -> Result<Response, Refusal> {
    let client = gateway.authenticate(request.headers())?;
    client.require(Right::Upload)?;
    headers::check_body(request.version(), request.headers())?;
    let slot = client.upload_slot().await?;
    let mut frames = Frames::new(body::reader(request.into_body()));
    // A body that is no batch is refused as a whole.
    let Some(first) = frames.next_header().await? else {
        let what = "expected a frame for each file, found an empty body";
        return Err(Refusal::new(Code::BadRequest, what));
    };
    let (sender, answers) = mpsc::channel(BATCH_FILES_MAX + 1);
    let batch = FileBatch::new(gateway, client, frames, slot, sender);
    let task = AbortOnDropHandle::new(tokio::spawn(batch.run(first)));
    let mut response = Body::from_stream(lines(answers, task)).into_response();
    let media_type = HeaderValue::from_static(BATCH_ANSWERS_TYPE);
    response.headers_mut().insert(header::CONTENT_TYPE, media_type);
    response.extensions_mut().insert(body::ReadWhileAnswering);
    Ok(response)
}

/// Returns the answers as lines. The batch ends when the response is dropped.
fn lines(
    answers: mpsc::Receiver<BatchAnswer>,
    task: AbortOnDropHandle<()>,
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let answers = stream::unfold((answers, task), |(mut answers, task)| async move {
        let mut ready = Vec::new();
        let count = answers.recv_many(&mut ready, ANSWERS_AT_ONCE).await;
        (count > 0).then_some((ready, (answers, task)))
    });
    answers.map(|ready| {
        let mut lines = Vec::new();
        for answer in ready {
            serde_json::to_writer(&mut lines, &answer).expect("an answer is JSON");
            lines.push(b'\n');
        }
        Ok(lines.into())
    })
}
