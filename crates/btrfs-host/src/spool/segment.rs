//! One file of a spool.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use crc_fast::{CrcAlgorithm, checksum};

use super::dir::{PIECE_BYTES, Spool, SpoolError};
use super::space::SpoolSpace;

/// Space is freed file by file: many files free it sooner, few need fewer descriptors.
const SEGMENTS: u64 = 64;
const SEGMENT_BYTES_MIN: u64 = 8 << 20;

/// An unnamed file. Dropping it frees its space.
pub struct Segment {
    // Drop order: the file is closed before its space is released.
    file: File,
    used: UsedSpace,
    limit: usize,
}

/// The space that a file uses.
struct UsedSpace {
    /// Only the writer changes this.
    bytes: AtomicUsize,
    space: SpoolSpace,
}

/// Bytes that wait in a segment.
pub struct Piece {
    segment: Arc<Segment>,
    spool: Arc<Spool>,
    offset: u64,
    len: usize,
    /// CRC64NVME.
    checksum: u64,
}

/// Returns the length of each file of a spool. At least two files fit, so that one can
/// drain while the other fills.
pub fn segment_bytes(limit_bytes: u64) -> u64 {
    let bytes = (limit_bytes / SEGMENTS).max(SEGMENT_BYTES_MIN).min(limit_bytes / 2);
    bytes.max(PIECE_BYTES as u64)
}

impl Segment {
    fn create(spool: &Spool, space: &SpoolSpace) -> Result<Segment, SpoolError> {
        let file = tempfile::tempfile_in(&spool.directory)
            .map_err(|source| SpoolError::Create { directory: spool.directory.clone(), source })?;
        space.opened();
        let limit = usize::try_from(segment_bytes(space.limit_bytes())).unwrap_or(usize::MAX);
        let used = UsedSpace { bytes: AtomicUsize::new(0), space: space.clone() };
        Ok(Segment { file, used, limit })
    }

    fn len(&self) -> usize {
        self.used.bytes.load(Ordering::Relaxed)
    }

    /// Returns true if another piece fits.
    pub fn has_room(&self) -> bool {
        self.len() + PIECE_BYTES <= self.limit
    }
}

impl Drop for UsedSpace {
    fn drop(&mut self) {
        self.space.closed(self.bytes.load(Ordering::Relaxed));
    }
}

/// Appends a piece to `segment`, or to a new one. Blocks.
pub fn append(
    spool: &Arc<Spool>,
    segment: Option<Arc<Segment>>,
    space: &SpoolSpace,
    bytes: &[u8],
) -> Result<(Arc<Segment>, Piece), SpoolError> {
    let segment = match segment {
        Some(segment) => segment,
        None => Arc::new(Segment::create(spool, space)?),
    };
    let offset = segment.len();
    let at = offset as u64;
    if let Err(source) = segment.file.write_all_at(bytes, at) {
        // Cut off the bytes of a partial write, which nothing counts.
        if let Err(err) = segment.file.set_len(at) {
            tracing::debug!(event = "spool_not_truncated", "{err}");
        }
        return Err(SpoolError::Write { directory: spool.directory.clone(), source });
    }
    segment.used.bytes.store(offset + bytes.len(), Ordering::Relaxed);
    let piece = Piece {
        segment: segment.clone(),
        spool: spool.clone(),
        offset: at,
        len: bytes.len(),
        checksum: checksum(CrcAlgorithm::Crc64Nvme, bytes),
    };
    Ok((segment, piece))
}

impl Piece {
    /// Reads the piece back and checks it. Blocks.
    pub fn read(self) -> Result<Bytes, SpoolError> {
        let directory = || self.spool.directory.clone();
        let mut bytes = vec![0; self.len];
        let read = self.segment.file.read_exact_at(&mut bytes, self.offset);
        read.map_err(|source| SpoolError::Read { directory: directory(), source })?;
        if checksum(CrcAlgorithm::Crc64Nvme, &bytes) != self.checksum {
            return Err(SpoolError::Changed { directory: directory() });
        }
        Ok(bytes.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn two_segments_fit_and_not_too_many() {
        #[rustfmt::skip]
        let cases = [
            (2 * MIB,     MIB),
            (5 * MIB,     5 * MIB / 2),
            (32 * MIB,    8 * MIB),
            (1024 * MIB,  16 * MIB),
            (200 << 30,   3200 * MIB),
        ];
        for (limit, want) in cases {
            assert_eq!(segment_bytes(limit), want, "{limit}");
        }
    }

    #[test]
    fn bytes_that_the_disk_changed_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path().to_owned();
        let spool = Arc::new(Spool { directory, limit_bytes: 4 * MIB });
        let space = SpoolSpace::new(4 * MIB);
        let (segment, piece) = append(&spool, None, &space, &[7; 1000]).unwrap();
        let (_, whole) = append(&spool, Some(segment.clone()), &space, &[8; 1000]).unwrap();
        segment.file.write_all_at(&[9], 500).unwrap();

        assert!(piece.read().unwrap_err().to_string().contains("returned other bytes"));
        assert_eq!(whole.read().unwrap(), vec![8; 1000]);
    }
}
