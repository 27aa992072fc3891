//! Pseudo-random bytes, which can be neither compressed nor deduplicated.

/// Returns `len` bytes, always the same ones.
pub fn noise(len: u64) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut bytes = Vec::with_capacity(len as usize + 8);
    while (bytes.len() as u64) < len {
        // Knuth's linear congruential generator (MMIX).
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes.extend_from_slice(&state.rotate_left(23).to_le_bytes());
    }
    bytes.truncate(len as usize);
    bytes
}
