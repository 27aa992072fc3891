//! One measurement of a benchmark.

use s3up_core::Throughput;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// `btrfs send`, verified and discarded.
    Send,
    /// SHA-256, in one thread.
    Hash,
    /// Upload from memory, with checksums.
    Upload,
    /// Upload of a `btrfs send`.
    Together,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measurement {
    pub phase: Phase,
    pub concurrency: Option<usize>,
    pub throughput: Throughput,
}

impl Phase {
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Send => "send",
            Phase::Hash => "hash",
            Phase::Upload => "upload",
            Phase::Together => "send and upload",
        }
    }
}
