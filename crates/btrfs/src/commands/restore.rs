//! `restore`: restores a backup to a path. Works on an empty host, with only the bucket and
//! credentials.

use btrfs_to_s3::compare::Extent;
use btrfs_to_s3::restore::cost::RestoreCost;
use btrfs_to_s3::restore::error::RestoreError;
use btrfs_to_s3::restore::preflight::other_filesystem;
use btrfs_to_s3::restore::request::{KeepParent, RestoreRequest};
use btrfs_to_s3::restore::{Restore, RestoreResult};
use btrfs_to_s3::snapshots::record::Records;
use s3up_cli::{Exit, ShutdownSignal};
use s3up_core::{Count, Size, Throughput, error_chain};
use s3up_repository::names::SubvolumeName;
use s3up_repository::thaw::ThawMode;

use super::bucket_args::BucketAccess;
use super::confirm::confirm_thaw;
use super::restore_args::{RestoreArgs, check_cost, cost_terms, default_target};
use super::retry_hint::later;
use super::show::cost::{Priced, RestoreCostLine};
use super::show::progress::bars;
use super::show::restore::{PreviewLine, to_table};
use super::{
    CLOCK, Output, connect, find_btrfs, log_start, need_root, output, print, restore_files,
};
use crate::commands::show::json;

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
