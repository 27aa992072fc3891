//! Observes each subvolume and decides what to do with it. It writes nothing.
//!
//! `plan` and `--dry-run` print the resulting value, and `backup` carries it out.

use std::path::Path;

use btrfs_host::tool::Btrfs;
use jiff::Zoned;
use s3up_repository::documents::Bucket;
use s3up_repository::layout::Layout;
use s3up_repository::location::RepositoryLocation;
use s3up_repository::names::{BackupKind, SnapshotName, Subvolume, SubvolumeName};
use s3up_repository::origin::{self, Adopt, Lineage, Origin, Relation};
use s3up_repository::stamp::{Stamp, seconds};

use crate::backup::error::Failure;
use crate::backup::observe::{self, ObserveError, Observed};
use crate::origin::HostIdentity;
use crate::plan::Plan;
use crate::plan::decide::{self, BackupStep, Decision, FullReason, Trigger};
use crate::plan::observed::{StreamSettings, newest_begun};
use crate::plan::resume::{self, PlannedBackup, ResumePlan, Resumption};
use crate::plan::schedule::Schedule;
use crate::plan::schedule::UnplannedFull;
use crate::plan::unplanned::Unplanned;
use crate::selection::SelectionError;
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
    pub host: &'a HostIdentity,
    pub adopt: Adopt,
    /// Form of the send streams.
    pub settings: &'a StreamSettings,
    pub shutdown: &'a ShutdownSignal,
}

/// A subvolume, what was observed of it, and its plan.
#[derive(Debug)]
pub struct PlannedSubvolume<'s> {
    pub subvolume: &'s Subvolume,
    pub observed: Observed,
    pub lineage: Lineage,
    pub plan: Plan,
}

/// The interrupted backup of an earlier run.
enum InterruptedWork {
    None,
    Resumable(ResumePlan),
    /// No backup is due, so it stays as it is until one is.
    Deferred(SnapshotName),
}

/// The plans of one run.
#[derive(Debug, Default)]
pub struct RunPlan<'s> {
    pub jobs: Vec<PlannedSubvolume<'s>>,
    /// Subvolumes that could not be observed.
    pub failed: Vec<(SubvolumeName, Failure)>,
}

impl<'s> RunPlan<'s> {
    /// Adds subvolumes that cannot be backed up, whatever is in the bucket.
    pub fn add_failed(&mut self, failed: Vec<(&'s Subvolume, SelectionError)>) {
        let failed =
            failed.into_iter().map(|(subvolume, err)| (subvolume.name.clone(), Failure::from(err)));
        self.failed.extend(failed);
    }

    /// Logs each decision. A command that only prints the plan does not.
    pub fn log(&self) {
        self.jobs.iter().for_each(|job| log(&job.plan));
    }

    /// Returns true if a full is to be made or resumed.
    pub fn has_full(&self) -> bool {
        self.jobs.iter().any(|job| matches!(job.plan.decision, Decision::Due(BackupStep::Full(_))))
    }
}

impl Planner<'_> {
    pub async fn plan<'s>(
        &self,
        subvolumes: &[&'s Subvolume],
        trigger: Trigger,
        now: &Zoned,
    ) -> RunPlan<'s> {
        let mut planned = RunPlan::default();
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
    ) -> Result<PlannedSubvolume<'s>, Failure> {
        let name = &subvolume.name;
        let Planner { bucket, layout, btrfs, base_dir, schedule, .. } = self;
        let observed = observe::observe(bucket, layout, btrfs, base_dir, subvolume).await?;
        let (lineage, relation) = self.lineage(subvolume, &observed).await?;
        if relation == Relation::SameHost {
            self.warn_of_clone(name, &observed)?;
        }
        let mut decision =
            decide::decide(trigger, schedule, now, &observed.published, &observed.parent);
        let mut unplanned = Unplanned::of(&decision, &observed.published);
        if relation == Relation::Adopted && unplanned.take().is_some() {
            decision = Decision::Due(BackupStep::Full(FullReason::Adopted));
        }
        let is_due = matches!(decision, Decision::Due(_));
        let (mut follow_up, mut waiting) = (None, None);
        let (snapshot, resumption) =
            match self.interrupted_work(name, &observed, trigger, &decision, now).await? {
                InterruptedWork::Resumable(ResumePlan { backup, step, resumption }) => {
                    if is_due {
                        let kind = BackupKind::Incremental;
                        follow_up = Some(self.new_snapshot(name, &observed, kind, now)?);
                    }
                    decision = Decision::Due(step);
                    (Some(backup), resumption)
                }
                work @ (InterruptedWork::Deferred(_) | InterruptedWork::None) => {
                    if let InterruptedWork::Deferred(backup) = work {
                        waiting = Some(backup);
                    }
                    let snapshot = match &decision {
                        Decision::Due(step) => {
                            Some(self.new_snapshot(name, &observed, step.kind(), now)?)
                        }
                        Decision::NotDue => None,
                    };
                    (snapshot, Resumption::Fresh)
                }
            };
        let plan = Plan {
            subvolume: name.clone(),
            last_at: decide::last_at(&observed.published),
            next_due: decide::next_due(schedule, now, &observed.published, &decision),
            decision,
            snapshot,
            resumption,
            follow_up,
            waiting,
            unplanned,
        };
        if let Some(unplanned) = &plan.unplanned
            && self.schedule.unplanned_full == UnplannedFull::Refuse
            // A full that an earlier run began was asked for then.
            && plan.resumption == Resumption::Fresh
        {
            return Err(Failure::UnplannedFull { unplanned: Box::new(unplanned.clone()) });
        }
        Ok(PlannedSubvolume { subvolume, observed, lineage, plan })
    }

    fn new_snapshot(
        &self,
        name: &SubvolumeName,
        observed: &Observed,
        kind: BackupKind,
        now: &Zoned,
    ) -> Result<SnapshotName, Failure> {
        let stamp = Stamp::at(now.timestamp()).after(self.last_stamp(name, observed)?);
        Ok(SnapshotName { subvolume: name.clone(), stamp, kind })
    }

    /// Returns what is to be done with the interrupted backup of an earlier run.
    async fn interrupted_work(
        &self,
        name: &SubvolumeName,
        observed: &Observed,
        trigger: Trigger,
        decision: &Decision,
        now: &Zoned,
    ) -> Result<InterruptedWork, Failure> {
        let records = self.records.of(name)?;
        let chain = observed.published.chain();
        let has_journal = |backup: &SnapshotName| self.records.journal(backup).exists();
        let Some((backup, record)) = newest_begun(&records, chain, has_journal) else {
            return Ok(InterruptedWork::None);
        };
        let interrupted = self.observe_interrupted(backup, &record.run).await;
        let interrupted = interrupted.map_err(ObserveError::from)?;
        let newest = chain.map(|chain| chain.newest());
        let now = PlannedBackup {
            time: now.timestamp(),
            trigger,
            decision,
            settings: self.settings,
            newest: newest.map(|entry| (&entry.key, entry.manifest.created_at.time())),
            parent: chain.and_then(|chain| decide::on_parent(chain, &observed.parent).ok()),
        };
        match resume::decide(&now, &interrupted) {
            None => Ok(InterruptedWork::Deferred(backup.clone())),
            Some(Ok(plan)) => Ok(InterruptedWork::Resumable(plan)),
            Some(Err(reason)) => {
                tracing::info!(
                    event = "backup_not_resumed",
                    subvolume = %name,
                    %backup,
                    "not resuming the interrupted backup, starting over: {reason}"
                );
                Ok(InterruptedWork::None)
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

    /// Compares the origin of the published chain with this host, and returns the lineage of
    /// a backup that continues it.
    ///
    /// # Errors
    ///
    /// The chain was made elsewhere.
    async fn lineage(
        &self,
        subvolume: &Subvolume,
        observed: &Observed,
    ) -> Result<(Lineage, Relation), Failure> {
        let ours = self.host.observe(self.btrfs, &subvolume.path).await;
        let parent = decide::parent_here(&observed.published, &observed.parent);
        let lineage = observed.published_lineage.as_ref();
        let published = lineage.map(|lineage| &lineage.origin);
        let relation = origin::relation(&ours, published, parent, self.adopt);
        if let (Relation::Other, Some(published)) = (&relation, published) {
            let (published, ours) = (Box::new(published.clone()), Box::new(ours));
            return Err(Failure::OtherOrigin { published, ours });
        }
        self.log_relation(&subvolume.name, &relation, observed, &ours);
        let earlier = lineage.map_or(&[][..], |lineage| &lineage.earlier);
        let earlier = origin::earlier_origins(&relation, &ours, published, earlier);
        Ok((Lineage { origin: ours, earlier }, relation))
    }

    /// Warns if this host knows earlier backups and not the newest one, although it was made by a
    /// host of the same identity.
    fn warn_of_clone(&self, name: &SubvolumeName, observed: &Observed) -> Result<(), Failure> {
        let Some(newest) = observed.published.chain().and_then(decide::parent_of) else {
            return Ok(());
        };
        let recorded = self.records.of(name)?;
        let recorded = recorded.iter().map(|(snapshot, _)| snapshot);
        let known: Vec<_> = observed.snapshots.iter().chain(recorded).collect();
        let is_known = observed.parent_path.is_some() || known.contains(&&newest);
        if !is_known && !known.is_empty() {
            tracing::warn!(
                event = "newest_backup_unknown_here",
                subvolume = %name,
                backup = %newest,
                "the newest backup was made by a host with the identity of this one, and this \
                 host has neither its snapshot nor a record of it: a clone of this host backs up \
                 below the same prefix, or `snapshots.base_dir` was rolled back; give each clone \
                 its own prefix and its own /etc/machine-id"
            );
        }
        Ok(())
    }

    fn log_relation(
        &self,
        subvolume: &SubvolumeName,
        relation: &Relation,
        observed: &Observed,
        ours: &Origin,
    ) {
        let newest = observed.published.chain().map(|chain| &chain.newest().manifest);
        let name = newest.and_then(|manifest| manifest.host.as_ref());
        let other = name.filter(|name| **name != ours.host);
        let published = observed.published_lineage.as_ref().map(|lineage| &lineage.origin);
        match (relation, published, other) {
            (Relation::RestoredHere, Some(published), _) => tracing::info!(
                event = "chain_continued_here",
                %subvolume,
                "continuing the chain that was restored here; it was made by {published}"
            ),
            (Relation::Adopted, Some(published), _) => tracing::warn!(
                event = "chain_adopted",
                %subvolume,
                "taking over the prefix, as --adopt says; the backups of {published} stay until \
                 `prune --adopt` deletes them"
            ),
            (Relation::SameHost, _, Some(host)) => tracing::warn!(
                event = "prefix_used_by_another_host",
                %subvolume,
                host,
                "the newest backup below this prefix was made by host {host}, which has the \
                 identity of this host, {}: the host was renamed, or one is a clone of the other; \
                 give each clone its own prefix and its own /etc/machine-id",
                ours.host
            ),
            (Relation::Unrecorded | Relation::SameFilesystem, _, Some(host)) => tracing::warn!(
                event = "prefix_used_by_another_host",
                %subvolume,
                host,
                "the newest backup below this prefix: expected host {}, found {host}; give \
                 each host its own prefix",
                ours.host
            ),
            (_, _, _) => {}
        }
    }
}

fn log(plan: &Plan) {
    let Plan { subvolume, decision, next_due, .. } = plan;
    if let Some(unplanned) = &plan.unplanned {
        tracing::warn!(
            event = "unplanned_full",
            %subvolume,
            last_full_bytes = unplanned.last_full_bytes,
            "{unplanned}"
        );
    }
    match decision {
        Decision::Due(step) => match (&plan.resumption, &plan.snapshot) {
            (
                resumption @ (Resumption::Resume { .. } | Resumption::PublishOnly { .. }),
                Some(backup),
            ) => {
                tracing::info!(event = "backup_resumed", %subvolume, %backup, "{resumption}; {step}");
            }
            (Resumption::Fresh | Resumption::Resume { .. } | Resumption::PublishOnly { .. }, _) => {
                tracing::info!(event = plan.event(), %subvolume, "{step}");
            }
        },
        Decision::NotDue => {
            // The timer runs each hour, and cron mails what is written.
            tracing::debug!(
                event = plan.event(),
                %subvolume,
                next_due = seconds(next_due.at),
                next_kind = %next_due.kind,
                "{}", plan.reason()
            );
            if let Some(backup) = &plan.waiting {
                tracing::info!(
                    event = "backup_waiting",
                    %subvolume,
                    %backup,
                    "an interrupted backup waits until the next one is due; `backup --once` \
                     finishes it now"
                );
            }
        }
    }
}
