//! Reads the status of each subvolume: its last run, which this host remembers, and its
//! backups in the bucket.

pub mod check;
pub mod history;
pub mod last_drills;
pub mod last_runs;
pub mod last_verified;
pub mod states;

use std::path::Path;

use btrfs_host::tool::Btrfs;
use jiff::{Timestamp, Zoned};
use s3up_core::Count;
use s3up_repository::catalogue::read::CatalogueError;
use s3up_repository::catalogue::{Catalogue, Publication, Unrestorable};
use s3up_repository::documents::Bucket;
use s3up_repository::layout::Layout;
use s3up_repository::names::{Subvolume, SubvolumeName};
use s3up_repository::origin::{self, Adopt, Lineage, Origin, ParentHere, Relation};
use s3up_repository::published::{Published, PublishedError, published};
use s3up_repository::retention::Retention;
use s3up_repository::retention::broken::{BrokenBackup, broken};
use s3up_repository::stamp::seconds;
use s3up_store::StoreError;
use serde::Serialize;

use crate::backup::observe;
use crate::origin::HostIdentity;
use crate::plan::decide;
use crate::plan::schedule::Schedule;
use crate::status::history::HistoryEntry;
use crate::status::last_drills::{Drills, LastDrill};
use crate::status::last_runs::{LastRun, LastRuns};
use crate::status::last_verified::LastVerifies;
use crate::status::states::{BackupState, PointerState};

/// The sources of the status of a subvolume.
pub struct Sources<'a> {
    pub bucket: &'a Bucket,
    pub layout: &'a Layout,
    pub schedule: &'a Schedule,
    pub retention: Retention,
    pub host: &'a HostIdentity,
    /// `None` without root, which the search of snapshots requires.
    pub btrfs: Option<&'a Btrfs>,
    pub base_dir: &'a Path,
    pub runs: &'a LastRuns,
    pub drills: &'a Drills,
    pub verifies: &'a LastVerifies,
    /// True if `drill.scratch_dir` is set.
    pub has_drills: bool,
}

/// Status of one subvolume. The JSON output has these fields.
#[derive(Debug, Serialize)]
pub struct SubvolumeStatus {
    pub subvolume: String,
    /// `null` if this host remembers no run.
    pub last_run: Option<LastRun>,
    /// `published`, `nothing`, or `broken`.
    pub backups: PointerState,
    /// The reason why `backups` is `broken`, or what makes a restore slower than it has to be.
    pub problem: Option<String>,
    /// Backups that retention keeps and that cannot be restored, oldest first.
    pub broken: Vec<BrokenLine>,
    /// Origin of the newest backup, if it was made elsewhere and not restored here.
    pub other_origin: Option<Origin>,
    /// True if only root can find out whether it was restored here.
    #[serde(skip)]
    pub is_origin_unproven: bool,
    pub last_backup_at: Option<String>,
    /// The time of `last_backup_at`, not formatted.
    #[serde(skip)]
    pub last_backup: Option<Timestamp>,
    /// Number of backups that a restore of the newest one reads.
    #[serde(skip)]
    pub chain_length: Option<usize>,
    /// True if a backup is due now, by the schedule or because there is none.
    pub due: bool,
    pub next_due_at: Option<String>,
    pub next_due_kind: Option<String>,
    /// The time of `next_due_at`, not formatted.
    #[serde(skip)]
    pub due_at: Option<Timestamp>,
    /// `null` if this host remembers no successful drill.
    pub last_good_drill: Option<LastDrill>,
    /// True if `drill.scratch_dir` is set.
    #[serde(skip)]
    pub drills: bool,
    pub history: Vec<BackupStatus>,
}

/// A backup that cannot be restored.
#[derive(Debug, Serialize)]
pub struct BrokenLine {
    pub created_at: String,
    pub manifest: String,
    pub reason: String,
}

/// The reason why the status is unknown.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Published(#[from] PublishedError),
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
}

/// One backup.
#[derive(Debug, Serialize)]
pub struct BackupStatus {
    pub kind: String,
    pub created_at: String,
    pub state: BackupState,
    /// True if the listing and the manifests show everything that a restore needs.
    pub restorable: bool,
    /// The reason why the backup cannot be restored.
    pub reason: Option<String>,
    /// Time at which `verify` on this host last found nothing wrong; `null` if that is unknown.
    pub last_verified_at: Option<String>,
    /// Time at which a drill on this host last restored it, alone or as a part of its chain; `null`
    /// if that is unknown.
    pub last_drill_at: Option<String>,
    pub manifest: String,
    /// The reason for a full that the schedule did not ask for.
    pub unplanned_full: Option<String>,
    pub total_bytes: Option<u64>,
    pub elapsed_seconds: Option<f64>,
    pub bytes_per_second: Option<f64>,
    /// Rate with a unit, for people.
    pub throughput: Option<String>,
    /// The reason why the manifest cannot be read.
    pub error: Option<String>,
}

pub async fn status(
    sources: &Sources<'_>,
    Subvolume { name: subvolume, path }: &Subvolume,
    (now, history_count): (&Zoned, usize),
) -> Result<SubvolumeStatus, StatusError> {
    let Sources { bucket, layout, schedule, runs, drills, verifies, has_drills, retention, .. } =
        sources;
    let proofs = LastChecks { drill: drills.last(subvolume), verifies: Some(verifies), subvolume };
    let (published, pointer) = published(bucket, layout, subvolume).await?;
    let catalogue = Catalogue::read(bucket, layout, subvolume).await?;
    let history = history::history(&catalogue, history_count);
    let broken = broken(&catalogue, *retention, now.timestamp());
    let next = decide::due_by_schedule(schedule, &published, now.time_zone());
    let (backups, problem) = match &published {
        Published::Nothing => (PointerState::Nothing, None),
        Published::Chain(_) => {
            let problem = archived_problem(&catalogue.archived_documents(layout));
            (PointerState::Published, problem)
        }
        Published::Broken { reason } => (PointerState::Broken, Some(reason.clone())),
        Published::ManifestMissing { key } => {
            let problem = format!("manifest {key} is missing in the bucket");
            (PointerState::Broken, Some(problem))
        }
    };
    let lineage = observe::lineage(&published, pointer.as_ref());
    let other_origin = other_origin(sources, path, &published, lineage).await;
    Ok(SubvolumeStatus {
        subvolume: subvolume.to_string(),
        last_run: runs.last_run(subvolume).cloned(),
        backups,
        problem,
        broken: broken.into_iter().map(|found| BrokenLine::of(&catalogue, found)).collect(),
        other_origin,
        is_origin_unproven: sources.btrfs.is_none(),
        last_backup_at: decide::last_at(&published).map(seconds),
        last_backup: decide::last_at(&published),
        chain_length: published.chain().map(|chain| chain.entries().len()),
        due: next.is_none_or(|next| next.at <= now.timestamp()),
        next_due_at: next.map(|next| seconds(next.at)),
        next_due_kind: next.map(|next| next.kind.to_string()),
        due_at: next.map(|next| next.at),
        last_good_drill: drills.last(subvolume).cloned(),
        drills: *has_drills,
        history: history.iter().map(|entry| BackupStatus::of(&catalogue, entry, &proofs)).collect(),
    })
}

fn archived_problem(archived: &[&str]) -> Option<String> {
    let first = archived.first()?;
    let count = Count::of(archived.len(), "document");
    Some(format!(
        "a restore has to thaw {count} before anything else, because a lifecycle rule of the \
         bucket archived {first}; `thaw --documents` thaws all"
    ))
}

/// Returns the origin of the newest backup if it was made elsewhere, by the rule by which a
/// backup is refused. A host without the subvolume only reads the status of others.
async fn other_origin(
    Sources { host, btrfs, base_dir, .. }: &Sources<'_>,
    path: &Path,
    published: &Published,
    lineage: Option<Lineage>,
) -> Option<Origin> {
    let Lineage { origin: newest, .. } = lineage.filter(|_| path.exists())?;
    let ours = host.origin_of(path);
    let parent = match btrfs {
        // The disk decides nothing here.
        _ if ours.is_same_host(&newest) => ParentHere::Unproven,
        Some(btrfs) => {
            let (parent, _) = observe::observe_parent(btrfs, base_dir, path, published).await;
            decide::parent_here(published, &parent)
        }
        None => ParentHere::Unproven,
    };
    let relation = origin::relation(&ours, Some(&newest), parent, Adopt::No);
    (relation == Relation::Other).then_some(newest)
}

/// The proofs that this host remembers of the backups of one subvolume.
pub struct LastChecks<'a> {
    pub drill: Option<&'a LastDrill>,
    pub verifies: Option<&'a LastVerifies>,
    pub subvolume: &'a SubvolumeName,
}

impl LastChecks<'_> {
    /// Returns when `verify` last found nothing wrong with a backup.
    pub fn verified_at(&self, catalogue: &Catalogue, n: usize) -> Option<Timestamp> {
        self.verifies?.of(self.subvolume, &catalogue.backups[n].listed.key)
    }

    /// Returns when a backup was last restored by a drill, which restores its whole chain.
    pub fn drilled_at(&self, catalogue: &Catalogue, n: usize) -> Option<Timestamp> {
        let drill = self.drill?;
        let is_drilled = |m: &usize| catalogue.backups[*m].listed.key.as_str() == drill.manifest;
        let drilled = (0..catalogue.backups.len()).find(is_drilled)?;
        catalogue.chain(drilled).contains(&n).then_some(drill.drilled_at)
    }
}

impl BrokenLine {
    fn of(catalogue: &Catalogue, BrokenBackup { n, reason }: BrokenBackup) -> BrokenLine {
        let backup = &catalogue.backups[n];
        BrokenLine {
            created_at: seconds(backup.created_at().time()),
            manifest: backup.listed.key.as_str().to_owned(),
            reason,
        }
    }
}

impl BackupStatus {
    fn of(
        catalogue: &Catalogue,
        HistoryEntry { n, publication }: &HistoryEntry,
        proofs: &LastChecks<'_>,
    ) -> BackupStatus {
        let backup = &catalogue.backups[*n];
        let manifest = backup.manifest.as_ref().map(|entry| &entry.manifest).ok();
        let throughput = manifest.and_then(history::throughput);
        let reason = match publication {
            Publication::Broken(reason) => Some(reason.clone()),
            Publication::Current
            | Publication::Earlier
            | Publication::Unpublished
            | Publication::Unknown => None,
            Publication::Archived(key) => Some(Unrestorable::Archived(key.clone()).to_string()),
        };
        BackupStatus {
            kind: backup.listed.kind.to_string(),
            created_at: seconds(backup.listed.stamp.time()),
            state: BackupState::of(publication),
            restorable: reason.is_none(),
            reason,
            last_verified_at: proofs.verified_at(catalogue, *n).map(seconds),
            last_drill_at: proofs.drilled_at(catalogue, *n).map(seconds),
            manifest: backup.listed.key.as_str().to_owned(),
            unplanned_full: manifest.and_then(|manifest| manifest.unplanned_full.clone()),
            total_bytes: manifest.map(|manifest| manifest.total_bytes),
            elapsed_seconds: manifest.and_then(|manifest| manifest.elapsed_seconds),
            bytes_per_second: throughput.map(|found| found.bytes_per_second().round()),
            throughput: throughput.map(|found| found.to_string()),
            error: backup.manifest.as_ref().err().map(ToString::to_string),
        }
    }
}
