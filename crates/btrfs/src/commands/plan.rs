//! `plan` and `backup --dry-run`: print what a backup would do now, and why.

use btrfs_host::compressed;
use btrfs_to_s3::backup::planner::{Planned, Planner};
use btrfs_to_s3::config::Config;
use btrfs_to_s3::plan::decide::Trigger;
use btrfs_to_s3::selection::{MissingBaseDir, Usable};
use btrfs_to_s3::snapshots::record::Records;
use s3up_cli::{Exit, ShutdownSignal};
use s3up_repository::documents::Bucket;
use s3up_repository::origin::Adopt;

use super::backup::{Operation, exit_of};
use super::show::plan::{Prunes, to_json, to_table};
use super::{
    Output, connect, find_btrfs, host_identity, need_root, now, print, prune, select, usable,
};

/// Takes no lock and writes nothing.
pub async fn run(
    config: &Config,
    (trigger, adopt): (Trigger, Adopt),
    names: &[String],
    output: Output,
) -> anyhow::Result<Exit> {
    need_root()?;
    let shutdown = ShutdownSignal::listen();
    let selected = select(config, names)?;
    let Usable { subvolumes, failed } = usable(config, &selected, MissingBaseDir::Leave)?;
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
        host: &host_identity(),
        adopt,
        settings: &config.bucket.stream_settings(form),
        shutdown: &shutdown,
    };
    let mut planned = planner.plan(&subvolumes, trigger, &now()).await;
    planned.add_failed(failed);
    let prunes = prunes(config, &bucket, &planned).await?;
    print(&match output {
        Output::Table => to_table(&planned, &prunes),
        Output::Json => to_json(&planned, &prunes),
    })?;
    exit_of(Operation::Plan, planned.jobs.len(), planned.failed)
}

/// Returns what the backups of this plan will delete from the bucket.
async fn prunes(config: &Config, bucket: &Bucket, planned: &Planned<'_>) -> anyhow::Result<Prunes> {
    let mut prunes = Prunes::new();
    for snapshot in planned.jobs.iter().filter_map(|job| job.plan.snapshot.as_ref()) {
        if let Some(prune) = prune::preview(config, bucket, snapshot).await? {
            prunes.insert(snapshot.subvolume.clone(), prune);
        }
    }
    Ok(prunes)
}
