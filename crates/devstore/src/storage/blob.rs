//! Blobs: immutable files with the bytes of parts and objects.
//!
//! A read of ten thousand parts may take an hour and opens one file at a time. If
//! the object is overwritten meanwhile, the reader must still get all of it. So a
//! reader *pins* its blobs, and a blob that is removed while it is pinned is
//! deleted with its last pin.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use futures::Stream;
use futures::stream::try_unfold;
use tempfile::NamedTempFile;

use crate::model::record::Part;
use crate::storage::disk::{self, Disk};

/// Number of bytes per read: enough to keep a disk busy, and small enough that a
/// thousand readers fit in memory.
const READ_BYTES: u64 = 256 * 1024;

pub(crate) struct Blobs {
    disk: Arc<Disk>,
    pins: Mutex<HashMap<String, Pins>>,
}

#[derive(Default)]
struct Pins {
    count: usize,
    is_removed: bool,
}

impl Blobs {
    pub(crate) fn new(disk: Arc<Disk>) -> Arc<Blobs> {
        Arc::new(Blobs { disk, pins: Mutex::default() })
    }

    /// Turns a temporary file into a blob and returns its id.
    pub(crate) fn store(&self, file: NamedTempFile) -> io::Result<String> {
        let id = random_id()?;
        disk::persist(file, &self.disk.blob(&id))?;
        Ok(id)
    }

    /// Removes a blob, now or when its last reader is done.
    ///
    /// A file that cannot be removed stays. No record refers to it, so the next
    /// start removes it.
    pub(crate) fn remove(&self, id: &str) {
        match self.pins().get_mut(id) {
            Some(pins) => pins.is_removed = true,
            None => self.unlink(id),
        }
    }

    fn pin(self: &Arc<Blobs>, ids: Vec<String>) -> PinGuard {
        let mut pins = self.pins();
        for id in &ids {
            pins.entry(id.clone()).or_default().count += 1;
        }
        PinGuard { blobs: Arc::clone(self), ids }
    }

    fn unpin(&self, id: &str) {
        let mut pins = self.pins();
        let pin = pins.get_mut(id).expect("an unpinned blob was pinned before");
        pin.count -= 1;
        if pin.count == 0 && pins.remove(id).is_some_and(|pin| pin.is_removed) {
            self.unlink(id);
        }
    }

    fn unlink(&self, id: &str) {
        let path = self.disk.blob(id);
        if let Err(error) = fs::remove_file(&path) {
            tracing::warn!(event = "blob_not_deleted", path = %path.display(), %error);
        }
    }

    fn pins(&self) -> MutexGuard<'_, HashMap<String, Pins>> {
        self.pins.lock().expect("no holder of this lock panics")
    }
}

struct PinGuard {
    blobs: Arc<Blobs>,
    ids: Vec<String>,
}

impl Drop for PinGuard {
    fn drop(&mut self) {
        for id in &self.ids {
            self.blobs.unpin(id);
        }
    }
}

/// Reads a range of an object from the blobs of its parts.
pub(crate) struct Reader {
    pinned: PinGuard,
    pieces: std::vec::IntoIter<Piece>,
    open: Option<(File, Range<u64>)>,
}

/// A range of one blob.
#[derive(Debug, PartialEq, Eq)]
struct Piece {
    blob: String,
    range: Range<u64>,
}

impl Reader {
    /// Must be called under the same lock under which the parts were looked up.
    pub(crate) fn new(blobs: &Arc<Blobs>, parts: &[Part], range: Range<u64>) -> Reader {
        let pieces = pieces(parts, range);
        let pinned = blobs.pin(pieces.iter().map(|piece| piece.blob.clone()).collect());
        Reader { pinned, pieces: pieces.into_iter(), open: None }
    }

    /// Returns the bytes, read on the blocking pool. It never reads ahead of a slow
    /// client.
    pub(crate) fn into_stream(self) -> impl Stream<Item = io::Result<Bytes>> + Send + Sync {
        try_unfold(self, |mut reader| async {
            let read = tokio::task::spawn_blocking(move || {
                let chunk = reader.next_chunk()?;
                Ok::<_, io::Error>(chunk.map(|chunk| (chunk, reader)))
            });
            read.await.map_err(io::Error::other)?
        })
    }

    fn next_chunk(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            if let Some((file, left)) = &mut self.open
                && !left.is_empty()
            {
                let len = READ_BYTES.min(left.end - left.start);
                let mut chunk = vec![0; len as usize];
                file.read_exact_at(&mut chunk, left.start)?;
                left.start += len;
                return Ok(Some(chunk.into()));
            }
            let Some(piece) = self.pieces.next() else { return Ok(None) };
            let file = File::open(self.pinned.blobs.disk.blob(&piece.blob))?;
            self.open = Some((file, piece.range));
        }
    }
}

/// Returns the ranges of blobs that make up `range` of the object.
fn pieces(parts: &[Part], range: Range<u64>) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut start = 0;
    for part in parts {
        let end = start + part.len;
        let (from, to) = (range.start.max(start), range.end.min(end));
        if from < to {
            pieces.push(Piece { blob: part.blob.clone(), range: from - start..to - start });
        }
        start = end;
    }
    pieces
}

/// Returns 32 random hexadecimal digits, which are unique and cannot be guessed.
pub(crate) fn random_id() -> io::Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(crate::model::digest::hex(&bytes))
}

#[cfg(test)]
mod tests {
    use s3s::dto::Timestamp;

    use super::*;
    use crate::model::digest::{Algorithm, Checksum, ChecksumKind};

    #[test]
    fn a_range_is_composed_of_the_right_pieces() {
        let parts = [part("a", 3), part("b", 0), part("c", 4)];
        #[rustfmt::skip]
        let cases = [
            (0..7, vec![("a", 0..3), ("c", 0..4)]),
            (0..3, vec![("a", 0..3)]),
            (1..2, vec![("a", 1..2)]),
            (2..4, vec![("a", 2..3), ("c", 0..1)]),
            (3..7, vec![("c", 0..4)]),
            (6..7, vec![("c", 3..4)]),
            (0..0, vec![]),
        ];
        for (range, want) in cases {
            let got = pieces(&parts, range.clone());
            let got: Vec<_> = got.iter().map(|p| (p.blob.as_str(), p.range.clone())).collect();
            assert_eq!(got, want, "{range:?}");
        }
    }

    #[test]
    fn a_removed_blob_is_deleted_with_its_last_reader() {
        let root = tempfile::tempdir().unwrap();
        let (disk, _lock) = Disk::open(root.path().to_owned()).unwrap();
        let disk = Arc::new(disk);
        let blobs = Blobs::new(Arc::clone(&disk));
        let id = blobs.store(disk.temporary().unwrap()).unwrap();
        let (one, other) = (blobs.pin(vec![id.clone()]), blobs.pin(vec![id.clone()]));

        blobs.remove(&id);
        drop(one);
        assert!(disk.blob(&id).exists(), "removed under a reader");

        drop(other);
        assert!(!disk.blob(&id).exists(), "left after its last reader");
    }

    fn part(blob: &str, len: u64) -> Part {
        let checksum = Checksum {
            algorithm: Algorithm::Crc64Nvme,
            kind: ChecksumKind::FullObject,
            value: String::new(),
        };
        Part {
            number: 1,
            blob: blob.to_owned(),
            len,
            etag: String::new(),
            checksum,
            crc64nvme: 0,
            written_at: Timestamp::default(),
        }
    }
}
