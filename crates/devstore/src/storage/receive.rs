//! Receives a body into a temporary file, and computes its length and digests.
//!
//! The body is collected into batches. While one batch is hashed and written on
//! the blocking pool, the next is collected, so a body of any length takes the
//! memory of two batches. If the body breaks off or the client disconnects, the
//! temporary file is dropped and thereby removed.

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

use crate::behaviours::Checksums;
use crate::model::digest::{Algorithm, Checksum, Digests, Hasher};

/// Bytes per task on the blocking pool.
const BATCH_BYTES: usize = 512 * 1024;

pub(crate) struct Received {
    pub(crate) file: NamedTempFile,
    pub(crate) len: u64,
    pub(crate) digests: Digests,
    /// True if answers contain the checksum.
    pub(crate) tells_checksum: bool,
}

impl Received {
    /// Sets the checksum in the answers of a server that verifies no checksums: the one
    /// that the client claimed, or none.
    pub(crate) fn repeat(&mut self, claimed: Option<(Algorithm, String)>, checksums: Checksums) {
        self.tells_checksum = false;
        if let (Some((algorithm, value)), Checksums::Repeated) = (claimed, checksums) {
            let kind = self.digests.checksum.kind;
            self.digests.checksum = Checksum { algorithm, kind, value };
            self.tells_checksum = true;
        }
    }
}

struct PartialBody {
    file: NamedTempFile,
    hasher: Hasher,
    len: u64,
}

pub(crate) async fn receive(
    file: NamedTempFile,
    body: Option<StreamingBlob>,
    algorithm: Algorithm,
) -> S3Result<Received> {
    let partial = PartialBody { file, hasher: Hasher::new(algorithm), len: 0 };
    let mut writing = write(partial, Vec::new());
    let (mut batch, mut batch_bytes) = (Vec::new(), 0);
    if let Some(mut body) = body {
        while let Some(chunk) = body.next().await {
            let chunk = match chunk {
                Ok(chunk) => chunk,
                Err(error) => {
                    // Remove the file before the client gets the error.
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
    let partial = written(write(written(writing).await?, batch)).await?;
    Ok(Received {
        file: partial.file,
        len: partial.len,
        digests: partial.hasher.finish(),
        tells_checksum: true,
    })
}

fn write(mut partial: PartialBody, batch: Vec<Bytes>) -> JoinHandle<io::Result<PartialBody>> {
    tokio::task::spawn_blocking(move || {
        for chunk in batch {
            partial.len += chunk.len() as u64;
            partial.hasher.update(&chunk);
            partial.file.write_all(&chunk)?;
        }
        Ok(partial)
    })
}

async fn written(writing: JoinHandle<io::Result<PartialBody>>) -> S3Result<PartialBody> {
    let partial = writing.await.map_err(S3Error::internal_error)?;
    let partial = partial.map_err(S3Error::internal_error)?;
    if partial.len > PART_BYTES_MAX {
        let message = "Your proposed upload exceeds the maximum allowed object size.";
        return Err(S3Error::with_message(S3ErrorCode::EntityTooLarge, message));
    }
    Ok(partial)
}

/// Returns the refusal for a body that could not be read. `s3s` verifies signed
/// bodies while they are read. Its error types are private, so this depends on
/// their text.
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
