//! `plan` and `backup --dry-run`: print what a backup would do now, and why.

use btrfs_host::compressed;
use btrfs_to_s3::backup::planner::Planner;
use btrfs_to_s3::config::Config;
use btrfs_to_s3::plan::decide::Trigger;
use btrfs_to_s3::snapshots::record::Records;
use s3up_cli::{Exit, ShutdownSignal};

use super::backup::{Operation, exit_of};
use super::show::plan::{to_json, to_table};
use super::{Output, connect, find_btrfs, host_name, need_root, now, print, select_for_backup};

/// Takes no lock and writes nothing.
pub async fn run(
    config: &Config,
    trigger: Trigger,
    names: &[String],
    output: Output,
) -> anyhow::Result<Exit> {
    need_root()?;
    let shutdown = ShutdownSignal::listen();
    let subvolumes = select_for_backup(config, names)?;
    let btrfs = find_btrfs()?;
    let form = compressed::form(config.compressed, &btrfs).await;
    let form = form.map_err(|err| Exit::Usage.with(err))?;
    let bucket = connect(&config.bucket, &shutdown).await?;
    let records = Records::new(&config.base_dir, config.bucket.location());
    let planner = Planner {
        bucket: &bucket,
        btrfs: &btrfs,
        base_dir: &config.base_dir,
        layout: &config.bucket.layout,
        location: &config.bucket.location(),
        schedule: &config.schedule,
        records: &records,
        host: &host_name(),
        settings: &config.bucket.stream_settings(form),
        shutdown: &shutdown,
    };
    let planned = planner.plan(&subvolumes, trigger, &now()).await;
    print(&match output {
        Output::Table => to_table(&planned),
        Output::Json => to_json(&planned),
    })?;
    exit_of(Operation::Plan, planned.jobs.len(), planned.failed)
}
