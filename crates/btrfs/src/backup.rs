//! Runs a backup: observe, plan, snapshot, send, publish, clean up.
//!
//! All snapshots are made before the first is sent, so that they show one moment. Each
//! subvolume is then sent and published by itself; one that fails does not stop the
//! others.

mod after_failure;
mod check_stream;
pub mod error;
mod follow_up;
pub mod journal;
mod journal_writer;
pub mod local_only;
pub mod observe;
pub mod observe_interrupted;
pub mod planner;
mod report;
mod upload;

use std::path::PathBuf;

use btrfs_host::compressed::Form;
use btrfs_host::spool::Spool;
use btrfs_host::tool::Btrfs;
use btrfs_host::{nested, nocow};
use jiff::Timestamp;
use s3up_cli::ShutdownSignal;
use s3up_core::{Clock, error_chain};
use s3up_repository::documents::Bucket;
use s3up_repository::layout::Layout;
use s3up_repository::location::RepositoryLocation;
use s3up_repository::names::{SnapshotName, Subvolume, SubvolumeName};
use s3up_repository::origin::{Adopt, Lineage};
use s3up_repository::publish::{self, Host};
use s3up_repository::stamp::timestamp;

use crate::backup::after_failure::{AfterFailure, after_failure};
use crate::backup::error::Failure;
use crate::backup::journal::{Header, Journal};
use crate::backup::observe::Observed;
use crate::backup::planner::{Planned, Planner};
pub use crate::backup::report::Report;
use crate::origin::HostIdentity;
use crate::plan::Plan;
use crate::plan::decide::{Decision, Step, Why};
use crate::plan::observed::StreamSettings;
use crate::plan::resume::Resumption;
use crate::plan::schedule::{NextDue, Schedule};
use crate::snapshots::cleanup::{self, Cleanup, LeftBy, PublishedBefore};
use crate::snapshots::dir::SnapshotDir;
use crate::snapshots::received_parent;
use crate::snapshots::record::{RUN_METADATA, Records, RunId, State};
use crate::status::last_runs::{LastRun, LastRuns, RunStatus};

/// The part of the configuration that a backup needs.
#[derive(Clone, Debug)]
pub struct BackupOptions {
    pub base_dir: PathBuf,
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
pub struct Backup {
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
struct Job<'a> {
    subvolume: &'a Subvolume,
    observed: Observed,
    lineage: Lineage,
    step: Step,
    backup: SnapshotName,
    /// Snapshot of the incremental that follows an interrupted backup.
    follow_up: Option<SnapshotName>,
    work: Resumption,
    /// The run that started the backup.
    run: RunId,
    next_due: NextDue,
    /// Why a full is made that the schedule did not ask for.
    unplanned: Option<String>,
}

impl Backup {
    pub fn planner(&self) -> Planner<'_> {
        Planner {
            bucket: &self.bucket,
            btrfs: &self.btrfs,
            base_dir: &self.options.base_dir,
            layout: &self.options.layout,
            location: &self.options.location,
            schedule: &self.options.schedule,
            records: &self.records,
            host: &self.identity,
            adopt: self.adopt,
            settings: &self.options.settings,
            shutdown: &self.shutdown,
        }
    }

    /// Carries out a plan. One failure does not stop the other subvolumes.
    pub async fn run(&self, planned: Planned<'_>, state: &mut LastRuns) -> Report {
        let mut report = Report::default();
        for (name, failure) in planned.failed {
            report.add(name, failure, state, self.now());
        }
        let mut jobs = Vec::new();
        for job in planned.jobs {
            match Job::of(job, &self.run) {
                Ok(job) => jobs.push(job),
                Err((name, next_due)) => {
                    state.note(
                        &name,
                        LastRun::succeeded(RunStatus::NotDue, self.now(), next_due.at),
                    );
                    report.not_due.push(name);
                }
            }
        }
        let jobs = self.snapshot_all(jobs, &mut report, state).await;
        for job in jobs {
            let (name, next_due_at) = (job.subvolume.name.clone(), job.next_due.at);
            match self.back_up(job).await {
                Ok(backup) => {
                    state.note(
                        &name,
                        LastRun::succeeded(RunStatus::Published, self.now(), next_due_at),
                    );
                    report.published.push(backup);
                }
                Err(failure) => report.add(name, failure, state, self.now()),
            }
        }
        report
    }

    async fn snapshot_all<'s>(
        &self,
        jobs: Vec<Job<'s>>,
        report: &mut Report,
        state: &mut LastRuns,
    ) -> Vec<Job<'s>> {
        let mut made = Vec::new();
        for job in jobs {
            let name = job.subvolume.name.clone();
            match self.snapshot(job).await {
                Ok(job) => made.push(job),
                Err(failure) => report.add(name, failure, state, self.now()),
            }
        }
        made
    }

    /// Makes the snapshots of a job, the one that follows an interrupted backup, too.
    async fn snapshot<'s>(&self, mut job: Job<'s>) -> Result<Job<'s>, Failure> {
        // A received parent that lies elsewhere is taken into the snapshot directory.
        if let (Step::Incremental { parent, .. }, Some(path)) =
            (&job.step, &job.observed.parent_path)
        {
            self.snapshot_dir().adopt(path, parent, &self.run).await?;
        }
        let (snapshot_dir, path) = (self.snapshot_dir(), &job.subvolume.path);
        if job.work == Resumption::Fresh {
            job.backup = snapshot_dir.make(path, &job.backup, &job.run, State::Begun).await?;
        }
        if let Some(follow_up) = &job.follow_up {
            let made = snapshot_dir.make(path, follow_up, &self.run, State::Begun).await?;
            job.follow_up = Some(made);
        }
        Ok(job)
    }

    /// Warns about data that a send stream does not contain.
    async fn warn(&self, job: &Job<'_>) {
        let Subvolume { name, path } = job.subvolume;
        nested::warn(&self.btrfs, name.as_str(), path).await;
        if job.step == Step::Full(Why::FirstBackup) {
            let snapshot = self.snapshot_dir().path_of(&job.backup);
            nocow::warn(name.as_str(), &snapshot, self.clock).await;
        }
    }

    /// Sends and publishes one snapshot. A failure leaves nothing behind, or only what
    /// the next run resumes.
    async fn finish(&self, mut job: Job<'_>) -> Result<SnapshotName, Failure> {
        self.note_published(&job)?;
        loop {
            let Err(failure) = self.carry_out(&job).await else { break };
            if self.leave(&job, &failure).await != AfterFailure::StartOver {
                return Err(failure);
            }
            tracing::warn!(
                event = "backup_restarted",
                subvolume = %job.subvolume.name,
                backup = %job.backup,
                "cannot resume the interrupted backup, starting over: {}",
                error_chain(&failure)
            );
            job = self.restart(job).await?;
        }
        self.records.write(&job.backup, &job.run, State::Published)?;
        tokio::select! {
            outcome = self.tidy(&job) => outcome?,
            // The next run removes what is left.
            _ = self.shutdown.wait() => {}
        }
        Ok(job.backup)
    }

    /// Marks the backups that a run published and then died before it could record
    /// that. Later no chain may show it.
    fn note_published(&self, job: &Job<'_>) -> Result<(), Failure> {
        let PublishedBefore::Chain(chain) = PublishedBefore::of(&job.observed.published) else {
            return Ok(());
        };
        for (name, record) in self.records.of(&job.subvolume.name)? {
            if record.state == State::Begun && chain.contains(&name) {
                self.records.write(&name, &record.run, State::Published)?;
            }
        }
        Ok(())
    }

    async fn carry_out(&self, job: &Job<'_>) -> Result<(), Failure> {
        if let Some(stop) = self.shutdown.received() {
            return Err(Failure::Stopped(stop));
        }
        if let Resumption::PublishOnly { .. } = job.work {
            return self.publish_complete(job).await;
        }
        tokio::select! {
            () = self.warn(job) => {}
            // The next step notices the signal, too.
            _ = self.shutdown.wait() => {}
        }
        self.send_until_sound(job).await
    }

    /// Publishes a backup of which an earlier run stored everything but the pointer.
    async fn publish_complete(&self, job: &Job<'_>) -> Result<(), Failure> {
        let (bucket, etag) = (self.bucket_of(job), job.observed.pointer_etag.as_deref());
        tokio::select! {
            pointed = publish::point(&bucket, self.layout(), (&job.backup, &job.lineage.origin), etag) => pointed?,
            stop = self.shutdown.wait() => return Err(Failure::StoppedPublishing(stop)),
        }
        let (subvolume, backup) = (&job.subvolume.name, &job.backup);
        tracing::info!(
            event = "backup_published",
            %subvolume,
            %backup,
            "published the complete backup of an interrupted run"
        );
        Ok(())
    }

    /// Removes or keeps what a failed backup left.
    async fn leave(&self, job: &Job<'_>, failure: &Failure) -> AfterFailure {
        let acknowledged_bytes =
            self.journal(job).await.map_or(0, |journal| journal.acknowledged_bytes);
        let fate = after_failure(failure, &job.work, acknowledged_bytes);
        match fate {
            AfterFailure::Discard | AfterFailure::StartOver => {
                self.cleanup(job).remove_unpublished(&job.backup, &job.run, LeftBy::ThisRun).await;
            }
            AfterFailure::KeepForResume => tracing::info!(
                event = "backup_interrupted",
                subvolume = %job.subvolume.name,
                backup = %job.backup,
                acknowledged_bytes,
                "keeping its snapshot and its parts in S3; the next run resumes it"
            ),
        }
        fate
    }

    /// Returns the journal of a backup, if it can be used.
    async fn journal(&self, job: &Job<'_>) -> Option<Journal> {
        let path = self.records.journal(&job.backup);
        Journal::read(&path, &self.options.location, &job.backup, &job.run).await.ok()
    }

    /// Returns the journal header of a backup that starts now.
    fn header(&self, job: &Job<'_>) -> Header {
        let chain = job.observed.published.chain();
        let base = chain.map(|chain| chain.newest().key.as_str().to_owned());
        let BackupOptions { location, settings, .. } = &self.options;
        let (location, settings) = (location.clone(), settings.clone());
        Header::new(location, settings, job.backup.to_string(), job.run.clone(), base)
    }

    /// All objects of a backup carry the run that started it.
    fn bucket_of(&self, job: &Job<'_>) -> Bucket {
        let mut bucket = self.bucket.clone();
        bucket.metadata.insert(RUN_METADATA.to_owned(), job.run.as_str().to_owned());
        bucket
    }

    async fn tidy(&self, job: &Job<'_>) -> Result<(), Failure> {
        let records = self.records.of(&job.subvolume.name)?;
        // The snapshot of the follow-up is about to be sent.
        let is_next = |snapshot: &SnapshotName| job.follow_up.as_ref() == Some(snapshot);
        let over = records.iter().filter(|(snapshot, _)| !is_next(snapshot));
        let states: Vec<_> =
            over.map(|(snapshot, record)| (snapshot.clone(), record.state)).collect();
        let before = PublishedBefore::of(&job.observed.published);
        let tidy = cleanup::plan(&states, &job.backup, &before, self.options.retain);
        self.cleanup(job).apply(&tidy, &records).await;
        let (base_dir, subvolume) = (&self.options.base_dir, &job.subvolume.path);
        received_parent::clear(&self.btrfs, base_dir, subvolume, &job.backup).await;
        Ok(())
    }

    fn cleanup(&self, job: &Job<'_>) -> Cleanup<'_> {
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

    fn snapshot_dir(&self) -> SnapshotDir<'_> {
        let base_dir = &self.options.base_dir;
        SnapshotDir { btrfs: &self.btrfs, base_dir, records: &self.records }
    }

    fn now(&self) -> Timestamp {
        timestamp(self.clock.now())
    }

    fn layout(&self) -> &Layout {
        &self.options.layout
    }
}

impl<'s> Job<'s> {
    /// Returns the name of a subvolume that is not due, and when it will be, as an
    /// error.
    fn of(planned: planner::Job<'s>, run: &RunId) -> Result<Job<'s>, (SubvolumeName, NextDue)> {
        let planner::Job { subvolume, observed, lineage, plan } = planned;
        match plan {
            Plan {
                decision: Decision::Due(step),
                snapshot: Some(backup),
                next_due,
                work,
                follow_up,
                unplanned,
                ..
            } => {
                let run = work.run().unwrap_or(run).clone();
                let unplanned = unplanned.map(|unplanned| unplanned.reason);
                Ok(Job {
                    subvolume,
                    observed,
                    lineage,
                    step,
                    backup,
                    follow_up,
                    work,
                    run,
                    next_due,
                    unplanned,
                })
            }
            Plan { subvolume, next_due, .. } => Err((subvolume, next_due)),
        }
    }
}
