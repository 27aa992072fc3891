//! One batch: reads many short files on one thread, sends them in one request, and returns the
//! outcome of each.
//!
//! A file that needs more than to be sent (its content may be stored already, or only its metadata
//! changed) is uploaded by itself. So are all files of a batch that could not reach the gateway as
//! one, for example because the gateway is older or a proxy limits the length of a body.

use futures::{StreamExt, stream};
use s3up_core::wire::BatchFile;
use s3up_core::{Code, error_chain};

use super::content::{self, Content};
use super::outcome::Outcome;
use super::retry::RetryHint;
use super::task::UploadTask;
use super::upload::{FileToSend, Uploader, completeness, failed, has_content, stored_as_answered};
use crate::clock;
use crate::gateway::batch::{BatchAnswers, BatchUpload};
use crate::gateway::client::Completeness;
use crate::gateway::error::GatewayError;
use crate::states::decide::PendingReason;

/// Number of files of a batch that are uploaded by themselves at the same time.
const ALONE_IN_FLIGHT: usize = 4;

/// Decision about the files of a batch that have no answer of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AfterFailure {
    /// Each of them is uploaded by itself, now.
    SendAlone,
    /// Each of them failed as an upload of its own would have.
    Failed,
    /// The same, and no batch is sent for some time, because the next one would fail as well.
    FailedAndPause,
}

/// Decides what follows after a batch failed with `err` and `answered` answers.
fn after_failure(err: &GatewayError, answered: usize) -> AfterFailure {
    use AfterFailure::{Failed, FailedAndPause, SendAlone};
    match err {
        GatewayError::Refused(refusal) => match refusal.code {
            // A gateway without this call, or one that got another body than was sent.
            Code::NotFound
            | Code::MethodNotAllowed
            | Code::NotImplemented
            | Code::BadRequest
            | Code::Incomplete
            | Code::LengthRequired
            | Code::HeadersTooLarge
            | Code::TooLarge
            | Code::UnsupportedEncoding => SendAlone,
            Code::BadPath
            | Code::Unauthorized
            | Code::Forbidden
            | Code::TooSlow
            | Code::Exists
            | Code::Superseded
            | Code::Archived
            | Code::RangeNotSatisfiable
            | Code::DigestMismatch
            | Code::SizeMismatch
            | Code::RateLimited
            | Code::Internal
            | Code::StoreRefused
            | Code::StoreUnavailable
            | Code::Overloaded
            | Code::DatabaseUnavailable
            | Code::Quota
            | Code::Frozen
            | Code::Unknown => Failed,
        },
        // A proxy limits the length of a body, or the calls or methods that it forwards.
        GatewayError::NotTheGateway(refusal) => match refusal.status {
            400 | 403 | 404 | 405 | 411 | 413 | 415 | 501 => SendAlone,
            _ => Failed,
        },
        GatewayError::InvalidAnswer { .. } => FailedAndPause,
        GatewayError::Unreachable(cause) if cause.is_connect() => Failed,
        // A proxy may break every batch. A gateway that was stopped breaks one.
        GatewayError::Unreachable(_) | GatewayError::Stalled(_) if answered == 0 => FailedAndPause,
        GatewayError::Unreachable(_) | GatewayError::Stalled(_) => Failed,
        GatewayError::Redirected { .. } | GatewayError::Handshake(_) => Failed,
    }
}

/// The files of a batch, each with its number among the tasks, until it has an outcome.
type Waiting = Vec<Option<(usize, FileToSend)>>;

impl Uploader {
    /// Uploads short files. Returns an outcome for each task, in their order.
    pub async fn upload_batch(&self, tasks: &[UploadTask]) -> Vec<Outcome> {
        let mut outcomes: Vec<Option<Outcome>> = tasks.iter().map(|_| None).collect();
        let (mut together, mut alone) = (Vec::new(), Vec::new());
        for (n, file) in self.read_files(tasks).await.into_iter().enumerate() {
            match file {
                Ok(file) if is_plain(&file) => together.push((n, file)),
                Ok(file) => alone.push((n, file)),
                Err(outcome) => outcomes[n] = Some(outcome),
            }
        }
        if together.len() > 1 && self.batches.is_on(clock::now().instant) {
            alone.extend(self.send_batch(tasks, together, &mut outcomes).await);
        } else {
            alone.extend(together);
        }
        let uploads = stream::iter(alone).map(|(n, file)| async move {
            (n, self.store(&tasks[n], file).await.unwrap_or_else(|outcome| outcome))
        });
        let ended: Vec<_> = uploads.buffer_unordered(ALONE_IN_FLIGHT).collect().await;
        for (n, outcome) in ended {
            outcomes[n] = Some(outcome);
        }
        outcomes.into_iter().map(|it| it.unwrap_or_else(Outcome::panicked)).collect()
    }

    async fn read_files(&self, tasks: &[UploadTask]) -> Vec<Result<FileToSend, Outcome>> {
        let local_paths: Vec<_> =
            tasks.iter().map(|task| task.watch.local_path(&task.path)).collect();
        let known = match self.reader.known(&local_paths).await {
            Ok(known) => known,
            Err(err) => {
                let reason = error_chain(&err);
                let failed = || Outcome::failed(RetryHint::default(), reason.clone());
                return tasks.iter().map(|_| Err(failed())).collect();
            }
        };
        let rows: Vec<_> = known.iter().map(|known| known.row.clone()).collect();
        let read = content::read_all(tasks, local_paths.clone(), known, self.spool.clone()).await;
        let files = read.into_iter().zip(local_paths.into_iter().zip(rows));
        files.map(|(read, (path, row))| Ok(FileToSend::new(path, row, read?))).collect()
    }

    /// Sends files in one request. Returns those that have to be sent by themselves.
    async fn send_batch(
        &self,
        tasks: &[UploadTask],
        files: Vec<(usize, FileToSend)>,
        outcomes: &mut [Option<Outcome>],
    ) -> Vec<(usize, FileToSend)> {
        let uploads = files.iter().map(|(n, file)| batch_upload(&tasks[*n], file)).collect();
        let mut waiting: Waiting = files.into_iter().map(Some).collect();
        let all = waiting.len();
        let end = match self.gateway.put_batch(uploads).await {
            Ok(answers) => take_answers(answers, tasks, &mut waiting, outcomes).await,
            Err(err) => Err(err),
        };
        let left: Vec<_> = waiting.into_iter().flatten().collect();
        let Err(err) = end else {
            // Each file has an answer, unless the gateway broke its promise.
            return left;
        };
        let after = after_failure(&err, all - left.len());
        if after != AfterFailure::Failed {
            self.batches.turn_off(clock::now().instant, &error_chain(&err));
        }
        if after == AfterFailure::SendAlone {
            return left;
        }
        for (n, file) in left {
            outcomes[n] = Some(failed(&err, &file.content, tasks[n].mode));
        }
        Vec::new()
    }
}

/// Takes the answers to a batch until its end, or until an error that is about all files left.
async fn take_answers(
    mut answers: BatchAnswers,
    tasks: &[UploadTask],
    waiting: &mut Waiting,
    outcomes: &mut [Option<Outcome>],
) -> Result<(), GatewayError> {
    while let Some(answer) = answers.next().await? {
        let Some(number) = answer.file else { return answer.outcome.map(drop) };
        let Some((n, file)) = waiting.get_mut(number).and_then(Option::take) else {
            let what = format!("expected one answer to each file, found another one to {number}");
            return Err(GatewayError::InvalidAnswer { what });
        };
        outcomes[n] = Some(match answer.outcome {
            Ok(answer) => stored_as_answered(&tasks[n], file, &answer),
            Err(err) => failed(&err, &file.content, tasks[n].mode),
        });
    }
    if waiting.iter().all(Option::is_none) {
        return Ok(());
    }
    let what = "expected an answer to each file of the batch, found fewer".to_owned();
    Err(GatewayError::InvalidAnswer { what })
}

/// Returns true if the file has only to be sent.
fn is_plain(file: &FileToSend) -> bool {
    let is_short = matches!(file.content, Content::Short { .. });
    let is_special = matches!(
        file.reason,
        PendingReason::Unconfirmed | PendingReason::Retried | PendingReason::BackAfterCleanup
    );
    is_short && !is_special && !has_content(file.row.as_ref(), &file.upload)
}

fn batch_upload(task: &UploadTask, file: &FileToSend) -> BatchUpload {
    let bytes = match &file.content {
        Content::Short { body, .. } => body.clone(),
        Content::Long { .. } => unreachable!("only short files are sent in a batch"),
    };
    let header = BatchFile {
        path: file.upload.remote_path.as_str().to_owned(),
        size: bytes.len() as u64,
        sha256: file.upload.sha256,
        mtime_ns: Some(file.upload.identity.mtime_ns),
        mode: Some(format!("{:04o}", file.content.mode())),
        hot: completeness(task) == Completeness::Hot,
    };
    BatchUpload { header, bytes }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::error::Refusal;

    #[test]
    fn a_batch_that_does_not_arrive_as_one_is_sent_file_by_file() {
        use AfterFailure::{Failed, FailedAndPause, SendAlone};
        #[rustfmt::skip]
        let cases = [
            // status  code                   from the gateway  from a proxy
            (400,      Code::BadRequest,      SendAlone,        SendAlone),
            (400,      Code::Incomplete,      SendAlone,        SendAlone),
            (401,      Code::Unauthorized,    Failed,           Failed),
            (403,      Code::Forbidden,       Failed,           SendAlone),
            (404,      Code::NotFound,        SendAlone,        SendAlone),
            (405,      Code::MethodNotAllowed, SendAlone,       SendAlone),
            (408,      Code::TooSlow,         Failed,           Failed),
            (411,      Code::LengthRequired,  SendAlone,        SendAlone),
            (413,      Code::TooLarge,        SendAlone,        SendAlone),
            (429,      Code::RateLimited,     Failed,           Failed),
            (501,      Code::NotImplemented,  SendAlone,        SendAlone),
            (503,      Code::Overloaded,      Failed,           Failed),
            (502,      Code::StoreRefused,    Failed,           Failed),
        ];
        for (status, code, from_gateway, from_proxy) in cases {
            let refusal = Refusal { status, code, detail: String::new(), retry_after: None };
            let refused = GatewayError::Refused(refusal.clone());
            assert_eq!(after_failure(&refused, 0), from_gateway, "{code:?}");
            let proxy = GatewayError::NotTheGateway(refusal);
            assert_eq!(after_failure(&proxy, 0), from_proxy, "a proxy: {status}");
        }
        let stalled = GatewayError::Stalled(std::time::Duration::ZERO);
        assert_eq!(after_failure(&stalled, 0), FailedAndPause);
        assert_eq!(after_failure(&stalled, 1), Failed);
        let invalid = GatewayError::InvalidAnswer { what: String::new() };
        assert_eq!(after_failure(&invalid, 1), FailedAndPause);
    }
}
