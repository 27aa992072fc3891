//! Fetches one file and verifies it before it gets its name.
//!
//! A short file is held in memory until it is verified. A longer one is written while it arrives. Both
//! are retried as a whole.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use s3up_core::{Code, Sha256, Sha256Digest, error_chain};
use tokio::sync::Semaphore;

use super::observe::explain;
use super::retry::{self, AfterFailure};
use super::target_dir::{self, NewFile, Placement, TargetDir};
use super::writer::{MetadataError, VerifiedFile, Writers};
use crate::gateway::client::{Download, GatewayClient};
use crate::gateway::error::GatewayError;
use crate::random::random_or;
use crate::remote_files::file_metadata::FileMetadata;
use crate::remote_files::remote_file::RemoteFile;

/// Maximum size of a file that is held in memory.
const SHORT_BYTES_MAX: u64 = 1 << 20;
/// Number of bytes of a longer file that are written at once.
const PIECE_BYTES: usize = 1 << 20;
/// Longer files that are fetched at a time. Each may take two part buffers of the gateway.
const LONG_AT_ONCE: usize = 4;

/// Fetches files, any number at a time. Clones share their limits.
#[derive(Clone)]
pub struct Fetcher {
    gateway: GatewayClient,
    pub(super) target: Arc<TargetDir>,
    writers: Writers,
    long_files: Arc<Semaphore>,
    /// Called with the number of bytes that were received.
    received: Received,
}

pub type Received = Arc<dyn Fn(u64) + Send + Sync>;

/// A file to restore.
#[derive(Clone, Debug)]
pub struct FileTask {
    pub remote: RemoteFile,
    pub path: PathBuf,
    pub placement: Placement,
}

#[derive(Debug)]
pub struct Fetched {
    /// False if the gateway does not know the SHA-256, so that only the length was checked.
    pub verified: bool,
    pub metadata_error: MetadataError,
}

/// A file that was not restored.
#[derive(Debug)]
pub struct FetchFailure {
    pub reason: String,
    pub scope: FailureScope,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureScope {
    File,
    /// The next files may fail in the same way.
    Gateway,
    /// No file can be restored.
    All,
}

#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    #[error("expected {expected} bytes, found {found}")]
    Length { expected: u64, found: u64 },
    #[error("expected SHA-256 {expected}, found {found}")]
    Digest { expected: Sha256Digest, found: Sha256Digest },
    #[error("write the file: {}", explain(.0))]
    Write(io::Error),
}

/// The facts of the version that is downloaded.
#[derive(Clone, Copy, Debug)]
struct Facts {
    size: u64,
    sha256: Option<Sha256Digest>,
    metadata: FileMetadata,
}

impl Fetcher {
    pub fn new(gateway: &GatewayClient, target: &Arc<TargetDir>, received: Received) -> Fetcher {
        Fetcher {
            gateway: gateway.clone(),
            target: target.clone(),
            writers: Writers::start(target),
            long_files: Arc::new(Semaphore::new(LONG_AT_ONCE)),
            received,
        }
    }

    pub async fn fetch(&self, task: &FileTask) -> Result<Fetched, FetchFailure> {
        for attempt in 1.. {
            let err = match self.try_fetch(task).await {
                Ok(fetched) => return Ok(fetched),
                Err(err) => err,
            };
            match err.consequence(attempt) {
                AfterFailure::RetryAfter(delay) => tokio::time::sleep(delay).await,
                AfterFailure::GiveUpFile => {
                    let scope = match err.is_of_gateway() {
                        true => FailureScope::Gateway,
                        false => FailureScope::File,
                    };
                    return Err(FetchFailure { reason: err.reason(), scope });
                }
                AfterFailure::Stop => {
                    let scope = FailureScope::All;
                    return Err(FetchFailure { reason: err.reason(), scope });
                }
            }
        }
        unreachable!("the attempts for a file are limited")
    }

    async fn try_fetch(&self, task: &FileTask) -> Result<Fetched, FetchError> {
        if task.remote.size <= SHORT_BYTES_MAX {
            return self.fetch_short(task).await;
        }
        let permit = self.long_files.acquire().await.expect("the semaphore is never closed");
        let fetched = self.fetch_long(task).await;
        drop(permit);
        fetched
    }

    async fn fetch_short(&self, task: &FileTask) -> Result<Fetched, FetchError> {
        let (mut download, facts) = self.start(task).await?;
        if facts.size > SHORT_BYTES_MAX {
            // It was replaced by a longer file since it was listed.
            return self.receive_long(task, download, facts).await;
        }
        let mut body: Option<BytesMut> = None;
        let mut first: Option<Bytes> = None;
        // Most files arrive in one piece, which is not copied.
        while let Some(piece) = download.next().await? {
            (self.received)(piece.len() as u64);
            match (&mut body, &first) {
                (Some(body), _) => body.extend_from_slice(&piece),
                (None, None) => first = Some(piece),
                (None, Some(before)) => {
                    let mut joined = BytesMut::with_capacity(facts.size as usize);
                    joined.extend_from_slice(before);
                    joined.extend_from_slice(&piece);
                    body = Some(joined);
                }
            }
        }
        let body = body.map_or(first.unwrap_or_default(), BytesMut::freeze);
        let verified = check(&facts, body.len() as u64, Sha256Digest::of(&body))?;
        let (path, placement) = (task.path.clone(), task.placement);
        let file = VerifiedFile { path, body, metadata: facts.metadata, placement };
        let metadata_error = self.writers.write(file).await.map_err(FetchError::Write)?;
        Ok(Fetched { verified, metadata_error })
    }

    async fn fetch_long(&self, task: &FileTask) -> Result<Fetched, FetchError> {
        let (download, facts) = self.start(task).await?;
        self.receive_long(task, download, facts).await
    }

    async fn receive_long(
        &self,
        task: &FileTask,
        mut download: Download,
        facts: Facts,
    ) -> Result<Fetched, FetchError> {
        let (target, FileTask { path, placement, .. }) = (self.target.clone(), task.clone());
        let create = move || target_dir::new_file(&target, &path, &facts.metadata, placement);
        let mut new = blocking(create).await?;
        let (mut hasher, mut bytes) = (Sha256::default(), 0);
        let mut piece = BytesMut::with_capacity(PIECE_BYTES);
        while let Some(received) = download.next().await? {
            bytes += received.len() as u64;
            (self.received)(received.len() as u64);
            hasher.update(&received);
            piece.extend_from_slice(&received);
            if piece.len() >= PIECE_BYTES {
                new = write(new, piece.split().freeze()).await?;
            }
        }
        new = write(new, piece.freeze()).await?;
        let verified = check(&facts, bytes, hasher.finish())?;
        let metadata_error = blocking(move || new.place()).await?;
        Ok(Fetched { verified, metadata_error })
    }

    async fn start(&self, task: &FileTask) -> Result<(Download, Facts), FetchError> {
        let remote = &task.remote;
        let version = remote.version_id.as_deref();
        let download = self.gateway.download_version(&remote.path, version).await?;
        let metadata = FileMetadata {
            mtime_ns: download.mtime_ns.or(remote.mtime_ns),
            mode: download.mode.or_else(|| remote.mode_bits()),
        };
        // The file may have been replaced since it was listed.
        let size = download.bytes.unwrap_or(remote.size);
        let sha256 = download.sha256.or(remote.sha256.filter(|_| size == remote.size));
        Ok((download, Facts { size, sha256, metadata }))
    }
}

/// Compares the content with the facts. Returns whether its SHA-256 was known.
fn check(facts: &Facts, bytes: u64, sha256: Sha256Digest) -> Result<bool, FetchError> {
    if bytes != facts.size {
        return Err(FetchError::Length { expected: facts.size, found: bytes });
    }
    match facts.sha256 {
        Some(expected) if expected != sha256 => Err(FetchError::Digest { expected, found: sha256 }),
        known => Ok(known.is_some()),
    }
}

async fn write(mut new: NewFile, piece: Bytes) -> Result<NewFile, FetchError> {
    blocking(move || {
        new.file.write_all(&piece)?;
        Ok(new)
    })
    .await
}

/// Runs `work` on a thread that may wait for the disk.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, FetchError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|err| Err(io::Error::other(err))).map_err(FetchError::Write)
}

impl FetchError {
    fn consequence(&self, attempt: u32) -> AfterFailure {
        match self {
            FetchError::Gateway(err) => retry::after(err, attempt, random()),
            // Damaged on the way, or in S3: a second try tells.
            FetchError::Length { .. } | FetchError::Digest { .. } => {
                let cut = GatewayError::InvalidAnswer { what: String::new() };
                retry::after(&cut, attempt, random())
            }
            FetchError::Write(err) if is_of_filesystem(err) => AfterFailure::Stop,
            FetchError::Write(_) => AfterFailure::GiveUpFile,
        }
    }

    fn is_of_gateway(&self) -> bool {
        matches!(self, FetchError::Gateway(err) if retry::is_of_gateway(err))
    }

    fn reason(&self) -> String {
        match self {
            FetchError::Gateway(GatewayError::Refused(refusal))
                if refusal.code == Code::Archived =>
            {
                "archived in S3; thaw it first (S3 RestoreObject), then run the command again"
                    .to_owned()
            }
            FetchError::Write(err) if err.kind() == io::ErrorKind::AlreadyExists => {
                "a file with its name appeared meanwhile; pass --overwrite to replace it".to_owned()
            }
            FetchError::Gateway(_)
            | FetchError::Length { .. }
            | FetchError::Digest { .. }
            | FetchError::Write(_) => error_chain(self),
        }
    }
}

/// True for a full or read-only filesystem, which takes no other file either.
fn is_of_filesystem(err: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    matches!(err.kind(), StorageFull | QuotaExceeded | ReadOnlyFilesystem)
}

/// Returns a number in 0..1; without randomness, the longest delay is taken.
fn random() -> f64 {
    random_or(1.0)
}
