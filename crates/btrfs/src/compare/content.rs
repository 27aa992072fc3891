//! Compares the contents of files, on threads.
//!
//! Only data is read: where both files have a hole, both read as zeros. A long file is cut into
//! segments, so that several threads read it. A sample reads pieces of a long file that are spread
//! evenly over its data.
//!
//! The source is read past the page cache, which it would fill with data that no program needs. The
//! restored file is read through it, because its data was written a moment ago.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender};
use std::sync::{Arc, Mutex};

use btrfs_host::filesystem::STAT_BLOCK_BYTES;
use rustix::fs::{OFlags, SeekFrom, fcntl_getfl, fcntl_setfl, seek};
use rustix::io::Errno;

use super::buffers::{ALIGNMENT, Buffers};
use super::difference::{Mismatch, Side};
use super::result::Shared;

/// Bytes per read.
pub const PIECE_BYTES: u64 = super::buffers::PIECE_BYTES as u64;
/// Length of a segment of a long file: long enough for a disk to read ahead, and short enough for all
/// threads to end together.
const SEGMENT_BYTES: u64 = 32 << 20;
/// Maximum number of segments of one file, whose length may be 8 EiB without any data.
const SEGMENTS_MAX: u64 = 4096;
/// Minimum length of a source file that is read past the page cache.
const UNCACHED_BYTES: u64 = 64 << 10;

/// One file that is open in both trees.
pub struct Pair {
    pub path: PathBuf,
    pub source: File,
    pub restored: File,
}

/// A range of a pair that one thread compares.
pub struct Segment {
    of: Arc<PairInSegments>,
    range: Range<u64>,
}

struct PairInSegments {
    pair: Pair,
    /// Segments that are not compared yet.
    left: AtomicU64,
    /// Offset of the first byte that differs; `u64::MAX` if none was found.
    first: AtomicU64,
    unreadable: Mutex<Option<(Side, io::Error)>>,
}

/// The distance of the pieces that are compared in one file, in bytes of its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stride {
    /// Every byte.
    All,
    /// The first [`PIECE_BYTES`] of each such distance.
    Every(u64),
}

impl Pair {
    /// Lets the source be read past the page cache, where its filesystem can.
    pub fn uncached(self) -> io::Result<Pair> {
        if self.source.metadata()?.len() >= UNCACHED_BYTES {
            match fcntl_setfl(&self.source, fcntl_getfl(&self.source)? | OFlags::DIRECT) {
                Ok(()) | Err(Errno::INVAL) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(self)
    }

    /// Sends the file to the threads: in segments, or as a whole for a sample.
    pub fn send(self, len: u64, in_segments: bool, to_threads: &SyncSender<Segment>) {
        let bytes = if in_segments { segment_bytes(len) } else { u64::MAX };
        let count = len.div_ceil(bytes).max(1);
        let of = Arc::new(PairInSegments {
            pair: self,
            left: AtomicU64::new(count),
            first: AtomicU64::new(u64::MAX),
            unreadable: Mutex::default(),
        });
        for n in 0..count {
            let start = n * bytes;
            let range = start..start.saturating_add(bytes);
            // This fails only if all threads have died, which is reported elsewhere.
            to_threads.send(Segment { of: Arc::clone(&of), range }).ok();
        }
    }
}

/// Returns the length of the segments of a file.
fn segment_bytes(len: u64) -> u64 {
    len.div_ceil(SEGMENTS_MAX).next_multiple_of(PIECE_BYTES).max(SEGMENT_BYTES)
}

/// Compares segments until the channel is closed, and of each file at most `file_bytes_max` bytes.
pub fn compare_all(
    waiting: &Mutex<Receiver<Segment>>,
    file_bytes_max: Option<u64>,
    shared: &Shared<'_>,
) {
    let mut buffers = Buffers::new();
    loop {
        // A panic elsewhere does not damage the receiver.
        let next = waiting.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).recv();
        let Ok(Segment { of, range }) = next else { return };
        if shared.stop.load(Ordering::Relaxed) {
            continue;
        }
        let compared = match file_bytes_max {
            None => compare_data(&of.pair, range, &mut buffers, shared),
            Some(max) => compare_pieces(&of.pair, max, &mut buffers, shared),
        };
        of.add(compared, shared);
    }
}

impl PairInSegments {
    /// Adds the result of one segment, and reports the file after its last one.
    fn add(&self, compared: Result<Option<u64>, (Side, io::Error)>, shared: &Shared<'_>) {
        // A panic elsewhere does not damage the error.
        let unreadable = || self.unreadable.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        match compared {
            Ok(None) => {}
            Ok(Some(at)) => {
                self.first.fetch_min(at, Ordering::Relaxed);
            }
            Err(error) => *unreadable() = Some(error),
        }
        // The results of the other segments are visible to the thread that ends the last one.
        if self.left.fetch_sub(1, Ordering::AcqRel) > 1 {
            return;
        }
        shared.files_read.fetch_add(1, Ordering::Relaxed);
        let first = self.first.load(Ordering::Relaxed);
        let mismatch = match unreadable().take() {
            _ if first != u64::MAX => Mismatch::Content { at: first },
            Some((side, error)) => Mismatch::Unreadable { side, error: error.to_string() },
            None => return,
        };
        shared.differ(self.pair.path.clone(), mismatch);
    }
}

/// Compares the data in a range of both files, and returns the offset of the first byte that differs.
/// Both files have the same length.
pub fn compare_data(
    pair: &Pair,
    range: Range<u64>,
    buffers: &mut Buffers,
    shared: &Shared<'_>,
) -> Result<Option<u64>, (Side, io::Error)> {
    let mut at = range.start;
    while !shared.stop.load(Ordering::Relaxed)
        && let Some((start, end)) = next_data(pair, at)?
        && start < range.end
    {
        at = end.min(range.end);
        if let Some(differs) = compare_range(pair, (start, at), buffers, shared)? {
            return Ok(Some(differs));
        }
    }
    Ok(None)
}

/// Compares pieces of both files, together at most about `file_bytes_max` bytes.
fn compare_pieces(
    pair: &Pair,
    file_bytes_max: u64,
    buffers: &mut Buffers,
    shared: &Shared<'_>,
) -> Result<Option<u64>, (Side, io::Error)> {
    let Stride::Every(distance) = stride(allocated(pair)?, file_bytes_max) else {
        return compare_data(pair, 0..u64::MAX, buffers, shared);
    };
    shared.files_in_part.fetch_add(1, Ordering::Relaxed);
    // Bytes of data before `at`, and the data offset of the next piece.
    let (mut at, mut data, mut next) = (0, 0, 0);
    while !shared.stop.load(Ordering::Relaxed)
        && let Some((start, end)) = next_data(pair, at)?
    {
        at = end;
        while next < data + (end - start) {
            let piece_start = start + next.saturating_sub(data);
            let piece_end = end.min(piece_start + PIECE_BYTES);
            if let Some(differs) = compare_range(pair, (piece_start, piece_end), buffers, shared)? {
                return Ok(Some(differs));
            }
            next = next.saturating_add(distance);
        }
        data += end - start;
    }
    Ok(None)
}

/// Decides how a file with this much data is compared.
fn stride(data_bytes: u64, file_bytes_max: u64) -> Stride {
    if data_bytes <= file_bytes_max {
        return Stride::All;
    }
    let pieces = (file_bytes_max / PIECE_BYTES).max(1);
    Stride::Every((data_bytes / pieces).max(PIECE_BYTES))
}

/// Returns the allocated bytes of the larger file, which is at least its data.
fn allocated(pair: &Pair) -> Result<u64, (Side, io::Error)> {
    let of = |file: &File| Ok(file.metadata()?.blocks().saturating_mul(STAT_BLOCK_BYTES));
    let source: u64 = of(&pair.source).map_err(|err| (Side::Source, err))?;
    let restored = of(&pair.restored).map_err(|err| (Side::Restored, err))?;
    Ok(source.max(restored))
}

/// Returns the next range from `at` on in which at least one file has data.
fn next_data(pair: &Pair, at: u64) -> Result<Option<(u64, u64)>, (Side, io::Error)> {
    let source = extent(&pair.source, at).map_err(|err| (Side::Source, err))?;
    let restored = extent(&pair.restored, at).map_err(|err| (Side::Restored, err))?;
    // What the later one adds is found from the end of the earlier one on.
    Ok(match (source, restored) {
        (Some(source), Some(restored)) => Some(source.min(restored)),
        (source, restored) => source.or(restored),
    })
}

/// Returns the next range of data of a file.
fn extent(file: &File, at: u64) -> io::Result<Option<(u64, u64)>> {
    let start = match seek(file.as_fd(), SeekFrom::Data(at)) {
        Ok(start) => start,
        // No data follows.
        Err(Errno::NXIO) => return Ok(None),
        Err(errno) => return Err(errno.into()),
    };
    let end = seek(file.as_fd(), SeekFrom::Hole(start))?;
    Ok(Some((start, end)))
}

/// Compares one range and returns the offset of the first byte that differs.
fn compare_range(
    pair: &Pair,
    (start, end): (u64, u64),
    buffers: &mut Buffers,
    shared: &Shared<'_>,
) -> Result<Option<u64>, (Side, io::Error)> {
    let (one, other) = buffers.both();
    let mut at = start;
    while at < end && !shared.stop.load(Ordering::Relaxed) {
        let wanted = (end - at).min(PIECE_BYTES) as usize;
        // Only reads of whole blocks bypass the page cache.
        let blocks = wanted.next_multiple_of(ALIGNMENT);
        let len = fill(&pair.source, &mut one[..blocks], at);
        let len = len.map_err(|err| (Side::Source, err))?.min(wanted);
        let other_len = fill(&pair.restored, &mut other[..wanted], at);
        let other_len = other_len.map_err(|err| (Side::Restored, err))?;
        let (one, other) = (&one[..len], &other[..other_len]);
        if one != other {
            let same = one.iter().zip(other).take_while(|(one, other)| one == other).count();
            return Ok(Some(at + same as u64));
        }
        if len == 0 {
            break;
        }
        at += len as u64;
        shared.bytes_read.fetch_add(len as u64, Ordering::Relaxed);
        shared.progress.inc(len as u64);
    }
    Ok(None)
}

/// Reads until the buffer is full or the file has ended.
fn fill(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let mut len = 0;
    while len < buffer.len() {
        match file.read_at(&mut buffer[len..], at + len as u64) {
            Ok(0) => break,
            Ok(count) => len += count,
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            Err(err) if err.kind() == io::ErrorKind::InvalidInput => read_cached(file, err)?,
            Err(err) => return Err(err),
        }
    }
    Ok(len)
}

/// Lets a file be read through the page cache, where its filesystem refused a read past it.
fn read_cached(file: &File, refused: io::Error) -> io::Result<()> {
    let flags = fcntl_getfl(file)?;
    if !flags.contains(OFlags::DIRECT) {
        return Err(refused);
    }
    Ok(fcntl_setfl(file, flags - OFlags::DIRECT)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_file_is_compared_in_pieces() {
        const MIB: u64 = 1 << 20;
        #[rustfmt::skip]
        let cases = [
            (0,          MIB,      Stride::All),
            (MIB,        MIB,      Stride::All),
            (MIB + 1,    MIB,      Stride::Every(MIB + 1)),
            (100 * MIB,  10 * MIB, Stride::Every(10 * MIB)),
            (100 * MIB,  1,        Stride::Every(100 * MIB)),
            (u64::MAX,   MIB,      Stride::Every(u64::MAX)),
        ];
        for (data, max, want) in cases {
            assert_eq!(stride(data, max), want, "{data} {max}");
        }
    }

    #[test]
    fn a_long_file_has_a_limited_number_of_segments() {
        const MIB: u64 = 1 << 20;
        #[rustfmt::skip]
        let cases = [
            (0,            32 * MIB),
            (1,            32 * MIB),
            (128 << 30,    32 * MIB),
            ((128 << 30) + 1, 33 * MIB),
        ];
        for (len, want) in cases {
            assert_eq!(segment_bytes(len), want, "{len}");
        }
        let longest = i64::MAX as u64;
        assert!(longest.div_ceil(segment_bytes(longest)) <= SEGMENTS_MAX);
    }
}
