//! The arguments of `restore`, and what a restore to btrfs and one of files read from them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::anyhow;
use btrfs_to_s3::restore::cost::{CostTerms, RestoreCost};
use btrfs_to_s3::restore::thaw_estimate::ArchivedChunks;
use clap::Args;
use s3up_cli::Exit;
use s3up_repository::names::SubvolumeName;
use s3up_repository::thaw::ThawTerms;

use super::backup_args::WhichArgs;
use super::bucket_args::{BucketAccess, BucketArgs};
use super::cost::CostLimit;
use super::help;
use super::thaw::WaitingArgs;
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
    pub(super) verify: Option<String>,
    /// Do not keep the received snapshot as the
    /// parent of the next incremental
    #[arg(long, conflicts_with = "path", verbatim_doc_comment, help_heading = help::TARGET)]
    pub(super) no_keep_parent: bool,
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

/// Returns the terms of a thaw and a download that their cost depends on.
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

/// Returns the path below `restore.target_base_dir` that a restore without `--target` creates.
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
