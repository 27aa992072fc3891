//! A pipe that memory is lent to, in place of a copy of it.
//!
//! A pipe can hold pages of ours (`vmsplice`): nothing is copied into it, only
//! out of it. Such a page may not change before it was read, and nobody tells
//! when that is. But a pipe is a queue that holds so many bytes and no more: once
//! as many were put behind it, what was lent is not in it any more. Until then,
//! or until whoever reads it has ended, what is lent is kept.

use std::collections::VecDeque;
use std::io::{self, PipeWriter, Write};
use std::time::Duration;

use bytes::Bytes;
use rustix::io::Errno;
use rustix::pipe::{IoSliceRaw, SpliceFlags, vmsplice};

/// A lent page takes one place in the pipe, however few bytes of it are lent:
/// less than some pages is copied.
const LENT_BYTES_MIN: usize = 16 << 10;
/// Of a pipe whose size the kernel does not tell (pipe(7)): 16 pages, of the
/// longest there are.
const PIPE_BYTES_DEFAULT: usize = 16 * (64 << 10);

/// Of a pipe that holds so much, room is looked for now and then. A writer that
/// waits in the kernel is woken for each read of some pages, and two processes
/// that wake each other cost more than what they move (`bench/README.md`). A
/// pipe that holds less would be empty in the meantime.
const LOOKS_FROM_BYTES: u64 = 1 << 20;
/// Half of what a reader of 1 GB/s takes to empty that.
const LOOK_AFTER: Duration = Duration::from_micros(500);

#[derive(Debug)]
pub struct LendingPipe {
    writer: PipeWriter,
    /// It never holds more: each place of it takes a page or less.
    holds_bytes: u64,
    /// Whether the kernel takes pages.
    lends: bool,
    /// Copied and lent until now.
    put_bytes: u64,
    lent: VecDeque<Lent>,
}

/// May still be in the pipe.
#[derive(Debug)]
struct Lent {
    _bytes: Bytes,
    /// What was put until its end.
    end: u64,
}

/// What may still be in a pipe that was closed: to be dropped once its reader
/// has ended.
#[derive(Debug, Default)]
pub struct StillLent(#[expect(dead_code, reason = "it is only kept")] VecDeque<Lent>);

impl LendingPipe {
    pub fn new(writer: PipeWriter) -> LendingPipe {
        let size = rustix::pipe::fcntl_getpipe_size(&writer).unwrap_or(PIPE_BYTES_DEFAULT);
        let lent = VecDeque::new();
        LendingPipe { writer, holds_bytes: size as u64, lends: true, put_bytes: 0, lent }
    }

    /// Writes all of it. It is free again when this returns.
    pub fn copy(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer.write_all(bytes)?;
        self.put(bytes.len());
        Ok(())
    }

    /// Writes all of it, from where it lies.
    pub fn lend(&mut self, mut bytes: Bytes) -> io::Result<()> {
        while self.lends && bytes.len() >= LENT_BYTES_MIN {
            match self.splice(&bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    let end = self.put_bytes + count as u64;
                    self.lent.push_back(Lent { _bytes: bytes.split_to(count), end });
                    self.put(count);
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => wait(),
                Err(errno @ (Errno::NOSYS | Errno::PERM | Errno::INVAL)) => {
                    tracing::debug!(event = "pipe_takes_no_pages", "{errno}");
                    self.lends = false;
                }
                Err(errno) => return Err(errno.into()),
            }
        }
        if bytes.is_empty() { Ok(()) } else { self.copy(&bytes) }
    }

    /// The reader sees the end of it.
    pub fn close(self) -> StillLent {
        StillLent(self.lent)
    }

    /// Lends some of it, and says how much. `AGAIN`: there is no room now.
    fn splice(&self, bytes: &Bytes) -> Result<usize, Errno> {
        let slices = [IoSliceRaw::from_slice(bytes)];
        let looks = self.holds_bytes >= LOOKS_FROM_BYTES;
        let flags = if looks { SpliceFlags::NONBLOCK } else { SpliceFlags::empty() };
        #[expect(unsafe_code, reason = "no type says how long the kernel reads what it was given")]
        // SAFETY: what it takes may not change until it was read from the pipe.
        // `Bytes` never change while they are kept, and `lend` keeps what was
        // taken until as much was put behind it as the pipe holds, or, in a
        // `StillLent`, until the reader has ended. It is not a gift.
        unsafe {
            vmsplice(&self.writer, &slices, flags)
        }
    }

    fn put(&mut self, count: usize) {
        self.put_bytes += count as u64;
        let read = self.put_bytes.saturating_sub(self.holds_bytes);
        while self.lent.pop_front_if(|lent| lent.end <= read).is_some() {}
    }
}

#[expect(clippy::disallowed_methods, reason = "no event says that there is room for many pages")]
fn wait() {
    std::thread::sleep(LOOK_AFTER);
}

#[cfg(test)]
mod tests {
    use std::io::{PipeReader, Read};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use super::*;

    /// The writer waits in the kernel in one, and looks for room in the other.
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
    fn what_is_lent_and_what_is_copied_come_in_their_order() {
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

    /// Memory that is overwritten as soon as nobody keeps it.
    struct Reused {
        memory: Vec<u8>,
        _kept: Arc<()>,
    }

    impl AsRef<[u8]> for Reused {
        fn as_ref(&self) -> &[u8] {
            &self.memory
        }
    }

    impl Drop for Reused {
        fn drop(&mut self) {
            self.memory.fill(0);
        }
    }

    fn reused(bytes: &[u8], kept: &Arc<()>) -> Bytes {
        Bytes::from_owner(Reused { memory: bytes.to_vec(), _kept: Arc::clone(kept) })
    }

    /// Reads page by page, and only what has to make room until `is_done`: what is
    /// put into the pipe stays there as long as can be.
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
    fn what_is_lent_is_kept_until_it_was_read_and_no_longer() {
        const LEN: usize = 100_000;
        for pipe_bytes in PIPES_BYTES {
            let (reader, mut pipe) = pipe(pipe_bytes);
            let (kept, is_done) = (Arc::new(()), Arc::new(AtomicBool::new(false)));
            let read = read_late(reader, pipe_bytes, Arc::clone(&is_done));
            let mut expected = Vec::new();
            for n in 0..100 {
                // From the middle of a page on: it takes one more place than pages.
                let bytes = noise(LEN, n);
                expected.extend_from_slice(&bytes[100 + n..]);

                pipe.lend(reused(&bytes, &kept).slice(100 + n..)).unwrap();

                let lent = Arc::strong_count(&kept) - 1;
                assert!(lent <= 2 + pipe_bytes / (LEN - 400), "{lent} are kept");
            }
            let lent = pipe.close();
            is_done.store(true, Ordering::Release);
            assert!(read.join().unwrap() == expected);
            assert!(Arc::strong_count(&kept) > 1, "the last may be in the pipe");
            drop(lent);
            assert_eq!(Arc::strong_count(&kept), 1);
        }
    }

    #[test]
    fn what_fits_is_kept_while_nobody_reads() {
        for pipe_bytes in PIPES_BYTES {
            let (mut reader, mut pipe) = pipe(pipe_bytes);
            let (bytes, kept) = (noise(100_000, 1), Arc::new(()));
            pipe.lend(reused(&bytes, &kept)).unwrap();
            // Nearly as much as there is room for.
            pipe.copy(&noise(pipe_bytes - 110_000, 2)).unwrap();
            assert_eq!(Arc::strong_count(&kept), 2);

            let mut read = vec![0; bytes.len()];
            reader.read_exact(&mut read).unwrap();
            assert!(read == bytes);
        }
    }

    #[test]
    fn nobody_reads_any_more() {
        for pipe_bytes in PIPES_BYTES {
            let (reader, mut pipe) = pipe(pipe_bytes);
            drop(reader);
            let bytes = Bytes::from(noise(1 << 20, 0));
            assert_eq!(pipe.copy(&bytes).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
            assert_eq!(pipe.lend(bytes).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        }
    }
}
