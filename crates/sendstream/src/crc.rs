//! The CRC32C of a command, computed over pieces as they arrive.
//!
//! The kernel computes it for send streams with seed 0, without a final
//! inversion, and with the checksum field of the header as zero.

use crc_fast::{CrcAlgorithm, Digest};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Crc(u64);

impl Crc {
    pub(crate) fn new() -> Crc {
        Crc(0)
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        let mut digest = Digest::new_with_init_state(CrcAlgorithm::Crc32Iscsi, self.0);
        digest.update(bytes);
        self.0 = digest.get_state();
    }

    pub(crate) fn value(self) -> u32 {
        self.0 as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_has_seed_0_and_no_inversion() {
        let mut crc = Crc::new();
        crc.update(b"1234");
        crc.update(b"56789");
        assert_eq!(crc.value(), 0x58e3_fa20); // CRC-32C without its two inversions
    }
}
