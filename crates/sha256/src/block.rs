//! Blocks and states of SHA-256.

pub(crate) const BLOCK_BYTES: usize = 64;
/// Initial state: FIPS 180-4, 5.3.3.
pub(crate) const INITIAL: State = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// The working variables a to h of SHA-256.
pub(crate) type State = [u32; 8];
