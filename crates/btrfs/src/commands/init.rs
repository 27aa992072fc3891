//! `init`: asks what a configuration needs, writes the file, and checks it on this host and with the S3
//! server.

use std::path::Path;

use anyhow::{Context, anyhow};
use btrfs_to_s3::config::first::{FirstConfig, proposed_base_dir, proposed_class};
use btrfs_to_s3::config::{Config, RestoreConfig};
use btrfs_to_s3::selection::MissingBaseDir;
use clap::Args;
use s3up_cli::Exit;
use s3up_cli::init::{Dialog, DialogError, Question, write_new_file};
use s3up_core::error_chain;

use super::bucket_args::BucketAccess;
use super::{Output, doctor, help, host_name, print, select, usable};

#[derive(Args)]
pub struct InitArgs {
    /// Subvolume to back up, an absolute path; repeatable
    #[arg(long, value_name = "PATH", help_heading = help::SELECTION)]
    subvolume: Vec<String>,
    /// Snapshot directory, on the same filesystem
    /// (default: snapshots, beside the first subvolume)
    #[arg(long, value_name = "PATH", verbatim_doc_comment, help_heading = help::SELECTION)]
    base_dir: Option<String>,
    /// Bucket
    #[arg(long, value_name = "NAME", help_heading = help::REPOSITORY)]
    bucket: Option<String>,
    /// Region of the bucket
    #[arg(long, value_name = "NAME", help_heading = help::REPOSITORY)]
    region: Option<String>,
    /// URL of an S3-compatible server (default: AWS)
    #[arg(long, value_name = "URL", help_heading = help::REPOSITORY)]
    endpoint: Option<String>,
    /// Leading part of all keys
    /// (default: the name of this host)
    #[arg(long, value_name = "PREFIX", verbatim_doc_comment, help_heading = help::REPOSITORY)]
    prefix: Option<String>,
    /// Storage class of the backups
    /// (default: DEEP_ARCHIVE, or STANDARD with
    /// --endpoint)
    #[arg(long, value_name = "CLASS", verbatim_doc_comment, help_heading = help::REPOSITORY)]
    storage_class: Option<String>,
    /// Write the file without contacting the S3 server
    #[arg(long, help_heading = help::OUTPUT)]
    offline: bool,
}

/// Writes the file only if its content is valid. It stays if the checks find a problem.
pub async fn run(args: InitArgs, file: &Path) -> anyhow::Result<Exit> {
    let is_offline = args.offline;
    let first = answers(args).map_err(|err| Exit::Usage.with(err))?;
    let text = first.text();
    let config = Config::parse(&text).map_err(|err| Exit::Usage.with(err))?;
    write_new_file(file, &text)?;
    print(&format!("wrote {}\n", file.display()))?;
    let is_checked = async {
        check_host(&config)?;
        if is_offline {
            return Ok(());
        }
        let (bucket, restore) = (config.bucket.clone(), RestoreConfig::default());
        doctor::run(&BucketAccess { bucket, restore, config: None }, Output::Table).await?;
        anyhow::Ok(())
    };
    let wrote = || format!("{} is written, but this check failed", file.display());
    is_checked.await.with_context(wrote)?;
    print(&next_steps(file, is_offline))?;
    Ok(Exit::Done)
}

fn answers(args: InitArgs) -> Result<FirstConfig, DialogError> {
    let mut dialog = Dialog::on_terminal();
    let question = |argument, text, default| Question { argument, text, default };
    let subvolumes = match args.subvolume.is_empty() {
        false => args.subvolume,
        true => {
            let what = "Subvolumes to back up, separated by commas";
            let answer = dialog.text(question("--subvolume", what, None), None)?;
            answer.split(',').map(|path| path.trim().to_owned()).collect()
        }
    };
    let base_dir = proposed_base_dir(&subvolumes).display().to_string();
    let what = "Directory for snapshots, on the same filesystem";
    let base_dir = dialog.text(question("--base-dir", what, Some(&base_dir)), args.base_dir)?;
    let what = "URL of the S3 server; empty for AWS";
    let endpoint = dialog.optional(question("--endpoint", what, None), args.endpoint)?;
    let bucket = dialog.text(question("--bucket", "Bucket", None), args.bucket)?;
    let region = endpoint.as_ref().map(|_| "us-east-1");
    let region = dialog.text(question("--region", "Region of the bucket", region), args.region)?;
    let prefix = format!("{}/", host_name());
    let what = "Leading part of all keys";
    let prefix = dialog.text(question("--prefix", what, Some(&prefix)), args.prefix)?;
    let class = proposed_class(endpoint.as_deref());
    let what = "Storage class of the backups";
    let storage_class =
        dialog.text(question("--storage-class", what, Some(class)), args.storage_class)?;
    Ok(FirstConfig { subvolumes, base_dir, bucket, region, prefix, endpoint, storage_class })
}

/// Checks that this host can make snapshots of each subvolume.
fn check_host(config: &Config) -> anyhow::Result<()> {
    let selected = select(config, &[])?;
    let failed = usable(config, &selected, MissingBaseDir::Leave)?.failed;
    match failed.into_iter().next() {
        None => Ok(()),
        Some((_, err)) => Err(anyhow!(error_chain(&err))),
    }
}

fn next_steps(file: &Path, is_offline: bool) -> String {
    let config = format!("--config {}", file.display());
    let doctor = match is_offline {
        true => format!("  btrfs-to-s3 {config} doctor\n"),
        false => String::new(),
    };
    format!("next:\n{doctor}  btrfs-to-s3 {config} backup --once\n")
}
