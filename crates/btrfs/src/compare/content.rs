//! Compares the contents of files, on threads.
//!
//! Only data is read: where both files have a hole, both read as zeros. A sample reads
//! pieces of a long file that are spread evenly over its data.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;

use btrfs_host::filesystem::STAT_BLOCK_BYTES;
use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

use super::difference::{Mismatch, Side};
use super::result::Shared;

/// Bytes per read. Long reads save a disk from seeking between the two files.
pub const PIECE_BYTES: u64 = 1 << 20;

/// One file that is open in both trees.
pub struct Pair {
    pub path: PathBuf,
    pub source: File,
    pub restored: File,
}

/// The distance of the pieces that are compared in one file, in bytes of its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stride {
    /// Every byte.
    All,
    /// The first [`PIECE_BYTES`] of each such distance.
    Every(u64),
}

type Buffers = (Vec<u8>, Vec<u8>);

/// Compares pairs until the channel is closed, and of each at most `file_bytes_max` bytes.
pub fn compare_all(
    waiting: &Mutex<Receiver<Pair>>,
    file_bytes_max: Option<u64>,
    shared: &Shared<'_>,
) {
    let mut buffers = (vec![0; PIECE_BYTES as usize], vec![0; PIECE_BYTES as usize]);
    loop {
        // A panic elsewhere does not damage the receiver.
        let next = waiting.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).recv();
        let Ok(pair) = next else { return };
        if shared.stop.load(Ordering::Relaxed) {
            continue;
        }
        match first_difference(&pair, file_bytes_max, &mut buffers, shared) {
            Ok(None) => {}
            Ok(Some(at)) => shared.differ(pair.path, Mismatch::Content { at }),
            Err((side, error)) => {
                shared.differ(pair.path, Mismatch::Unreadable { side, error: error.to_string() });
            }
        }
        shared.files_read.fetch_add(1, Ordering::Relaxed);
    }
}

/// Returns the offset of the first byte that differs. Both files have the same length.
fn first_difference(
    pair: &Pair,
    file_bytes_max: Option<u64>,
    buffers: &mut Buffers,
    shared: &Shared<'_>,
) -> Result<Option<u64>, (Side, io::Error)> {
    let stride = match file_bytes_max {
        None => Stride::All,
        Some(max) => stride(allocated(pair)?, max),
    };
    if stride != Stride::All {
        shared.files_in_part.fetch_add(1, Ordering::Relaxed);
    }
    // Bytes of data before `at`, and the data offset of the next piece.
    let (mut at, mut data, mut next) = (0, 0, 0);
    while !shared.stop.load(Ordering::Relaxed)
        && let Some((start, end)) = next_data(pair, at)?
    {
        at = end;
        let Stride::Every(distance) = stride else {
            if let Some(differs) = compare_range(pair, (start, end), buffers, shared)? {
                return Ok(Some(differs));
            }
            continue;
        };
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
    (one, other): &mut Buffers,
    shared: &Shared<'_>,
) -> Result<Option<u64>, (Side, io::Error)> {
    let mut at = start;
    while at < end && !shared.stop.load(Ordering::Relaxed) {
        let wanted = (end - at).min(PIECE_BYTES) as usize;
        let len = fill(&pair.source, &mut one[..wanted], at);
        let len = len.map_err(|err| (Side::Source, err))?;
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
            Err(err) => return Err(err),
        }
    }
    Ok(len)
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
}
