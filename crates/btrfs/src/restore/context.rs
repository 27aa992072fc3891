//! The type [`Restore`], which every step of a restore works with.

use btrfs_host::tool::Btrfs;
use s3up_cli::ShutdownSignal;
use s3up_core::progress::ProgressSink;
use s3up_core::{Clock, Sha256Digest};
use s3up_repository::chain::{Chain, ChainEntry};
use s3up_repository::documents::Bucket;
use s3up_repository::layout::Layout;
use s3up_repository::manifest::to_json;
use s3up_repository::thaw::{ThawMode, ThawTerms};

use super::error::RestoreError;
use super::request::RestoreRequest;
use super::select_backup::ChainReader;
use crate::compare::CompareOptions;

/// A restore: where it reads, with which programs, and under which terms.
#[derive(Clone)]
pub struct Restore<'a> {
    pub bucket: &'a Bucket,
    pub layout: &'a Layout,
    pub btrfs: &'a Btrfs,
    /// Number of ranges that are downloaded at the same time.
    pub concurrency: usize,
    pub shutdown: ShutdownSignal,
    pub terms: ThawTerms,
    pub mode: ThawMode,
    pub clock: Clock,
    pub progress: ProgressSink,
    /// Settings of the comparison before the target appears.
    pub compare_options: CompareOptions,
}

impl Restore<'_> {
    pub(super) fn chain_reader<'r>(&'r self, request: &'r RestoreRequest) -> ChainReader<'r> {
        ChainReader { bucket: self.bucket, layout: self.layout, subvolume: &request.subvolume }
    }

    /// Runs `work`, which may be dropped at any moment, until it ends or the program is
    /// stopped.
    pub(super) async fn unless_stopped<T>(
        &self,
        work: impl Future<Output = Result<T, RestoreError>>,
    ) -> Result<T, RestoreError> {
        tokio::select! {
            outcome = work => outcome,
            stop = self.shutdown.wait() => Err(RestoreError::Stopped(stop)),
        }
    }

    /// Fails once the program is stopped.
    pub(super) fn check_shutdown(&self) -> Result<(), RestoreError> {
        self.shutdown.received().map_or(Ok(()), |stop| Err(RestoreError::Stopped(stop)))
    }
}

/// Returns the digest of each entry of a chain, in order.
pub(super) fn digests(chain: &Chain) -> Vec<Sha256Digest> {
    chain.entries().iter().map(digest).collect()
}

/// Identifies a chain entry by its manifest, which names every chunk.
pub(super) fn digest(entry: &ChainEntry) -> Sha256Digest {
    Sha256Digest::of(&to_json(&entry.manifest))
}
