//! Runs a backup: observe, plan, snapshot, send, publish, clean up.
//!
//! All snapshots are made before the first is sent, so that they show one moment. Each
//! subvolume is then sent and published by itself; one that fails does not stop the
//! others.

mod after_failure;
mod check_stream;
mod context;
pub mod error;
pub mod journal;
mod journal_writer;
pub mod local_only;
pub mod observe;
pub mod observe_interrupted;
pub mod planner;
mod upload;

use btrfs_host::{nested, nocow};
use jiff::Timestamp;
use s3up_cli::Signal;
use s3up_core::error_chain;
use s3up_repository::names::{SnapshotName, Subvolume, SubvolumeName};
use s3up_repository::publish;

use crate::backup::after_failure::{AfterFailure, after_failure};
use crate::backup::context::Job;
pub use crate::backup::context::{Backup, BackupOptions};
use crate::backup::error::Failure;
use crate::backup::planner::{Planned, Planner};
use crate::plan::decide::{Step, Why};
use crate::plan::resume::Resumption;
use crate::snapshots::cleanup::{self, CreatedBy, PublishedBefore};
use crate::snapshots::received_parent;
use crate::snapshots::record::State;
use crate::status::last_runs::{LastRun, LastRuns, RunStatus};

/// Result of a run.
#[derive(Debug, Default)]
pub struct Report {
    pub published: Vec<SnapshotName>,
    pub not_due: Vec<SubvolumeName>,
    pub failed: Vec<(SubvolumeName, Failure)>,
    pub stopped: Option<Signal>,
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
            host: &self.host.name,
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
            match self.snapshot(&job).await {
                Ok(()) => made.push(job),
                Err(failure) => report.add(job.subvolume.name.clone(), failure, state, self.now()),
            }
        }
        made
    }

    async fn snapshot(&self, job: &Job<'_>) -> Result<(), Failure> {
        // A received parent that lies elsewhere is taken into the snapshot directory.
        if let (Step::Incremental { parent, .. }, Some(path)) =
            (&job.step, &job.observed.parent_path)
        {
            self.snapshot_dir().adopt(path, parent, &self.run).await?;
        }
        match job.work {
            Resumption::Fresh => {
                let snapshot_dir = self.snapshot_dir();
                snapshot_dir.make(job.subvolume, &job.backup, &job.run, State::Begun).await?;
                Ok(())
            }
            Resumption::Resume { .. } | Resumption::PublishOnly { .. } => Ok(()),
        }
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
    async fn back_up(&self, mut job: Job<'_>) -> Result<SnapshotName, Failure> {
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
            job = job.restart(&self.run, self.now());
            self.snapshot(&job).await?;
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
            pointed = publish::point(&bucket, self.layout(), &job.backup, etag) => pointed?,
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
                self.cleanup().remove_unpublished(&job.backup, &job.run, CreatedBy::ThisRun).await;
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

    async fn tidy(&self, job: &Job<'_>) -> Result<(), Failure> {
        let records = self.records.of(&job.subvolume.name)?;
        let states: Vec<_> =
            records.iter().map(|(snapshot, record)| (snapshot.clone(), record.state)).collect();
        let before = PublishedBefore::of(&job.observed.published);
        let tidy = cleanup::plan(&states, &job.backup, &before, self.options.retain);
        self.cleanup().apply(&tidy, &records).await;
        let (base_dir, subvolume) = (&self.options.base_dir, &job.subvolume.path);
        received_parent::clear(&self.btrfs, base_dir, subvolume, &job.backup).await;
        Ok(())
    }
}

impl Report {
    fn add(&mut self, name: SubvolumeName, failure: Failure, state: &mut LastRuns, now: Timestamp) {
        state.note(&name, failed_run(&failure, now));
        if let Failure::Stopped(stop) | Failure::StoppedPublishing(stop) = failure {
            self.stopped = Some(stop);
        }
        self.failed.push((name, failure));
    }
}

/// Returns the run to remember; a failed backup is due again at once.
fn failed_run(failure: &Failure, now: Timestamp) -> LastRun {
    let stopped = matches!(failure, Failure::Stopped(_) | Failure::StoppedPublishing(_));
    let outcome = if stopped { RunStatus::Stopped } else { RunStatus::Failed };
    LastRun { outcome, ..LastRun::failed(error_chain(failure), now) }
}
