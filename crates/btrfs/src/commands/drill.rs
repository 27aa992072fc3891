//! `drill`: restores the newest backups into a scratch filesystem, to prove that they can be
//! restored.

use std::time::Duration;

use anyhow::anyhow;
use btrfs_to_s3::backup_report::known::CheckKind;
use btrfs_to_s3::compare::{CompareOptions, Extent};
use btrfs_to_s3::config::Config;
use btrfs_to_s3::drill::scratch::{Scratch, ScratchError, Tools};
use btrfs_to_s3::drill::{Drill, DrillError, DrillResult};
use btrfs_to_s3::restore::Restore;
use btrfs_to_s3::restore::error::RestoreError;
use btrfs_to_s3::restore::select_backup::{BackupSelector, ChainReader};
use btrfs_to_s3::status::last_drills::{Drills, LastDrill};
use clap::Args;
use s3up_cli::{Exit, ShutdownSignal, Signal};
use s3up_core::Count;
use s3up_repository::names::{Subvolume, SubvolumeName};
use s3up_repository::thaw::{RequiredObjects, Thaw, ThawMode};

use super::backup_report::{note_check, report_end, reporting_while};
use super::confirm::{confirm_thaw, is_interactive};
use super::retry_hint::{later, thaw_with};
use super::show::progress::bars;
use super::{
    CLOCK, Output, connect, find_btrfs, help, log_start, need_root, now, output, print, select,
    stopped_by,
};
use crate::commands::show::drill::{DrillLine, DrillOutcome, to_table};
use crate::commands::show::json;

#[derive(Args)]
pub struct DrillArgs {
    /// Drill only NAME; repeatable (default: all)
    #[arg(long, value_name = "NAME", help_heading = help::SELECTION)]
    subvolume: Vec<String>,
    /// Thaw archived chunks and wait for them
    /// (S3 charges for this)
    #[arg(long, verbatim_doc_comment, help_heading = help::THAW)]
    wait_restore: bool,
    /// Wait at most SECONDS seconds, then exit
    /// with 4
    #[arg(
        long,
        value_name = "SECONDS",
        requires = "wait_restore",
        verbatim_doc_comment,
        help_heading = help::THAW
    )]
    restore_timeout: Option<u64>,
    /// Do not ask before a thaw, which S3
    /// charges for
    #[arg(long, requires = "wait_restore", verbatim_doc_comment, help_heading = help::THAW)]
    yes: bool,
    /// Print JSON
    #[arg(long, help_heading = help::OUTPUT)]
    json: bool,
}

/// The result of the drill of one subvolume.
enum DrillEnd {
    Good,
    Failed,
    Archived,
    Stopped(Signal),
}

/// Drills, and reports the end to the gateway of `[report]`.
pub async fn run(config: &Config, args: DrillArgs) -> anyhow::Result<Exit> {
    log_start("drill");
    let shutdown = ShutdownSignal::listen();
    let outcome = reporting_while(config, "drill", drill(config, args, shutdown.clone())).await;
    report_end(config, "drill", &shutdown).await;
    outcome
}

async fn drill(config: &Config, args: DrillArgs, shutdown: ShutdownSignal) -> anyhow::Result<Exit> {
    need_root()?;
    let Some(scratch_dir) = &config.drill_dir else {
        let what = "set `drill.scratch_dir` to a directory with room for the largest backup";
        return Err(Exit::Usage.with(anyhow!("drill: {what}")));
    };
    let names = select(config, &args.subvolume)?;
    let (btrfs, path) = (find_btrfs()?, std::env::var_os("PATH"));
    let tools = Tools::find(path.as_deref())?;
    let scratch = Scratch::open(scratch_dir, tools, CLOCK).map_err(exit_of)?;
    let bucket = connect(&config.bucket, &shutdown).await?;
    let drill = Drill {
        restore: Restore {
            bucket: &bucket,
            layout: &config.bucket.layout,
            btrfs: &btrfs,
            concurrency: config.bucket.concurrency,
            shutdown,
            terms: config.restore.terms,
            mode: args.mode(config),
            clock: CLOCK,
            progress: bars(),
            compare_options: CompareOptions {
                extent: Extent::Full,
                sample_max_files: config.restore.sample_max_files,
                base_dir: Some(config.base_dir.clone()),
            },
        },
        scratch: &scratch,
    };
    if args.wait_restore && !args.yes && is_interactive() {
        ask(&drill.restore, &names).await?;
    }
    let (mut lines, mut ends) = (Vec::new(), Vec::new());
    for subvolume in names {
        let (line, ended) = one(config, &drill, &subvolume.name).await;
        lines.push(line);
        ends.push((subvolume.name.as_str(), ended));
        if let Some((_, DrillEnd::Stopped(stop))) = ends.last() {
            return Err(stopped_by(*stop));
        }
    }
    print(&match output(args.json) {
        Output::Table => to_table(&lines),
        Output::Json => json(&lines),
    })?;
    verdict(&ends, drill.restore.mode)
}

/// Asks once before anything is thawed. Other failures are those of the drills, which report them.
async fn ask(restore: &Restore<'_>, subvolumes: &[&Subvolume]) -> anyhow::Result<()> {
    let (bucket, layout) = (restore.bucket, restore.layout);
    let thaw =
        Thaw { bucket, terms: restore.terms, clock: restore.clock, progress: &restore.progress };
    let counting = async {
        let (mut count, mut is_partial) = (0, false);
        for Subvolume { name, .. } in subvolumes {
            let chain_reader = ChainReader { bucket, layout, subvolume: name };
            let wanted = match chain_reader.chain(&BackupSelector::Newest).await {
                Ok(chain) => RequiredObjects::of(chain.entries()).ok(),
                Err(err) if err.is_archived_object() => {
                    is_partial = true;
                    RequiredObjects::documents_of(bucket, layout, name).await.ok()
                }
                Err(_) => None,
            };
            let Some(wanted) = wanted else { continue };
            if let Ok(thawed) = thaw.run(&wanted, ThawMode::Observe).await {
                count += thawed.state.to_request.len();
            }
        }
        (count, is_partial)
    };
    let (count, is_partial) = tokio::select! {
        counted = counting => counted,
        stop = restore.shutdown.wait() => return Err(stopped_by(stop)),
    };
    if count == 0 {
        return Ok(());
    }
    let what = Count::of(count, "object");
    let then = if is_partial { ", then the chunks that they name" } else { "" };
    confirm_thaw(&format!("{what}{then}"), &restore.shutdown).await
}

impl DrillArgs {
    fn mode(&self, config: &Config) -> ThawMode {
        if !self.wait_restore {
            return ThawMode::Observe;
        }
        let at_most = self.restore_timeout.map_or(config.restore.timeout, Duration::from_secs);
        ThawMode::Wait { at_most }
    }
}

async fn one(config: &Config, drill: &Drill<'_>, name: &SubvolumeName) -> (DrillLine, DrillEnd) {
    match drill.run(name).await {
        Ok(drilled) => {
            log_good(name, &drilled);
            let mut drills = Drills::open(&config.state_path, config.bucket.location());
            drills.note(name, LastDrill::of(&drilled, now().timestamp()));
            note_check(config, name, (CheckKind::Drill, false), Ok(()));
            (DrillLine::good(name.as_str(), &drilled), DrillEnd::Good)
        }
        Err(err) => {
            let (outcome, ended) = match &err {
                DrillError::Restore(RestoreError::Stopped(stop)) => {
                    (DrillOutcome::Stopped, DrillEnd::Stopped(*stop))
                }
                DrillError::Restore(RestoreError::Archived { .. }) => {
                    (DrillOutcome::Archived, DrillEnd::Archived)
                }
                DrillError::Restore(_) | DrillError::Scratch(_) | DrillError::NoSpace { .. } => {
                    (DrillOutcome::Failed, DrillEnd::Failed)
                }
            };
            let error = format!("{:#}", anyhow!(err));
            match &ended {
                DrillEnd::Archived => {
                    tracing::info!(event = "drill_waiting_for_thaw", subvolume = %name, "{error}");
                }
                DrillEnd::Stopped(_) => {
                    tracing::info!(event = "drill_stopped", subvolume = %name, "{error}");
                }
                DrillEnd::Good | DrillEnd::Failed => {
                    tracing::error!(event = "drill_failed", subvolume = %name, "{error}");
                    note_check(config, name, (CheckKind::Drill, false), Err(&error));
                }
            }
            (DrillLine::bad(name.as_str(), outcome, error), ended)
        }
    }
}

fn log_good(name: &SubvolumeName, drilled: &DrillResult) {
    tracing::info!(
        event = "drill_complete",
        subvolume = %name,
        manifest = %drilled.manifest,
        backups = drilled.backups,
        total_bytes = drilled.total_bytes,
        elapsed_seconds = format_args!("{:.1}", drilled.elapsed.as_secs_f64()),
        "{}", drilled.proof
    );
}

/// Returns the exit code. A failed drill outweighs an archived backup.
fn verdict(ends: &[(&str, DrillEnd)], mode: ThawMode) -> anyhow::Result<Exit> {
    let names = |is: fn(&DrillEnd) -> bool| {
        let names = ends.iter().filter(|(_, ended)| is(ended)).map(|(name, _)| *name);
        names.collect::<Vec<_>>()
    };
    let good = names(|ended| matches!(ended, DrillEnd::Good));
    let failed = names(|ended| matches!(ended, DrillEnd::Failed));
    let archived = names(|ended| matches!(ended, DrillEnd::Archived));
    if !failed.is_empty() {
        let exit = if good.is_empty() { Exit::Failed } else { Exit::Partial };
        return Err(exit.with(anyhow!("drill failed for {}", failed.join(", "))));
    }
    if !archived.is_empty() {
        let names = archived.join(", ");
        if mode == ThawMode::Observe {
            let what = format!("drill: some chunks of {names} are archived");
            return Err(thaw_with(&what, "--wait-restore"));
        }
        return Err(later(&format!("drill: some chunks of {names} are still archived")));
    }
    Ok(Exit::Done)
}

fn exit_of(err: ScratchError) -> anyhow::Error {
    let is_busy = matches!(err, ScratchError::Busy { .. });
    if is_busy { Exit::Locked.with(err) } else { err.into() }
}
