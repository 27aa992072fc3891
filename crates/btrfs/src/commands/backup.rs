//! `backup`: makes snapshots, sends and publishes them.

use std::io::IsTerminal;

use anyhow::{Context, anyhow};
use btrfs_host::compressed::Form;
use btrfs_to_s3::backup::error::Failure;
use btrfs_to_s3::backup::local_only::{self, LocalSnapshots};
use btrfs_to_s3::backup::{BackupOptions, BackupRun, RunReport};
use btrfs_to_s3::config::Config;
use btrfs_to_s3::notify::{self, RunResult};
use btrfs_to_s3::plan::decide::Trigger;
use btrfs_to_s3::selection::{MissingBaseDir, Usable};
use btrfs_to_s3::snapshots::dir::SnapshotDir;
use btrfs_to_s3::snapshots::record::{RUN_METADATA, Records, RunId};
use btrfs_to_s3::status::last_runs::{LastRun, LastRuns};
use s3up_cli::{Exit, ExitWith, ShutdownSignal, Signal};
use s3up_repository::names::{Subvolume, SubvolumeName};
use s3up_repository::origin::Adopt;

use super::backup_report::{report_end, reporting_while};
use super::lock::lock;
use super::{
    ABORTS_TIME_MAX, CLOCK, connect, find_btrfs, host, host_identity, log_start, need_root, now,
    prune, select, server_checks, stopped_by, stream_form, usable,
};

/// Runs a backup and reports its end to `notify.url` and to the gateway of `[report]`, unless another run holds the
/// lock.
pub async fn run(
    config: &Config,
    request: (Trigger, Adopt),
    names: &[String],
) -> anyhow::Result<Exit> {
    match request.0 {
        // A run with nothing due writes nothing, because cron mails it.
        Trigger::Scheduled => tracing::debug!(event = "command_start", command = "backup"),
        Trigger::Now | Trigger::Full => log_start("backup"),
    }
    let shutdown = ShutdownSignal::listen();
    let work = back_up(config, request, names, shutdown.clone());
    let outcome = reporting_while(config, "backup", work).await;
    if let Some(url) = &config.notify {
        match &outcome {
            Ok(_) => notify::report(url, RunResult::Succeeded).await,
            Err(err) if is_locked(err) => {}
            Err(err) => notify::report(url, RunResult::Failed { error: &format!("{err:#}") }).await,
        }
    }
    // The run that holds the lock reports.
    if !outcome.as_ref().is_err_and(is_locked) {
        report_end(config, "backup", &shutdown).await;
    }
    outcome
}

fn is_locked(err: &anyhow::Error) -> bool {
    err.downcast_ref::<ExitWith>().is_some_and(|with| with.exit == Exit::Locked)
}

async fn back_up(
    config: &Config,
    (trigger, adopt): (Trigger, Adopt),
    names: &[String],
    shutdown: ShutdownSignal,
) -> anyhow::Result<Exit> {
    need_root()?;
    let selected = select(config, names)?;
    let _lock = lock(config)?;
    let mut state = LastRuns::open(&config.state_path, config.bucket.location());
    // Whatever ends the run from here on is noted, so that `status --check` knows it.
    let started = async {
        let (backup, Usable { subvolumes, failed }) =
            prepare(config, adopt, &selected, shutdown).await?;
        let mut planned = backup.planner().plan(&subvolumes, trigger, &now()).await;
        planned.add_failed(failed);
        planned.log();
        check_server(config, &backup, planned.has_full()).await?;
        let report = backup.run(planned, &mut state).await;
        prune_after(config, &backup, &report).await;
        finish_aborts(&backup).await;
        anyhow::Ok(report)
    };
    let report = match started.await {
        Ok(report) => report,
        Err(err) => {
            for subvolume in selected {
                state.note(&subvolume.name, LastRun::failed(format!("{err:#}"), now().timestamp()));
            }
            return Err(err);
        }
    };
    if report.published.is_empty() && report.failed.is_empty() && std::io::stderr().is_terminal() {
        tracing::info!(event = "nothing_due", "no backup is due; `plan` says when the next one is");
    }
    let RunReport { published, not_due, failed, .. } = report;
    exit_of(SubvolumeAction::BackUp, published.len() + not_due.len(), failed)
}

/// Checks the paths and the bucket, and builds everything that a backup needs. If no
/// subvolume can be backed up, the bucket is left alone.
async fn prepare<'c>(
    config: &'c Config,
    adopt: Adopt,
    selected: &[&'c Subvolume],
    shutdown: ShutdownSignal,
) -> anyhow::Result<(BackupRun, Usable<'c>)> {
    let usable = usable(config, selected, MissingBaseDir::Create)?;
    if usable.subvolumes.is_empty() {
        return Err(no_subvolume(usable));
    }
    let btrfs = find_btrfs()?;
    let host = host(&btrfs).await?;
    let form = stream_form(config, &btrfs).await?;
    let mut bucket = connect(&config.bucket, &shutdown).await?;
    tokio::select! {
        () = server_checks::warn_of_broken_conditions(&bucket.store, &config.bucket) => {}
        stop = shutdown.wait() => return Err(stopped_by(stop)),
    }
    let run = RunId::random().context("choose a name for this run")?;
    bucket.metadata.insert(RUN_METADATA.to_owned(), run.as_str().to_owned());
    let records = Records::new(&config.base_dir, config.bucket.location());
    log_upload_limits(config);
    let options = options(config, form);
    let identity = host_identity();
    let backup = BackupRun {
        options,
        bucket,
        btrfs,
        host,
        identity,
        adopt,
        form,
        shutdown,
        records,
        run,
        clock: CLOCK,
    };
    Ok((backup, usable))
}

fn no_subvolume(Usable { failed, .. }: Usable<'_>) -> anyhow::Error {
    let failed =
        failed.into_iter().map(|(subvolume, err)| (subvolume.name.clone(), Failure::from(err)));
    match exit_of(SubvolumeAction::BackUp, 0, failed.collect()) {
        Err(err) => err,
        Ok(_) => anyhow!("no subvolume was selected"),
    }
}

/// Before a full, makes sure that an upload as it needs it can succeed.
async fn check_server(config: &Config, backup: &BackupRun, has_full: bool) -> anyhow::Result<()> {
    if !has_full {
        return Ok(());
    }
    tokio::select! {
        outcome = server_checks::probe_upload(&backup.bucket, &config.bucket) => outcome,
        stop = backup.shutdown.wait() => Err(stopped_by(stop)),
    }
}

fn options(config: &Config, form: Form) -> BackupOptions {
    BackupOptions {
        base_dir: config.base_dir.clone(),
        covered: config.covered(),
        retain: config.retain,
        schedule: config.schedule.clone(),
        layout: config.bucket.layout.clone(),
        location: config.bucket.location(),
        settings: config.bucket.stream_settings(form),
        concurrency: config.bucket.concurrency,
        spool: config.spool.clone(),
    }
}

/// Logs the limits of uploads.
fn log_upload_limits(config: &Config) {
    let spool = config.spool.as_ref().map_or_else(|| "off".to_owned(), ToString::to_string);
    tracing::debug!(
        event = "upload_limits",
        concurrency = config.bucket.concurrency,
        part_bytes = config.bucket.part_bytes,
        spool,
    );
}

/// Prunes. If it is killed or stopped, the next run continues.
async fn prune_after(config: &Config, backup: &BackupRun, report: &RunReport) {
    let published: Vec<_> =
        report.published.iter().map(|snapshot| snapshot.subvolume.clone()).collect();
    let names = prune::to_prune(config, &published);
    tokio::select! {
        () = prune::after_backup(config, &backup.bucket, &names) => {}
        _ = backup.shutdown.wait() => {}
    }
}

/// Aborts abandoned uploads. The next run removes what is left.
async fn finish_aborts(backup: &BackupRun) {
    if tokio::time::timeout(ABORTS_TIME_MAX, backup.bucket.store.wait_for_aborts()).await.is_err() {
        tracing::warn!(
            event = "uploads_not_aborted",
            "S3 does not answer; the next run aborts the incomplete uploads"
        );
    }
}

/// `--no-s3`: makes local snapshots. It needs no credentials.
pub async fn run_without_s3(config: &Config, names: &[String]) -> anyhow::Result<Exit> {
    log_start("backup");
    need_root()?;
    let shutdown = ShutdownSignal::listen();
    let selected = select(config, names)?;
    let btrfs = find_btrfs()?;
    let _lock = lock(config)?;
    let Usable { subvolumes, failed: unusable } =
        usable(config, &selected, MissingBaseDir::Create)?;
    let records = Records::new(&config.base_dir, config.bucket.location());
    let snapshot_dir = SnapshotDir { btrfs: &btrfs, base_dir: &config.base_dir, records: &records };
    let now = now().timestamp();
    let made = local_only::snapshot(snapshot_dir, &subvolumes, config.retain, now, &shutdown).await;
    let LocalSnapshots { snapshots, mut failed } = made.context("choose a name for this run")?;
    let unusable = unusable.into_iter();
    failed.extend(unusable.map(|(subvolume, err)| (subvolume.name.clone(), Failure::from(err))));
    exit_of(SubvolumeAction::Snapshot, snapshots.len(), failed)
}

/// The action of a command on each subvolume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubvolumeAction {
    BackUp,
    Plan,
    Snapshot,
}

impl SubvolumeAction {
    /// Returns the verb for a message.
    fn verb(self) -> &'static str {
        match self {
            SubvolumeAction::BackUp => "back up",
            SubvolumeAction::Plan => "plan",
            SubvolumeAction::Snapshot => "snapshot",
        }
    }
}

/// Returns the exit code for `done` subvolumes and the `failed` ones.
pub fn exit_of(
    action: SubvolumeAction,
    done: usize,
    mut failed: Vec<(SubvolumeName, Failure)>,
) -> anyhow::Result<Exit> {
    let verb = action.verb();
    let event = match action {
        SubvolumeAction::BackUp => "backup_failed",
        SubvolumeAction::Plan => "plan_failed",
        SubvolumeAction::Snapshot => "snapshot_failed",
    };
    let count = done + failed.len();
    let stopped = failed.iter().find_map(|(_, failure)| stop_of(failure));
    if count == 1 && failed.len() == 1 && stopped.is_none() {
        let (name, failure) = failed.remove(0);
        let exit = if is_refusal(&failure) { Exit::Usage } else { Exit::Failed };
        return Err(exit.with(anyhow!(failure).context(format!("{verb} {name}"))));
    }
    let all_refused = failed.iter().all(|(_, failure)| is_refusal(failure));
    let names: Vec<_> = failed.iter().map(|(name, _)| name.as_str()).collect();
    let names = names.join(", ");
    for (name, failure) in failed.into_iter().filter(|(_, failure)| stop_of(failure).is_none()) {
        let error = format!("{:#}", anyhow!(failure));
        tracing::error!(event, subvolume = %name, "{error}");
    }
    let what = format!("{verb}: {done} of {count} subvolumes done, failed: {names}");
    match (stopped, names.is_empty(), done) {
        (Some(stop), _, _) => Err(Exit::from(stop).with(anyhow!("stopped by a signal: {what}"))),
        (None, true, _) => Ok(Exit::Done),
        (None, false, 0) if all_refused => Err(Exit::Usage.with(anyhow!("{what}"))),
        (None, false, 0) => Err(anyhow!("{what}")),
        (None, false, _) => Err(Exit::Partial.with(anyhow!("{what}"))),
    }
}

/// Returns true if nothing was done because the configuration does not fit the bucket.
fn is_refusal(failure: &Failure) -> bool {
    matches!(failure, Failure::OtherOrigin { .. } | Failure::Selection(_))
}

fn stop_of(failure: &Failure) -> Option<Signal> {
    if let Failure::Stopped(stop) | Failure::StoppedPublishing(stop) = failure {
        return Some(*stop);
    }
    None
}
