//! After the interrupted backup of an earlier run: the backup of the subvolume as it was
//! when this run began.

use s3up_repository::names::{SnapshotName, Subvolume};
use s3up_repository::stamp::Stamp;

use super::context::{BackupJob, BackupOptions, BackupRun};
use crate::backup::error::Failure;
use crate::backup::observe::{self, Observed};
use crate::plan::decide::{self, BackupStep, IncrementalReason};
use crate::plan::resume::Resumption;
use crate::snapshots::record::SnapshotState;

impl BackupRun {
    /// Sends and publishes one job. If that finishes the interrupted backup of an earlier
    /// run, what changed since follows as an incremental.
    pub(super) async fn back_up(&self, job: BackupJob<'_>) -> Result<SnapshotName, Failure> {
        let (subvolume, next_due) = (job.subvolume, job.next_due);
        let (lineage, follow_up) = (job.lineage.clone(), job.follow_up.clone());
        let finished = self.finish(job).await;
        let Some(backup) = follow_up.filter(|backup| self.snapshot_dir().has(backup)) else {
            return finished;
        };
        if let Err(failure) = finished {
            self.snapshot_dir().remove(&backup).await;
            return Err(failure);
        }
        let (observed, step) = match self.observe_follow_up(subvolume).await {
            Ok(observed) => observed,
            Err(failure) => {
                self.snapshot_dir().remove(&backup).await;
                return Err(failure);
            }
        };
        let (run, resumption) = (self.run.clone(), Resumption::Fresh);
        let name = &subvolume.name;
        tracing::info!(event = "backup_planned", subvolume = %name, "{step}");
        let job = BackupJob {
            subvolume,
            observed,
            lineage,
            step,
            backup,
            follow_up: None,
            resumption,
            run,
            next_due,
            unplanned: None,
        };
        self.finish(job).await
    }

    /// Returns the step that bases an incremental on the backup that was just published.
    async fn observe_follow_up(
        &self,
        subvolume: &Subvolume,
    ) -> Result<(Observed, BackupStep), Failure> {
        let BackupOptions { layout, base_dir, .. } = &self.options;
        let observing = observe::observe(&self.bucket, layout, &self.btrfs, base_dir, subvolume);
        let observed = tokio::select! {
            observed = observing => observed?,
            stop = self.shutdown.wait() => return Err(Failure::Stopped(stop)),
        };
        let chain = observed.published.chain();
        let parent = chain.map(|chain| decide::on_parent(chain, &observed.parent));
        match parent {
            Some(Ok((parent, identity, proof))) => {
                let reason = IncrementalReason::AfterInterrupted;
                Ok((observed, BackupStep::Incremental { parent, identity, proof, reason }))
            }
            Some(Err(reason)) => Err(Failure::FollowUp { reason: reason.to_string() }),
            None => Err(Failure::FollowUp { reason: "its chain cannot be read".to_owned() }),
        }
    }

    /// Returns the same job with a new snapshot of the subvolume as it was when this run
    /// began.
    pub(super) async fn restart<'s>(&self, job: BackupJob<'s>) -> Result<BackupJob<'s>, Failure> {
        let dir = self.snapshot_dir();
        let last = job.follow_up.as_ref().map_or(job.backup.stamp, |follow_up| follow_up.stamp);
        let stamp = Stamp::at(self.now()).after(Some(last.max(job.backup.stamp)));
        let backup = SnapshotName { stamp, ..job.backup.clone() };
        let from = match &job.follow_up {
            Some(follow_up) => dir.path_of(follow_up),
            None => job.subvolume.path.clone(),
        };
        let backup = dir.make(&from, &backup, &self.run, SnapshotState::Begun).await?;
        if let Some(follow_up) = &job.follow_up {
            dir.remove(follow_up).await;
        }
        let (resumption, run) = (Resumption::Fresh, self.run.clone());
        Ok(BackupJob { backup, resumption, run, follow_up: None, ..job })
    }
}
