//! The commands that need only a bucket. They work with a configuration file, and without one with
//! `--bucket`, `--region` and `--prefix`.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::anyhow;
use btrfs_to_s3::compare::{CompareOptions, Extent};
use btrfs_to_s3::config::{BucketConfig, Config, RestoreConfig};
use clap::Args;
use s3up_cli::config::{ConfigError, Setting};
use s3up_cli::{Exit, LogLevel, ShutdownSignal};
use s3up_repository::catalogue::read::subvolumes;
use s3up_repository::documents::Bucket;
use s3up_repository::names::SubvolumeName;

use super::stopped_by;

/// The bucket, from the command line. All other settings have defaults or come from `--set`.
#[derive(Args)]
pub struct BucketArgs {
    /// Bucket; no configuration file is read
    #[arg(long, value_name = "NAME", requires_all = ["region", "prefix"])]
    bucket: Option<String>,
    /// Region of the bucket
    #[arg(long, value_name = "NAME", requires = "bucket")]
    region: Option<String>,
    /// Prefix of the backups in the bucket
    #[arg(long, value_name = "PREFIX", requires = "bucket")]
    prefix: Option<String>,
    /// URL of an S3-compatible server (default: AWS)
    #[arg(long, value_name = "URL", requires = "bucket")]
    endpoint: Option<String>,
}

/// The bucket, and the configuration if there is one.
pub struct BucketAccess {
    pub bucket: BucketConfig,
    pub restore: RestoreConfig,
    pub config: Option<Config>,
}

impl BucketArgs {
    /// Returns the settings of the bucket; `None` if the configuration file has them.
    fn settings(&self) -> anyhow::Result<Option<Vec<Setting>>> {
        if self.bucket.is_none() {
            return Ok(None);
        }
        let arguments = [
            ("bucket", &self.bucket),
            ("region", &self.region),
            ("prefix", &self.prefix),
            ("endpoint", &self.endpoint),
        ];
        // The original SSE setting is unknown here, so do not check for it.
        let mut settings =
            vec![r#"s3.sse="none""#.parse().map_err(|err| anyhow!("s3.sse: {err}"))?];
        for (key, value) in arguments {
            let Some(value) = value else { continue };
            // On the command line `${` is not a variable.
            let quoted = serde_json::to_string(&value.replace("${", "$${"))?;
            let setting = format!("s3.{key}={quoted}").parse();
            let setting = setting.map_err(|err| Exit::Usage.with(anyhow!("--{key}: {err}")))?;
            settings.push(setting);
        }
        Ok(Some(settings))
    }

    pub fn access(&self, config: &Path, set: &[Setting]) -> anyhow::Result<BucketAccess> {
        let Some(mut settings) = self.settings()? else {
            let config = Config::load(config, set).map_err(with_bucket_hint)?;
            let (bucket, restore) = (config.bucket.clone(), config.restore);
            return Ok(BucketAccess { bucket, restore, config: Some(config) });
        };
        settings.extend_from_slice(set);
        let (bucket, restore) = BucketConfig::of_settings(&settings)?;
        Ok(BucketAccess { bucket, restore, config: None })
    }
}

/// Adds a hint about --bucket if the configuration file is missing.
fn with_bucket_hint(err: ConfigError) -> ConfigError {
    match err {
        ConfigError::Read { file, reason } => ConfigError::Read {
            file,
            reason: format!(
                "{reason}; without a configuration, --bucket, --region and --prefix say where the \
                 backups are"
            ),
        },
        err @ (ConfigError::Setting { .. } | ConfigError::Invalid { .. }) => err,
    }
}

impl BucketAccess {
    /// Returns how much a restore compares: as requested, else as configured.
    pub fn compare_options(&self, extent: Option<Extent>) -> CompareOptions {
        CompareOptions {
            extent: extent.unwrap_or(self.restore.verify),
            sample_max_files: self.restore.sample_max_files,
            base_dir: self.config.as_ref().map(|config| config.base_dir.clone()),
        }
    }

    pub fn log_level(&self) -> Option<LogLevel> {
        self.config.as_ref().and_then(|config| config.log_level)
    }

    /// Returns the named subvolumes, or else all that are in the bucket or configured.
    pub async fn subvolumes(
        &self,
        bucket: &Bucket,
        names: &[String],
        shutdown: &ShutdownSignal,
    ) -> anyhow::Result<BTreeSet<SubvolumeName>> {
        if !names.is_empty() {
            let names = names.iter().map(|name| SubvolumeName::parse(name)).collect();
            let names: Result<_, _> = names;
            return names.map_err(|err| Exit::Usage.with(anyhow!(err).context("--subvolume")));
        }
        let mut found = tokio::select! {
            found = subvolumes(bucket, &self.bucket.layout) => found?,
            stop = shutdown.wait() => return Err(stopped_by(stop)),
        };
        if let Some(config) = &self.config {
            found.extend(config.subvolumes.iter().map(|subvolume| subvolume.name.clone()));
        }
        Ok(found)
    }
}
