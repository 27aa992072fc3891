//! Runs a backup: observe, plan, snapshot, send, publish, clean up.
//!
//! All snapshots are made before the first is sent, so that they show one moment. Each
//! subvolume is then sent and published by itself; one that fails does not stop the
//! others.

mod after_failure;
mod before_upload;
mod build_index;
mod check_stream;
mod context;
pub mod error;
mod follow_up;
pub mod journal;
mod journal_writer;
pub mod local_only;
pub mod observe;
pub mod observe_interrupted;
pub mod planner;
mod report;
mod resend;
mod unreceivable;
mod upload;

use s3up_core::error_chain;
use s3up_repository::names::SnapshotName;
use s3up_repository::publish;

use crate::backup::after_failure::{AfterFailure, after_failure};
use crate::backup::context::BackupJob;
pub use crate::backup::context::{BackupOptions, BackupRun};
use crate::backup::error::Failure;
use crate::backup::planner::{Planner, RunPlan};
pub use crate::backup::report::RunReport;
use crate::plan::decide::BackupStep;
use crate::plan::resume::Resumption;
use crate::snapshots::cleanup::{self, CreatedBy, PublishedBefore};
use crate::snapshots::received_parent;
use crate::snapshots::record::{RecordError, SnapshotState};
use crate::status::last_runs::{LastRun, LastRuns, RunStatus};

impl BackupRun {
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
    pub async fn run(&self, planned: RunPlan<'_>, state: &mut LastRuns) -> RunReport {
        let mut report = RunReport::default();
        for (name, failure) in planned.failed {
            report.add(name, failure, state, self.now());
        }
        let mut jobs = Vec::new();
        for job in planned.jobs {
            match BackupJob::of(job, &self.run) {
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
        jobs: Vec<BackupJob<'s>>,
        report: &mut RunReport,
        state: &mut LastRuns,
    ) -> Vec<BackupJob<'s>> {
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
    async fn snapshot<'s>(&self, mut job: BackupJob<'s>) -> Result<BackupJob<'s>, Failure> {
        // A received parent that lies elsewhere is taken into the snapshot directory.
        if let (BackupStep::Incremental { parent, .. }, Some(path)) =
            (&job.step, &job.observed.parent_path)
        {
            self.snapshot_dir().adopt(path, parent, &self.run).await?;
        }
        let (snapshot_dir, path) = (self.snapshot_dir(), &job.subvolume.path);
        if job.resumption == Resumption::Fresh {
            job.backup =
                snapshot_dir.make(path, &job.backup, &job.run, SnapshotState::Begun).await?;
        }
        if let Some(follow_up) = &job.follow_up {
            let made = snapshot_dir.make(path, follow_up, &self.run, SnapshotState::Begun).await?;
            job.follow_up = Some(made);
        }
        Ok(job)
    }

    /// Sends and publishes one snapshot. A failure leaves nothing behind, or only what
    /// the next run resumes.
    async fn finish(&self, mut job: BackupJob<'_>) -> Result<SnapshotName, Failure> {
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
        // It is published: what fails from here on fails no backup, and a later run makes up
        // for it.
        match self.records.write(&job.backup, &job.run, SnapshotState::Published) {
            Ok(()) => tokio::select! {
                () = self.clean_up(&job) => {}
                // The next run removes what is left.
                _ = self.shutdown.wait() => {}
            },
            Err(err) => warn_not_written(&err),
        }
        Ok(job.backup)
    }

    /// Marks the backups that a run published and then died before it could record
    /// that. Later no chain may show it.
    fn note_published(&self, job: &BackupJob<'_>) -> Result<(), Failure> {
        let PublishedBefore::Chain(chain) = PublishedBefore::of(&job.observed.published) else {
            return Ok(());
        };
        for (name, record) in self.records.of(&job.subvolume.name)? {
            if record.state == SnapshotState::Begun && chain.contains(&name) {
                self.records.write(&name, &record.run, SnapshotState::Published)?;
            }
        }
        Ok(())
    }

    async fn carry_out(&self, job: &BackupJob<'_>) -> Result<(), Failure> {
        if let Some(stop) = self.shutdown.received() {
            return Err(Failure::Stopped(stop));
        }
        if let Resumption::PublishOnly { .. } = job.resumption {
            return self.publish_complete(job).await;
        }
        tokio::select! {
            checked = self.before_upload(job) => checked?,
            // The next step notices the signal, too.
            _ = self.shutdown.wait() => {}
        }
        self.send_until_sound(job).await
    }

    /// Publishes a backup of which an earlier run stored everything but the pointer.
    async fn publish_complete(&self, job: &BackupJob<'_>) -> Result<(), Failure> {
        let (bucket, etag) = (self.bucket_of(job), job.observed.pointer_etag.as_deref());
        tokio::select! {
            pointed = publish::point(&bucket, self.layout(), (&job.backup, &job.lineage), etag) => pointed?,
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
    async fn leave(&self, job: &BackupJob<'_>, failure: &Failure) -> AfterFailure {
        let acknowledged_bytes =
            self.journal(job).await.map_or(0, |journal| journal.acknowledged_bytes);
        let after = after_failure(failure, &job.resumption, acknowledged_bytes);
        match after {
            AfterFailure::Discard | AfterFailure::StartOver => {
                self.cleanup(job)
                    .remove_unpublished(&job.backup, &job.run, CreatedBy::ThisRun)
                    .await;
            }
            AfterFailure::KeepForResume => tracing::info!(
                event = "backup_interrupted",
                subvolume = %job.subvolume.name,
                backup = %job.backup,
                acknowledged_bytes,
                "keeping its snapshot and its parts in S3; the next run resumes it"
            ),
        }
        after
    }

    async fn clean_up(&self, job: &BackupJob<'_>) {
        let records = match self.records.of(&job.subvolume.name) {
            Ok(records) => records,
            Err(err) => return warn_not_written(&err),
        };
        // The snapshot of the follow-up is about to be sent.
        let is_next = |snapshot: &SnapshotName| job.follow_up.as_ref() == Some(snapshot);
        let over = records.iter().filter(|(snapshot, _)| !is_next(snapshot));
        let states: Vec<_> =
            over.map(|(snapshot, record)| (snapshot.clone(), record.state)).collect();
        let before = PublishedBefore::of(&job.observed.published);
        let cleanup_plan = cleanup::plan(&states, &job.backup, &before, self.options.retain);
        self.cleanup(job).apply(&cleanup_plan, &records).await;
        let (base_dir, subvolume) = (&self.options.base_dir, &job.subvolume.path);
        received_parent::clear(&self.btrfs, base_dir, subvolume, &job.backup).await;
    }
}

fn warn_not_written(err: &RecordError) {
    tracing::warn!(event = "record_not_written", "{}", error_chain(err));
}
