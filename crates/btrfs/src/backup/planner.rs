//! Observes each subvolume and decides what to do with it. It writes nothing.
//!
//! `plan` and `--dry-run` print the resulting value, and `backup` carries it out.

use std::path::Path;

use btrfs_host::tool::Btrfs;
use jiff::Zoned;
use s3up_repository::documents::Bucket;
use s3up_repository::layout::Layout;
use s3up_repository::location::RepositoryLocation;
use s3up_repository::names::{SnapshotName, Subvolume, SubvolumeName};
use s3up_repository::stamp::{Stamp, seconds};

use crate::backup::error::Failure;
use crate::backup::observe::{self, ObserveError, Observed};
use crate::plan::Plan;
use crate::plan::decide::{self, Decision, Step, Trigger};
use crate::plan::observed::{StreamSettings, newest_begun};
use crate::plan::resume::{self, Now, Resumed, Resumption};
use crate::plan::schedule::Schedule;
use crate::snapshots::record::Records;
use s3up_cli::ShutdownSignal;

pub struct Planner<'a> {
    pub bucket: &'a Bucket,
    pub btrfs: &'a Btrfs,
    pub base_dir: &'a Path,
    pub layout: &'a Layout,
    pub location: &'a RepositoryLocation,
    pub schedule: &'a Schedule,
    pub records: &'a Records,
    /// Name of this host.
    pub host: &'a str,
    /// Form of the send streams.
    pub settings: &'a StreamSettings,
    pub shutdown: &'a ShutdownSignal,
}

/// A subvolume, what was observed of it, and its plan.
#[derive(Debug)]
pub struct Job<'s> {
    pub subvolume: &'s Subvolume,
    pub observed: Observed,
    pub plan: Plan,
}

/// The plans of one run.
#[derive(Debug, Default)]
pub struct Planned<'s> {
    pub jobs: Vec<Job<'s>>,
    /// Subvolumes that could not be observed.
    pub failed: Vec<(SubvolumeName, Failure)>,
}

impl Planned<'_> {
    /// Returns whether a full is to be made or resumed.
    pub fn has_full(&self) -> bool {
        self.jobs.iter().any(|job| matches!(job.plan.decision, Decision::Due(Step::Full(_))))
    }
}

impl Planner<'_> {
    pub async fn plan<'s>(
        &self,
        subvolumes: &[&'s Subvolume],
        trigger: Trigger,
        now: &Zoned,
    ) -> Planned<'s> {
        let mut planned = Planned::default();
        for subvolume in subvolumes {
            let job = tokio::select! {
                job = self.plan_one(subvolume, trigger, now) => job,
                stop = self.shutdown.wait() => Err(Failure::Stopped(stop)),
            };
            match job {
                Ok(job) => planned.jobs.push(job),
                Err(failure) => planned.failed.push((subvolume.name.clone(), failure)),
            }
        }
        planned
    }

    async fn plan_one<'s>(
        &self,
        subvolume: &'s Subvolume,
        trigger: Trigger,
        now: &Zoned,
    ) -> Result<Job<'s>, Failure> {
        let name = &subvolume.name;
        let Planner { bucket, layout, btrfs, base_dir, schedule, .. } = self;
        let observed = observe::observe(bucket, layout, btrfs, base_dir, subvolume).await?;
        self.warn_of_another_host(name, &observed);
        let mut decision =
            decide::decide(trigger, schedule, now, &observed.published, &observed.parent);
        let (snapshot, work) = match self.resumed(name, &observed, trigger, &decision, now).await? {
            Some(Resumed { backup, step, work }) => {
                decision = Decision::Due(step);
                (Some(backup), work)
            }
            None => (self.new_snapshot(name, &observed, &decision, now)?, Resumption::Fresh),
        };
        let plan = Plan {
            subvolume: name.clone(),
            last_at: decide::last_at(&observed.published),
            next_due: decide::next_due(schedule, now, &observed.published, &decision),
            decision,
            snapshot,
            work,
        };
        log(&plan);
        Ok(Job { subvolume, observed, plan })
    }

    fn new_snapshot(
        &self,
        name: &SubvolumeName,
        observed: &Observed,
        decision: &Decision,
        now: &Zoned,
    ) -> Result<Option<SnapshotName>, Failure> {
        let Decision::Due(step) = decision else { return Ok(None) };
        let stamp = Stamp::at(now.timestamp()).after(self.last_stamp(name, observed)?);
        Ok(Some(SnapshotName { subvolume: name.clone(), stamp, kind: step.kind() }))
    }

    /// Returns the interrupted backup of an earlier run, if it can be resumed.
    async fn resumed(
        &self,
        name: &SubvolumeName,
        observed: &Observed,
        trigger: Trigger,
        decision: &Decision,
        now: &Zoned,
    ) -> Result<Option<Resumed>, Failure> {
        let records = self.records.of(name)?;
        let chain = observed.published.chain();
        let Some((backup, record)) = newest_begun(&records, chain) else { return Ok(None) };
        let found = self.observe_interrupted(backup, &record.run).await;
        let found = found.map_err(ObserveError::from)?;
        let newest = chain.map(|chain| chain.newest());
        let now = Now {
            time: now.timestamp(),
            trigger,
            decision,
            settings: self.settings,
            newest: newest.map(|entry| (&entry.key, entry.manifest.created_at.time())),
            parent: chain.and_then(|chain| decide::on_parent(chain, &observed.parent).ok()),
        };
        match resume::decide(&now, &found) {
            None => Ok(None),
            Some(Ok(resumed)) => Ok(Some(resumed)),
            Some(Err(reason)) => {
                tracing::info!(
                    event = "backup_not_resumed",
                    subvolume = %name,
                    %backup,
                    "not resuming the interrupted backup, starting over: {reason}"
                );
                Ok(None)
            }
        }
    }

    /// Returns the newest time among published backups, snapshots on disk and records.
    fn last_stamp(
        &self,
        name: &SubvolumeName,
        observed: &Observed,
    ) -> Result<Option<Stamp>, Failure> {
        let chain = observed.published.chain();
        let published = chain.map(|chain| chain.newest().manifest.created_at);
        let on_disk = observed.snapshots.iter().map(|snapshot| snapshot.stamp).max();
        let recorded = self.records.of(name)?.into_iter().map(|(snapshot, _)| snapshot.stamp).max();
        Ok(published.max(on_disk).max(recorded))
    }

    /// Warns if the newest backup comes from another host: two hosts with one prefix
    /// replace each other's pointer.
    fn warn_of_another_host(&self, name: &SubvolumeName, observed: &Observed) {
        let Some(chain) = observed.published.chain() else { return };
        let host = chain.newest().manifest.host.as_ref();
        if let Some(host) = host.filter(|host| **host != self.host) {
            tracing::warn!(
                event = "prefix_used_by_another_host",
                subvolume = %name,
                host,
                "the newest backup below this prefix was made by host {host}, expected {}; give \
                 each host its own prefix",
                self.host
            );
        }
    }
}

fn log(plan: &Plan) {
    let Plan { subvolume, decision, next_due, .. } = plan;
    match decision {
        Decision::Due(step) => match (&plan.work, &plan.snapshot) {
            (work @ (Resumption::Resume { .. } | Resumption::PublishOnly { .. }), Some(backup)) => {
                tracing::info!(event = "backup_resumed", %subvolume, %backup, "{work}; {step}");
            }
            (Resumption::Fresh | Resumption::Resume { .. } | Resumption::PublishOnly { .. }, _) => {
                tracing::info!(event = plan.event(), %subvolume, "{step}");
            }
        },
        Decision::NotDue => tracing::info!(
            event = plan.event(),
            %subvolume,
            next_due = seconds(next_due.at),
            next_kind = %next_due.kind,
            "{}", plan.reason()
        ),
    }
}
