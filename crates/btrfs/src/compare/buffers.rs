//! Two buffers for the contents of one pair of files, aligned for reads that bypass the page cache.

/// Alignment of memory, offset and length of such a read. Where a filesystem needs more, it reads
/// through the page cache.
pub const ALIGNMENT: usize = 4096;

/// Bytes per read. Long reads save a disk from seeking between the two files.
pub const PIECE_BYTES: usize = 1 << 20;

pub struct Buffers {
    source: Vec<u8>,
    restored: Vec<u8>,
}

impl Buffers {
    pub fn new() -> Buffers {
        let buffer = || vec![0; PIECE_BYTES + ALIGNMENT];
        Buffers { source: buffer(), restored: buffer() }
    }

    /// Returns a buffer of [`PIECE_BYTES`] for each side.
    pub fn both(&mut self) -> (&mut [u8], &mut [u8]) {
        (aligned(&mut self.source), aligned(&mut self.restored))
    }
}

fn aligned(buffer: &mut [u8]) -> &mut [u8] {
    // The buffer is longer than a piece by one alignment.
    let start = buffer.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
    &mut buffer[start..start + PIECE_BYTES]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_buffers_are_aligned() {
        let mut buffers = Buffers::new();
        let (source, restored) = buffers.both();
        for buffer in [source, restored] {
            assert_eq!((buffer.len(), buffer.as_ptr() as usize % ALIGNMENT), (PIECE_BYTES, 0));
        }
    }
}
