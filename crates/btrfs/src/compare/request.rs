//! The request for a comparison.

use std::path::PathBuf;

use btrfs_host::root_times::RootTimes;
use s3up_core::progress::ProgressSink;

/// The part of a restored tree that is compared with its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Every entry, and every byte of every file.
    Full,
    /// Every entry, and the content of some files.
    Sample,
    Nothing,
}

#[derive(Clone, Debug)]
pub struct CompareRequest {
    /// A read-only snapshot.
    pub source: PathBuf,
    pub restored: RestoredTree,
    /// Limits of a sample; `None` compares every byte.
    pub sample: Option<SampleLimits>,
    pub progress: ProgressSink,
}

/// Limits of the content that a sample compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SampleLimits {
    pub files_max: u64,
    /// Each file of the sample gets an equal share, and at least one piece of 1 MiB.
    pub bytes_max: u64,
}

#[derive(Clone, Debug)]
pub struct RestoredTree {
    pub path: PathBuf,
    /// Times that its root directory will get. If they are unknown, they are not compared.
    pub root_times: Option<RootTimes>,
}

impl Extent {
    pub fn parse(word: &str) -> Option<Extent> {
        match word {
            "full" => Some(Extent::Full),
            "sample" => Some(Extent::Sample),
            "none" => Some(Extent::Nothing),
            _ => None,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Extent::Full => "full",
            Extent::Sample => "sample",
            Extent::Nothing => "none",
        }
    }
}
