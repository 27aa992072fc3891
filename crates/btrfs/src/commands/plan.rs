//! `plan` and `backup --dry-run`: print what a backup would do now, and why.

use anyhow::anyhow;
use btrfs_sendstream::Forecast;
use btrfs_to_s3::backup::planner::{PlannedSubvolume, Planner, RunPlan};
use btrfs_to_s3::config::{BucketConfig, Config};
use btrfs_to_s3::forecast::{ForecastError, Forecaster};
use btrfs_to_s3::plan::decide::Trigger;
use btrfs_to_s3::plan::resume::Resumption;
use btrfs_to_s3::prices::{Dollars, NoPrice, Prices, UploadCost, UploadSizes};
use btrfs_to_s3::selection::{MissingBaseDir, Usable};
use btrfs_to_s3::snapshots::record::Records;
use s3up_cli::{Exit, ShutdownSignal};
use s3up_core::error_chain;
use s3up_repository::documents::Bucket;
use s3up_repository::origin::Adopt;
use s3up_repository::retention::PrunePlan;

use super::backup::{SubvolumeAction, exit_of};
use super::cost::CostLimit;
use super::show::cost::{Priced, UploadLine};
use super::show::plan::{Details, ForecastLine, Prunes, to_json, to_table};
use super::{
    Output, connect, find_btrfs, host_identity, need_root, now, print, prune, select, stopped_by,
    stream_form, usable,
};

/// The arguments as typed.
pub struct PlanRequest {
    pub trigger: Trigger,
    pub adopt: Adopt,
    pub names: Vec<String>,
    /// True if the bytes of each backup are forecast.
    pub bytes: bool,
    pub limit: CostLimit,
}

/// Takes no lock and writes nothing, but for the temporary snapshots of a forecast.
pub async fn run(config: &Config, request: PlanRequest, output: Output) -> anyhow::Result<Exit> {
    let PlanRequest { trigger, adopt, names, bytes, limit } = request;
    need_root()?;
    let shutdown = ShutdownSignal::listen();
    let selected = select(config, &names)?;
    let Usable { subvolumes, failed } = usable(config, &selected, MissingBaseDir::Leave)?;
    let btrfs = find_btrfs()?;
    let form = stream_form(config, &btrfs).await?;
    let bucket = connect(&config.bucket, &shutdown).await?;
    let records = Records::new(&config.base_dir, config.bucket.location());
    let planner = Planner {
        bucket: &bucket,
        btrfs: &btrfs,
        base_dir: &config.base_dir,
        layout: &config.bucket.layout,
        location: &config.bucket.location(),
        schedule: &config.schedule,
        records: &records,
        host: &host_identity(),
        adopt,
        settings: &config.bucket.stream_settings(form),
        shutdown: &shutdown,
    };
    let mut planned = planner.plan(&subvolumes, trigger, &now()).await;
    planned.add_failed(failed);
    let prunes = prunes(config, &bucket, &planned).await?;
    let forecaster =
        Forecaster { btrfs: &btrfs, base_dir: &config.base_dir, form, shutdown: &shutdown };
    let mut found = Forecasts { lines: Vec::new(), failed: Vec::new() };
    if bytes {
        found = forecasts(&planned, &forecaster, &config.bucket).await?;
    }
    let old_versions = prune::old_versions(&bucket, prunes.values().map(PrunePlan::bytes).sum());
    let details = Details { forecasts: &found.lines, prunes: &prunes, old_versions };
    print(&match output {
        Output::Table => to_table(&planned, details),
        Output::Json => to_json(&planned, details),
    })?;
    let exit = exit_of(SubvolumeAction::Plan, planned.jobs.len(), planned.failed)?;
    if !found.failed.is_empty() {
        let names = found.failed.join(", ");
        return Err(Exit::Partial.with(anyhow!("cannot forecast what {names} would send")));
    }
    limit.check(config.bucket.prices.as_ref(), |prices| {
        total(&found.lines, prices, &config.bucket)
    })?;
    Ok(exit)
}

/// The forecasts, and the subvolumes of which there is none.
struct Forecasts {
    lines: Vec<ForecastLine>,
    failed: Vec<String>,
}

/// Forecasts each backup that would be made. One failure does not stop the others.
async fn forecasts(
    planned: &RunPlan<'_>,
    forecaster: &Forecaster<'_>,
    bucket: &BucketConfig,
) -> anyhow::Result<Forecasts> {
    let mut forecasts = Forecasts { lines: Vec::new(), failed: Vec::new() };
    for job in &planned.jobs {
        let name = job.plan.subvolume.to_string();
        match forecast(job, forecaster).await {
            Ok(None) => {}
            Ok(Some(found)) => forecasts.lines.push(ForecastLine {
                subvolume: name,
                bytes: found.stream_bytes,
                is_limit: forecaster.is_limit(),
                cost: Priced::of(bucket.prices.as_ref(), |prices| {
                    upload_cost(found.stream_bytes, prices, bucket).map(UploadLine::from)
                }),
            }),
            Err(ForecastError::Stopped(stop)) => return Err(stopped_by(stop)),
            Err(err @ (ForecastError::Snapshot(_) | ForecastError::Send(_))) => {
                let error = error_chain(&err);
                tracing::error!(event = "forecast_failed", subvolume = %name, "{error}");
                forecasts.failed.push(name);
            }
        }
    }
    Ok(forecasts)
}

fn upload_cost(bytes: u64, prices: &Prices, bucket: &BucketConfig) -> Result<UploadCost, NoPrice> {
    let BucketConfig { part_bytes, chunk_bytes, class_chunks, .. } = bucket;
    let sizes = UploadSizes { part_bytes: *part_bytes, chunk_bytes: *chunk_bytes };
    prices.upload(bytes, class_chunks, sizes)
}

/// Returns what all backups cost at least: their uploads, and the minimum time of their class or
/// one month.
fn total(
    forecasts: &[ForecastLine],
    prices: &Prices,
    bucket: &BucketConfig,
) -> Result<Dollars, NoPrice> {
    forecasts.iter().try_fold(Dollars::default(), |sum, forecast| {
        let cost = upload_cost(forecast.bytes, prices, bucket)?;
        let stored = if cost.minimum_days == 0 { cost.month } else { cost.minimum };
        Ok(sum + cost.requests + stored)
    })
}

/// Returns `None` for a backup that is not due, or that has everything but its pointer.
async fn forecast(
    job: &PlannedSubvolume<'_>,
    forecaster: &Forecaster<'_>,
) -> Result<Option<Forecast>, ForecastError> {
    let Some(backup) = &job.plan.snapshot else { return Ok(None) };
    let parent = job.plan.parent().and(job.observed.parent_path.as_deref());
    let found = match &job.plan.resumption {
        Resumption::Fresh => forecaster.of_now(job.subvolume, parent).await?,
        Resumption::Resume { .. } => {
            let snapshot = forecaster.base_dir.join(backup.to_string());
            forecaster.of_snapshot(&snapshot, parent).await?
        }
        Resumption::PublishOnly { .. } => return Ok(None),
    };
    Ok(Some(found))
}

/// Returns what the backups of this plan will delete from the bucket.
async fn prunes(config: &Config, bucket: &Bucket, planned: &RunPlan<'_>) -> anyhow::Result<Prunes> {
    let mut prunes = Prunes::new();
    for job in &planned.jobs {
        let subvolume = &job.plan.subvolume;
        let backups: Vec<_> = job.plan.snapshot.iter().chain(&job.plan.follow_up).collect();
        if backups.is_empty() {
            continue;
        }
        if let Some(prune) = prune::preview(config, bucket, subvolume, &backups).await? {
            prunes.insert(subvolume.clone(), prune);
        }
    }
    Ok(prunes)
}
