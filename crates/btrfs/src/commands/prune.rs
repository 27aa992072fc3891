//! `prune`: deletes old generations, by command or at the end of a backup.

use std::time::Duration;

use anyhow::anyhow;
use btrfs_to_s3::config::Config;
use btrfs_to_s3::prices::{DeletedObject, Dollars, NoPrice, Prices, PruneCost};
use jiff::Timestamp;
use s3up_cli::{Exit, ShutdownSignal};
use s3up_core::{Count, Size};
use s3up_repository::catalogue::Catalogue;
use s3up_repository::documents::Bucket;
use s3up_repository::names::{SnapshotName, SubvolumeName};
use s3up_repository::origin::Adopt;
use s3up_repository::prune::orphans::orphans;
use s3up_repository::prune::pending::PendingDeletions;
use s3up_repository::prune::{Prune, PruneCounts, PruneError, SubvolumePrune};
use s3up_repository::retention::PrunePlan;

use super::cost::CostLimit;
use super::lock::lock;
use super::{CLOCK, Output, connect, log_start, now, print, select, stopped_by};
use crate::commands::show::cost::{Priced, PruneCostLine};
use crate::commands::show::json;
pub use crate::commands::show::prune::PruneMode;
use crate::commands::show::prune::{Deletion, OldVersions, PruneLine, to_lines, to_table};

/// A backup does not wait longer than this; the next run prunes as well.
const RETRY_FOR_AFTER_BACKUP: Duration = Duration::from_secs(300);

/// The arguments as typed.
#[derive(Clone, Copy, Debug)]
pub struct PruneRequest {
    pub mode: PruneMode,
    pub adopt: Adopt,
    /// Limit of the charge for early deletion.
    pub limit: CostLimit,
}

/// Prints what is deleted and kept, and deletes.
pub async fn run(
    config: &Config,
    PruneRequest { mode, adopt, limit }: PruneRequest,
    names: &[String],
    output: Output,
) -> anyhow::Result<Exit> {
    if mode == PruneMode::Delete {
        log_start("prune");
    }
    let shutdown = ShutdownSignal::listen();
    let subvolumes = select(config, names)?;
    let _lock = if mode == PruneMode::Delete { Some(lock(config)?) } else { None };
    let bucket = connect(&config.bucket, &shutdown).await?;
    let mut prune = prune_of(config, &bucket);
    prune.retention.adopts = adopt == Adopt::Yes;
    let mut pending = pending_of(config);
    let now = now().timestamp();
    let (mut all, mut lines) = (Vec::new(), Vec::new());
    for subvolume in subvolumes {
        let planned = tokio::select! {
            planned = prune.plan(&subvolume.name, &pending, now) => planned?,
            stop = shutdown.wait() => return Err(stopped_by(stop)),
        };
        let priced = Priced::of(config.bucket.prices.as_ref(), |prices| {
            cost(&planned, prices, now).map(PruneCostLine::from)
        });
        lines.push(PruneLine::of(&subvolume.name, &planned.plan, priced));
        all.push(planned);
    }
    print(&match output {
        Output::Table => to_table(&lines, mode),
        Output::Json => json(&lines),
    })?;
    warn_of_versions(&bucket, all.iter().map(|planned| planned.plan.bytes()).sum());
    limit.check(config.bucket.prices.as_ref(), |prices| {
        let costs = all.iter().map(|planned| cost(planned, prices, now));
        costs
            .map(|cost| cost.map(|cost| cost.early))
            .try_fold(Dollars::default(), |sum, cost| Ok(sum + cost?))
    })?;
    if mode == PruneMode::Print {
        return Ok(Exit::Done);
    }
    for planned in &all {
        tokio::select! {
            pruned = delete(&prune, planned, &mut pending) => { pruned?; }
            stop = shutdown.wait() => return Err(stopped_by(stop)),
        }
    }
    Ok(Exit::Done)
}

/// Returns what deleting the objects of a plan saves and costs.
fn cost(
    SubvolumePrune { catalogue, plan }: &SubvolumePrune,
    prices: &Prices,
    now: Timestamp,
) -> Result<PruneCost, NoPrice> {
    let manifests = plan.steps.iter().map(|step| &step.manifest);
    let objects = manifests.chain(plan.objects());
    let objects = objects.filter_map(|key| catalogue.objects.get(key.as_str()));
    let deleted = objects.map(|object| DeletedObject {
        class: &object.class,
        bytes: object.size,
        modified_at: object.modified_at,
    });
    prices.prune(deleted, now)
}

/// Prunes after a backup. Every failure is only a warning, because the backup is safe.
pub async fn after_backup(config: &Config, bucket: &Bucket, names: &[SubvolumeName]) {
    if !config.prune_after_backup {
        return;
    }
    let retry_for = bucket.retry_for.min(RETRY_FOR_AFTER_BACKUP);
    let bucket = &Bucket { retry_for, ..bucket.clone() };
    let prune = prune_of(config, bucket);
    let mut pending = pending_of(config);
    for name in names {
        let pruned = async {
            let planned = prune.plan(name, &pending, now().timestamp()).await?;
            warn_if_blocked(&planned);
            delete(&prune, &planned, &mut pending).await
        };
        if let Err(err) = pruned.await {
            let event = if err.is_denied() { "prune_denied" } else { "prune_failed" };
            let hint = match err.is_denied() {
                true => {
                    "; run `prune` with credentials that have this right, or set \
                     `retention.prune` to `off`"
                }
                false => "; the next run tries again",
            };
            tracing::warn!(event, subvolume = %name, "{:#}{hint}", anyhow!(err));
        }
    }
}

/// Warns that nothing is deleted, which would otherwise be seen on the bill only.
fn warn_if_blocked(SubvolumePrune { catalogue, plan }: &SubvolumePrune) {
    if let Some(blocked) = &plan.blocked {
        let subvolume = &catalogue.subvolume;
        tracing::warn!(event = "prune_blocked", %subvolume, "nothing is pruned: {blocked}");
    }
}

/// Returns the subvolumes to prune after a run that published `published`.
pub fn to_prune(config: &Config, published: &[SubvolumeName]) -> Vec<SubvolumeName> {
    let pending = pending_of(config);
    let layout = &config.bucket.layout;
    let names = config.subvolumes.iter().map(|subvolume| &subvolume.name);
    let due =
        names.filter(|name| published.contains(name) || !pending.keys(name, layout).is_empty());
    due.cloned().collect()
}

fn prune_of<'a>(config: &'a Config, bucket: &'a Bucket) -> Prune<'a> {
    Prune { bucket, layout: &config.bucket.layout, retention: config.retention }
}

fn pending_of(config: &Config) -> PendingDeletions {
    PendingDeletions::open(&config.state_path, config.bucket.location())
}

async fn delete(
    prune: &Prune<'_>,
    planned: &SubvolumePrune,
    pending: &mut PendingDeletions,
) -> Result<PruneCounts, PruneError> {
    let subvolume = &planned.catalogue.subvolume;
    log_plan(planned);
    let pruned = prune.apply(planned, pending).await?;
    let swept = prune.sweep_uploads(subvolume, CLOCK.now()).await?;
    if pruned != PruneCounts::default() || swept > 0 {
        let PruneCounts { backups, objects } = pruned;
        let bytes = planned.plan.bytes();
        tracing::info!(
            event = "pruned",
            %subvolume,
            backups,
            objects,
            uploads = swept,
            bytes,
            "deleted {}{}", Size(bytes), remains(prune.bucket, bytes)
        );
    }
    Ok(pruned)
}

/// Says in the log what is about to be deleted, and what can still be restored.
fn log_plan(SubvolumePrune { catalogue, plan }: &SubvolumePrune) {
    let subvolume = &catalogue.subvolume;
    if plan.steps.is_empty() {
        return;
    }
    for step in &plan.steps {
        let manifest = &step.manifest;
        tracing::info!(event = "backup_to_be_deleted", %subvolume, %manifest, bytes = step.bytes);
    }
    tracing::info!(
        event = "prune_planned",
        %subvolume,
        backups = plan.steps.len(),
        bytes = plan.bytes(),
        "{}", Deletion(plan)
    );
}

/// Says what of the deleted bytes S3 keeps.
fn remains(bucket: &Bucket, bytes: u64) -> String {
    old_versions(bucket, bytes).map(|versions| format!("; {versions}")).unwrap_or_default()
}

/// Returns what becomes of deleted bytes, unless they are gone.
pub fn old_versions(bucket: &Bucket, bytes: u64) -> Option<OldVersions> {
    // Connecting asked for it.
    OldVersions::of(bucket.store.capabilities().versioning, bytes)
}

/// Returns what the prune at the end of these backups of one subvolume will delete. `None`
/// if a backup does not prune.
pub async fn preview(
    config: &Config,
    bucket: &Bucket,
    subvolume: &SubvolumeName,
    backups: &[&SnapshotName],
) -> Result<Option<PrunePlan>, PruneError> {
    if !config.prune_after_backup {
        return Ok(None);
    }
    let now = now().timestamp();
    let (prune, pending) = (prune_of(config, bucket), pending_of(config));
    prune.preview(subvolume, backups, &pending, now).await.map(Some)
}

/// Warns that the bucket keeps what is deleted, or may keep it.
fn warn_of_versions(bucket: &Bucket, bytes: u64) {
    if let Some(versions) = old_versions(bucket, bytes) {
        tracing::warn!(event = "old_versions_remain", bytes, "{versions}");
    }
}

/// `prune --orphans`: deletes objects that no manifest names, and nothing else.
pub async fn run_orphans(
    config: &Config,
    mode: PruneMode,
    names: &[String],
    older_than_days: u32,
) -> anyhow::Result<Exit> {
    if mode == PruneMode::Delete {
        log_start("prune");
    }
    let shutdown = ShutdownSignal::listen();
    let subvolumes = select(config, names)?;
    let _lock = if mode == PruneMode::Delete { Some(lock(config)?) } else { None };
    let bucket = connect(&config.bucket, &shutdown).await?;
    let layout = &config.bucket.layout;
    let mut blocked = Vec::new();
    for subvolume in subvolumes {
        let name = &subvolume.name;
        let catalogue = tokio::select! {
            catalogue = Catalogue::read(&bucket, layout, name) => catalogue?,
            stop = shutdown.wait() => return Err(stopped_by(stop)),
        };
        let found = match orphans(&catalogue, layout, older_than_days, now().timestamp()) {
            Ok(found) => found,
            Err(err) => {
                tracing::error!(event = "orphans_not_deleted", subvolume = %name, "{err}");
                blocked.push(name.as_str());
                continue;
            }
        };
        print(&to_lines(&found.keys))?;
        warn_of_versions(&bucket, found.bytes);
        if mode == PruneMode::Delete {
            let left = bucket.store.delete_many(&found.keys, bucket.retry_for).await?;
            let count = left.len();
            if let Some(first) = left.into_iter().next() {
                return Err(anyhow!(first.error)
                    .context(format!("cannot delete {}", Count::of(count, "object"))));
            }
        }
        tracing::info!(
            event = if mode == PruneMode::Delete { "orphans_deleted" } else { "orphans_found" },
            subvolume = %name,
            objects = found.keys.len(),
            too_young = found.young,
            bytes = found.bytes,
            "{}", Size(found.bytes)
        );
    }
    match blocked.is_empty() {
        true => Ok(Exit::Done),
        false => Err(anyhow!("prune --orphans: nothing was deleted for {}", blocked.join(", "))),
    }
}
