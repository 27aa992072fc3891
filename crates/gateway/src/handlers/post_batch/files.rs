//! Stores the files of one batch. Each of them is judged, stored and answered by itself, with the
//! checks of an upload of its own.
//!
//! One task reads the body, and each file is stored by a task of its own while the next one is read.
//! A file waits in a buffer of the pool, so memory is limited by the buffer budget and by the share of
//! the client. The answers wait in a channel that has room for all of them, so a client may send
//! everything before it reads.

use std::collections::HashSet;
use std::sync::Arc;

use axum::http::Method;
use bytes::Bytes;
use s3up_core::wire::{
    BATCH_FILE_BYTES_MAX, BATCH_FILES_MAX, BatchAnswer, BatchFile, BatchOutcome, UploadResponse,
};
use s3up_core::{Code, Key, RemotePath, Size};
use s3up_store::Buffer;
use tokio::io::AsyncRead;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::buffer_wait::BUFFER_WAIT;
use crate::clients::{Client, Slot};
use crate::gateway::Gateway;
use crate::refusal::{Refusal, RefusedRequest};
use crate::request::frames::{FrameError, Frames};
use crate::uploads::Uploads;
use crate::uploads::admission::AnnouncedLength;
use crate::uploads::metadata::{FileMetadata, content_type, parse_mode};
use crate::uploads::stage::{IncomingFile, StageResult};

/// Maximum number of files of one batch that are sent to S3 at the same time. The whole batch counts
/// as one of the concurrent uploads of its client, because its files are short.
const FILES_IN_FLIGHT: usize = 8;

pub(super) struct FileBatch<R> {
    gateway: Gateway,
    client: Arc<Client>,
    frames: Frames<R>,
    slot: Slot,
    answers: Answers,
    /// Aborted when the batch is dropped. A file that is being made visible is not interrupted.
    storing: JoinSet<Key>,
    /// The keys of the files that are being stored.
    keys: HashSet<Key>,
}

#[derive(Clone)]
struct Answers {
    client: Arc<Client>,
    lines: mpsc::Sender<BatchAnswer>,
}

/// The end of a batch before its last frame.
struct Ended;

impl<R: AsyncRead + Unpin> FileBatch<R> {
    /// `lines` has room for an answer to each file and one more.
    pub(super) fn new(
        gateway: Gateway,
        client: Arc<Client>,
        frames: Frames<R>,
        slot: Slot,
        lines: mpsc::Sender<BatchAnswer>,
    ) -> FileBatch<R> {
        let answers = Answers { client: client.clone(), lines };
        FileBatch {
            gateway,
            client,
            frames,
            slot,
            answers,
            storing: JoinSet::new(),
            keys: HashSet::new(),
        }
    }

    /// Stores the files to the last one, of which the first header was read.
    pub(super) async fn run(mut self, first: BatchFile) {
        let mut header = Some(first);
        let mut number = 0;
        while let Some(file) = header {
            if number == BATCH_FILES_MAX {
                let what = format!("expected at most {BATCH_FILES_MAX} files, found more");
                self.answers.refuse(None, None, Refusal::new(Code::BadRequest, what));
                break;
            }
            // The first one was counted with the request.
            if number > 0 {
                self.client.wait_for_request().await;
            }
            if self.take(number, file).await.is_err() {
                break;
            }
            number += 1;
            header = match self.frames.next_header().await {
                Ok(header) => header,
                Err(err) => {
                    self.answers.refuse(None, None, err.into());
                    break;
                }
            };
        }
        while !self.storing.is_empty() {
            self.stored_one().await;
        }
    }

    /// Reads one file and begins to store it, or refuses it.
    async fn take(&mut self, number: usize, file: BatchFile) -> Result<(), Ended> {
        if file.size > BATCH_FILE_BYTES_MAX {
            let limit = Size(BATCH_FILE_BYTES_MAX);
            let what = format!(
                "expected a file of at most {limit} in a batch, found {} bytes; send it by \
                 PUT /files/{{path}}, and the files after it again",
                file.size
            );
            self.answers.refuse(Some(number), Some(&file.path), Refusal::new(Code::TooLarge, what));
            return Err(Ended);
        }
        let incoming = match self.admit(&file) {
            Ok(incoming) => incoming,
            Err(refusal) => return self.refuse_unread(number, &file, refusal).await,
        };
        // Two files of one path are stored one after the other, so that the last one stays.
        while self.storing.len() >= FILES_IN_FLIGHT || self.keys.contains(&incoming.key) {
            self.stored_one().await;
        }
        let key = incoming.key.clone();
        let share = self.client.buffer_share();
        let store = self.gateway.store();
        let buffer = store.pool().take_within(file.size, Some(&share), Some(BUFFER_WAIT)).await;
        let mut buffer = match buffer {
            Ok(buffer) => buffer,
            Err(err) => return self.refuse_unread(number, &file, err.into()).await,
        };
        if let Err(err) = fill(&mut buffer, &mut self.frames).await {
            self.answers.refuse(None, Some(&file.path), err.into());
            return Err(Ended);
        }
        let (uploads, answers) = (self.gateway.uploads().clone(), self.answers.clone());
        let bytes = buffer.into_bytes();
        self.keys.insert(key.clone());
        self.storing.spawn(async move {
            match store_file(&uploads, incoming, bytes).await {
                Ok(stored) => answers.send(Some(number), BatchOutcome::Stored(stored), None),
                Err(refusal) => answers.refuse(Some(number), Some(&file.path), refusal),
            }
            key
        });
        Ok(())
    }

    /// Waits until one of the files has been stored or refused.
    async fn stored_one(&mut self) {
        match self.storing.join_next().await {
            Some(Ok(key)) => drop(self.keys.remove(&key)),
            // A panic is in the log. The file has no answer, so its client sends it again; its key is
            // forgotten with the last one.
            Some(Err(_)) => {}
            None => self.keys.clear(),
        }
    }

    fn admit(&self, file: &BatchFile) -> Result<IncomingFile, Refusal> {
        let path = RemotePath::parse(&file.path)?;
        let announced = AnnouncedLength::Exactly(file.size);
        let (key, admission) = self.gateway.admit(&self.client, &path, announced)?;
        let mode = file.mode.as_deref().map(parse_mode).transpose();
        let mode = mode.map_err(|err| Refusal::new(Code::BadRequest, format!("`mode`: {err}")))?;
        let metadata = FileMetadata {
            sha256: Some(file.sha256),
            mtime_ns: file.mtime_ns,
            mode,
            is_hot: file.hot,
        };
        Ok(IncomingFile {
            client: self.client.clone(),
            key,
            admission,
            metadata,
            content_type: content_type(None, &path),
            slot: Some(self.slot.clone()),
        })
    }

    /// Refuses a file whose bytes are still to be read.
    async fn refuse_unread(
        &mut self,
        number: usize,
        file: &BatchFile,
        refusal: Refusal,
    ) -> Result<(), Ended> {
        self.answers.refuse(Some(number), Some(&file.path), refusal);
        if let Err(err) = self.frames.skip(file.size).await {
            self.answers.refuse(None, None, err.into());
            return Err(Ended);
        }
        Ok(())
    }
}

/// Fills `buffer` with the bytes of a file.
async fn fill<R: AsyncRead + Unpin>(
    buffer: &mut Buffer,
    frames: &mut Frames<R>,
) -> Result<(), FrameError> {
    while !buffer.is_full() {
        let count = frames.read(buffer.unfilled()).await?;
        buffer.advance(count);
    }
    Ok(())
}

async fn store_file(
    uploads: &Uploads,
    incoming: IncomingFile,
    bytes: Bytes,
) -> Result<UploadResponse, Refusal> {
    match uploads.stage_bytes(incoming, bytes).await? {
        StageResult::Unchanged(response) => Ok(response),
        StageResult::Staged(staged) => staged.commit().await,
    }
}

impl Answers {
    fn refuse(&self, file: Option<usize>, path: Option<&str>, refusal: Refusal) {
        let retry_after = refusal.retry_after_now();
        let (problem, record) = refusal.into_problem();
        let refused = RefusedRequest {
            client: Some(self.client.policy.name.as_str()),
            peer: None,
            method: &Method::POST,
            url_path: "/batch",
            path,
            elapsed_seconds: None,
        };
        record.log(&refused);
        self.send(file, BatchOutcome::Refused(problem), retry_after);
    }

    fn send(&self, file: Option<usize>, outcome: BatchOutcome, retry_after: Option<u64>) {
        // It fails only if the client is gone.
        self.lines.try_send(BatchAnswer { file, outcome, retry_after }).ok();
    }
}
