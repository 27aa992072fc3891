//! A pipe writer that lends memory to the pipe instead of copying it.
//!
//! A pipe can refer to our pages (`vmsplice`), so nothing is copied into it, only
//! out of it. Such a page must not change before it was read, and the kernel does
//! not say when that is. But a pipe is a queue with a fixed capacity: once that
//! many bytes were written after a page, the page is no longer in the pipe. Lent
//! memory is kept until then, or until the reader has ended.

use std::collections::VecDeque;
use std::io::{self, PipeWriter, Write};
use std::time::Duration;

use bytes::Bytes;
use rustix::io::Errno;
use rustix::pipe::{IoSliceRaw, SpliceFlags, vmsplice};

/// Shorter writes are copied. A lent page takes a whole slot of the pipe, however
/// few bytes of it are lent.
const LENT_BYTES_MIN: usize = 16 << 10;
/// Capacity to assume if the kernel does not report it: 16 pages (pipe(7)) of the
/// largest size.
const PIPE_BYTES_DEFAULT: usize = 16 * (64 << 10);

/// Capacity from which on the writer polls for room instead of waiting in the
/// kernel. The kernel would wake it for each read of a few pages, and two processes
/// that wake each other cost more than the transfer (`bench/ATTEMPTS.md`). A smaller
/// pipe would run empty between two polls.
const POLL_FROM_BYTES: u64 = 1 << 20;
/// Half of the time in which a reader of 1 GB/s empties such a pipe.
const POLL_INTERVAL: Duration = Duration::from_micros(500);

#[derive(Debug)]
pub struct LendingPipe {
    writer: PipeWriter,
    /// Upper bound for the bytes in the pipe: each slot has at most one page.
    capacity_bytes: u64,
    /// True while the kernel accepts pages.
    can_lend: bool,
    /// Total number of bytes that were copied and lent.
    written_bytes: u64,
    lent: VecDeque<LentBuffer>,
}

/// Memory that may still be in the pipe.
#[derive(Debug)]
struct LentBuffer {
    _bytes: Bytes,
    /// Total number of bytes written up to the end of this memory.
    end: u64,
}

/// Memory that may still be in a closed pipe. Drop it after the reader has ended.
#[derive(Debug, Default)]
pub struct LentMemory(
    #[expect(dead_code, reason = "it only keeps the memory alive")] VecDeque<LentBuffer>,
);

impl LendingPipe {
    pub fn new(writer: PipeWriter) -> LendingPipe {
        let size = rustix::pipe::fcntl_getpipe_size(&writer).unwrap_or(PIPE_BYTES_DEFAULT);
        let lent = VecDeque::new();
        LendingPipe { writer, capacity_bytes: size as u64, can_lend: true, written_bytes: 0, lent }
    }

    /// Writes all bytes as a copy; the caller can reuse them immediately.
    pub fn copy(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer.write_all(bytes)?;
        self.record(bytes.len());
        Ok(())
    }

    /// Writes all bytes without a copy, except for short writes.
    pub fn lend(&mut self, mut bytes: Bytes) -> io::Result<()> {
        while self.can_lend && bytes.len() >= LENT_BYTES_MIN {
            match self.splice(&bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    let end = self.written_bytes + count as u64;
                    self.lent.push_back(LentBuffer { _bytes: bytes.split_to(count), end });
                    self.record(count);
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => wait_for_room(),
                Err(errno @ (Errno::NOSYS | Errno::PERM | Errno::INVAL)) => {
                    tracing::debug!(event = "pipe_lending_unsupported", "{errno}");
                    self.can_lend = false;
                }
                Err(errno) => return Err(errno.into()),
            }
        }
        if bytes.is_empty() { Ok(()) } else { self.copy(&bytes) }
    }

    /// Closes the pipe, so that the reader reaches its end.
    pub fn close(self) -> LentMemory {
        LentMemory(self.lent)
    }

    /// Lends some of the bytes, and returns how many. `AGAIN` means that the pipe is
    /// full.
    fn splice(&self, bytes: &Bytes) -> Result<usize, Errno> {
        let slices = [IoSliceRaw::from_slice(bytes)];
        let polls = self.capacity_bytes >= POLL_FROM_BYTES;
        let flags = if polls { SpliceFlags::NONBLOCK } else { SpliceFlags::empty() };
        #[expect(unsafe_code, reason = "no type expresses how long the kernel reads these pages")]
        // SAFETY: the pages must not change until they were read from the pipe.
        // `Bytes` never change while they exist. `lend` keeps them until the
        // capacity of the pipe was written after them, or, in a `LentMemory`, until
        // the reader has ended. `SPLICE_F_GIFT` is not set.
        unsafe {
            vmsplice(&self.writer, &slices, flags)
        }
    }

    fn record(&mut self, count: usize) {
        self.written_bytes += count as u64;
        let read = self.written_bytes.saturating_sub(self.capacity_bytes);
        while self.lent.pop_front_if(|lent| lent.end <= read).is_some() {}
    }
}

#[expect(clippy::disallowed_methods, reason = "there is no event for room for many pages")]
fn wait_for_room() {
    std::thread::sleep(POLL_INTERVAL);
}

#[cfg(test)]
mod tests {
    use std::io::{PipeReader, Read};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use super::*;

    /// The writer waits in the kernel with the first, and polls with the second.
    const PIPES_BYTES: [usize; 2] = [256 << 10, 1 << 20];

    fn noise(bytes: usize, seed: usize) -> Vec<u8> {
        (seed..seed + bytes).map(|n| (n.wrapping_mul(0x9E37_79B9) >> 24) as u8).collect()
    }

    fn pipe(bytes: usize) -> (PipeReader, LendingPipe) {
        let (reader, writer) = io::pipe().unwrap();
        rustix::pipe::fcntl_setpipe_size(&writer, bytes).unwrap();
        (reader, LendingPipe::new(writer))
    }

    fn read_all(mut reader: PipeReader) -> thread::JoinHandle<Vec<u8>> {
        thread::spawn(move || {
            let mut read = Vec::new();
            reader.read_to_end(&mut read).unwrap();
            read
        })
    }

    #[test]
    fn lent_and_copied_bytes_arrive_in_order() {
        for pipe_bytes in PIPES_BYTES {
            let (reader, mut pipe) = pipe(pipe_bytes);
            let read = read_all(reader);
            let mut expected = Vec::new();
            let lengths = [1, 100_000, 4096, 3 << 20, LENT_BYTES_MIN - 1, 70_001];
            for (seed, len) in lengths.into_iter().enumerate() {
                let bytes = noise(len, seed);
                expected.extend_from_slice(&bytes);
                expected.extend_from_slice(&bytes[len / 3..]);

                pipe.copy(&bytes).unwrap();
                pipe.lend(Bytes::from(bytes).slice(len / 3..)).unwrap();
            }
            let _lent = pipe.close();
            assert!(read.join().unwrap() == expected);
        }
    }

    /// Memory that is overwritten when it is dropped.
    struct OverwrittenOnDrop {
        memory: Vec<u8>,
        _kept: Arc<()>,
    }

    impl AsRef<[u8]> for OverwrittenOnDrop {
        fn as_ref(&self) -> &[u8] {
            &self.memory
        }
    }

    impl Drop for OverwrittenOnDrop {
        fn drop(&mut self) {
            self.memory.fill(0);
        }
    }

    fn overwritten_on_drop(bytes: &[u8], kept: &Arc<()>) -> Bytes {
        Bytes::from_owner(OverwrittenOnDrop { memory: bytes.to_vec(), _kept: Arc::clone(kept) })
    }

    /// Reads page by page, and until `is_done` only as much as the writer needs. So
    /// bytes stay in the pipe as long as possible.
    fn read_late(
        mut reader: PipeReader,
        pipe_bytes: usize,
        is_done: Arc<AtomicBool>,
    ) -> thread::JoinHandle<Vec<u8>> {
        thread::spawn(move || {
            let (mut read, mut page) = (Vec::new(), [0; 4096]);
            loop {
                let waiting = rustix::io::ioctl_fionread(&reader).unwrap();
                if waiting < pipe_bytes as u64 * 3 / 4 && !is_done.load(Ordering::Acquire) {
                    thread::yield_now();
                    continue;
                }
                match reader.read(&mut page).unwrap() {
                    0 => return read,
                    count => read.extend_from_slice(&page[..count]),
                }
            }
        })
    }

    #[test]
    fn lent_memory_is_kept_until_it_was_read_and_no_longer() {
        const LEN: usize = 100_000;
        for pipe_bytes in PIPES_BYTES {
            let (reader, mut pipe) = pipe(pipe_bytes);
            let (kept, is_done) = (Arc::new(()), Arc::new(AtomicBool::new(false)));
            let read = read_late(reader, pipe_bytes, Arc::clone(&is_done));
            let mut expected = Vec::new();
            for n in 0..100 {
                // It starts within a page, so it takes one slot more than its pages.
                let bytes = noise(LEN, n);
                expected.extend_from_slice(&bytes[100 + n..]);

                pipe.lend(overwritten_on_drop(&bytes, &kept).slice(100 + n..)).unwrap();

                let lent = Arc::strong_count(&kept) - 1;
                assert!(lent <= 2 + pipe_bytes / (LEN - 400), "{lent} buffers are kept");
            }
            let lent = pipe.close();
            is_done.store(true, Ordering::Release);
            assert!(read.join().unwrap() == expected);
            assert!(Arc::strong_count(&kept) > 1, "the last buffer may still be in the pipe");
            drop(lent);
            assert_eq!(Arc::strong_count(&kept), 1);
        }
    }

    #[test]
    fn lent_memory_is_kept_while_nothing_is_read() {
        for pipe_bytes in PIPES_BYTES {
            let (mut reader, mut pipe) = pipe(pipe_bytes);
            let (bytes, kept) = (noise(100_000, 1), Arc::new(()));
            pipe.lend(overwritten_on_drop(&bytes, &kept)).unwrap();
            // Nearly as much as fits.
            pipe.copy(&noise(pipe_bytes - 110_000, 2)).unwrap();
            assert_eq!(Arc::strong_count(&kept), 2);

            let mut read = vec![0; bytes.len()];
            reader.read_exact(&mut read).unwrap();
            assert!(read == bytes);
        }
    }

    #[test]
    fn without_a_reader_writes_fail_with_a_broken_pipe() {
        for pipe_bytes in PIPES_BYTES {
            let (reader, mut pipe) = pipe(pipe_bytes);
            drop(reader);
            let bytes = Bytes::from(noise(1 << 20, 0));
            assert_eq!(pipe.copy(&bytes).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
            assert_eq!(pipe.lend(bytes).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        }
    }
}
