//! One run: look, plan, snapshot, send, publish, tidy.
//!
//! All snapshots are made before the first is sent, so that they show one
//! moment. Each subvolume is then sent and published by itself; one that fails
//! does not stop the others.

mod sending;

use jiff::Timestamp;
use s3up_cli::Stop;

use crate::bucket::Bucket;
use crate::cause::with_cause;
use crate::compressed::Form;
use crate::config::{Config, Subvolume};
use crate::failure::Failure;
use crate::kept;
use crate::look::Seen;
use crate::nested;
use crate::nocow;
use crate::plan::{Decision, Plan, Published, Step, Why};
use crate::planner::{self, Planned, Planner};
use crate::publish::{Host, PublishError};
use crate::record::{Records, RunId, State};
use crate::schedule::NextDue;
use crate::shelf::Shelf;
use crate::snapshot::{SnapshotName, SubvolumeName};
use crate::state::{LastRun, LastRuns, Outcome};
use crate::stopping::Stopping;
use crate::tidy::{self, Before, Rooms, Uploads};
use crate::tool::Btrfs;

/// What is backed up, with what.
pub struct Backup<'a> {
    pub config: &'a Config,
    pub bucket: Bucket,
    pub btrfs: Btrfs,
    pub host: Host,
    /// Of the streams.
    pub form: Form,
    pub stopping: Stopping,
    pub records: Records,
    /// This run.
    pub run: RunId,
}

/// What a run did.
#[derive(Debug, Default)]
pub struct Report {
    pub published: Vec<SnapshotName>,
    pub not_due: Vec<SubvolumeName>,
    pub failed: Vec<(SubvolumeName, Failure)>,
    pub stopped: Option<Stop>,
}

/// A subvolume on its way through a run.
struct Job<'a> {
    subvolume: &'a Subvolume,
    seen: Seen,
    step: Step,
    backup: SnapshotName,
    next_due: NextDue,
}

impl Backup<'_> {
    pub fn planner(&self) -> Planner<'_> {
        Planner {
            config: self.config,
            bucket: &self.bucket,
            btrfs: &self.btrfs,
            records: &self.records,
            host: &self.host.name,
            stopping: &self.stopping,
        }
    }

    /// Carries out a plan.
    pub async fn run(&self, planned: Planned<'_>, state: &mut LastRuns) -> Report {
        let mut report = Report::default();
        for (name, failure) in planned.failed {
            report.add(name, failure, state);
        }
        let mut jobs = Vec::new();
        for job in planned.jobs {
            match Job::of(job) {
                Ok(job) => jobs.push(job),
                Err((name, next_due)) => {
                    state.note(&name, last_run(Outcome::NotDue, next_due.at));
                    report.not_due.push(name);
                }
            }
        }
        let jobs = self.snapshot_all(jobs, &mut report, state).await;
        for job in jobs {
            let name = job.subvolume.name.clone();
            let outcome = match self.stopping.now() {
                Some(stop) => {
                    self.undo(&job.backup).await;
                    Err(Failure::Stopped(stop))
                }
                None => self.back_up(&job).await,
            };
            match outcome {
                Ok(()) => {
                    state.note(&name, last_run(Outcome::Published, job.next_due.at));
                    report.published.push(job.backup);
                }
                Err(failure) => report.add(name, failure, state),
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
                Err(failure) => report.add(job.subvolume.name.clone(), failure, state),
            }
        }
        made
    }

    async fn snapshot(&self, job: &Job<'_>) -> Result<(), Failure> {
        // One that a restore kept elsewhere becomes one of ours.
        if let (Step::Incremental { parent, .. }, Some(path)) = (&job.step, &job.seen.parent_path) {
            self.shelf().adopt(path, parent, &self.run).await?;
        }
        self.shelf().make(job.subvolume, &job.backup, &self.run, State::Begun).await
    }

    /// Of what a stream does not carry.
    async fn warn(&self, job: &Job<'_>) {
        let Subvolume { name, path } = job.subvolume;
        nested::warn(&self.btrfs, name, path).await;
        if job.step == Step::Full(Why::FirstBackup) {
            nocow::warn(name, &self.shelf().path_of(&job.backup)).await;
        }
    }

    /// Sends and publishes one snapshot. On failure nothing of it is left, or
    /// the snapshot stays to say that there may be.
    async fn back_up(&self, job: &Job<'_>) -> Result<(), Failure> {
        tokio::select! {
            () = self.warn(job) => {}
            // What follows sees that, too.
            _ = self.stopping.wait() => {}
        }
        match self.send_until_sound(job).await {
            Ok(()) => {}
            Err(
                failure @ (Failure::Publish(PublishError::Unknown { .. })
                | Failure::StoppedPublishing(_)),
            ) => return Err(failure),
            Err(failure) => {
                self.undo(&job.backup).await;
                return Err(failure);
            }
        }
        self.records.write(&job.backup, &self.run, State::Published)?;
        tokio::select! {
            outcome = self.tidy(job) => outcome?,
            // What is left, the next run removes.
            _ = self.stopping.wait() => {}
        }
        Ok(())
    }

    async fn tidy(&self, job: &Job<'_>) -> Result<(), Failure> {
        let records = self.records.of(&job.subvolume.name)?;
        let states: Vec<_> =
            records.iter().map(|(snapshot, record)| (snapshot.clone(), record.state)).collect();
        let before = before(&job.seen);
        let tidy = tidy::plan(&states, &job.backup, &before, self.config.retain);
        self.rooms().apply(&tidy, &records).await;
        let (base_dir, subvolume) = (&self.config.base_dir, &job.subvolume.path);
        kept::clear(&self.btrfs, base_dir, subvolume, &job.backup).await;
        Ok(())
    }

    /// Removes what this run made of a backup.
    async fn undo(&self, backup: &SnapshotName) {
        self.rooms().remove_unpublished(backup, &self.run, Uploads::Aborted).await;
    }

    fn rooms(&self) -> Rooms<'_> {
        Rooms { bucket: &self.bucket, layout: self.layout(), shelf: self.shelf() }
    }

    fn shelf(&self) -> Shelf<'_> {
        let base_dir = &self.config.base_dir;
        Shelf { btrfs: &self.btrfs, base_dir, records: &self.records }
    }

    fn layout(&self) -> &crate::layout::Layout {
        &self.config.bucket.layout
    }
}

impl<'s> Job<'s> {
    /// The name of a subvolume that is not due, and when it will be.
    fn of(planned: planner::Job<'s>) -> Result<Job<'s>, (SubvolumeName, NextDue)> {
        let planner::Job { subvolume, seen, plan } = planned;
        match plan {
            Plan { decision: Decision::Due(step), snapshot: Some(backup), next_due, .. } => {
                Ok(Job { subvolume, seen, step, backup, next_due })
            }
            Plan { subvolume, next_due, .. } => Err((subvolume, next_due)),
        }
    }
}

impl Report {
    fn add(&mut self, name: SubvolumeName, failure: Failure, state: &mut LastRuns) {
        state.note(&name, failed_run(&failure));
        if let Failure::Stopped(stop) | Failure::StoppedPublishing(stop) = failure {
            self.stopped = Some(stop);
        }
        self.failed.push((name, failure));
    }
}

fn last_run(outcome: Outcome, next_due_at: Timestamp) -> LastRun {
    LastRun { ran_at: Timestamp::now(), outcome, error: None, next_due_at }
}

/// What failed is due again at once.
pub fn failed_run(failure: &Failure) -> LastRun {
    let stopped = matches!(failure, Failure::Stopped(_) | Failure::StoppedPublishing(_));
    let outcome = if stopped { Outcome::Stopped } else { Outcome::Failed };
    LastRun { error: Some(with_cause(failure)), ..last_run(outcome, Timestamp::now()) }
}

fn before(seen: &Seen) -> Before {
    match &seen.published {
        Published::Nothing => Before::Nothing,
        Published::ManifestMissing { .. } | Published::Broken { .. } => Before::Unreadable,
        Published::Chain(chain) => Before::Chain(
            chain
                .links()
                .iter()
                .filter_map(|link| SnapshotName::parse(&link.manifest.snapshot.name))
                .collect(),
        ),
    }
}
