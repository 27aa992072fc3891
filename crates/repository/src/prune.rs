//! Deletes old generations from the bucket, as [`retention`] decided.
//!
//! Before the first delete, every object of the published chain is audited, and the
//! pointer is read once more. The keys to delete are written to a [`PendingDeletions`] on this
//! host first, so that the next prune can finish an interrupted one. If that file is
//! lost, the remaining objects are listed as unknown.
//!
//! Not here: what may be deleted ([`retention`]), and snapshots on disk, which the program
//! `btrfs-to-s3` cleans up.

pub mod orphans;
pub mod pending;

use std::time::SystemTime;

use jiff::Timestamp;
use s3up_core::{Count, Key};
use s3up_store::{NotDeleted, SWEEP_AGE, StoreError, StoreErrorKind};

use self::pending::{PendingDeletions, PendingError};
use crate::audit::{self, AuditFinding, ExpectedSettings};
use crate::catalogue::Catalogue;
use crate::catalogue::read::CatalogueError;
use crate::documents::Bucket;
use crate::layout::Layout;
use crate::names::{SnapshotName, SubvolumeName};
use crate::retention::{self, DeletionStep, PrunePlan, Retention};

/// Prunes one repository by its rules.
pub struct Prune<'a> {
    pub bucket: &'a Bucket,
    pub layout: &'a Layout,
    pub retention: Retention,
}

/// Contents of the bucket for one subvolume, and what of it to delete.
#[derive(Debug)]
pub struct SubvolumePrune {
    pub catalogue: Catalogue,
    pub plan: PrunePlan,
}

/// The numbers of deleted backups and objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PruneCounts {
    pub backups: usize,
    pub objects: usize,
}

#[derive(Debug, thiserror::Error)]
pub enum PruneError {
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    #[error(transparent)]
    Audit(#[from] audit::AuditError),
    #[error(transparent)]
    PendingDeletions(#[from] PendingError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(
        "pointer {key}: another host or run has published since the plan was made; run prune again"
    )]
    Changed { key: Key },
    #[error("cannot delete {}; the next prune tries again", Count::of(*count, "object"))]
    NotDeleted { count: usize, source: StoreError },
}

impl PruneError {
    /// Returns true if these credentials may not delete, which is the recommended set-up of a
    /// host.
    pub fn is_denied(&self) -> bool {
        match self {
            PruneError::Store(err) | PruneError::NotDeleted { source: err, .. } => {
                err.kind == StoreErrorKind::Denied
            }
            PruneError::Catalogue(_)
            | PruneError::Audit(_)
            | PruneError::PendingDeletions(_)
            | PruneError::Changed { .. } => false,
        }
    }
}

impl Prune<'_> {
    /// Reads the bucket and decides. If anything would be deleted, the published chain
    /// is audited first.
    pub async fn plan(
        &self,
        subvolume: &SubvolumeName,
        pending: &PendingDeletions,
        now: Timestamp,
    ) -> Result<SubvolumePrune, PruneError> {
        let catalogue = Catalogue::read(self.bucket, self.layout, subvolume).await?;
        let begun = pending.keys(subvolume, self.layout);
        let plan = |audited| retention::plan(&catalogue, self.retention, audited, &begun, now);
        let mut planned = plan(None);
        if !planned.is_empty() {
            let problem = self.audit_chain(&catalogue).await?;
            planned = plan(problem.as_ref());
        }
        Ok(SubvolumePrune { catalogue, plan: planned })
    }

    /// Returns what the prune after these backups of one subvolume will delete, if the bucket
    /// does not change meanwhile. Nothing is audited, so the prune may delete less.
    pub async fn preview(
        &self,
        subvolume: &SubvolumeName,
        backups: &[&SnapshotName],
        pending: &PendingDeletions,
        now: Timestamp,
    ) -> Result<PrunePlan, PruneError> {
        let catalogue = Catalogue::read(self.bucket, self.layout, subvolume).await?;
        let begun = pending.keys(subvolume, self.layout);
        let publish = |catalogue: Catalogue, backup: &&SnapshotName| {
            catalogue.with_published(backup, self.layout)
        };
        let catalogue = backups.iter().fold(catalogue, publish);
        Ok(retention::plan(&catalogue, self.retention, None, &begun, now))
    }

    /// Audits the published chain: every object must exist with the right length and
    /// checksum. Returns the first problem.
    async fn audit_chain(&self, catalogue: &Catalogue) -> Result<Option<AuditFinding>, PruneError> {
        // A chain that cannot be read blocks the plan anyway.
        for n in catalogue.current().ok().flatten().unwrap_or_default() {
            let key = catalogue.backups[n].listed.key.clone();
            let checked = audit::check(self.bucket, key, &ExpectedSettings::Nothing).await?;
            let unread = checked.findings.first().filter(|_| checked.entry.is_none());
            if let Some(finding) = checked.damage().or(unread) {
                return Ok(Some(finding.clone()));
            }
        }
        Ok(None)
    }

    /// Deletes. If it is killed at any moment, the next prune continues.
    pub async fn apply(
        &self,
        planned: &SubvolumePrune,
        pending: &mut PendingDeletions,
    ) -> Result<PruneCounts, PruneError> {
        let SubvolumePrune { catalogue, plan } = planned;
        let mut pruned = PruneCounts::default();
        if plan.is_empty() {
            return Ok(pruned);
        }
        let subvolume = &catalogue.subvolume;
        self.check_unchanged(catalogue).await?;
        pending.begin(subvolume, plan.objects())?;
        self.delete(&plan.leftovers, &mut pruned).await?;
        for step in &plan.steps {
            self.apply_step(step, &mut pruned).await?;
        }
        pending.end(subvolume)?;
        Ok(pruned)
    }

    /// Fails if the pointer was set to another backup since the plan was made.
    async fn check_unchanged(&self, catalogue: &Catalogue) -> Result<(), PruneError> {
        let key = self.layout.pointer(&catalogue.subvolume);
        let found = self.bucket.store.head(&key, None, self.bucket.retry_for).await?;
        match found.map(|found| found.etag) == catalogue.pointer_etag {
            true => Ok(()),
            false => Err(PruneError::Changed { key }),
        }
    }

    /// Deletes one backup, its manifest first, so that a reader finds all of it or no manifest.
    async fn apply_step(
        &self,
        step: &DeletionStep,
        pruned: &mut PruneCounts,
    ) -> Result<(), PruneError> {
        self.bucket.store.delete(&step.manifest, self.bucket.retry_for).await?;
        pruned.backups += 1;
        pruned.objects += 1;
        let (parts, chunks) = step.objects.split_at(step.objects.len().min(1));
        self.delete(parts, pruned).await?;
        self.delete(chunks, pruned).await
    }

    async fn delete(&self, keys: &[Key], pruned: &mut PruneCounts) -> Result<(), PruneError> {
        if keys.is_empty() {
            return Ok(());
        }
        let left = self.bucket.store.delete_many(keys, self.bucket.retry_for).await?;
        pruned.objects += keys.len() - left.len();
        all_deleted(left)
    }

    /// Aborts old incomplete multipart uploads. Returns how many there were.
    pub async fn sweep_uploads(
        &self,
        subvolume: &SubvolumeName,
        now: SystemTime,
    ) -> Result<u64, StoreError> {
        let begun_before = now - SWEEP_AGE;
        let directory = self.layout.directory(subvolume);
        self.bucket.store.sweep(&directory, begun_before, self.bucket.retry_for).await
    }
}

fn all_deleted(left: Vec<NotDeleted>) -> Result<(), PruneError> {
    let count = left.len();
    match left.into_iter().next() {
        None => Ok(()),
        Some(NotDeleted { error, .. }) => Err(PruneError::NotDeleted { count, source: error }),
    }
}
