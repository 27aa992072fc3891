//! Randomness for jitter and samples.

/// Returns a number in 0..1, or `fallback` if the system provides no randomness.
pub(crate) fn random_or(fallback: f64) -> f64 {
    getrandom::u64().map_or(fallback, |bits| (bits >> 11) as f64 / (1_u64 << 53) as f64)
}

/// Returns a number in 0..1 for a jitter; 0.5 if the system provides no randomness.
pub(crate) fn random() -> f64 {
    random_or(0.5)
}
