//! The bytes of one upload: one descriptor, opened beneath the watch, hashed
//! from its first to its last byte, and proven not to have changed meanwhile.

use std::fs::File;
use std::io::{self, Read, Seek};

use bytes::Bytes;
use futures::Stream;
use rustix::fs::fstat;
use s3up_core::{RemotePath, Sha256, Sha256Digest};
use tokio::io::AsyncReadExt;
use tokio_util::io::ReaderStream;

use super::{Manner, Order, Outcome, to_send};
use crate::beneath::{self, Root};
use crate::config::SHORT_BYTES_MAX;
use crate::decide::Known;
use crate::identity::Identity;
use crate::problem::Kind;

/// Hashing runs at the speed of memory in pieces of this size.
const HASH_BYTES: usize = 1 << 20;
/// What a long upload holds at a time.
const PIECE_BYTES: usize = 256 * 1024;

#[derive(Debug)]
pub(super) struct Opened {
    file: File,
    identity: Identity,
    mode: u32,
}

/// Hashed, and ready to be sent.
#[derive(Debug)]
pub(super) enum Content {
    Short { opened: Opened, body: Bytes, sha256: Sha256Digest },
    Long { opened: Opened, sha256: Sha256Digest },
}

/// Opens the file, checks that it is what was to be uploaded, and reads it
/// once; all in one go on a thread that may wait for the disk.
pub(super) async fn read(
    order: &Order,
    local_path: String,
    known: Known,
) -> Result<(Content, RemotePath), Outcome> {
    let order = order.clone();
    let read = tokio::task::spawn_blocking(move || {
        let opened = open(&order)?;
        let remote_path = to_send(&order, opened.identity, local_path, &known)?;
        Ok((hash(opened, order.manner)?, remote_path))
    });
    read.await.unwrap_or_else(|_| Err(Outcome::died()))
}

fn open(order: &Order) -> Result<Opened, Outcome> {
    // Without its root the whole watch is gone, or cannot be entered. The next
    // scan says so, or finds this file again.
    let root = Root::open(&order.watch.root).map_err(|_| Outcome::Nothing(None))?;
    let (file, stat) = root.file(&order.path).map_err(|err| unopened(&err))?;
    if !beneath::is_regular(&stat) {
        return Err(Outcome::Nothing(None));
    }
    let identity = Identity::of(&stat);
    if order.manner == Manner::Settled && identity != order.identity {
        return Err(Outcome::Changed);
    }
    Ok(Opened { file, identity, mode: stat.st_mode & 0o7777 })
}

/// A symlink or a special file took its place: that is excluded, not read.
fn unopened(err: &io::Error) -> Outcome {
    if beneath::is_gone(err) {
        return Outcome::Gone;
    }
    if beneath::is_detour(err) {
        return Outcome::Nothing(None);
    }
    unreadable(err)
}

fn unreadable(err: &io::Error) -> Outcome {
    Outcome::Problem { kind: Kind::Unreadable, reason: format!("cannot be read: {err}") }
}

fn hash(opened: Opened, manner: Manner) -> Result<Content, Outcome> {
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
    match manner {
        Manner::Settled if content.changed_since() => Err(Outcome::Changed),
        Manner::Settled | Manner::Hot => Ok(content),
    }
}

fn hash_short(mut opened: Opened) -> io::Result<Content> {
    let mut body = vec![0; opened.identity.size as usize];
    opened.file.read_exact(&mut body)?;
    let sha256 = Sha256Digest::of(&body);
    Ok(Content::Short { opened, body: Bytes::from(body), sha256 })
}

fn hash_long(mut opened: Opened) -> io::Result<Content> {
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
    fn opened(&self) -> &Opened {
        match self {
            Content::Short { opened, .. } | Content::Long { opened, .. } => opened,
        }
    }

    /// The version that was hashed.
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

    /// True where the file is no longer the version that was hashed.
    pub(super) fn changed_since(&self) -> bool {
        let opened = self.opened();
        fstat(&opened.file).map_or(true, |stat| Identity::of(&stat) != opened.identity)
    }

    /// The file from its start, exactly as long as it was.
    pub(super) fn stream(
        &self,
    ) -> Result<impl Stream<Item = io::Result<Bytes>> + Send + 'static, Outcome> {
        let file = self.opened().file.try_clone().map_err(|err| unreadable(&err))?;
        let reader = tokio::fs::File::from_std(file).take(self.bytes());
        Ok(ReaderStream::with_capacity(reader, PIECE_BYTES))
    }
}
