//! `restore`: a backup, back on disk.

use std::path::PathBuf;

use btrfs_to_s3::config::Config;
use btrfs_to_s3::restore::error::RestoreError;
use btrfs_to_s3::restore::{Request, Restore};
use btrfs_to_s3::snapshot::SubvolumeName;
use btrfs_to_s3::stopping::Stopping;
use s3up_cli::Exit;
use s3up_core::{Key, Size};

use super::{connect, find_btrfs, need_root};

pub async fn run(
    config: &Config,
    subvolume: &str,
    target: PathBuf,
    manifest: Option<&str>,
) -> anyhow::Result<Exit> {
    need_root()?;
    let stopping = Stopping::listen();
    let subvolume = SubvolumeName::parse(subvolume).map_err(|err| Exit::Usage.with(err))?;
    let manifest = manifest.map(Key::parse).transpose().map_err(|err| Exit::Usage.with(err))?;
    let btrfs = find_btrfs()?;
    let bucket = connect(&config.bucket, &stopping).await?;
    let restore = Restore {
        bucket: &bucket,
        layout: &config.bucket.layout,
        btrfs: &btrfs,
        concurrency: config.bucket.concurrency,
        stopping,
    };
    let request = Request { subvolume, target, manifest };
    let restored = restore.run(&request).await.map_err(restore_failed)?;
    tracing::info!(
        event = "restore_complete",
        subvolume = %request.subvolume,
        target = %request.target.display(),
        manifest = %restored.manifest,
        links = restored.links,
        total_bytes = restored.total_bytes,
        elapsed_seconds = format_args!("{:.1}", restored.elapsed.as_secs_f64()),
        "{}", Size(restored.total_bytes)
    );
    Ok(Exit::Done)
}

fn restore_failed(err: RestoreError) -> anyhow::Error {
    #[expect(clippy::wildcard_enum_match_arm, reason = "all others are failures")]
    match err {
        RestoreError::TargetPath { .. }
        | RestoreError::TargetExists { .. }
        | RestoreError::TargetFolder(_) => Exit::Usage.with(err),
        RestoreError::Stopped(stop) => Exit::from(stop).with(err),
        err => err.into(),
    }
}
