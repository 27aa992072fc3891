//! The content of one upload: opened below the watch, hashed from start to end,
//! and checked not to have changed meanwhile.

use std::fs::File;
use std::io::{self, Read, Seek};

use bytes::Bytes;
use futures::Stream;
use rustix::fs::fstat;
use s3up_core::{RemotePath, Sha256, Sha256Digest};
use tokio::io::AsyncReadExt;
use tokio_util::io::ReaderStream;

use super::outcome::Outcome;
use super::queue::SHORT_BYTES_MAX;
use super::recheck::check_still_pending;
use super::task::{UploadMode, UploadTask};
use crate::files::confined_fs::{self, Root};
use crate::files::identity::Identity;
use crate::states::decide::KnownFile;
use crate::states::problem::ProblemKind;

/// Size of the read buffer for hashing.
const HASH_BYTES: usize = 1 << 20;
/// Size of the pieces in which a long file is sent.
const PIECE_BYTES: usize = 256 * 1024;

#[derive(Debug)]
pub(super) struct OpenContent {
    file: File,
    identity: Identity,
    mode: u32,
}

/// A file that is hashed and can be sent.
#[derive(Debug)]
pub(super) enum Content {
    Short { opened: OpenContent, body: Bytes, sha256: Sha256Digest },
    Long { opened: OpenContent, sha256: Sha256Digest },
}

/// Opens the file, checks that it still has to be uploaded, and hashes it, on a
/// thread that may wait for the disk.
pub(super) async fn read(
    task: &UploadTask,
    local_path: String,
    known: KnownFile,
) -> Result<(Content, RemotePath), Outcome> {
    let task = task.clone();
    let read = tokio::task::spawn_blocking(move || {
        let opened = open(&task)?;
        let remote_path = check_still_pending(&task, opened.identity, local_path, &known)?;
        Ok((hash(opened, task.mode)?, remote_path))
    });
    read.await.unwrap_or_else(|_| Err(Outcome::panicked()))
}

fn open(task: &UploadTask) -> Result<OpenContent, Outcome> {
    // Without its root the whole watch is gone or forbidden. The next scan reports
    // that, or finds this file again.
    let root = Root::open(&task.watch.root).map_err(|_| Outcome::Skipped(None))?;
    let (file, stat) = root.file(&task.path).map_err(|err| not_opened(&err))?;
    if !confined_fs::is_regular(&stat) {
        return Err(Outcome::Skipped(None));
    }
    let identity = Identity::of(&stat);
    if task.mode == UploadMode::Settled && identity != task.identity {
        return Err(Outcome::Changed);
    }
    Ok(OpenContent { file, identity, mode: stat.st_mode & 0o7777 })
}

/// Turns an error of opening into an outcome. A symlink or a special file in the
/// place of the file is excluded, so nothing is to be uploaded.
fn not_opened(err: &io::Error) -> Outcome {
    if confined_fs::is_gone(err) {
        return Outcome::Gone;
    }
    if confined_fs::is_refused_type(err) {
        return Outcome::Skipped(None);
    }
    unreadable(err)
}

fn unreadable(err: &io::Error) -> Outcome {
    Outcome::Problem { kind: ProblemKind::Unreadable, reason: format!("cannot read file: {err}") }
}

fn hash(opened: OpenContent, mode: UploadMode) -> Result<Content, Outcome> {
    let hashed = if opened.identity.size <= SHORT_BYTES_MAX {
        hash_short(opened)
    } else {
        hash_long(opened)
    };
    let content = match hashed {
        Ok(content) => content,
        Err(err) if err.kind() == io::ErrorKind::UnexpectedEof => return Err(Outcome::Changed),
        Err(err) => return Err(unreadable(&err)),
    };
    match mode {
        UploadMode::Settled if content.changed_since() => Err(Outcome::Changed),
        UploadMode::Settled | UploadMode::Hot => Ok(content),
    }
}

fn hash_short(mut opened: OpenContent) -> io::Result<Content> {
    let mut body = vec![0; opened.identity.size as usize];
    opened.file.read_exact(&mut body)?;
    let sha256 = Sha256Digest::of(&body);
    Ok(Content::Short { opened, body: Bytes::from(body), sha256 })
}

fn hash_long(mut opened: OpenContent) -> io::Result<Content> {
    let mut buffer = vec![0; HASH_BYTES];
    let mut hasher = Sha256::default();
    let mut left = opened.identity.size;
    while left > 0 {
        let wanted = left.min(HASH_BYTES as u64) as usize;
        let len = opened.file.read(&mut buffer[..wanted])?;
        if len == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        hasher.update(&buffer[..len]);
        left -= len as u64;
    }
    opened.file.rewind()?;
    Ok(Content::Long { opened, sha256: hasher.finish() })
}

impl Content {
    fn opened(&self) -> &OpenContent {
        match self {
            Content::Short { opened, .. } | Content::Long { opened, .. } => opened,
        }
    }

    /// Returns the identity of the version that was hashed.
    pub(super) fn identity(&self) -> Identity {
        self.opened().identity
    }

    pub(super) fn bytes(&self) -> u64 {
        self.identity().size
    }

    pub(super) fn mode(&self) -> u32 {
        self.opened().mode
    }

    pub(super) fn sha256(&self) -> Sha256Digest {
        match self {
            Content::Short { sha256, .. } | Content::Long { sha256, .. } => *sha256,
        }
    }

    pub(super) fn is_long(&self) -> bool {
        matches!(self, Content::Long { .. })
    }

    /// True if the file is not the version that was hashed any more.
    pub(super) fn changed_since(&self) -> bool {
        let opened = self.opened();
        fstat(&opened.file).map_or(true, |stat| Identity::of(&stat) != opened.identity)
    }

    /// Returns the bytes of the file, at most as many as were hashed.
    pub(super) fn stream(
        &self,
    ) -> Result<impl Stream<Item = io::Result<Bytes>> + Send + 'static, Outcome> {
        let file = self.opened().file.try_clone().map_err(|err| unreadable(&err))?;
        let reader = tokio::fs::File::from_std(file).take(self.bytes());
        Ok(ReaderStream::with_capacity(reader, PIECE_BYTES))
    }
}
