//! `estimate`: prints how much changed, before anything is sent.

use anyhow::{Context, anyhow};
use btrfs_to_s3::config::Config;
use btrfs_to_s3::estimate::{Estimate, estimate};
use jiff::Span;
use s3up_cli::Exit;

use super::{Output, now, print, select};
use crate::commands::show::estimate::to_table;
use crate::commands::show::json;

/// Reads only the disk.
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
    for subvolume in subvolumes {
        let (name, path) = (subvolume.name.clone(), subvolume.path.clone());
        let walking = tokio::task::spawn_blocking(move || estimate(&name, &path, since));
        let found = walking.await.context("walk through a subvolume")?;
        let what = || format!("estimate {}: read {:?}", subvolume.name, subvolume.path);
        let found = found.with_context(what)?;
        log(&found);
        all.push(found);
    }
    print(&match output {
        Output::Table => to_table(&all),
        Output::Json => json(&all),
    })?;
    match all.iter().map(|found| found.unreadable).sum() {
        0u64 => Ok(Exit::Done),
        count => Err(Exit::Partial.with(anyhow!(
            "estimate: cannot read {count} files or directories, which are not counted"
        ))),
    }
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
