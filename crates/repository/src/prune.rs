//! Deletes old generations from the bucket, as [`retention`] decided.
//!
//! Before anything goes, every object of the published chain is looked at, and
//! right before the first delete the pointer is, once more. What is about to go
//! is in a [`Journal`] on this host first: of a prune that died, the next one
//! removes the rest. A journal that is lost costs nothing but that; what it
//! named is then listed as unknown.
//!
//! Not here: what may go ([`retention`]), snapshots on disk ([`tidy`](btrfs_to_s3::snapshots::cleanup)).

pub mod journal;
pub mod orphans;

use std::time::SystemTime;

use jiff::Timestamp;
use s3up_core::Key;
use s3up_store::{Kind as StoreKind, NotDeleted, SWEEP_AGE, StoreError};

use self::journal::{Journal, JournalError};
use crate::audit::{self, Expected};
use crate::catalogue::Catalogue;
use crate::catalogue::read::CatalogueError;
use crate::documents::Bucket;
use crate::layout::Layout;
use crate::names::SubvolumeName;
use crate::retention::{self, PrunePlan, Retention, Step};

/// What is pruned, by which rule.
pub struct Prune<'a> {
    pub bucket: &'a Bucket,
    pub layout: &'a Layout,
    pub retention: Retention,
}

/// What is in the bucket of a subvolume, and what of it goes.
#[derive(Debug)]
pub struct Planned {
    pub catalogue: Catalogue,
    pub plan: PrunePlan,
}

/// What was deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
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
    Journal(#[from] JournalError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("pointer {key}: another host or run has published meanwhile; prune again")]
    Changed { key: Key },
    #[error("{count} objects could not be deleted, the next prune tries again")]
    Left { count: usize, source: StoreError },
}

impl PruneError {
    /// These credentials may not delete, which is how a host is best set up.
    pub fn is_denied(&self) -> bool {
        match self {
            PruneError::Store(err) | PruneError::Left { source: err, .. } => {
                err.kind == StoreKind::Denied
            }
            PruneError::Catalogue(_)
            | PruneError::Audit(_)
            | PruneError::Journal(_)
            | PruneError::Changed { .. } => false,
        }
    }
}

impl Prune<'_> {
    /// Looks, and decides. The published chain is looked at object by object
    /// where anything would go.
    pub async fn plan(
        &self,
        subvolume: &SubvolumeName,
        journal: &Journal,
        now: Timestamp,
    ) -> Result<Planned, PruneError> {
        let catalogue = Catalogue::read(self.bucket, self.layout, subvolume).await?;
        let begun = journal.keys(subvolume, self.layout);
        let plan = |proven| retention::plan(&catalogue, self.retention, proven, &begun, now);
        let mut planned = plan(&Ok(()));
        if !planned.steps.is_empty() {
            let proven = self.prove(&catalogue).await?;
            planned = plan(&proven);
        }
        Ok(Planned { catalogue, plan: planned })
    }

    /// Whether the published chain is there, with right lengths and checksums.
    async fn prove(&self, catalogue: &Catalogue) -> Result<Result<(), String>, PruneError> {
        let chain = match catalogue.current() {
            Ok(chain) => chain.unwrap_or_default(),
            Err(reason) => return Ok(Err(reason)),
        };
        for n in chain {
            let key = catalogue.backups[n].found.key.clone();
            let checked = audit::check(self.bucket, key, &Expected::Nothing).await?;
            if let Some(finding) = checked.findings.first() {
                return Ok(Err(finding.to_string()));
            }
        }
        Ok(Ok(()))
    }

    /// Deletes. Killed at any moment, the next prune goes on.
    pub async fn apply(
        &self,
        planned: &Planned,
        journal: &mut Journal,
    ) -> Result<Pruned, PruneError> {
        let Planned { catalogue, plan } = planned;
        let mut pruned = Pruned::default();
        if plan.is_empty() {
            return Ok(pruned);
        }
        let subvolume = &catalogue.subvolume;
        self.check_unchanged(catalogue).await?;
        journal.begin(subvolume, plan.objects())?;
        self.delete(&plan.leftovers, &mut pruned).await?;
        for step in &plan.steps {
            self.apply_step(step, &mut pruned).await?;
        }
        journal.end(subvolume)?;
        Ok(pruned)
    }

    /// Somebody may have gone back to an older backup.
    async fn check_unchanged(&self, catalogue: &Catalogue) -> Result<(), PruneError> {
        let key = self.layout.pointer(&catalogue.subvolume);
        let found = self.bucket.store.head(&key, None, self.bucket.retry_for).await?;
        match found.map(|found| found.etag) == catalogue.pointer_etag {
            true => Ok(()),
            false => Err(PruneError::Changed { key }),
        }
    }

    /// A reader finds the backup whole, or no manifest of it.
    async fn apply_step(&self, step: &Step, pruned: &mut Pruned) -> Result<(), PruneError> {
        self.bucket.store.delete(&step.manifest, self.bucket.retry_for).await?;
        pruned.backups += 1;
        pruned.objects += 1;
        let (parts, chunks) = step.objects.split_at(step.objects.len().min(1));
        self.delete(parts, pruned).await?;
        self.delete(chunks, pruned).await
    }

    async fn delete(&self, keys: &[Key], pruned: &mut Pruned) -> Result<(), PruneError> {
        if keys.is_empty() {
            return Ok(());
        }
        let left = self.bucket.store.delete_many(keys, self.bucket.retry_for).await?;
        pruned.objects += keys.len() - left.len();
        all_gone(left)
    }

    /// Multipart uploads that nobody will complete. Returns how many there were.
    pub async fn sweep_uploads(&self, subvolume: &SubvolumeName) -> Result<u64, StoreError> {
        let begun_before = SystemTime::now() - SWEEP_AGE;
        let folder = self.layout.folder(subvolume);
        self.bucket.store.sweep(&folder, begun_before, self.bucket.retry_for).await
    }
}

fn all_gone(left: Vec<NotDeleted>) -> Result<(), PruneError> {
    let count = left.len();
    match left.into_iter().next() {
        None => Ok(()),
        Some(NotDeleted { error, .. }) => Err(PruneError::Left { count, source: error }),
    }
}
