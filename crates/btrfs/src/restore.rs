//! From the bucket back to a subvolume.
//!
//! Pointer, chain, a look at every chunk; then link by link from the full: each
//! part is verified, the stream is proven once more as it goes by, and only then
//! `btrfs receive` gets it, command by command, in a staging folder. Where no
//! parts file says what each part has to be, as with backups of other tools, the
//! checksum of each command stands for that, and the last of a chunk is handed on
//! only after the SHA-256 of the whole chunk agreed: so END, without which
//! nothing counts as received, comes after every digest. What it made must be read-only
//! and carry the UUID of the snapshot that was sent, and it is compared with that
//! where that is on this host. At the very end a writable snapshot appears at the target, and the received one is kept as the parent of
//! the next incremental.
//!
//! Whatever fails before leaves nothing, but for three cases: where the store was
//! away, somebody stopped it, or what was received differs from its source, the last whole link stays in the staging folder,
//! and the same restore goes on from there. So it does where it was killed.

pub mod at_time;
mod compare_received;
pub mod error;
mod keep_parent;
mod long_files;
mod preflight;
pub mod preview;
mod receive_chain;
mod receive_pump;
pub mod request;
pub mod select_backup;
pub mod staging;
mod thaw_chunks;
pub mod thaw_estimate;
mod uuid_rewrite;
mod verified_stream;
mod writeback;

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use btrfs_host::subvolume;
use btrfs_host::tool::Btrfs;
use s3up_core::progress::ProgressSink;
use s3up_core::{Key, Sha256Digest};
use s3up_repository::chain::{Chain, ChainEntry};
use s3up_repository::documents::Bucket;
use s3up_repository::fetch::FetchPlan;
use s3up_repository::layout::Layout;
use s3up_repository::manifest::to_json;
use s3up_repository::thaw::{Clock, Mode, Terms};

use crate::compare::{self, Proof};
use crate::restore::error::RestoreError;
use crate::restore::preview::{Preview, Space};
use crate::restore::request::Request;
use crate::restore::select_backup::Chooser;
use crate::restore::staging::{ReceivedBackup, Staging};
use crate::shutdown::ShutdownSignal;

pub struct Restore<'a> {
    pub bucket: &'a Bucket,
    pub layout: &'a Layout,
    pub btrfs: &'a Btrfs,
    /// Ranges on their way at once.
    pub concurrency: usize,
    pub shutdown: ShutdownSignal,
    /// How archived chunks are asked for, and what may be done for that.
    pub terms: Terms,
    pub mode: Mode,
    pub clock: Clock,
    pub progress: ProgressSink,
    /// What is compared before the target appears.
    pub proving: compare::CompareOptions,
}

/// What was restored.
#[derive(Debug)]
pub struct Restored {
    pub manifest: Key,
    pub links: usize,
    pub total_bytes: u64,
    pub elapsed: Duration,
    pub proof: Proof,
    /// The parent of the next incremental, where one was kept.
    pub parent: Option<PathBuf>,
}

impl Restore<'_> {
    /// Checks, downloads, receives, hands over.
    pub async fn run(&self, request: &Request) -> Result<Restored, RestoreError> {
        let began = Instant::now();
        let finished = self.finished(&request.target).await?;
        let chain = self.unless_stopped(self.choose(request)).await?;
        let (parent, proof) = match finished {
            Some(staging) => {
                let why = "what can be compared, the run that made the target has".to_owned();
                (self.finish(staging, request, &chain).await?, Proof::Stream { why })
            }
            None => {
                let (links, _) = self.unless_stopped(self.look(request, &chain)).await?;
                let mut staging = Staging::open(&request.target)?;
                match self.receive_and_hand_over(request, &chain, &links, &mut staging).await {
                    Ok((last, proof)) => {
                        let parent = self.keep_parent(request, &chain, &staging, &last).await;
                        staging.remove(self.btrfs).await;
                        (parent, proof)
                    }
                    Err(err) => {
                        self.leave(staging, &err).await;
                        return Err(err);
                    }
                }
            }
        };
        Ok(Restored {
            manifest: chain.newest().key.clone(),
            links: chain.entries().len(),
            total_bytes: chain.total_bytes(),
            elapsed: began.elapsed(),
            proof,
            parent,
        })
    }

    /// The same checks, and what would be done; changes nothing.
    pub async fn preview(
        &self,
        request: &Request,
        now: SystemTime,
    ) -> Result<Preview, RestoreError> {
        preflight::check_target(&request.target)?;
        self.unless_stopped(async {
            let chain = self.choose(request).await?;
            let (links, free_bytes) = self.look(request, &chain).await?;
            let here = Staging::whole_left(self.btrfs, &request.target, &digests(&chain)).await?;
            let space = Space { target: &request.target, free_bytes };
            Preview::of(self.bucket, &links, here, space, now).await
        })
        .await
    }

    /// The chain of the backup that was asked for, where this host can receive it.
    async fn choose(&self, request: &Request) -> Result<Chain, RestoreError> {
        let chain = self.chooser(request).chain(&request.wanted).await?;
        preflight::check_version(&chain, &self.btrfs.version().await?)?;
        Ok(chain)
    }

    fn chooser<'r>(&'r self, request: &'r Request) -> Chooser<'r> {
        Chooser { bucket: self.bucket, layout: self.layout, subvolume: &request.subvolume }
    }

    /// Every chunk is there; and how much space is free.
    async fn look<'c>(
        &self,
        request: &Request,
        chain: &'c Chain,
    ) -> Result<(FetchPlan<'c>, u64), RestoreError> {
        let links = FetchPlan::look(self.bucket, chain, self.concurrency).await?;
        let free_bytes =
            preflight::warn_of_little_space(chain, preflight::folder_of(&request.target))?;
        Ok((links, free_bytes))
    }

    /// Thaws what is still to be received, receives it, compares it and hands it
    /// over. Nobody else restores to this target meanwhile: `staging` is locked.
    async fn receive_and_hand_over(
        &self,
        request: &Request,
        chain: &Chain,
        links: &FetchPlan<'_>,
        staging: &mut Staging,
    ) -> Result<(ReceivedBackup, Proof), RestoreError> {
        let here = staging.whole(self.btrfs, &digests(chain)).await.map_or(0, |(count, _)| count);
        let chunks = self.unless_stopped(self.thaw_all(&chain.entries()[here..])).await?;
        let thaw = self.thaw();
        let receiving = async {
            let last = self.receive_all(links, staging).await?;
            let received =
                compare::Restored { path: staging.path_of(&last), root_times: last.root_times };
            let proof = self.prove(chain.newest(), received).await?;
            self.hand_over(&last, staging, &request.target).await?;
            Ok((last, proof))
        };
        tokio::select! {
            outcome = receiving => outcome,
            never = thaw.keep(&chunks) => match never {},
        }
    }

    /// A writable snapshot of what was received appears at the target.
    async fn hand_over(
        &self,
        received: &ReceivedBackup,
        staging: &mut Staging,
        target: &Path,
    ) -> Result<(), RestoreError> {
        self.go_on()?;
        let (path, restored) = (staging.path_of(received), staging.restored());
        subvolume::snapshot_writable(self.btrfs, &path, &restored).await?;
        if let Some(times) = received.root_times {
            let fail = |source| RestoreError::RootTimes { path: restored.clone(), source };
            times.set(&restored).map_err(fail)?;
        }
        staging.hands_over(subvolume::show(self.btrfs, &restored).await?.uuid)?;
        self.go_on()?;
        staging.hand_over(target).map_err(|source| {
            let path = target.to_owned();
            if source.kind() == io::ErrorKind::AlreadyExists {
                RestoreError::TargetExists { path }
            } else {
                RestoreError::HandOver { path, source }
            }
        })
    }

    /// After a failure: what another restore can go on from stays, if there is
    /// any and it was not the data that was bad.
    async fn leave(&self, staging: Staging, err: &RestoreError) {
        let whole = staging.progress().links.len();
        if whole == 0 || !err.is_interruption() {
            return staging.remove(self.btrfs).await;
        }
        tracing::info!(
            event = "restore_interrupted",
            folder = %staging.folder().display(),
            links = whole,
            "so many links are whole and stay there; the same command goes on from them"
        );
        staging.keep(self.btrfs).await;
    }

    /// What a restore left that was killed after the target had appeared.
    async fn finished(&self, target: &Path) -> Result<Option<Staging>, RestoreError> {
        let exists = match preflight::check_target(target) {
            Ok(()) => return Ok(None),
            Err(err @ RestoreError::TargetExists { .. }) => err,
            Err(err) => return Err(err),
        };
        // Whatever else may be there, is not of a restore that is done.
        let Ok(Some(staging)) = Staging::left(target) else { return Err(exists) };
        let Some(uuid) = staging.progress().handed_over.clone() else { return Err(exists) };
        match subvolume::show(self.btrfs, target).await {
            Ok(shown) if shown.uuid == uuid => Ok(Some(staging)),
            Ok(_) | Err(_) => Err(exists),
        }
    }

    /// Does what is left to do after the target has appeared, where it is what
    /// was asked for.
    async fn finish(
        &self,
        staging: Staging,
        request: &Request,
        chain: &Chain,
    ) -> Result<Option<PathBuf>, RestoreError> {
        let last = staging.progress().last.clone();
        let parent = match last.filter(|_| staging.progress().links == digests(chain)) {
            Some(last) => Ok(self.keep_parent(request, chain, &staging, &last).await),
            None => Err(RestoreError::TargetExists { path: request.target.clone() }),
        };
        let path = staging.folder().display();
        tracing::info!(event = "leftover_removed", %path, "of a restore that was done");
        staging.remove(self.btrfs).await;
        parent
    }

    /// Resumption that may be dropped at any moment.
    async fn unless_stopped<T>(
        &self,
        work: impl Future<Output = Result<T, RestoreError>>,
    ) -> Result<T, RestoreError> {
        tokio::select! {
            outcome = work => outcome,
            stop = self.shutdown.wait() => Err(RestoreError::Stopped(stop)),
        }
    }

    fn go_on(&self) -> Result<(), RestoreError> {
        self.shutdown.now().map_or(Ok(()), |stop| Err(RestoreError::Stopped(stop)))
    }
}

fn digests(chain: &Chain) -> Vec<Sha256Digest> {
    chain.entries().iter().map(digest).collect()
}

/// What makes a link the same link: its manifest, which names every chunk.
fn digest(link: &ChainEntry) -> Sha256Digest {
    Sha256Digest::of(&to_json(&link.manifest))
}
