//! `status`: prints the status of the backups; with `--check`, whether anything is
//! wrong.

use anyhow::anyhow;
use btrfs_host::tool::Btrfs;
use btrfs_to_s3::config::Config;
use btrfs_to_s3::nested;
use btrfs_to_s3::origin::HostIdentity;
use btrfs_to_s3::status::check::{CheckInput, line, problems};
use btrfs_to_s3::status::last_drills::Drills;
use btrfs_to_s3::status::last_runs::LastRuns;
use btrfs_to_s3::status::last_verified::LastVerifies;
use btrfs_to_s3::status::{Sources, status};
use s3up_cli::{Exit, ShutdownSignal};
use s3up_core::error_chain;
use s3up_repository::documents::Bucket;
use s3up_repository::names::Subvolume;

use super::{
    Output, connect, find_btrfs, host_identity, need_root, now, print, select, stopped_by,
};
use crate::commands::show::json;
use crate::commands::show::status::to_text;

/// Takes no lock, writes nothing, and needs no root.
pub async fn run(
    config: &Config,
    names: &[String],
    history_count: usize,
    output: Output,
) -> anyhow::Result<Exit> {
    let shutdown = ShutdownSignal::listen();
    let subvolumes = select(config, names)?;
    let state = LastRuns::open(&config.state_path, config.bucket.location());
    let drills = Drills::open(&config.state_path, config.bucket.location());
    let verifies = LastVerifies::open(&config.state_path, config.bucket.location());
    let bucket = connect(&config.bucket, &shutdown).await?;
    let (host, btrfs) = (host_identity(), btrfs_if_root());
    let sources = sources(config, &bucket, (&state, &drills, &verifies), (&host, btrfs.as_ref()));
    let now = now();
    let mut all = Vec::new();
    let mut failed = Vec::new();
    for subvolume in subvolumes {
        let name = &subvolume.name;
        let found = tokio::select! {
            found = status(&sources, subvolume, (&now, history_count)) => found,
            stop = shutdown.wait() => return Err(stopped_by(stop)),
        };
        match found {
            Ok(found) => all.push(found),
            Err(err) => {
                let error = format!("{:#}", anyhow!(err));
                tracing::error!(event = "status_failed", subvolume = %name, "{error}");
                failed.push(name.as_str());
            }
        }
    }
    print(&match output {
        Output::Table => to_text(&all),
        Output::Json => json(&all),
    })?;
    match (failed.is_empty(), all.is_empty()) {
        (true, _) => Ok(Exit::Done),
        (false, true) => Err(anyhow!("cannot read the status of {}", failed.join(", "))),
        (false, false) => {
            Err(Exit::Partial.with(anyhow!("cannot read the status of {}", failed.join(", "))))
        }
    }
}

/// Prints exactly one line, whatever happens, and fails if anything is wrong.
pub async fn check(config: &Config, names: &[String]) -> anyhow::Result<Exit> {
    let shutdown = ShutdownSignal::listen();
    let subvolumes = select(config, names)?;
    let state = LastRuns::open(&config.state_path, config.bucket.location());
    let drills = Drills::open(&config.state_path, config.bucket.location());
    let verifies = LastVerifies::open(&config.state_path, config.bucket.location());
    let (host, btrfs) = (host_identity(), btrfs_if_root());
    let (connected, now) = (connect(&config.bucket, &shutdown).await, now());
    let mut found = Vec::new();
    for subvolume in &subvolumes {
        let name = &subvolume.name;
        let status = match &connected {
            Err(err) => Err(format!("{err:#}")),
            Ok(bucket) => {
                let files = (&state, &drills, &verifies);
                let sources = sources(config, bucket, files, (&host, btrfs.as_ref()));
                tokio::select! {
                    found = status(&sources, subvolume, (&now, 0)) => {
                        found.map_err(|err| format!("{:#}", anyhow!(err)))
                    }
                    stop = shutdown.wait() => return Err(stopped_by(stop)),
                }
            }
        };
        found.push((name.as_str(), status));
    }
    let checked = found.iter().map(|(subvolume, status)| {
        let status = status.as_ref().map_err(String::as_str);
        CheckInput { subvolume, status }
    });
    let checked: Vec<_> = checked.collect();
    let mut problems = problems(&checked, now.timestamp());
    let nested = nested_problems(config, &subvolumes).await;
    problems.extend(nested.iter().flatten().cloned());
    let mut line = line(&checked, &problems);
    if nested.is_none() && problems.is_empty() {
        line = format!("{}; nested subvolumes not checked, which requires root\n", line.trim_end());
    }
    print(&line)?;
    Ok(if problems.is_empty() { Exit::Done } else { Exit::Failed })
}

/// Returns the problems of nested subvolumes, and `None` if only root could look.
async fn nested_problems(config: &Config, subvolumes: &[&Subvolume]) -> Option<Vec<String>> {
    need_root().ok()?;
    let covered = config.covered();
    let mut found = Vec::new();
    for subvolume in subvolumes {
        let nested = match find_btrfs() {
            Ok(btrfs) => nested::not_backed_up(&btrfs, subvolume, &covered).await,
            Err(err) => {
                found.push(format!("cannot look for nested subvolumes: {err:#}"));
                break;
            }
        };
        match nested {
            Ok(nested) if nested.is_empty() => {}
            Ok(nested) => found.push(format!("{}: {}", subvolume.name, nested::problem(&nested))),
            Err(err) => found.push(format!(
                "{}: cannot look for nested subvolumes: {}",
                subvolume.name,
                error_chain(&err)
            )),
        }
    }
    Some(found)
}

/// Returns the program, if this process may examine snapshots with it.
pub(super) fn btrfs_if_root() -> Option<Btrfs> {
    need_root().ok()?;
    find_btrfs().ok()
}

/// Returns where the status of the subvolumes comes from.
pub(super) fn sources<'a>(
    config: &'a Config,
    bucket: &'a Bucket,
    (runs, drills, verifies): (&'a LastRuns, &'a Drills, &'a LastVerifies),
    (host, btrfs): (&'a HostIdentity, Option<&'a Btrfs>),
) -> Sources<'a> {
    Sources {
        bucket,
        layout: &config.bucket.layout,
        schedule: &config.schedule,
        retention: config.retention,
        host,
        btrfs,
        base_dir: &config.base_dir,
        runs,
        drills,
        verifies,
        has_drills: config.drill_dir.is_some(),
    }
}
