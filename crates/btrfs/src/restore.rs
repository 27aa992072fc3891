//! Restores a subvolume from the bucket.
//!
//! 1. The pointer leads to the chain, and every chunk of the chain is checked to exist.
//! 2. Backup by backup from the full: each part is verified, the stream is verified again as
//!    it passes, and only then is it fed to `btrfs receive`, command by command, in a staging
//!    directory.
//! 3. The result must be read-only and carry the UUID of the snapshot that was sent. It is
//!    compared with the source snapshot if this host still has it.
//! 4. A writable snapshot of it appears at the target, last of all. The received snapshot is
//!    kept as the parent of the next incremental.
//!
//! Backups of other tools have no part index. Their commands are verified by their own
//! checksums, and the last part of a chunk is released only after the SHA-256 of the whole
//! chunk agreed. The END command, without which nothing counts as received, therefore comes
//! after every digest.
//!
//! A restore that fails keeps the last backup that it received completely, whatever the failure:
//! a full disk or a `btrfs receive` that dies says nothing about what was received before. It
//! stays in the staging directory, and the same command resumes from it. A restore that was
//! killed is resumed in the same way.

mod compare_received;
mod context;
pub mod cost;
pub mod error;
mod inherited_attributes;
mod keep_parent;
mod long_files;
pub mod preflight;
pub mod preview;
mod receive_chain;
mod receive_pump;
pub mod request;
pub mod select_backup;
pub mod staging;
pub mod thaw_chunks;
pub mod thaw_estimate;
mod trial;
mod uuid_rewrite;
mod verified_stream;
mod writeback;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use btrfs_host::receivable::Receivable;
use btrfs_host::subvolume;
use s3up_core::Key;
use s3up_repository::chain::Chain;
use s3up_repository::fetch::FetchPlan;
use s3up_repository::thaw::ThawMode;

use crate::compare::{self, Proof};
pub use crate::restore::context::Restore;
use crate::restore::context::digests;
use crate::restore::error::RestoreError;
use crate::restore::preview::{Preview, TargetSpace};
use crate::restore::request::RestoreRequest;
use crate::restore::staging::{ReceivedBackup, Staging};

/// The result of a restore.
#[derive(Debug)]
pub struct RestoreResult {
    pub manifest: Key,
    pub backups: usize,
    pub total_bytes: u64,
    pub elapsed: Duration,
    pub proof: Proof,
    /// Path of the received parent, if one was kept.
    pub parent: Option<PathBuf>,
}

impl Restore<'_> {
    /// Checks everything, downloads and receives the chain, and creates the target.
    pub async fn run(&self, request: &RestoreRequest) -> Result<RestoreResult, RestoreError> {
        let began = self.clock.start();
        let finished = self.finished(&request.target).await?;
        let choose = async || self.choose(request).await;
        let chain = self.unless_stopped(self.readable(request, &[], choose)).await?;
        let (parent, proof) = match finished {
            Some(staging) => {
                let why = "an earlier run created the target, and compared it as far as possible"
                    .to_owned();
                (self.finish(staging, request, &chain).await?, Proof::Stream { why })
            }
            None => {
                let check = async || self.check_chunks(request, &chain).await;
                let checked = self.readable(request, chain.entries(), check);
                let (plan, receivable) = self.unless_stopped(checked).await?;
                let mut staging = Staging::open(&request.target)?;
                let plan = (&plan, &receivable);
                match self.receive_and_create_target(request, &chain, plan, &mut staging).await {
                    Ok((last, proof)) => {
                        let parent = self.keep_parent(request, &chain, &staging, &last).await;
                        staging.remove(self.btrfs).await;
                        (parent, proof)
                    }
                    Err(err) => {
                        self.clean_up(staging, chain.entries().len()).await;
                        return Err(err);
                    }
                }
            }
        };
        Ok(RestoreResult {
            manifest: chain.newest().key.clone(),
            backups: chain.entries().len(),
            total_bytes: chain.total_bytes(),
            elapsed: began.elapsed(),
            proof,
            parent,
        })
    }

    /// Makes the same checks as [`run`](Restore::run) and returns what it would do. Changes nothing.
    pub async fn preview(&self, request: &RestoreRequest) -> Result<Preview, RestoreError> {
        preflight::check_target(&request.target)?;
        let observing = Restore { mode: ThawMode::Observe, ..self.clone() };
        self.unless_stopped(async {
            let choose = async || self.choose(request).await;
            let chain = observing.readable(request, &[], choose).await?;
            let plan = FetchPlan::survey(self.bucket, &chain, self.concurrency).await?;
            let (_, free_bytes) = self.check_dir(request, &chain)?;
            let here =
                Staging::count_received(self.btrfs, &request.target, &digests(&chain)).await?;
            let space = TargetSpace { target: &request.target, free_bytes };
            Preview::of(self.bucket, &plan, here, space, self.clock.now()).await
        })
        .await
    }

    /// Returns the chain of the requested backup, if this host can receive it.
    async fn choose(&self, request: &RestoreRequest) -> Result<Chain, RestoreError> {
        let chain = self.chain_reader(request).chain(&request.wanted).await?;
        preflight::check_version(&chain, &self.btrfs.version().await?)?;
        Ok(chain)
    }

    /// Checks that every chunk exists, and that the chain can be received at the target.
    async fn check_chunks<'c>(
        &self,
        request: &RestoreRequest,
        chain: &'c Chain,
    ) -> Result<(FetchPlan<'c>, Receivable), RestoreError> {
        let plan = FetchPlan::check(self.bucket, chain, self.concurrency).await?;
        let (receivable, _) = self.check_dir(request, chain)?;
        Ok((plan, receivable))
    }

    /// Checks whether the chain can be received at the target, and returns the free space there.
    fn check_dir(
        &self,
        request: &RestoreRequest,
        chain: &Chain,
    ) -> Result<(Receivable, u64), RestoreError> {
        let directory = preflight::dir_of(&request.target);
        let receivable = preflight::check_receivable(chain, directory)?;
        Ok((receivable, preflight::warn_of_little_space(chain, directory)?))
    }

    /// Thaws what is still to be received, receives it, compares it and creates the
    /// target. No other restore works on this target meanwhile: `staging` is locked.
    async fn receive_and_create_target(
        &self,
        request: &RestoreRequest,
        chain: &Chain,
        (plan, receivable): (&FetchPlan<'_>, &Receivable),
        staging: &mut Staging,
    ) -> Result<(ReceivedBackup, Proof), RestoreError> {
        let newest = staging.newest_received(self.btrfs, &digests(chain)).await;
        let here = newest.map_or(0, |(count, _)| count);
        if here < chain.entries().len() {
            self.try_to_receive(staging, chain.entries().len(), receivable).await?;
        }
        let thawed = self.unless_stopped(self.thaw_all(&chain.entries()[here..])).await?;
        let thaw = self.thaw();
        let receiving = async {
            let (last, early) = self.receive_all(plan, staging).await?;
            let received =
                compare::RestoredTree { path: staging.path_of(&last), root_times: last.root_times };
            let proof = self.prove(chain.newest(), received, early).await?;
            self.create_target(&last, staging, &request.target).await?;
            Ok((last, proof))
        };
        tokio::select! {
            outcome = receiving => outcome,
            never = thaw.keep(&thawed) => match never {},
        }
    }

    /// Makes a writable snapshot of the received one and renames it to the target.
    async fn create_target(
        &self,
        received: &ReceivedBackup,
        staging: &mut Staging,
        target: &Path,
    ) -> Result<(), RestoreError> {
        self.check_shutdown()?;
        let (path, restored) = (staging.path_of(received), staging.restored());
        subvolume::snapshot_writable(self.btrfs, &path, &restored).await?;
        if let Some(times) = received.root_times {
            let fail = |source| RestoreError::RootTimes { path: restored.clone(), source };
            times.set(&restored).map_err(fail)?;
        }
        staging.note_rename(subvolume::show(self.btrfs, &restored).await?.uuid)?;
        self.check_shutdown()?;
        staging.rename_to_target(target).map_err(|source| {
            let path = target.to_owned();
            if source.kind() == io::ErrorKind::AlreadyExists {
                RestoreError::TargetAppeared { path }
            } else {
                RestoreError::RenameToTarget { path, source }
            }
        })
    }

    /// Cleans up after a failure. Backups that were received completely stay, so that a later
    /// run resumes from them.
    async fn clean_up(&self, staging: Staging, of: usize) {
        let received = staging.progress().received.len();
        if received == 0 {
            return staging.remove(self.btrfs).await;
        }
        tracing::info!(
            event = "restore_interrupted",
            path = %staging.directory().display(),
            backups = received,
            of,
            "kept {received} of {of} backups of the chain, which were received; run the same command \
             again to resume"
        );
        staging.keep(self.btrfs).await;
    }

    /// Returns the staging directory of a restore that was killed after it had created the
    /// target.
    async fn finished(&self, target: &Path) -> Result<Option<Staging>, RestoreError> {
        let exists = match preflight::check_target(target) {
            Ok(()) => return Ok(None),
            Err(err @ RestoreError::TargetExists { .. }) => err,
            Err(err) => return Err(err),
        };
        // Without a readable staging directory, the target is not that of a finished restore.
        let Ok(Some(staging)) = Staging::find(target) else { return Err(exists) };
        let Some(uuid) = staging.progress().renamed_uuid.clone() else { return Err(exists) };
        match subvolume::show(self.btrfs, target).await {
            Ok(shown) if shown.uuid == uuid => Ok(Some(staging)),
            Ok(_) | Err(_) => Err(exists),
        }
    }

    /// Finishes a restore that has created its target, if the target is the requested
    /// backup.
    async fn finish(
        &self,
        staging: Staging,
        request: &RestoreRequest,
        chain: &Chain,
    ) -> Result<Option<PathBuf>, RestoreError> {
        let last = staging.progress().last.clone();
        let parent = match last.filter(|_| staging.progress().received == digests(chain)) {
            Some(last) => Ok(self.keep_parent(request, chain, &staging, &last).await),
            None => Err(RestoreError::TargetExists { path: request.target.clone() }),
        };
        let path = staging.directory().display();
        tracing::info!(event = "leftover_removed", %path, "removed the staging directory of a restore that had created its target");
        staging.remove(self.btrfs).await;
        parent
    }
}
