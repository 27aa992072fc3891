//! `estimate`: prints what a backup would send now, and how much changed.

use anyhow::{Context, anyhow};
use btrfs_to_s3::config::Config;
use btrfs_to_s3::estimate::{Estimate, estimate};
use btrfs_to_s3::forecast::{ForecastError, Forecaster};
use btrfs_to_s3::snapshots::record::{Records, SnapshotRecord, SnapshotState};
use jiff::Span;
use s3up_cli::{Exit, ShutdownSignal};
use s3up_core::error_chain;
use s3up_repository::names::{BackupKind, SnapshotName, Subvolume};

use super::{Output, find_btrfs, need_root, now, print, select, stopped_by, stream_form};
use crate::commands::show::estimate::{EstimateLine, ForecastOf, to_table};
use crate::commands::show::json;

/// Reads only the disk. As root, it forecasts what `btrfs send` would write, from a temporary
/// snapshot and the last one that was published from this host.
pub async fn run(
    config: &Config,
    names: &[String],
    days: u32,
    output: Output,
) -> anyhow::Result<Exit> {
    let subvolumes = select(config, names)?;
    let hours = Span::new().try_hours(i64::from(days) * 24);
    let since = hours.and_then(|hours| now().timestamp().checked_sub(hours));
    let since = since.map_err(|err| Exit::Usage.with(anyhow!(err).context("--days")))?;
    let mut all = Vec::new();
    for subvolume in &subvolumes {
        let (name, path) = (subvolume.name.clone(), subvolume.path.clone());
        let walking = tokio::task::spawn_blocking(move || estimate(&name, &path, since));
        let found = walking.await.context("walk through a subvolume")?;
        let what = || format!("estimate {}: read {:?}", subvolume.name, subvolume.path);
        let found = found.with_context(what)?;
        log(&found);
        all.push(EstimateLine { changed: found, forecast: None });
    }
    let failed = match need_root() {
        Ok(()) => forecast_all(config, &subvolumes, &mut all).await?,
        Err(_) => Vec::new(),
    };
    print(&match output {
        Output::Table => to_table(&all),
        Output::Json => json(&all),
    })?;
    let mut problems = Vec::new();
    let unreadable: u64 = all.iter().map(|found| found.changed.unreadable).sum();
    if unreadable > 0 {
        problems
            .push(format!("cannot read {unreadable} files or directories, which are not counted"));
    }
    if !failed.is_empty() {
        problems.push(format!("cannot forecast what {} would send", failed.join(", ")));
    }
    match problems.is_empty() {
        true => Ok(Exit::Done),
        false => Err(Exit::Partial.with(anyhow!("estimate: {}", problems.join("; ")))),
    }
}

/// Forecasts each subvolume. Returns the names of those without a forecast.
async fn forecast_all(
    config: &Config,
    subvolumes: &[&Subvolume],
    all: &mut [EstimateLine],
) -> anyhow::Result<Vec<String>> {
    let (btrfs, shutdown) = (find_btrfs()?, ShutdownSignal::listen());
    let form = stream_form(config, &btrfs).await?;
    let base_dir = &config.base_dir;
    let forecaster = Forecaster { btrfs: &btrfs, base_dir, form, shutdown: &shutdown };
    let records = Records::new(base_dir, config.bucket.location());
    let mut failed = Vec::new();
    for (subvolume, line) in subvolumes.iter().zip(all) {
        let name = &subvolume.name;
        let published = newest_published(&records.of(name)?, base_dir);
        let parent = published.as_ref().map(|parent| base_dir.join(parent.to_string()));
        match forecaster.of_now(subvolume, parent.as_deref()).await {
            Ok(found) => {
                line.forecast = Some(ForecastOf {
                    kind: if parent.is_some() { BackupKind::Incremental } else { BackupKind::Full },
                    parent: published.map(|parent| parent.to_string()),
                    bytes: found.stream_bytes,
                    at_most: forecaster.is_limit(),
                });
            }
            Err(ForecastError::Stopped(stop)) => return Err(stopped_by(stop)),
            Err(err @ (ForecastError::Snapshot(_) | ForecastError::Send(_))) => {
                let error = error_chain(&err);
                tracing::error!(event = "forecast_failed", subvolume = %name, "{error}");
                failed.push(name.to_string());
            }
        }
    }
    Ok(failed)
}

/// Returns the snapshot that an incremental would probably be based on.
fn newest_published(
    records: &[(SnapshotName, SnapshotRecord)],
    base_dir: &std::path::Path,
) -> Option<SnapshotName> {
    let published = records.iter().filter(|(_, record)| record.state == SnapshotState::Published);
    let there = published.filter(|(name, _)| base_dir.join(name.to_string()).is_dir());
    there.map(|(name, _)| name).max_by_key(|name| name.stamp).cloned()
}

fn log(found: &Estimate) {
    let subvolume = &found.subvolume;
    for what in &found.unreadable_named {
        tracing::warn!(event = "estimate_unreadable", %subvolume, "{what}");
    }
    if found.not_entered > 0 {
        tracing::info!(
            event = "estimate_not_entered",
            %subvolume,
            count = found.not_entered,
            "nested subvolumes and mounts are not part of its backups"
        );
    }
    if found.links_forgotten {
        tracing::warn!(
            event = "estimate_inexact",
            %subvolume,
            "too many files with several names, some may have been counted more than once"
        );
    }
}
