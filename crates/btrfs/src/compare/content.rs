//! Compares the contents of files, on threads.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;

use super::difference::{Mismatch, Side};
use super::result::Shared;

/// Bytes per read. Long reads save a disk from seeking between the two files.
const PIECE_BYTES: usize = 1 << 20;

/// One file that is open in both trees.
pub struct Pair {
    pub path: PathBuf,
    pub source: File,
    pub restored: File,
}

/// Compares pairs until the channel is closed.
pub fn compare_all(waiting: &Mutex<Receiver<Pair>>, shared: &Shared<'_>) {
    let mut buffers = (vec![0; PIECE_BYTES], vec![0; PIECE_BYTES]);
    loop {
        // A panic elsewhere does not damage the receiver.
        let next = waiting.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).recv();
        let Ok(pair) = next else { return };
        if shared.stop.load(Ordering::Relaxed) {
            continue;
        }
        let Pair { path, source, restored } = pair;
        match first_difference(source, restored, &mut buffers, shared) {
            Ok(None) => {}
            Ok(Some(at)) => shared.differ(path, Mismatch::Content { at }),
            Err((side, error)) => {
                shared.differ(path, Mismatch::Unreadable { side, error: error.to_string() });
            }
        }
        shared.files_read.fetch_add(1, Ordering::Relaxed);
    }
}

/// Returns the offset of the first byte that differs. The end of the shorter file counts.
fn first_difference(
    mut source: File,
    mut restored: File,
    (one, other): &mut (Vec<u8>, Vec<u8>),
    shared: &Shared<'_>,
) -> Result<Option<u64>, (Side, io::Error)> {
    let mut at = 0;
    while !shared.stop.load(Ordering::Relaxed) {
        let len = fill(&mut source, one).map_err(|err| (Side::Source, err))?;
        let other_len = fill(&mut restored, other).map_err(|err| (Side::Restored, err))?;
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
fn fill(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut len = 0;
    while len < buffer.len() {
        match file.read(&mut buffer[len..]) {
            Ok(0) => break,
            Ok(count) => len += count,
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            Err(err) => return Err(err),
        }
    }
    Ok(len)
}
