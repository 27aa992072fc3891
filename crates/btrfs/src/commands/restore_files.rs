//! `restore --path`: restores files of a backup to any filesystem. Needs neither btrfs nor root.

use std::collections::BTreeMap;

use btrfs_to_s3::restore::cost::RestoreCost;
use btrfs_to_s3::restore::error::RestoreError;
use btrfs_to_s3::restore::thaw_estimate::ArchivedChunks;
use btrfs_to_s3::restore_files::error::FileRestoreError;
use btrfs_to_s3::restore_files::existing::ExistingFiles;
use btrfs_to_s3::restore_files::preview::FilesPlan;
use btrfs_to_s3::restore_files::selection::WantedPath;
use btrfs_to_s3::restore_files::summary::{RestoredFiles, Unset, UnsetCount};
use btrfs_to_s3::restore_files::{FileRequest, FileRestore, Placement};
use s3up_cli::{Exit, ShutdownSignal};
use s3up_core::{Count, Size, error_chain};
use s3up_repository::thaw::ThawMode;

use super::bucket_args::BucketAccess;
use super::confirm::confirm_thaw;
use super::restore_args::{RestoreArgs, check_cost, cost_terms, default_target};
use super::retry_hint::later;
use super::show::cost::{Priced, RestoreCostLine};
use super::show::progress::bars;
use super::show::restore_files::{DocumentsLine, FilesLine, documents_table, to_table};
use super::{CLOCK, Output, connect, log_start, output, print};
use crate::commands::show::json;

pub async fn run(access: &BucketAccess, args: RestoreArgs) -> anyhow::Result<Exit> {
    let wanted = args.path.iter().map(|text| WantedPath::parse(text)).collect::<Result<_, _>>();
    let wanted = wanted.map_err(|err| Exit::Usage.with(err))?;
    let request = request(access, &args, wanted, Placement::Into)?;
    restore(access, &args, &request).await
}

/// Restores a whole subvolume to a filesystem that `btrfs receive` cannot write to.
pub async fn run_whole(
    access: &BucketAccess,
    args: RestoreArgs,
    filesystem: &str,
) -> anyhow::Result<Exit> {
    let wanted = vec![WantedPath::whole_subvolume()];
    let request = request(access, &args, wanted, Placement::New)?;
    tracing::warn!(
        event = "restore_without_btrfs",
        target = %request.target.display(),
        filesystem,
        "the target is on {filesystem}: its files are restored without `btrfs receive`. It will be \
         a directory and no subvolume: no incremental can be based on it, what files share is \
         stored for each of them, and it is not compared with its source snapshot"
    );
    restore(access, &args, &request).await
}

async fn restore(
    access: &BucketAccess,
    args: &RestoreArgs,
    request: &FileRequest,
) -> anyhow::Result<Exit> {
    let shutdown = ShutdownSignal::listen();
    let bucket = connect(&access.bucket, &shutdown).await?;
    let restore = FileRestore {
        bucket: &bucket,
        layout: &access.bucket.layout,
        concurrency: access.bucket.concurrency,
        shutdown,
        terms: access.restore.terms,
        mode: args.waiting.mode(&access.restore),
        clock: CLOCK,
        progress: bars(),
    };
    if let Some(exit) = plan(&restore, access, args, request).await? {
        return Ok(exit);
    }
    log_start("restore");
    let began = CLOCK.start();
    match restore.run(request).await {
        Ok(restored) => {
            log_restored(request, &restored, began.elapsed().as_secs_f64());
            Ok(if restored.is_whole() { Exit::Done } else { Exit::Partial })
        }
        Err(err) => {
            log_failed(request, &err);
            Err(exit_of(err))
        }
    }
}

/// Shows the plan of a dry run, and returns its exit code. Otherwise checks what the restore costs,
/// and asks, before anything is thawed.
async fn plan(
    restore: &FileRestore<'_>,
    access: &BucketAccess,
    args: &RestoreArgs,
    request: &FileRequest,
) -> anyhow::Result<Option<Exit>> {
    let limit = args.waiting.limit();
    let may_thaw = restore.mode != ThawMode::Observe;
    if !args.dry_run && !(may_thaw && (limit.0.is_some() || args.waiting.asks())) {
        return Ok(None);
    }
    let mut thaw = Vec::new();
    loop {
        let preview = restore.preview(request).await.map_err(exit_of)?;
        if args.dry_run {
            show(&preview, request, access, output(args.json))?;
        }
        match preview {
            FilesPlan::DocumentsFirst(documents) => {
                thaw.extend(documents.thaw.iter().cloned());
                check_cost(&thaw, &BTreeMap::new(), access, limit)?;
                if args.dry_run {
                    return Err(exit_of(FileRestoreError::UnknownChunks { kind: documents.kind }));
                }
                ask(args, &documents.thaw, &restore.shutdown).await?;
                restore.thaw_documents(request).await.map_err(exit_of)?;
            }
            FilesPlan::Files(files) => {
                thaw.extend(files.thaw.iter().cloned());
                check_cost(&thaw, &files.download, access, limit)?;
                if args.dry_run {
                    let is_whole = files.result.failed.files == 0;
                    return Ok(Some(if is_whole { Exit::Done } else { Exit::Partial }));
                }
                ask(args, &files.thaw, &restore.shutdown).await?;
                return Ok(None);
            }
        }
    }
}

fn request(
    access: &BucketAccess,
    args: &RestoreArgs,
    wanted: Vec<WantedPath>,
    placement: Placement,
) -> anyhow::Result<FileRequest> {
    let (subvolume, backup) = args.which.parse()?;
    let target = match &args.target {
        Some(target) => target.clone(),
        None => default_target(access, &subvolume)?,
    };
    let overwrite = if args.overwrite { ExistingFiles::Replace } else { ExistingFiles::Keep };
    Ok(FileRequest { subvolume, backup, wanted, target, placement, overwrite })
}

fn show(
    preview: &FilesPlan,
    request: &FileRequest,
    access: &BucketAccess,
    output: Output,
) -> anyhow::Result<()> {
    let terms = cost_terms(access);
    let (thaw, download) = match preview {
        FilesPlan::Files(files) => (&files.thaw, files.download.clone()),
        FilesPlan::DocumentsFirst(documents) => (&documents.thaw, BTreeMap::new()),
    };
    let cost = Priced::of(access.bucket.prices.as_ref(), |prices| {
        let cost = RestoreCost::of(thaw, &download, prices, terms)?;
        Ok(RestoreCostLine::of(&cost, terms))
    });
    let cost = cost.as_ref();
    print(&match (preview, output) {
        (FilesPlan::Files(files), Output::Table) => {
            to_table(files, &FilesLine::of(files, request, cost))
        }
        (FilesPlan::Files(files), Output::Json) => json(&FilesLine::of(files, request, cost)),
        (FilesPlan::DocumentsFirst(documents), Output::Table) => {
            documents_table(documents, &DocumentsLine::of(documents, request, cost))
        }
        (FilesPlan::DocumentsFirst(documents), Output::Json) => {
            json(&DocumentsLine::of(documents, request, cost))
        }
    })?;
    Ok(())
}

/// Asks before anything is thawed, if a person is at the terminal.
async fn ask(
    args: &RestoreArgs,
    thaw: &[ArchivedChunks],
    shutdown: &ShutdownSignal,
) -> anyhow::Result<()> {
    let requests: usize = thaw.iter().map(|archived| archived.requests).sum();
    if requests == 0 || !args.waiting.asks() {
        return Ok(());
    }
    let bytes = thaw.iter().map(|archived| archived.bytes).sum();
    confirm_thaw(&format!("{} ({})", Count::of(requests, "object"), Size(bytes)), shutdown).await
}

fn log_restored(request: &FileRequest, restored: &RestoredFiles, elapsed: f64) {
    for (unset, UnsetCount { count, first, error }) in &restored.unset {
        let advice = match unset {
            Unset::Owner | Unset::SetIdBits => "; run the restore as root to set it",
            Unset::Mode | Unset::Times | Unset::Xattr(_) | Unset::Acl | Unset::HardLink => "",
        };
        tracing::warn!(
            event = "metadata_not_set",
            what = %unset,
            count,
            path = first,
            error,
            "{unset} not set on {} (first: {first}): {error}{advice}",
            Count(*count, "file")
        );
    }
    tracing::info!(
        event = "files_restored",
        subvolume = %request.subvolume,
        target = %request.target.display(),
        files = restored.restored.files,
        bytes = restored.restored.bytes,
        directories = restored.directories,
        skipped = restored.skipped.files,
        failed = restored.failed.files,
        fetched_bytes = restored.fetched_bytes,
        elapsed_seconds = format_args!("{elapsed:.3}"),
        "{restored}"
    );
}

fn log_failed(request: &FileRequest, err: &FileRestoreError) {
    let (subvolume, target) = (&request.subvolume, request.target.display());
    let error = error_chain(err);
    if let FileRestoreError::Archived { .. } = err {
        tracing::info!(event = "restore_waiting_for_thaw", %subvolume, %target);
    } else {
        tracing::error!(event = "restore_failed", %subvolume, %target, error);
    }
}

fn exit_of(err: FileRestoreError) -> anyhow::Error {
    #[expect(clippy::wildcard_enum_match_arm, reason = "all others are failures")]
    match err {
        FileRestoreError::Archived { .. } => later(&err.to_string()),
        FileRestoreError::UnknownChunks { .. } => Exit::WaitingForThaw.with(err),
        FileRestoreError::Stopped(stop) => Exit::from(stop).with(err),
        FileRestoreError::Select(
            RestoreError::TargetPath { .. }
            | RestoreError::TargetExists { .. }
            | RestoreError::TargetDirReadOnly { .. },
        ) => Exit::Usage.with(err),
        err => err.into(),
    }
}
