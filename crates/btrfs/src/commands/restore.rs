//! `restore`: restores a backup to a path. Works on an empty host, with only the bucket and
//! credentials.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::anyhow;
use btrfs_to_s3::compare::Extent;
use btrfs_to_s3::restore::cost::{CostTerms, RestoreCost};
use btrfs_to_s3::restore::error::RestoreError;
use btrfs_to_s3::restore::preflight::other_filesystem;
use btrfs_to_s3::restore::request::{KeepParent, RestoreRequest};
use btrfs_to_s3::restore::thaw_estimate::ArchivedChunks;
use btrfs_to_s3::restore::{Restore, RestoreResult};
use btrfs_to_s3::snapshots::record::Records;
use clap::Args;
use s3up_cli::{Exit, ShutdownSignal};
use s3up_core::{Count, Size, Throughput, error_chain};
use s3up_repository::names::SubvolumeName;
use s3up_repository::thaw::{ThawMode, ThawTerms};

use super::backup_args::WhichArgs;
use super::bucket_args::{BucketAccess, BucketArgs};
use super::confirm::confirm_thaw;
use super::cost::CostLimit;
use super::retry_hint::later;
use super::show::cost::{Priced, RestoreCostLine};
use super::show::progress::bars;
use super::show::restore::{PreviewLine, to_table};
use super::thaw::WaitingArgs;
use super::{
    CLOCK, Output, connect, find_btrfs, help, log_start, need_root, output, print, restore_files,
};
use crate::commands::show::json;

#[derive(Args)]
pub struct RestoreArgs {
    #[command(flatten, next_help_heading = help::SELECTION)]
    pub(super) which: WhichArgs,
    /// Restore only PATH of the backup, to any
    /// filesystem: a file, a directory with all
    /// below it, or a pattern; repeatable
    #[arg(long, value_name = "PATH", verbatim_doc_comment, help_heading = help::SELECTION)]
    pub(super) path: Vec<String>,
    /// Restore to PATH, a new path on btrfs
    /// (default: restore.target_base_dir/NAME);
    /// with --path, below the directory PATH
    #[arg(
        long,
        value_name = "PATH",
        verbatim_doc_comment,
        help_heading = help::TARGET,
        value_parser = super::absolute
    )]
    pub(super) target: Option<PathBuf>,
    /// With --path: replace files that exist
    #[arg(long, requires = "path", help_heading = help::TARGET)]
    pub(super) overwrite: bool,
    /// Compare with the source snapshot if this
    /// host has it: full, sample or none
    /// (default: restore.verify_mode)
    #[arg(
        long,
        value_name = "EXTENT",
        hide_possible_values = true,
        conflicts_with = "path",
        verbatim_doc_comment,
        help_heading = help::TARGET,
        value_parser = ["full", "sample", "none"]
    )]
    verify: Option<String>,
    /// Do not keep the received snapshot as the
    /// parent of the next incremental
    #[arg(long, conflicts_with = "path", verbatim_doc_comment, help_heading = help::TARGET)]
    no_keep_parent: bool,
    #[command(flatten, next_help_heading = help::THAW)]
    pub(super) waiting: WaitingArgs,
    #[command(flatten, next_help_heading = help::BUCKET)]
    pub access: BucketArgs,
    /// Print what would be downloaded and thawed;
    /// change nothing
    #[arg(long, verbatim_doc_comment, help_heading = help::OUTPUT)]
    pub(super) dry_run: bool,
    /// With --dry-run: print JSON
    #[arg(long, requires = "dry_run", help_heading = help::OUTPUT)]
    pub(super) json: bool,
}

pub async fn run(access: &BucketAccess, args: RestoreArgs) -> anyhow::Result<Exit> {
    if !args.path.is_empty() {
        return restore_files::run(access, args).await;
    }
    let request = args.request(access)?;
    if let Some(filesystem) = other_filesystem(&request.target) {
        return restore_files::run_whole(access, args, &filesystem).await;
    }
    need_root()?;
    let shutdown = ShutdownSignal::listen();
    let btrfs = find_btrfs()?;
    let bucket = connect(&access.bucket, &shutdown).await?;
    let restore = Restore {
        bucket: &bucket,
        layout: &access.bucket.layout,
        btrfs: &btrfs,
        concurrency: access.bucket.concurrency,
        shutdown,
        terms: access.restore.terms,
        mode: args.waiting.mode(&access.restore),
        clock: CLOCK,
        progress: bars(),
        compare_options: access.compare_options(args.verify.as_deref().and_then(Extent::parse)),
    };
    if args.dry_run {
        let preview = restore.preview(&request).await.map_err(exit_of)?;
        let terms = cost_terms(access);
        let cost = Priced::of(access.bucket.prices.as_ref(), |prices| {
            let cost = RestoreCost::of(&preview.thaw, &preview.download, prices, terms)?;
            Ok(RestoreCostLine::of(&cost, terms))
        });
        print(&match output(args.json) {
            Output::Table => to_table(&preview, cost.as_ref()),
            Output::Json => json(&PreviewLine::of(&preview, cost.as_ref())),
        })?;
        check_cost(&preview.thaw, &preview.download, access, args.waiting.limit())?;
        return Ok(Exit::Done);
    }
    if args.waiting.limit().0.is_some() && restore.mode != ThawMode::Observe {
        let preview = match restore.preview(&request).await {
            Err(RestoreError::Archived { .. }) => {
                let why = "the manifests are archived; run `thaw --documents` first";
                return args.waiting.limit().refuse_unknown(why).map(|()| Exit::Failed);
            }
            preview => preview.map_err(exit_of)?,
        };
        check_cost(&preview.thaw, &preview.download, access, args.waiting.limit())?;
    }
    if args.waiting.asks() && restore.mode != ThawMode::Observe {
        ask(&restore, &request).await?;
    }
    log_start("restore");
    match restore.run(&request).await {
        Ok(restored) => log_restored(&request, &restored),
        Err(err) => {
            log_failed(&request, &err);
            return Err(exit_of(err));
        }
    }
    Ok(Exit::Done)
}

pub(super) fn cost_terms(access: &BucketAccess) -> CostTerms {
    let ThawTerms { tier, days, .. } = access.restore.terms;
    CostTerms { tier, days, part_bytes: access.bucket.part_bytes }
}

/// Fails if a restore costs more than its limit.
pub(super) fn check_cost(
    thaw: &[ArchivedChunks],
    download: &BTreeMap<String, u64>,
    access: &BucketAccess,
    limit: CostLimit,
) -> anyhow::Result<()> {
    limit.check(access.bucket.prices.as_ref(), |prices| {
        RestoreCost::of(thaw, download, prices, cost_terms(access)).map(|cost| cost.total())
    })
}

/// Asks before anything is thawed. Other failures are those of the restore, which reports them.
async fn ask(restore: &Restore<'_>, request: &RestoreRequest) -> anyhow::Result<()> {
    let what = match restore.preview(request).await {
        Ok(preview) => {
            let requests: usize = preview.thaw.iter().map(|archived| archived.requests).sum();
            if requests == 0 {
                return Ok(());
            }
            let bytes = preview.thaw.iter().map(|archived| archived.bytes).sum();
            format!("{} ({})", Count::of(requests, "object"), Size(bytes))
        }
        Err(RestoreError::Archived { state, .. }) => {
            format!("the documents of the backups ({state}), then their chunks")
        }
        Err(_) => return Ok(()),
    };
    confirm_thaw(&what, &restore.shutdown).await
}

impl RestoreArgs {
    fn request(&self, access: &BucketAccess) -> anyhow::Result<RestoreRequest> {
        let (subvolume, wanted) = self.which.parse()?;
        let keep = if self.no_keep_parent { KeepParent::No } else { keep_for(access, &subvolume) };
        let target = match &self.target {
            Some(target) => target.clone(),
            None => default_target(access, &subvolume)?,
        };
        Ok(RestoreRequest { subvolume, target, wanted, keep })
    }
}

pub(super) fn default_target(
    access: &BucketAccess,
    subvolume: &SubvolumeName,
) -> anyhow::Result<PathBuf> {
    let directory = access.config.as_ref().and_then(|config| config.target_base_dir.as_ref());
    let directory = directory.ok_or_else(|| {
        let missing = anyhow!("no target: pass --target PATH, or set `restore.target_base_dir`");
        Exit::Usage.with(missing)
    })?;
    Ok(directory.join(subvolume.as_str()))
}

/// Keeps the parent for the backups of this host, if it backs up that subvolume.
fn keep_for(access: &BucketAccess, subvolume: &SubvolumeName) -> KeepParent {
    let config = access.config.as_ref();
    let Some((config, configured)) =
        config.and_then(|config| Some((config, config.subvolume(subvolume)?)))
    else {
        return KeepParent::Beside;
    };
    KeepParent::ForBackups {
        path: configured.path.clone(),
        base_dir: config.base_dir.clone(),
        records: Records::new(&config.base_dir, config.bucket.location()),
    }
}

fn log_restored(request: &RestoreRequest, restored: &RestoreResult) {
    let RestoreResult { manifest, backups, total_bytes, elapsed, proof, parent: _ } = restored;
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
        backups,
        total_bytes,
        elapsed_seconds = format_args!("{:.1}", elapsed.as_secs_f64()),
        mode = proof.as_str(),
        "{}; {proof}", Size(*total_bytes)
    );
}

fn log_failed(request: &RestoreRequest, err: &RestoreError) {
    let (subvolume, target) = (&request.subvolume, request.target.display());
    let error = error_chain(err);
    if let RestoreError::Archived { .. } = err {
        tracing::info!(event = "restore_waiting_for_thaw", %subvolume, %target);
    } else if err.is_of_data() {
        tracing::error!(
            event = "restore_failed",
            %subvolume,
            %target,
            error,
            "an object of this backup is missing or damaged: run `verify` to find all of them, and \
             restore an earlier backup with `--at TIME` (see `list`); if the bucket keeps \
             versions, an older version of the object may be intact"
        );
    } else {
        tracing::error!(event = "restore_failed", %subvolume, %target, error);
    }
}

fn exit_of(err: RestoreError) -> anyhow::Error {
    #[expect(clippy::wildcard_enum_match_arm, reason = "all others are failures")]
    match err {
        RestoreError::TargetPath { .. }
        | RestoreError::TargetExists { .. }
        | RestoreError::TargetDir(_)
        | RestoreError::TargetDirReadOnly { .. }
        | RestoreError::MountOfDir { .. }
        | RestoreError::MissingCapability { .. }
        | RestoreError::NodeSize { .. } => Exit::Usage.with(err),
        RestoreError::Archived { .. } => later(&err.to_string()),
        RestoreError::Stopped(stop) => Exit::from(stop).with(err),
        err => err.into(),
    }
}
