//! `restore`: a backup, back on disk. Works on an empty host, with nothing but
//! the bucket and credentials.

use std::path::PathBuf;
use std::time::SystemTime;

use anyhow::anyhow;
use btrfs_to_s3::compare::Extent;
use btrfs_to_s3::restore::error::RestoreError;
use btrfs_to_s3::restore::request::{Keep, Request};
use btrfs_to_s3::restore::{Restore, Restored};
use btrfs_to_s3::shutdown::ShutdownSignal;
use btrfs_to_s3::snapshots::record::Records;
use clap::Args;
use s3up_cli::Exit;
use s3up_core::{Size, Throughput};
use s3up_repository::names::SubvolumeName;

use super::backup_args::WhichArgs;
use super::bucket_args::{BucketAccess, BucketArgs};
use super::retry_hint::later;
use super::show::progress::bars;
use super::show::restore::to_table;
use super::thaw::WaitingArgs;
use super::{Output, connect, find_btrfs, need_root, output, print};
use crate::commands::show::json;

#[derive(Args)]
pub struct RestoreArgs {
    #[command(flatten)]
    pub place: BucketArgs,
    #[command(flatten)]
    which: WhichArgs,
    /// Where the restored subvolume goes, on btrfs (default: its name, in
    /// `restore.target_base_dir`)
    #[arg(long, value_name = "PATH", value_parser = super::absolute)]
    target: Option<PathBuf>,
    /// Compare with the source snapshot, where it is on this host (default: as
    /// `restore.verify_mode` says)
    #[arg(long, value_name = "EXTENT", value_parser = ["full", "sample", "none"])]
    verify: Option<String>,
    #[command(flatten)]
    waiting: WaitingArgs,
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

pub async fn run(place: &BucketAccess, args: RestoreArgs) -> anyhow::Result<Exit> {
    need_root()?;
    let shutdown = ShutdownSignal::listen();
    let request = args.request(place)?;
    let btrfs = find_btrfs()?;
    let bucket = connect(&place.bucket, &shutdown).await?;
    let restore = Restore {
        bucket: &bucket,
        layout: &place.bucket.layout,
        btrfs: &btrfs,
        concurrency: place.bucket.concurrency,
        shutdown,
        terms: place.restore.terms,
        mode: args.waiting.mode(&place.restore),
        clock: SystemTime::now,
        progress: bars(),
        proving: place.proving(args.verify.as_deref().and_then(Extent::parse)),
    };
    if args.dry_run {
        let preview = restore.preview(&request, SystemTime::now()).await.map_err(exit_of)?;
        return print(&match output(args.json) {
            Output::Table => to_table(&preview),
            Output::Json => json(&preview),
        });
    }
    match restore.run(&request).await {
        Ok(restored) => log_restored(&request, &restored),
        Err(err) => {
            log_failed(&request, &err);
            return Err(exit_of(err));
        }
    }
    Ok(Exit::Done)
}

impl RestoreArgs {
    fn request(&self, place: &BucketAccess) -> anyhow::Result<Request> {
        let (subvolume, wanted) = self.which.parse()?;
        let keep = if self.no_keep_parent { Keep::No } else { keep_for(place, &subvolume) };
        let target = match &self.target {
            Some(target) => target.clone(),
            None => default_target(place, &subvolume)?,
        };
        Ok(Request { subvolume, target, wanted, keep })
    }
}

fn default_target(place: &BucketAccess, subvolume: &SubvolumeName) -> anyhow::Result<PathBuf> {
    let folder = place.config.as_ref().and_then(|config| config.target_base_dir.as_ref());
    let folder = folder.ok_or_else(|| {
        let missing = anyhow!("no --target, and `restore.target_base_dir` is not set: where to?");
        Exit::Usage.with(missing)
    })?;
    Ok(folder.join(subvolume.as_str()))
}

/// For the backups of this host, where it backs that subvolume up.
fn keep_for(place: &BucketAccess, subvolume: &SubvolumeName) -> Keep {
    let config = place.config.as_ref();
    let Some((config, configured)) =
        config.and_then(|config| Some((config, config.subvolume(subvolume)?)))
    else {
        return Keep::Beside;
    };
    Keep::ForBackups {
        path: configured.path.clone(),
        base_dir: config.base_dir.clone(),
        records: Records::new(&config.base_dir, config.bucket.location()),
    }
}

fn log_restored(request: &Request, restored: &Restored) {
    let Restored { manifest, links, total_bytes, elapsed, proof, parent: _ } = restored;
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
        proven = proof.word(),
        "{}; {proof}", Size(*total_bytes)
    );
}

fn log_failed(request: &Request, err: &RestoreError) {
    let (subvolume, target) = (&request.subvolume, request.target.display());
    if let RestoreError::Archived { .. } = err {
        tracing::info!(event = "restore_archived", %subvolume, %target);
    } else if err.is_of_data() {
        tracing::error!(
            event = "restore_failed",
            %subvolume,
            %target,
            "this backup cannot be read from the bucket: `verify` names all that is missing or \
             damaged; one that does not need it can be restored with `--at TIME`, `list` prints \
             them; where the bucket keeps versions, an older one of the object may be sound"
        );
    } else {
        tracing::error!(event = "restore_failed", %subvolume, %target);
    }
}

fn exit_of(err: RestoreError) -> anyhow::Error {
    #[expect(clippy::wildcard_enum_match_arm, reason = "all others are failures")]
    match err {
        RestoreError::TargetPath { .. }
        | RestoreError::TargetExists { .. }
        | RestoreError::TargetFolder(_)
        | RestoreError::TargetFolderReadOnly { .. } => Exit::Usage.with(err),
        RestoreError::Archived { .. } => later(&err.to_string(), &[]),
        RestoreError::Stopped(stop) => Exit::from(stop).with(err),
        err => err.into(),
    }
}
