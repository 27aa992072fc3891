//! Takes in a body: a temporary file, its length, its digests.
//!
//! The body is gathered into batches; while one batch is hashed and written on
//! the blocking pool, the next is gathered, so a body of any length costs two
//! batches of memory. A body that breaks off, or a client that goes away,
//! drops the temporary file, which removes it.

use std::io::{self, Write};
use std::mem;

use bytes::Bytes;
use futures::StreamExt;
use http::StatusCode;
use s3s::dto::StreamingBlob;
use s3s::{S3Error, S3ErrorCode, S3Result, StdError};
use s3up_core::part::PART_BYTES_MAX;
use tempfile::NamedTempFile;
use tokio::task::JoinHandle;

use crate::digest::{Algorithm, Digests, Hasher};

/// One hop to the blocking pool per so many bytes.
const BATCH_BYTES: usize = 512 * 1024;

pub(crate) struct Received {
    pub(crate) file: NamedTempFile,
    pub(crate) len: u64,
    pub(crate) digests: Digests,
}

struct Sink {
    file: NamedTempFile,
    hasher: Hasher,
    len: u64,
}

pub(crate) async fn receive(
    file: NamedTempFile,
    body: Option<StreamingBlob>,
    algorithm: Algorithm,
) -> S3Result<Received> {
    let sink = Sink { file, hasher: Hasher::new(algorithm), len: 0 };
    let mut writing = write(sink, Vec::new());
    let (mut batch, mut batch_bytes) = (Vec::new(), 0);
    if let Some(mut body) = body {
        while let Some(chunk) = body.next().await {
            let chunk = match chunk {
                Ok(chunk) => chunk,
                Err(error) => {
                    // The file is gone before the client hears of it.
                    drop(writing.await);
                    return Err(broken_body(error));
                }
            };
            batch_bytes += chunk.len();
            batch.push(chunk);
            if batch_bytes >= BATCH_BYTES {
                writing = write(written(writing).await?, mem::take(&mut batch));
                batch_bytes = 0;
            }
        }
    }
    let sink = written(write(written(writing).await?, batch)).await?;
    Ok(Received { file: sink.file, len: sink.len, digests: sink.hasher.finish() })
}

fn write(mut sink: Sink, batch: Vec<Bytes>) -> JoinHandle<io::Result<Sink>> {
    tokio::task::spawn_blocking(move || {
        for chunk in batch {
            sink.len += chunk.len() as u64;
            sink.hasher.update(&chunk);
            sink.file.write_all(&chunk)?;
        }
        Ok(sink)
    })
}

async fn written(writing: JoinHandle<io::Result<Sink>>) -> S3Result<Sink> {
    let sink = writing.await.map_err(S3Error::internal_error)?;
    let sink = sink.map_err(S3Error::internal_error)?;
    if sink.len > PART_BYTES_MAX {
        let message = "Your proposed upload exceeds the maximum allowed object size.";
        return Err(S3Error::with_message(S3ErrorCode::EntityTooLarge, message));
    }
    Ok(sink)
}

/// Why a body could not be read to its end. `s3s` checks signed bodies while
/// they are read and keeps its error types to itself, so their text decides.
fn broken_body(error: StdError) -> S3Error {
    let text = error.to_string();
    let code = if text.contains("Sha256Mismatch") {
        S3ErrorCode::Custom("XAmzContentSHA256Mismatch".into())
    } else if text.contains("SignatureMismatch") {
        S3ErrorCode::SignatureDoesNotMatch
    } else {
        S3ErrorCode::IncompleteBody
    };
    let mut refusal = S3Error::with_source(code, error);
    refusal.set_message(text);
    refusal.set_status_code(StatusCode::BAD_REQUEST);
    refusal
}
