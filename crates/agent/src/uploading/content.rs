//! The content of one upload: opened below the watch, hashed from start to end,
//! and checked not to have changed meanwhile.

use std::fs::File;
use std::io::{self, Read as _, Seek};
use std::os::unix::fs::FileExt;
use std::sync::mpsc;
use std::thread;

use bytes::Bytes;
use futures::future::join_all;
use futures::{Stream, stream};
use md5::{Digest, Md5};
use rustix::buffer::spare_capacity;
use rustix::fs::fdatasync;
use rustix::io::{Errno, pread};
use s3up_core::{RemotePath, Sha256, Sha256Digest};
use s3up_writeback::write_pages;

use super::outcome::{Outcome, SkippedAs};
use super::queue::SHORT_BYTES_MAX;
use super::recheck::check_still_pending;
use super::retry::RetryHint;
use super::stable_copy::{CopyError, Spool};
use super::task::{UploadMode, UploadTask};
use crate::clock;
use crate::files::confined_fs::{self, Root};
use crate::files::filesystem::{Filesystem, WriteBack};
use crate::files::identity::Identity;
use crate::files::watch::WatchIndex;
use crate::states::decide::{KnownFile, PendingReason};
use crate::states::problem::ProblemKind;

/// Age of the last change after which no page is dirty any more. The kernel writes
/// back after half a minute by default; a busy or sleeping disk takes longer.
const DIRTY_NS_MAX: i64 = 10 * 60 * 1_000_000_000;
/// Number of files of a batch that one thread reads. More threads keep the disk busy.
const READ_ON_ONE_THREAD: usize = 16;
/// Size of the read buffer for hashing.
const HASH_BYTES: usize = 1 << 20;
/// Number of pieces of a long file that are read before they are hashed or sent.
const PIECES_READ_AHEAD: usize = 2;
/// Size of the pieces in which a long file is sent.
const PIECE_BYTES: u64 = 256 * 1024;

#[derive(Debug)]
pub(super) struct OpenFile {
    /// The file, or a copy of it.
    file: File,
    /// The file itself if `file` is a copy.
    original: Option<File>,
    identity: Identity,
    filesystem: Filesystem,
    mode: u32,
}

/// A file that is hashed and can be sent.
#[derive(Debug)]
pub(super) enum Content {
    Short { opened: OpenFile, body: Bytes, sha256: Sha256Digest },
    Long { opened: OpenFile, sha256: Sha256Digest },
}

/// A file that was read: its content, where it is stored, and why it is sent.
pub(super) type Read = (Content, RemotePath, PendingReason);

/// Opens the file, checks that it still has to be uploaded, and hashes it, on a
/// thread that may wait for the disk.
pub(super) async fn read(
    task: &UploadTask,
    local_path: String,
    known: KnownFile,
    spool: Spool,
) -> Result<Read, Outcome> {
    let task = task.clone();
    let read = tokio::task::spawn_blocking(move || {
        read_now(&task, &open_root(&task)?, local_path, &known, &spool)
    });
    read.await.unwrap_or_else(|_| Err(Outcome::panicked()))
}

/// Reads many files, as [`read`] does with one, on some threads that may wait for the disk.
pub(super) async fn read_all(
    tasks: &[UploadTask],
    local_paths: Vec<String>,
    known: Vec<KnownFile>,
    spool: Spool,
) -> Vec<Result<Read, Outcome>> {
    let mut files = local_paths.into_iter().zip(known);
    let threads = tasks.chunks(READ_ON_ONE_THREAD).map(|tasks| {
        let files: Vec<_> = files.by_ref().take(tasks.len()).collect();
        let (count, tasks, spool) = (tasks.len(), tasks.to_vec(), spool.clone());
        let read = tokio::task::spawn_blocking(move || read_all_now(&tasks, files, &spool));
        async move {
            let panicked = |_| (0..count).map(|_| Err(Outcome::panicked())).collect();
            read.await.unwrap_or_else(panicked)
        }
    });
    join_all(threads).await.into_iter().flatten().collect()
}

fn read_all_now(
    tasks: &[UploadTask],
    files: Vec<(String, KnownFile)>,
    spool: &Spool,
) -> Vec<Result<Read, Outcome>> {
    let mut last: Option<(WatchIndex, Root)> = None;
    let read = tasks.iter().zip(files).map(|(task, (local_path, known))| {
        // Neighbours are mostly of one watch, whose root is opened once.
        let (index, root) = match last.take() {
            Some((index, root)) if index == task.watch.index => (index, root),
            Some(_) | None => (task.watch.index, open_root(task)?),
        };
        let (_, root) = last.insert((index, root));
        read_now(task, root, local_path, &known, spool)
    });
    read.collect()
}

fn read_now(
    task: &UploadTask,
    root: &Root,
    local_path: String,
    known: &KnownFile,
    spool: &Spool,
) -> Result<Read, Outcome> {
    let mut opened = open(task, root)?;
    let OpenFile { identity, filesystem, .. } = opened;
    let (remote_path, reason) = check_still_pending(task, identity, filesystem, local_path, known)?;
    write_back(&opened, task)?;
    copy(&mut opened, task.mode, spool)?;
    Ok((hash(opened, task.mode)?, remote_path, reason))
}

fn open_root(task: &UploadTask) -> Result<Root, Outcome> {
    // Without its root the whole watch is gone or forbidden. The next scan reports
    // that, or finds this file again.
    Root::open(&task.watch.root).map_err(|err| {
        if confined_fs::is_exhausted(&err) {
            return unreadable(&err);
        }
        let root = &task.watch.root;
        Outcome::NotObserved { reason: format!("open watched directory {root:?}: {err}") }
    })
}

fn open(task: &UploadTask, root: &Root) -> Result<OpenFile, Outcome> {
    let (file, stat) = root.file(&task.path).map_err(|err| not_opened(task, root, &err))?;
    if !confined_fs::is_regular(&stat) {
        return Err(Outcome::skipped(SkippedAs::Excluded));
    }
    let identity = Identity::of(&stat);
    if task.mode != UploadMode::Hot && identity != task.identity {
        return Err(Outcome::Changed);
    }
    let filesystem = root.filesystem;
    Ok(OpenFile { file, original: None, identity, filesystem, mode: stat.st_mode & 0o7777 })
}

/// Turns an error of opening into an outcome. A symlink or a special file in the
/// place of the file is excluded, so nothing is to be uploaded. A file that is missing in another
/// root, such as an empty mount point, is not known to be gone.
fn not_opened(task: &UploadTask, root: &Root, err: &io::Error) -> Outcome {
    if confined_fs::is_gone(err) {
        return match task.root {
            Some(scanned) if scanned != root.id() => Outcome::NotObserved {
                reason: format!(
                    "expected {:?} to be the directory that was scanned, found another one",
                    task.watch.root
                ),
            },
            Some(_) | None => Outcome::Gone,
        };
    }
    if confined_fs::is_refused_type(err) {
        return Outcome::skipped(SkippedAs::Excluded);
    }
    unreadable(err)
}

fn unreadable(err: &io::Error) -> Outcome {
    let reason = format!("cannot read file: {err}");
    if confined_fs::is_exhausted(err) {
        // Not the fault of this file: tried again like a failure of the gateway.
        return Outcome::failed(RetryHint::default(), reason);
    }
    Outcome::Problem { kind: ProblemKind::Unreadable, reason }
}

/// Writes the pages of a mapping back, if the file changed lately. A store into a page
/// that is already dirty moves no time stamp; a store into one that was written back
/// does. So every store after this call is seen: by `changed_since`, or by the next
/// scan.
fn write_back(opened: &OpenFile, task: &UploadTask) -> Result<(), Outcome> {
    let age = clock::wall_ns().saturating_sub(opened.identity.changed_at_ns());
    if age > DIRTY_NS_MAX {
        return Ok(());
    }
    let written = match opened.filesystem.write_back {
        WriteBack::Pages => write_pages(&opened.file),
        WriteBack::Sync => fdatasync(&opened.file).map_err(io::Error::from),
    };
    match written.map_err(|err| (Errno::from_io_error(&err), err)) {
        // Some filesystems in user space do not support it, and a read-only one has
        // nothing to write back.
        Ok(()) | Err((Some(Errno::INVAL | Errno::NOSYS | Errno::ROFS | Errno::OPNOTSUPP), _)) => {}
        Err((_, err)) => return Err(unreadable(&err)),
    }
    match task.mode {
        UploadMode::Settled | UploadMode::Copy if changed_since(opened) => Err(Outcome::Changed),
        UploadMode::Settled | UploadMode::Copy | UploadMode::Hot => Ok(()),
    }
}

/// Replaces the file by a copy of it, if that is asked for. A file that never settles
/// is uploaded as it is if there can be no copy.
fn copy(opened: &mut OpenFile, mode: UploadMode, spool: &Spool) -> Result<(), Outcome> {
    if mode == UploadMode::Settled {
        return Ok(());
    }
    match (spool.copy(&mut opened.file, opened.identity), mode) {
        (Ok(copy), _) => opened.original = Some(std::mem::replace(&mut opened.file, copy)),
        (Err(_), UploadMode::Hot) => {}
        (Err(CopyError::Changed), _) => return Err(Outcome::Changed),
        (Err(CopyError::Impossible(why)), _) => {
            let reason = format!("it changes more often than an upload takes; {why}");
            return Err(Outcome::Problem { kind: ProblemKind::Hot, reason });
        }
    }
    Ok(())
}

fn hash(opened: OpenFile, mode: UploadMode) -> Result<Content, Outcome> {
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
        UploadMode::Settled | UploadMode::Copy | UploadMode::Hot => Ok(content),
    }
}

fn hash_short(mut opened: OpenFile) -> io::Result<Content> {
    let mut body = vec![0; opened.identity.size as usize];
    opened.file.read_exact(&mut body)?;
    let sha256 = Sha256Digest::of(&body);
    Ok(Content::Short { opened, body: Bytes::from(body), sha256 })
}

/// Reads and hashes at the same time, on two threads.
fn hash_long(mut opened: OpenFile) -> io::Result<Content> {
    let (pieces, hashed) = mpsc::sync_channel::<Vec<u8>>(PIECES_READ_AHEAD);
    let (spent, free) = mpsc::channel();
    let sha256 = thread::scope(|scope| {
        let hashing =
            thread::Builder::new().name("hash".to_owned()).spawn_scoped(scope, move || {
                let mut hasher = Sha256::default();
                for piece in hashed {
                    hasher.update(&piece);
                    // The reader may be done.
                    spent.send(piece).ok();
                }
                hasher.finish()
            })?;
        let mut left = opened.identity.size;
        while left > 0 {
            let mut piece = free.try_recv().unwrap_or_else(|_| Vec::with_capacity(HASH_BYTES));
            piece.clear();
            let wanted = left.min(HASH_BYTES as u64);
            left -= (&opened.file).take(wanted).read_to_end(&mut piece)? as u64;
            if (piece.len() as u64) < wanted {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if pieces.send(piece).is_err() {
                break;
            }
        }
        drop(pieces);
        hashing.join().map_err(|_| io::Error::other("the thread that hashes the file panicked"))
    })?;
    opened.file.rewind()?;
    Ok(Content::Long { opened, sha256 })
}

/// Reads the file without moving the position from which it is sent.
fn md5_of_long(file: &File, bytes: u64) -> Result<String, Outcome> {
    let mut buffer = vec![0; HASH_BYTES];
    let (mut hasher, mut at) = (Md5::new(), 0);
    while at < bytes {
        let wanted = (bytes - at).min(HASH_BYTES as u64) as usize;
        match file.read_at(&mut buffer[..wanted], at).map_err(|err| unreadable(&err))? {
            0 => return Err(Outcome::Changed),
            len => {
                hasher.update(&buffer[..len]);
                at += len as u64;
            }
        }
    }
    Ok(hex(hasher.finalize()))
}

fn hex(digest: impl AsRef<[u8]>) -> String {
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn changed_since(opened: &OpenFile) -> bool {
    let file = opened.original.as_ref().unwrap_or(&opened.file);
    let stat = confined_fs::fstat_now(file, opened.filesystem);
    stat.map_or(true, |stat| Identity::of(&stat) != opened.identity)
}

impl Content {
    fn opened(&self) -> &OpenFile {
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

    /// Returns the MD5 of the content, in hex.
    pub(super) async fn md5(&self) -> Result<String, Outcome> {
        let (file, bytes) = match self {
            Content::Short { body, .. } => return Ok(hex(Md5::digest(body))),
            Content::Long { opened, .. } => (opened.file.try_clone(), self.bytes()),
        };
        let file = file.map_err(|err| unreadable(&err))?;
        let hashed = tokio::task::spawn_blocking(move || md5_of_long(&file, bytes));
        hashed.await.unwrap_or_else(|_| Err(Outcome::panicked()))
    }

    /// Returns true if a copy was hashed, which does not change.
    pub(super) fn is_copy(&self) -> bool {
        self.opened().original.is_some()
    }

    pub(super) fn is_long(&self) -> bool {
        matches!(self, Content::Long { .. })
    }

    /// Returns true if the file is not the version that was hashed any more.
    pub(super) fn changed_since(&self) -> bool {
        changed_since(self.opened())
    }

    /// Returns the bytes of the file, at most as many as were hashed. A thread that may wait for the disk reads
    /// ahead of the network.
    pub(super) fn stream(
        &self,
    ) -> Result<impl Stream<Item = io::Result<Bytes>> + Send + 'static, Outcome> {
        let file = self.opened().file.try_clone().map_err(|err| unreadable(&err))?;
        let bytes = self.bytes();
        let (pieces, read) = tokio::sync::mpsc::channel(PIECES_READ_AHEAD);
        tokio::task::spawn_blocking(move || {
            let mut at = 0;
            while at < bytes {
                let piece = read_piece(&file, at, (bytes - at).min(PIECE_BYTES));
                let is_last = !piece.as_ref().is_ok_and(|piece| !piece.is_empty());
                at += piece.as_ref().map_or(0, |piece| piece.len() as u64);
                // The stream may have been dropped.
                if pieces.blocking_send(piece).is_err() || is_last {
                    return;
                }
            }
        });
        Ok(stream::unfold(read, async |mut read| Some((read.recv().await?, read))))
    }
}

/// Returns up to `bytes` bytes of the file; fewer at its end. Other readers of the file are not disturbed.
fn read_piece(file: &File, at: u64, bytes: u64) -> io::Result<Bytes> {
    let mut piece = Vec::with_capacity(bytes as usize);
    while (piece.len() as u64) < bytes {
        let from = at + piece.len() as u64;
        match pread(file, spare_capacity(&mut piece), from) {
            Ok(0) => break,
            Ok(_) | Err(Errno::INTR) => {}
            Err(err) => return Err(err.into()),
        }
    }
    piece.truncate(bytes as usize);
    Ok(Bytes::from(piece))
}
