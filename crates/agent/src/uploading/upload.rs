//! One upload: opens the file, hashes it, sends it and returns the outcome.
//!
//! A file of one part is read into memory, checked with `fstat` and sent from
//! there. A longer file is hashed first, and then sent from the same descriptor
//! with its hash announced, so that the gateway refuses it if it changed. The
//! database records the version that was hashed and sent, even if the file has
//! changed since.
//!
//! Not here: when an upload is retried (`daemon`), and how files are read
//! (`content`).

use s3up_core::{Code, RemotePath, error_chain};

use super::classify::{FailureClass, classify};
use super::content::{self, Content};
use super::outcome::Outcome;
use super::retry::RetryHint;
use super::task::{UploadMode, UploadTask};
use crate::clock;
use crate::database::{Change, Reader, Upload};
use crate::gateway::client::{BodyStart, GatewayClient, PutRequest};
use crate::gateway::error::GatewayError;
use crate::states::decide::{FileRow, KnownFile};
use crate::states::problem::ProblemKind;

/// Uploads files. All uploads share its connections.
#[derive(Clone, Debug)]
pub struct Uploader {
    pub gateway: GatewayClient,
    pub reader: Reader,
}

impl Uploader {
    pub async fn upload(&self, task: &UploadTask) -> Outcome {
        self.try_upload(task).await.unwrap_or_else(|outcome| outcome)
    }

    /// Returns early ends as `Err`, so that `?` can be used for them.
    async fn try_upload(&self, task: &UploadTask) -> Result<Outcome, Outcome> {
        let local_path = task.watch.local_path(&task.path);
        let known = self.known(&local_path).await?;
        let row = known.row.clone();
        let (content, remote_path) = content::read(task, local_path.clone(), known).await?;
        let upload = Upload {
            local_path,
            identity: content.identity(),
            sha256: content.sha256(),
            version_id: None,
            at_seconds: clock::wall_seconds(),
            remote_path,
        };
        if is_content_unchanged(&upload, row.as_ref()) {
            let change =
                (task.mode == UploadMode::Settled).then(|| Change::MetadataChanged(upload).into());
            return Err(Outcome::Skipped(change));
        }
        self.send(task, content, upload).await
    }

    async fn known(&self, local_path: &str) -> Result<KnownFile, Outcome> {
        let known = self.reader.known(&[local_path.to_owned()]).await;
        let known =
            known.map_err(|err| Outcome::failed(RetryHint::default(), error_chain(&err)))?;
        Ok(known.into_iter().next().unwrap_or_default())
    }

    async fn send(
        &self,
        task: &UploadTask,
        content: Content,
        mut upload: Upload,
    ) -> Result<Outcome, Outcome> {
        let path = upload.remote_path.clone();
        if content.is_long()
            && task.mode == UploadMode::Settled
            && let Some(version_id) = self.version_at_gateway(&path, &content).await?
        {
            upload.version_id = version_id;
            return Ok(stored(upload, false, &content));
        }
        let put = PutRequest {
            path: &path,
            bytes: content.bytes(),
            sha256: content.sha256(),
            mtime_ns: upload.identity.mtime_ns,
            mode: content.mode(),
            body_start: if task.failures == 0 { BodyStart::Immediate } else { BodyStart::Delayed },
        };
        let sent = match &content {
            Content::Short { body, .. } => self.gateway.put_bytes(&put, body.clone()).await,
            Content::Long { .. } => self.gateway.put_stream(&put, content.stream()?).await,
        };
        let answer = match sent {
            Ok(answer) => answer,
            Err(err) => return Err(failed(&err, &content, task.mode)),
        };
        if (answer.size, answer.sha256) != (put.bytes, put.sha256) {
            let reason = format!(
                "gateway stored other content: expected {} bytes with SHA-256 {}, found {} with {}",
                put.bytes, put.sha256, answer.size, answer.sha256
            );
            return Err(Outcome::failed(RetryHint::default(), reason));
        }
        upload.version_id = answer.version_id;
        upload.at_seconds = clock::wall_seconds();
        Ok(match task.mode {
            UploadMode::Settled => stored(upload, !answer.unchanged, &content),
            UploadMode::Hot => hot(),
        })
    }

    /// Returns the version id if the gateway has this content already. For a long
    /// file the question is cheaper than an upload.
    async fn version_at_gateway(
        &self,
        path: &RemotePath,
        content: &Content,
    ) -> Result<Option<Option<String>>, Outcome> {
        let answer = match self.gateway.exists(path).await {
            Ok(answer) => answer,
            Err(err) => return Err(failed(&err, content, UploadMode::Settled)),
        };
        Ok(answer
            .file
            .filter(|file| (file.size, file.sha256) == (content.bytes(), Some(content.sha256())))
            .map(|file| file.version_id))
    }
}

/// True if the row has the same size and content.
fn is_content_unchanged(upload: &Upload, row: Option<&FileRow>) -> bool {
    row.is_some_and(|row| {
        row.remote_path == upload.remote_path.as_str()
            && row.size == upload.identity.size
            && row.version.is_some_and(|version| version.sha256 == upload.sha256)
    })
}

fn hot() -> Outcome {
    let reason = "never settled; uploaded as it was, so the upload may be torn".to_owned();
    Outcome::Problem { kind: ProblemKind::Hot, reason }
}

/// Turns the error of a call into the outcome for the file.
fn failed(err: &GatewayError, content: &Content, mode: UploadMode) -> Outcome {
    let reason = error_chain(err);
    let hint = RetryHint { retry_after: err.retry_after(), slow: false };
    match classify(err) {
        // A change of the file during the upload explains the failure.
        FailureClass::MayHaveChanged if mode == UploadMode::Settled && content.changed_since() => {
            Outcome::Changed
        }
        FailureClass::MayHaveChanged | FailureClass::Transient => Outcome::failed(hint, reason),
        FailureClass::Unauthorized => {
            let hint = RetryHint { slow: true, ..hint };
            Outcome::Failed { hint, reason, code: Some(Code::Unauthorized) }
        }
        FailureClass::Deferred => Outcome::Problem { kind: ProblemKind::Deferred, reason },
        FailureClass::Refused => Outcome::Problem { kind: ProblemKind::Refused, reason },
    }
}

fn stored(upload: Upload, sent: bool, content: &Content) -> Outcome {
    let changed_since = content.changed_since();
    Outcome::Stored { change: Change::Uploaded(upload).into(), sent, changed_since }
}
