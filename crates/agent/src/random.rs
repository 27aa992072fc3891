//! Randomness for jitter.

/// Returns a number in 0..1; 0.5 if the system provides no randomness.
pub(super) fn random() -> f64 {
    getrandom::u64().map_or(0.5, |bits| (bits >> 11) as f64 / (1_u64 << 53) as f64)
}
