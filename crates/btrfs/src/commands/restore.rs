//! `restore`: a backup, back on disk. Works on an empty host, with nothing but
//! the bucket and credentials.

use std::path::PathBuf;
use std::time::SystemTime;

use anyhow::anyhow;
use btrfs_to_s3::planner::show::json;
use btrfs_to_s3::record::Records;
use btrfs_to_s3::restore::choose::Wanted;
use btrfs_to_s3::restore::error::RestoreError;
use btrfs_to_s3::restore::{Keep, Request, Restore, Restored, when};
use btrfs_to_s3::snapshot::SubvolumeName;
use btrfs_to_s3::stopping::Stopping;
use clap::Args;
use s3up_cli::Exit;
use s3up_core::{Key, Size, Throughput};

use super::place::{Place, PlaceArgs};
use super::{Output, connect, find_btrfs, need_root, now, output, print};

#[derive(Args)]
pub struct RestoreArgs {
    #[command(flatten)]
    pub place: PlaceArgs,
    /// The subvolume's name, as in the bucket
    #[arg(long, value_name = "NAME")]
    subvolume: String,
    /// Where the restored subvolume goes, on btrfs
    #[arg(long, value_name = "PATH", value_parser = super::absolute)]
    target: PathBuf,
    /// Restore the newest backup that was made then or before, as 2026-01-31T23:59:59Z,
    /// "2026-01-31 23:59" (local time) or 2026-01-31 (the whole day)
    #[arg(long, value_name = "TIME", conflicts_with = "manifest_key")]
    at: Option<String>,
    /// Restore exactly this backup (default: the newest)
    #[arg(long, value_name = "KEY")]
    manifest_key: Option<String>,
    /// Do not keep the received snapshot as the parent of the next incremental
    #[arg(long)]
    no_keep_parent: bool,
    /// Print what would be restored, and what has to be thawed first; do nothing
    #[arg(long)]
    dry_run: bool,
    /// Print that as JSON
    #[arg(long, requires = "dry_run")]
    json: bool,
}

pub async fn run(place: &Place, args: RestoreArgs) -> anyhow::Result<Exit> {
    need_root()?;
    let stopping = Stopping::listen();
    let request = args.request(place)?;
    let btrfs = find_btrfs()?;
    let bucket = connect(&place.bucket, &stopping).await?;
    let restore = Restore {
        bucket: &bucket,
        layout: &place.bucket.layout,
        btrfs: &btrfs,
        concurrency: place.bucket.concurrency,
        stopping,
    };
    if args.dry_run {
        let preview = restore.preview(&request, SystemTime::now()).await.map_err(exit_of)?;
        return print(&match output(args.json) {
            Output::Table => preview.to_table(),
            Output::Json => json(&preview),
        });
    }
    match restore.run(&request).await {
        Ok(restored) => log_restored(&request, &restored),
        Err(err) => {
            let (subvolume, target) = (&request.subvolume, request.target.display());
            tracing::error!(event = "restore_failed", %subvolume, %target);
            return Err(exit_of(err));
        }
    }
    Ok(Exit::Done)
}

impl RestoreArgs {
    fn request(&self, place: &Place) -> anyhow::Result<Request> {
        let usage =
            |option: &str, err: anyhow::Error| Exit::Usage.with(err.context(option.to_owned()));
        let subvolume = SubvolumeName::parse(&self.subvolume)
            .map_err(|err| usage("--subvolume", anyhow!(err)))?;
        let wanted = match (&self.manifest_key, &self.at) {
            (Some(key), _) => Wanted::Manifest(
                Key::parse(key).map_err(|err| usage("--manifest-key", anyhow!(err)))?,
            ),
            (None, Some(time)) => Wanted::At(
                when::parse(time, now().time_zone()).map_err(|err| usage("--at", anyhow!(err)))?,
            ),
            (None, None) => Wanted::Newest,
        };
        let keep = if self.no_keep_parent { Keep::No } else { keep_for(place, &subvolume) };
        Ok(Request { subvolume, target: self.target.clone(), wanted, keep })
    }
}

/// For the backups of this host, where it backs that subvolume up.
fn keep_for(place: &Place, subvolume: &SubvolumeName) -> Keep {
    let config = place.config.as_ref();
    let Some((config, configured)) =
        config.and_then(|config| Some((config, config.subvolume(subvolume)?)))
    else {
        return Keep::Beside;
    };
    Keep::ForBackups {
        path: configured.path.clone(),
        base_dir: config.base_dir.clone(),
        records: Records::new(&config.base_dir, &config.bucket),
    }
}

fn log_restored(request: &Request, restored: &Restored) {
    let Restored { manifest, links, total_bytes, elapsed, parent: _ } = restored;
    tracing::info!(
        event = "restore_metrics",
        subvolume = %request.subvolume,
        total_bytes,
        elapsed_seconds = format_args!("{:.3}", elapsed.as_secs_f64()),
        throughput = %Throughput { bytes: *total_bytes, elapsed: *elapsed },
    );
    tracing::info!(
        event = "restore_complete",
        subvolume = %request.subvolume,
        target = %request.target.display(),
        %manifest,
        links,
        total_bytes,
        elapsed_seconds = format_args!("{:.1}", elapsed.as_secs_f64()),
        "{}", Size(*total_bytes)
    );
}

fn exit_of(err: RestoreError) -> anyhow::Error {
    #[expect(clippy::wildcard_enum_match_arm, reason = "all others are failures")]
    match err {
        RestoreError::TargetPath { .. }
        | RestoreError::TargetExists { .. }
        | RestoreError::TargetFolder(_) => Exit::Usage.with(err),
        RestoreError::Stopped(stop) => Exit::from(stop).with(err),
        err => err.into(),
    }
}
