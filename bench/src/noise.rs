//! Pseudorandom test data. It does not compress, and equal seeds give equal
//! bytes.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::Context;

/// The generator xorshift64* (Vigna, 2016). It is faster than the disk, and its
/// statistical quality suffices for test data.
pub struct Noise(pub u64);

impl Noise {
    pub fn next_word(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    pub fn fill(&mut self, block: &mut [u8]) {
        for word in block.chunks_mut(8) {
            let bytes = self.next_word().to_le_bytes();
            word.copy_from_slice(&bytes[..word.len()]);
        }
    }
}

/// Writes a file of `bytes` bytes, of which no two MiB are equal.
pub fn write_noise(path: &Path, bytes: u64, seed: u64) -> anyhow::Result<()> {
    let file = File::create(path).with_context(|| format!("create {path:?}"))?;
    let mut file = BufWriter::with_capacity(1 << 20, file);
    let mut noise = Noise(seed ^ 0x9E37_79B9_7F4A_7C15);
    let mut left = bytes;
    let mut block = vec![0; 1 << 16];
    while left > 0 {
        noise.fill(&mut block);
        let count = left.min(block.len() as u64) as usize;
        file.write_all(&block[..count]).with_context(|| format!("write {path:?}"))?;
        left -= count as u64;
    }
    file.flush().with_context(|| format!("write {path:?}"))
}
