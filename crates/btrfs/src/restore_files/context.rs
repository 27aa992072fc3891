//! A restore of files: its settings, its request, and the thaw of what it reads.

use std::path::PathBuf;

use s3up_cli::ShutdownSignal;
use s3up_core::progress::ProgressSink;
use s3up_core::{Clock, Key, Sha256Digest};
use s3up_repository::documents::Bucket;
use s3up_repository::layout::Layout;
use s3up_repository::names::SubvolumeName;
use s3up_repository::thaw::{RequiredObjects, Thaw, ThawMode, ThawTerms};

use super::error::FileRestoreError;
use super::existing::ExistingFiles;
use super::selection::WantedPath;
use crate::restore::select_backup::BackupSelector;
use crate::sibling_dir::dir_for;

/// End of the name of a directory that becomes the target.
const UNFINISHED_SUFFIX: &str = ".btrfs-to-s3-files";

/// A restore of files: where it reads, and under which terms.
pub struct FileRestore<'a> {
    pub bucket: &'a Bucket,
    pub layout: &'a Layout,
    /// Number of ranges that are downloaded at the same time.
    pub concurrency: usize,
    pub shutdown: ShutdownSignal,
    pub terms: ThawTerms,
    pub mode: ThawMode,
    pub clock: Clock,
    pub progress: ProgressSink,
}

pub struct FileRequest {
    pub subvolume: SubvolumeName,
    pub backup: BackupSelector,
    pub wanted: Vec<WantedPath>,
    pub target: PathBuf,
    pub placement: Placement,
    pub overwrite: ExistingFiles,
}

/// The place of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Below the target, which may have other files.
    Into,
    /// The target itself, which must not exist and appears when all of it is restored.
    New,
}

impl FileRequest {
    /// Returns the directory that files are written into. An unfinished one belongs to one backup.
    pub(super) fn directory(&self, manifest: &Key) -> PathBuf {
        match self.placement {
            Placement::Into => self.target.clone(),
            Placement::New => {
                let id = Sha256Digest::of(manifest.as_str().as_bytes()).to_string();
                dir_for(&self.target, &format!(".{}{UNFINISHED_SUFFIX}", &id[..8]))
            }
        }
    }
}

impl FileRestore<'_> {
    pub(super) async fn thaw(&self, objects: &RequiredObjects) -> Result<(), FileRestoreError> {
        let thaw = self.thawing();
        let thawed = tokio::select! {
            thawed = thaw.run(objects, self.mode) => thawed?,
            stop = self.shutdown.wait() => return Err(FileRestoreError::Stopped(stop)),
        };
        if !thawed.is_ready() {
            let (state, mode) = (Box::new(thawed.state), self.mode);
            return Err(FileRestoreError::Archived { state, mode });
        }
        if thawed.requested > 0 {
            let waited_seconds = thawed.waited.as_secs();
            tracing::info!(event = "thaw_complete", waited_seconds, "{}", thawed.state);
        }
        Ok(())
    }

    pub(super) fn thawing(&self) -> Thaw<'_> {
        Thaw { bucket: self.bucket, terms: self.terms, clock: self.clock, progress: &self.progress }
    }
}
