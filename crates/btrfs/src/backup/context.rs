//! The types [`BackupRun`] and [`BackupJob`], which every step of a backup run works with.

use std::path::PathBuf;

use btrfs_host::compressed::Form;
use btrfs_host::spool::Spool;
use btrfs_host::tool::Btrfs;
use jiff::Timestamp;
use s3up_cli::ShutdownSignal;
use s3up_core::Clock;
use s3up_repository::documents::Bucket;
use s3up_repository::layout::Layout;
use s3up_repository::location::RepositoryLocation;
use s3up_repository::names::{SnapshotName, Subvolume, SubvolumeName};
use s3up_repository::origin::{Adopt, Lineage};
use s3up_repository::publish::Host;
use s3up_repository::stamp::timestamp;

use super::journal::{Header, Journal};
use super::observe::Observed;
use super::planner;
use crate::origin::HostIdentity;
use crate::plan::Plan;
use crate::plan::decide::{BackupStep, Decision};
use crate::plan::observed::StreamSettings;
use crate::plan::resume::Resumption;
use crate::plan::schedule::{NextDue, Schedule};
use crate::snapshots::cleanup::Cleanup;
use crate::snapshots::dir::SnapshotDir;
use crate::snapshots::record::{RUN_METADATA, Records, RunId};

/// The part of the configuration that a backup needs.
#[derive(Clone, Debug)]
pub struct BackupOptions {
    pub base_dir: PathBuf,
    /// Paths of all configured subvolumes, and of nested ones that need no backup.
    pub covered: Vec<PathBuf>,
    /// Number of local snapshots to keep of each subvolume, at least 1.
    pub retain: usize,
    pub schedule: Schedule,
    pub layout: Layout,
    pub location: RepositoryLocation,
    /// Sizes and storage class of the streams.
    pub settings: StreamSettings,
    /// Number of parts in flight.
    pub concurrency: usize,
    /// `None` if streams pass through memory only.
    pub spool: Option<Spool>,
}

/// Everything that a backup run needs.
pub struct BackupRun {
    pub options: BackupOptions,
    pub bucket: Bucket,
    pub btrfs: Btrfs,
    pub host: Host,
    pub identity: HostIdentity,
    /// Set if this run takes over what another host has published.
    pub adopt: Adopt,
    /// Form of the send streams.
    pub form: Form,
    pub shutdown: ShutdownSignal,
    pub records: Records,
    /// Identifies this run.
    pub run: RunId,
    pub clock: Clock,
}

/// A subvolume that is due, with everything that its backup needs.
pub(super) struct BackupJob<'a> {
    pub(super) subvolume: &'a Subvolume,
    pub(super) observed: Observed,
    pub(super) lineage: Lineage,
    pub(super) step: BackupStep,
    pub(super) backup: SnapshotName,
    /// Snapshot of the incremental that follows an interrupted backup.
    pub(super) follow_up: Option<SnapshotName>,
    pub(super) resumption: Resumption,
    /// The run that started the backup.
    pub(super) run: RunId,
    pub(super) next_due: NextDue,
    /// The reason for a full that the schedule did not ask for.
    pub(super) unplanned: Option<String>,
}

impl BackupRun {
    /// Returns the journal of a backup, if it can be used.
    pub(super) async fn journal(&self, job: &BackupJob<'_>) -> Option<Journal> {
        let path = self.records.journal(&job.backup);
        Journal::read(&path, &self.options.location, &job.backup, &job.run).await.ok()
    }

    /// Returns the journal header of a backup that starts now.
    pub(super) fn header(&self, job: &BackupJob<'_>) -> Header {
        let chain = job.observed.published.chain();
        let base = chain.map(|chain| chain.newest().key.as_str().to_owned());
        let BackupOptions { location, settings, .. } = &self.options;
        let (location, settings) = (location.clone(), settings.clone());
        Header::new(location, settings, job.backup.to_string(), job.run.clone(), base)
    }

    /// All objects of a backup carry the run that started it.
    pub(super) fn bucket_of(&self, job: &BackupJob<'_>) -> Bucket {
        let mut bucket = self.bucket.clone();
        bucket.metadata.insert(RUN_METADATA.to_owned(), job.run.as_str().to_owned());
        bucket
    }

    pub(super) fn cleanup(&self, job: &BackupJob<'_>) -> Cleanup<'_> {
        let chain = job.observed.published.chain();
        Cleanup {
            bucket: &self.bucket,
            layout: self.layout(),
            snapshot_dir: self.snapshot_dir(),
            this_run: &self.run,
            published_at: chain.map(|chain| chain.newest().manifest.created_at),
            clock: self.clock,
        }
    }

    pub(super) fn snapshot_dir(&self) -> SnapshotDir<'_> {
        let base_dir = &self.options.base_dir;
        SnapshotDir { btrfs: &self.btrfs, base_dir, records: &self.records }
    }

    pub(super) fn now(&self) -> Timestamp {
        timestamp(self.clock.now())
    }

    pub(super) fn layout(&self) -> &Layout {
        &self.options.layout
    }
}

impl<'s> BackupJob<'s> {
    /// Returns the job of a subvolume that is due.
    ///
    /// # Errors
    ///
    /// The subvolume is not due: its name, and when it will be.
    pub(super) fn of(
        planned: planner::PlannedSubvolume<'s>,
        run: &RunId,
    ) -> Result<BackupJob<'s>, (SubvolumeName, NextDue)> {
        let planner::PlannedSubvolume { subvolume, observed, lineage, plan } = planned;
        match plan {
            Plan {
                decision: Decision::Due(step),
                snapshot: Some(backup),
                next_due,
                resumption,
                follow_up,
                unplanned,
                ..
            } => {
                let run = resumption.run().unwrap_or(run).clone();
                let unplanned = unplanned.map(|unplanned| unplanned.reason);
                Ok(BackupJob {
                    subvolume,
                    observed,
                    lineage,
                    step,
                    backup,
                    follow_up,
                    resumption,
                    run,
                    next_due,
                    unplanned,
                })
            }
            Plan { subvolume, next_due, .. } => Err((subvolume, next_due)),
        }
    }
}
