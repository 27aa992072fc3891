//! `backup`: snapshots, sent and published.

use anyhow::Context;
use anyhow::anyhow;
use btrfs_to_s3::backup::{Backup, Report};
use btrfs_to_s3::config::Config;
use btrfs_to_s3::failure::Failure;
use btrfs_to_s3::lock::{Lock, LockError};
use btrfs_to_s3::plan::Asked;
use btrfs_to_s3::record::{RUN_METADATA, Records, RunId};
use btrfs_to_s3::selection;
use btrfs_to_s3::stopping::Stopping;
use s3up_cli::Exit;

use super::{SETTLE_TIME_MAX, connect, find_btrfs, host, need_root};

pub async fn run(config: &Config, asked: Asked, names: &[String]) -> anyhow::Result<Exit> {
    need_root()?;
    let stopping = Stopping::listen();
    if !config.without_effect().is_empty() {
        let keys = config.without_effect().join(", ");
        tracing::warn!(event = "config_without_effect", %keys, "this version does not act on them");
    }
    let subvolumes = selection::select(config, names).map_err(|err| Exit::Usage.with(err))?;
    selection::check_places(config, &subvolumes).map_err(|err| Exit::Usage.with(err))?;
    let btrfs = find_btrfs()?;
    let _lock = Lock::take(&config.lock_path).map_err(|err| match err {
        LockError::Held { .. } => Exit::Locked.with(err),
        LockError::Io { .. } | LockError::Foreign { .. } => Exit::Usage.with(err),
    })?;
    let host = host(&btrfs).await?;
    let mut bucket = connect(&config.bucket, &stopping).await?;
    let run = RunId::random().context("choose a name for this run")?;
    bucket.metadata.insert(RUN_METADATA.to_owned(), run.as_str().to_owned());
    let records = Records::new(&config.base_dir, &config.bucket);
    let backup = Backup { config, bucket, btrfs, host, stopping, records, run };
    let report = backup.run(&subvolumes, asked, jiff::Timestamp::now()).await;
    // What is not aborted by then, the next run sweeps.
    if tokio::time::timeout(SETTLE_TIME_MAX, backup.bucket.store.settle()).await.is_err() {
        tracing::warn!(event = "uploads_left_behind", "the store does not answer");
    }
    exit_of(report, subvolumes.len())
}

fn exit_of(report: Report, count: usize) -> anyhow::Result<Exit> {
    let Report { published, mut failed, stopped } = report;
    if failed.len() == 1 && count == 1 && stopped.is_none() {
        let (name, failure) = failed.remove(0);
        return Err(anyhow!(failure).context(format!("back up {name}")));
    }
    let names: Vec<_> = failed.iter().map(|(name, _)| name.as_str()).collect();
    let names = names.join(", ");
    let is_stopped =
        |failure: &Failure| matches!(failure, Failure::Stopped(_) | Failure::StoppedPublishing(_));
    for (name, failure) in failed.into_iter().filter(|(_, failure)| !is_stopped(failure)) {
        let error = format!("{:#}", anyhow!(failure));
        tracing::error!(event = "backup_failed", subvolume = %name, "{error}");
    }
    match (stopped, names.is_empty(), published.is_empty()) {
        (Some(stop), _, _) => {
            let what = format!("{} of {count} done; not backed up: {names}", published.len());
            Err(Exit::from(stop).with(anyhow!("stopped by a signal: {what}")))
        }
        (None, true, _) => Ok(Exit::Done),
        (None, false, false) => {
            let what = format!("{} of {count} done; not backed up: {names}", published.len());
            Err(Exit::Partial.with(anyhow!(what)))
        }
        (None, false, true) => Err(anyhow!("none of {count} done; not backed up: {names}")),
    }
}
