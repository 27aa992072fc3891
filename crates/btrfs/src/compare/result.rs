//! The result of a comparison, and its state while it runs.

use std::io;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64};

use s3up_cli::Signal;
use s3up_core::progress::Progress;

use super::difference::Differences;

/// The result of a comparison.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Number of names of any kind.
    pub entries: u64,
    /// Number of regular files. Hard links of one file count once.
    pub files: u64,
    /// Number of files whose content was compared.
    pub files_read: u64,
    /// Number of files among these that were compared while they were received.
    pub files_early: u64,
    /// Number of files of which only pieces were compared.
    pub files_in_part: u64,
    pub bytes_read: u64,
    /// Number of subvolumes inside the source, which a snapshot does not contain.
    pub nested: u64,
    /// True if there were more hard-linked files than could be remembered.
    pub links_forgotten: bool,
    pub differences: Differences,
}

#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    #[error("compare: read {path:?}")]
    Io { path: PathBuf, source: io::Error },
    #[error("compare: a thread ended early; this is a bug, report it")]
    Thread,
    #[error("stopped by a signal")]
    Stopped(Signal),
}

/// State that the threads of a comparison share.
pub(super) struct Shared<'a> {
    pub stop: &'a AtomicBool,
    pub progress: Progress,
    pub differences: Mutex<Differences>,
    pub files_read: AtomicU64,
    pub files_in_part: AtomicU64,
    pub bytes_read: AtomicU64,
}

impl<'a> Shared<'a> {
    pub fn new(stop: &'a AtomicBool, progress: Progress) -> Shared<'a> {
        Shared {
            stop,
            progress,
            differences: Mutex::default(),
            files_read: AtomicU64::new(0),
            files_in_part: AtomicU64::new(0),
            bytes_read: AtomicU64::new(0),
        }
    }
}
