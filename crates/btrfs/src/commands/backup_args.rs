//! The arguments that select a backup: the newest, the newest at a time, or one by its key.

use anyhow::anyhow;
use btrfs_to_s3::restore::select_backup::BackupSelector;
use clap::Args;
use s3up_cli::{Exit, at_time};
use s3up_core::Key;
use s3up_repository::names::SubvolumeName;

use super::now;

#[derive(Args)]
pub struct WhichArgs {
    /// Name of the subvolume in the bucket
    #[arg(long, value_name = "NAME")]
    subvolume: String,
    /// Newest backup made at or before TIME:
    /// 2026-01-31T23:59:59Z,
    /// "2026-01-31 23:59" (local time) or
    /// 2026-01-31 (the whole day)
    #[arg(long, value_name = "TIME", conflicts_with = "manifest_key", verbatim_doc_comment)]
    at: Option<String>,
    /// The backup with this manifest
    /// (default: the newest)
    #[arg(long, value_name = "KEY", verbatim_doc_comment)]
    manifest_key: Option<String>,
}

impl WhichArgs {
    pub fn parse(&self) -> anyhow::Result<(SubvolumeName, BackupSelector)> {
        let usage =
            |option: &str, err: anyhow::Error| Exit::Usage.with(err.context(option.to_owned()));
        let subvolume = SubvolumeName::parse(&self.subvolume)
            .map_err(|err| usage("--subvolume", anyhow!(err)))?;
        let wanted = match (&self.manifest_key, &self.at) {
            (Some(key), _) => BackupSelector::Manifest(
                Key::parse(key).map_err(|err| usage("--manifest-key", anyhow!(err)))?,
            ),
            (None, Some(time)) => BackupSelector::At(
                at_time::parse(time, now().time_zone())
                    .map_err(|err| usage("--at", anyhow!(err)))?,
            ),
            (None, None) => BackupSelector::Newest,
        };
        Ok((subvolume, wanted))
    }
}
