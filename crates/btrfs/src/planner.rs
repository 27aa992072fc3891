//! Observes each subvolume and decides what to do with it. It writes nothing.
//!
//! `plan` and `--dry-run` print the resulting value, and `backup` carries it out.

pub mod show;

use jiff::Zoned;

use crate::bucket::Bucket;
use crate::compressed::Form;
use crate::config::{Config, Subvolume};
use crate::failure::Failure;
use crate::look::{self, ObserveError, Observed};
use crate::plan::{self, Decision, Plan, Published, Trigger};
use crate::record::Records;
use crate::resume::found::{Places, newest_begun};
use crate::resume::journal::Settings;
use crate::resume::{self, Now, Resumed, Resumption};
use crate::snapshot::{SnapshotName, SubvolumeName};
use crate::stamp::Stamp;
use crate::stopping::ShutdownSignal;
use crate::tool::Btrfs;

pub struct Planner<'a> {
    pub config: &'a Config,
    pub bucket: &'a Bucket,
    pub btrfs: &'a Btrfs,
    pub records: &'a Records,
    /// Name of this host.
    pub host: &'a str,
    /// Form of the send streams.
    pub form: Form,
    pub shutdown: &'a ShutdownSignal,
}

/// A subvolume, what was observed of it, and its plan.
#[derive(Debug)]
pub struct Job<'s> {
    pub subvolume: &'s Subvolume,
    pub seen: Observed,
    pub plan: Plan,
}

/// The plans of one run.
#[derive(Debug, Default)]
pub struct Planned<'s> {
    pub jobs: Vec<Job<'s>>,
    /// Subvolumes that could not be observed.
    pub failed: Vec<(SubvolumeName, Failure)>,
}

impl Planner<'_> {
    pub async fn plan<'s>(
        &self,
        subvolumes: &[&'s Subvolume],
        asked: Trigger,
        now: &Zoned,
    ) -> Planned<'s> {
        let mut planned = Planned::default();
        for subvolume in subvolumes {
            let job = tokio::select! {
                job = self.plan_one(subvolume, asked, now) => job,
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
        asked: Trigger,
        now: &Zoned,
    ) -> Result<Job<'s>, Failure> {
        let name = &subvolume.name;
        let Config { base_dir, bucket, schedule, .. } = self.config;
        let seen = look::look(self.bucket, &bucket.layout, self.btrfs, base_dir, subvolume).await?;
        self.warn_of_another_host(name, &seen);
        let mut decision = plan::decide(asked, schedule, now, &seen.published, &seen.parent);
        let (snapshot, work) = match self.resumed(name, &seen, asked, &decision, now).await? {
            Some(Resumed { backup, step, work }) => {
                decision = Decision::Due(step);
                (Some(backup), work)
            }
            None => (self.new_snapshot(name, &seen, &decision, now)?, Resumption::Fresh),
        };
        let plan = Plan {
            subvolume: name.clone(),
            last_at: plan::last_at(&seen.published),
            next_due: plan::next_due(schedule, now, &seen.published, &decision),
            decision,
            snapshot,
            work,
        };
        log(&plan);
        Ok(Job { subvolume, seen, plan })
    }

    fn new_snapshot(
        &self,
        name: &SubvolumeName,
        seen: &Observed,
        decision: &Decision,
        now: &Zoned,
    ) -> Result<Option<SnapshotName>, Failure> {
        let Decision::Due(step) = decision else { return Ok(None) };
        let stamp = Stamp::at(now.timestamp()).after(self.last_stamp(name, seen)?);
        Ok(Some(SnapshotName { subvolume: name.clone(), stamp, kind: step.kind() }))
    }

    /// Returns the interrupted backup of an earlier run, if it can be resumed.
    async fn resumed(
        &self,
        name: &SubvolumeName,
        seen: &Observed,
        asked: Trigger,
        decision: &Decision,
        now: &Zoned,
    ) -> Result<Option<Resumed>, Failure> {
        let records = self.records.of(name)?;
        let chain = match &seen.published {
            Published::Chain(chain) => Some(chain),
            Published::Nothing | Published::ManifestMissing { .. } | Published::Broken { .. } => {
                None
            }
        };
        let Some((backup, record)) = newest_begun(&records, chain) else { return Ok(None) };
        let Config { base_dir, bucket: config, .. } = self.config;
        let (bucket, btrfs, records) = (self.bucket, self.btrfs, self.records);
        let places = Places { bucket, config, btrfs, base_dir, records };
        let found = places.look(backup, &record.run).await.map_err(ObserveError::from)?;
        let newest = chain.map(|chain| chain.newest());
        let now = Now {
            time: now.timestamp(),
            asked,
            decision,
            settings: &Settings::of(config, self.form),
            newest: newest.map(|entry| (&entry.key, entry.manifest.created_at.time())),
            parent: chain.and_then(|chain| plan::on_parent(chain, &seen.parent).ok()),
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
    fn last_stamp(&self, name: &SubvolumeName, seen: &Observed) -> Result<Option<Stamp>, Failure> {
        let published = match &seen.published {
            Published::Chain(chain) => Some(chain.newest().manifest.created_at),
            Published::Nothing | Published::ManifestMissing { .. } | Published::Broken { .. } => {
                None
            }
        };
        let on_disk = seen.snapshots.iter().map(|snapshot| snapshot.stamp).max();
        let recorded = self.records.of(name)?.into_iter().map(|(snapshot, _)| snapshot.stamp).max();
        Ok(published.max(on_disk).max(recorded))
    }

    /// Warns if the newest backup comes from another host: two hosts with one prefix
    /// replace each other's pointer.
    fn warn_of_another_host(&self, name: &SubvolumeName, seen: &Observed) {
        let Published::Chain(chain) = &seen.published else { return };
        let host = chain.newest().manifest.host.as_ref();
        if let Some(host) = host.filter(|host| **host != self.host) {
            tracing::warn!(
                event = "prefix_of_another_host",
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
            next_due = plan::seconds(next_due.at),
            next_kind = %next_due.kind,
            "{}", plan.reason()
        ),
    }
}
