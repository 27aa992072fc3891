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

use s3up_core::wire::UploadResponse;
use s3up_core::{Code, RemotePath, error_chain};

use super::batch_switch::BatchSwitch;
use super::classify::{FailureClass, Scope, classify};
use super::content::{self, Content};
use super::outcome::{Outcome, SkippedAs};
use super::retry::RetryHint;
use super::stable_copy::Spool;
use super::task::{UploadMode, UploadTask};
use crate::clock;
use crate::database::{Change, Reader, Upload};
use crate::files::writes::LastWriter;
use crate::gateway::client::{BodyStart, Completeness, GatewayClient, PatchRequest, PutRequest};
use crate::gateway::error::GatewayError;
use crate::states::decide::{FileRow, KnownFile, PendingReason};
use crate::states::problem::ProblemKind;

/// Uploads files. All uploads share its connections.
#[derive(Clone, Debug)]
pub struct Uploader {
    pub gateway: GatewayClient,
    pub reader: Reader,
    pub spool: Spool,
    pub batches: BatchSwitch,
}

/// A file that was read and has to be stored.
#[derive(Debug)]
pub(super) struct FileToSend {
    pub content: Content,
    pub upload: Upload,
    pub reason: PendingReason,
    /// The row of the file, if there is one.
    pub row: Option<FileRow>,
}

impl FileToSend {
    pub(super) fn new(
        local_path: String,
        row: Option<FileRow>,
        (content, remote_path, reason): (Content, RemotePath, PendingReason),
    ) -> FileToSend {
        let upload = Upload {
            local_path,
            identity: content.identity(),
            sha256: content.sha256(),
            mode: Some(content.mode()),
            version_id: None,
            at: clock::wall_seconds(),
            sent: false,
            remote_path,
        };
        FileToSend { content, upload, reason, row }
    }
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
        let read = content::read(task, local_path.clone(), known, self.spool.clone()).await?;
        self.store(task, FileToSend::new(local_path, row, read)).await
    }

    /// Stores a file that was read, with as few requests as possible.
    pub(super) async fn store(
        &self,
        task: &UploadTask,
        file: FileToSend,
    ) -> Result<Outcome, Outcome> {
        let FileToSend { content, mut upload, reason, row } = file;
        // The row is no evidence of what S3 has now: the answer to a later upload may have been lost.
        if !has_content(row.as_ref(), &upload) {
            let local_path = upload.local_path.clone();
            let outcome = self.send(task, content, upload, reason).await?;
            if reason == PendingReason::BackAfterCleanup {
                log_replaced(&local_path, row.as_ref());
            }
            return Ok(outcome);
        }
        if task.mode == UploadMode::Hot {
            return match self.version_at_gateway(&upload.remote_path, &content).await? {
                Some(_) => Err(Outcome::Skipped { as_state: SkippedAs::Protected, change: None }),
                None => self.send(task, content, upload, reason).await,
            };
        }
        match self.send_metadata(&content, &upload).await? {
            MetadataAnswer::Updated { version_id } => {
                upload.version_id = version_id;
                Ok(metadata_changed(upload, &content))
            }
            MetadataAnswer::NotStored => self.send(task, content, upload, reason).await,
            MetadataAnswer::NotTaken => {
                let path = upload.remote_path.clone();
                match self.version_at_gateway(&path, &content).await? {
                    Some(version_id) => {
                        (upload.version_id, upload.mode) = (version_id, None);
                        Ok(metadata_changed(upload, &content))
                    }
                    None => self.send(task, content, upload, reason).await,
                }
            }
        }
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
        upload: Upload,
        reason: PendingReason,
    ) -> Result<Outcome, Outcome> {
        let path = upload.remote_path.clone();
        if (content.is_long() || reason == PendingReason::Unconfirmed)
            && task.mode != UploadMode::Hot
            && let Some(version_id) = self.version_at_gateway(&path, &content).await?
        {
            let upload = Upload { version_id, ..upload };
            return Ok(stored(upload, false, &content));
        }
        // What failed or was refused before is probably refused again, by its head alone.
        let body_start = if task.failures == 0 && reason != PendingReason::Retried {
            BodyStart::Immediate
        } else {
            BodyStart::Delayed
        };
        let put = PutRequest {
            path: &path,
            bytes: content.bytes(),
            sha256: content.sha256(),
            mtime_ns: upload.identity.mtime_ns,
            mode: content.mode(),
            completeness: completeness(task),
            body_start,
        };
        let sent = match &content {
            Content::Short { body, .. } => self.gateway.put_bytes(&put, body.clone()).await,
            Content::Long { .. } => self.gateway.put_stream(&put, content.stream()?).await,
        };
        let answer = match sent {
            Ok(answer) => answer,
            Err(err) => return Err(failed(&err, &content, task.mode)),
        };
        Ok(stored_as_answered(task, FileToSend { content, upload, reason, row: None }, &answer))
    }

    /// Tells the gateway the mtime and the mode of a file whose content it has.
    async fn send_metadata(
        &self,
        content: &Content,
        upload: &Upload,
    ) -> Result<MetadataAnswer, Outcome> {
        let patch = PatchRequest {
            path: &upload.remote_path,
            sha256: upload.sha256,
            mtime_ns: upload.identity.mtime_ns,
            mode: content.mode(),
        };
        match self.gateway.patch(&patch).await {
            Ok(answer) => {
                check_content(&answer, content)?;
                Ok(MetadataAnswer::Updated { version_id: answer.version_id })
            }
            Err(GatewayError::Refused(refusal)) if is_not_stored(refusal.code) => {
                Ok(MetadataAnswer::NotStored)
            }
            Err(err) if is_call_refused(&err) => Ok(MetadataAnswer::NotTaken),
            Err(err) => Err(failed(&err, content, UploadMode::Settled)),
        }
    }

    /// Returns the version id if the gateway has this content already. For a long
    /// file the question is cheaper than an upload. A key that may not ask uploads.
    async fn version_at_gateway(
        &self,
        path: &RemotePath,
        content: &Content,
    ) -> Result<Option<Option<String>>, Outcome> {
        let answer = match self.gateway.exists(path).await {
            Ok(answer) => answer,
            Err(GatewayError::Refused(refusal)) if refusal.code == Code::Forbidden => {
                return Ok(None);
            }
            Err(err) => return Err(failed(&err, content, UploadMode::Settled)),
        };
        let Some(file) = answer.file.filter(|file| file.size == content.bytes()) else {
            return Ok(None);
        };
        let has_content = match (file.sha256, file.md5) {
            (Some(sha256), _) => sha256 == content.sha256(),
            // It was stored by a tool that recorded no SHA-256.
            (None, Some(md5)) => content.md5().await? == md5,
            (None, None) => false,
        };
        Ok(has_content.then_some(file.version_id))
    }
}

/// Logs that other content than that of a deleted file is the newest version now.
fn log_replaced(local_path: &str, row: Option<&FileRow>) {
    let Some(deleted) = row.and_then(|row| row.version) else { return };
    tracing::warn!(
        event = "deleted_file_replaced",
        path = local_path,
        sha256 = %deleted.sha256,
        "the content that a cleanup deleted is an old version in the bucket now"
    );
}

/// Returns the outcome of a file to which the gateway answered that it is stored.
pub(super) fn stored_as_answered(
    task: &UploadTask,
    file: FileToSend,
    answer: &UploadResponse,
) -> Outcome {
    let FileToSend { content, mut upload, .. } = file;
    if let Err(outcome) = check_content(answer, &content) {
        return outcome;
    }
    upload.version_id.clone_from(&answer.version_id);
    upload.sent = !answer.unchanged;
    upload.at = clock::wall_seconds();
    match task.mode {
        UploadMode::Hot if !content.is_copy() => hot(),
        UploadMode::Settled | UploadMode::Copy | UploadMode::Hot => {
            stored(upload, !answer.unchanged, &content)
        }
    }
}

/// Answer of the gateway to a change of metadata.
enum MetadataAnswer {
    Updated {
        version_id: Option<String>,
    },
    /// The gateway does not have this content.
    NotStored,
    /// The call did not reach a gateway that knows it, so its answer says nothing about the file.
    NotTaken,
}

/// Returns true if the row has the size and the content of the file.
pub(super) fn has_content(row: Option<&FileRow>, upload: &Upload) -> bool {
    row.is_some_and(|row| {
        row.remote_path == upload.remote_path.as_str()
            && row.size == upload.identity.size
            && row.version.is_some_and(|version| version.sha256 == upload.sha256)
    })
}

/// Checks that an answer is about the content of the file.
fn check_content(answer: &UploadResponse, content: &Content) -> Result<(), Outcome> {
    let (bytes, sha256) = (content.bytes(), content.sha256());
    if (answer.size, answer.sha256) == (bytes, sha256) {
        return Ok(());
    }
    let reason = format!(
        "gateway stored other content: expected {bytes} bytes with SHA-256 {sha256}, found {} with {}",
        answer.size, answer.sha256
    );
    Err(Outcome::failed(RetryHint::default(), reason))
}

fn is_not_stored(code: Code) -> bool {
    matches!(code, Code::NotFound | Code::DigestMismatch)
}

/// Returns true if the gateway is too old for the call, or a proxy forbids its method.
fn is_call_refused(err: &GatewayError) -> bool {
    match err {
        GatewayError::Refused(refusal) => matches!(refusal.status, 405 | 501),
        GatewayError::NotTheGateway(refusal) => matches!(refusal.status, 403 | 405 | 501),
        GatewayError::Redirected { .. }
        | GatewayError::Unreachable(_)
        | GatewayError::Handshake(_)
        | GatewayError::Stalled(_)
        | GatewayError::InvalidAnswer { .. } => false,
    }
}

/// A file whose writer was not seen closing it may get more content.
pub(super) fn completeness(task: &UploadTask) -> Completeness {
    match (task.mode, task.writes.writer) {
        (UploadMode::Hot, _) | (_, LastWriter::Open) => Completeness::Hot,
        (UploadMode::Settled | UploadMode::Copy, LastWriter::Unknown | LastWriter::Closed) => {
            Completeness::Settled
        }
    }
}

fn hot() -> Outcome {
    let reason = "never settled; uploaded as it was, so the upload may be torn".to_owned();
    Outcome::Problem { kind: ProblemKind::Hot, reason }
}

/// Turns the error of a call into the outcome for the file.
pub(super) fn failed(err: &GatewayError, content: &Content, mode: UploadMode) -> Outcome {
    let reason = error_chain(err);
    let hint = RetryHint { retry_after: err.retry_after(), slow: false };
    match classify(err) {
        // A change of the file during the upload explains the failure.
        FailureClass::MayHaveChanged if mode == UploadMode::Settled && content.changed_since() => {
            Outcome::Changed
        }
        FailureClass::MayHaveChanged => Outcome::failed(hint, reason),
        FailureClass::Transient(scope) => Outcome::Failed { hint, scope, reason, code: None },
        FailureClass::Unauthorized => {
            let hint = RetryHint { slow: true, ..hint };
            let code = Some(Code::Unauthorized);
            Outcome::Failed { hint, scope: Scope::Gateway, reason, code }
        }
        FailureClass::Deferred => Outcome::Problem { kind: ProblemKind::Deferred, reason },
        FailureClass::Refused => Outcome::Problem { kind: ProblemKind::Refused, reason },
    }
}

fn stored(upload: Upload, sent: bool, content: &Content) -> Outcome {
    let changed_since = content.changed_since();
    Outcome::Stored { change: Change::Uploaded(upload).into(), sent, changed_since }
}

/// The gateway has the content, so that only the identity and the metadata of its row change.
fn metadata_changed(upload: Upload, content: &Content) -> Outcome {
    let changed_since = content.changed_since();
    Outcome::Stored { change: Change::MetadataChanged(upload).into(), sent: false, changed_since }
}
