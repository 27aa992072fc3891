//! Blobs: files of bytes that never change, and that outlive their removal for
//! as long as somebody reads them.
//!
//! A read of ten thousand parts takes an hour and opens one file at a time. An
//! object that is overwritten meanwhile must be read to its end all the same,
//! so a reader *pins* its blobs: a blob that is removed while it is pinned
//! goes when the last pin does.

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

use crate::disk::{self, Disk};
use crate::record::Part;

/// How much of a body is read at a time: large enough that a disk is busy,
/// small enough that a thousand readers fit in memory.
const READ_BYTES: u64 = 256 * 1024;

pub(crate) struct Blobs {
    disk: Arc<Disk>,
    pins: Mutex<HashMap<String, Pins>>,
}

#[derive(Default)]
struct Pins {
    count: usize,
    doomed: bool,
}

impl Blobs {
    pub(crate) fn new(disk: Arc<Disk>) -> Arc<Blobs> {
        Arc::new(Blobs { disk, pins: Mutex::default() })
    }

    /// Makes a blob of a temporary file; returns its id.
    pub(crate) fn keep(&self, file: NamedTempFile) -> io::Result<String> {
        let id = random_id()?;
        disk::keep(file, &self.disk.blob(&id))?;
        Ok(id)
    }

    /// Removes a blob now, or when its last reader is done.
    ///
    /// A file that cannot be removed is left: nothing refers to it, and it is
    /// swept at the next start.
    pub(crate) fn remove(&self, id: &str) {
        match self.pins().get_mut(id) {
            Some(pins) => pins.doomed = true,
            None => self.unlink(id),
        }
    }

    fn pin(self: &Arc<Blobs>, ids: Vec<String>) -> Pinned {
        let mut pins = self.pins();
        for id in &ids {
            pins.entry(id.clone()).or_default().count += 1;
        }
        Pinned { blobs: Arc::clone(self), ids }
    }

    fn unpin(&self, id: &str) {
        let mut pins = self.pins();
        let pin = pins.get_mut(id).expect("what is unpinned was pinned");
        pin.count -= 1;
        if pin.count == 0 && pins.remove(id).is_some_and(|pin| pin.doomed) {
            self.unlink(id);
        }
    }

    fn unlink(&self, id: &str) {
        let path = self.disk.blob(id);
        if let Err(error) = fs::remove_file(&path) {
            tracing::warn!(event = "blob_left", path = %path.display(), %error);
        }
    }

    fn pins(&self) -> MutexGuard<'_, HashMap<String, Pins>> {
        self.pins.lock().expect("no holder of this lock panics")
    }
}

struct Pinned {
    blobs: Arc<Blobs>,
    ids: Vec<String>,
}

impl Drop for Pinned {
    fn drop(&mut self) {
        for id in &self.ids {
            self.blobs.unpin(id);
        }
    }
}

/// Reads a range of an object from the blobs of its parts.
pub(crate) struct Reader {
    pinned: Pinned,
    pieces: std::vec::IntoIter<Piece>,
    open: Option<(File, Range<u64>)>,
}

/// What is read of one blob.
#[derive(Debug, PartialEq, Eq)]
struct Piece {
    blob: String,
    range: Range<u64>,
}

impl Reader {
    /// Call it under the lock under which the parts were looked up.
    pub(crate) fn new(blobs: &Arc<Blobs>, parts: &[Part], range: Range<u64>) -> Reader {
        let pieces = pieces(parts, range);
        let pinned = blobs.pin(pieces.iter().map(|piece| piece.blob.clone()).collect());
        Reader { pinned, pieces: pieces.into_iter(), open: None }
    }

    /// The bytes, read on the blocking pool, one chunk ahead of nobody: what a
    /// slow client does not take is not read.
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

/// Which bytes of which blob make up `range` of the object.
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

/// 32 hex digits that nobody can guess and that never come twice.
pub(crate) fn random_id() -> io::Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(crate::digest::hex(&bytes))
}

#[cfg(test)]
mod tests {
    use s3s::dto::Timestamp;

    use super::*;
    use crate::digest::{Algorithm, Checksum, Kind};

    #[test]
    fn the_pieces_of_a_range() {
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
    fn a_pinned_blob_goes_with_its_last_reader() {
        let root = tempfile::tempdir().unwrap();
        let (disk, _lock) = Disk::open(root.path().to_owned()).unwrap();
        let disk = Arc::new(disk);
        let blobs = Blobs::new(Arc::clone(&disk));
        let id = blobs.keep(disk.temporary().unwrap()).unwrap();
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
            kind: Kind::FullObject,
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
