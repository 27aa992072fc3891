//! `plan` and `backup --dry-run`: print what a backup would do now, and why.

use btrfs_to_s3::compressed;
use btrfs_to_s3::config::Config;
use btrfs_to_s3::plan::Trigger;
use btrfs_to_s3::planner::Planner;
use btrfs_to_s3::record::Records;
use btrfs_to_s3::selection;
use btrfs_to_s3::stopping::ShutdownSignal;
use s3up_cli::Exit;

use super::backup::{Doing, exit_of};
use super::{Output, connect, find_btrfs, host_name, need_root, now, print};

/// Takes no lock and writes nothing.
pub async fn run(
    config: &Config,
    asked: Trigger,
    names: &[String],
    output: Output,
) -> anyhow::Result<Exit> {
    need_root()?;
    let shutdown = ShutdownSignal::listen();
    let subvolumes = selection::select(config, names).map_err(|err| Exit::Usage.with(err))?;
    selection::check_places(config, &subvolumes).map_err(|err| Exit::Usage.with(err))?;
    let btrfs = find_btrfs()?;
    let form = compressed::form(config.compressed, &btrfs).await;
    let form = form.map_err(|err| Exit::Usage.with(err))?;
    let bucket = connect(&config.bucket, &shutdown).await?;
    let records = Records::new(&config.base_dir, &config.bucket);
    let planner = Planner {
        config,
        bucket: &bucket,
        btrfs: &btrfs,
        records: &records,
        host: &host_name(),
        form,
        shutdown: &shutdown,
    };
    let planned = planner.plan(&subvolumes, asked, &now()).await;
    print(&match output {
        Output::Table => planned.to_table(),
        Output::Json => planned.to_json(),
    })?;
    exit_of(Doing::Plan, planned.jobs.len(), planned.failed)
}
