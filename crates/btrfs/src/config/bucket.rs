//! `[s3]`: the bucket, and how backups are stored in it.

use std::num::NonZeroU64;
use std::path::Path;
use std::time::Duration;

use btrfs_host::compressed::Form;
use s3up_cli::config::{ConfigError, LoadedConfig, Setting, Source};
use s3up_core::KeyPrefix;
use s3up_core::part::{self, MIB, PART_BYTES_MAX, PART_BYTES_MIN, PART_COUNT_MAX};
use s3up_core::storage_class::{StorageClass, is_archive_class, storage_class_names};
use s3up_repository::layout::Layout;
use s3up_repository::location::RepositoryLocation;
use s3up_store::{Bandwidth, Credentials, Profile, Settings, Sse, Timeouts};

use super::prices::prices;
use super::raw;
use super::restore::{RestoreConfig, restore};
use crate::plan::observed::StreamSettings;
use crate::prices::Prices;

const CHUNK_BYTES: u64 = 200 << 30;
const PART_BYTES: u64 = 32 * MIB;
const CONCURRENCY: usize = 4;
/// Each part in flight needs a buffer; more than this make no connection faster.
pub const CONCURRENCY_MAX: usize = 256;
/// An outage of a night ends within it, and the next hourly run begins anyway.
const RETRY_HOURS: f64 = 6.0;
/// A month; a run that waits longer is of no use.
const RETRY_HOURS_MAX: f64 = 31.0 * 24.0;
const CLASS_CHUNKS: &str = "DEEP_ARCHIVE";
const CLASS_MANIFEST: &str = "STANDARD";
/// Buffer size for reading and verifying manifests and pointers.
const DOCUMENTS_BYTES: u64 = 16 * MIB;

/// The bucket, and how backups are stored in it.
#[derive(Clone, Debug)]
pub struct BucketConfig {
    pub settings: Settings,
    pub layout: Layout,
    pub chunk_bytes: u64,
    pub part_bytes: u64,
    /// Maximum number of parts that the server accepts in one upload.
    pub parts_max: u64,
    /// Number of parts in flight.
    pub concurrency: usize,
    pub class_chunks: String,
    pub class_manifest: String,
    pub retry_for: Duration,
    /// `None` if nothing is known of the prices of this server.
    pub prices: Option<Prices>,
}

impl BucketConfig {
    /// Builds the configuration without a file, from settings alone.
    pub fn of_settings(settings: &[Setting]) -> Result<(BucketConfig, RestoreConfig), ConfigError> {
        // The extension selects the format. Neither appears in the error about a
        // setting.
        let (file, text) = (Path::new("the command line.toml"), "[s3]\n");
        let LoadedConfig { raw, source }: LoadedConfig<raw::WithoutFile> =
            s3up_cli::config::parse_with(file, text, settings, &|_| None)?;
        Ok((bucket(&raw.s3, &raw.prices, &source)?, restore(&raw.restore, &source)?))
    }

    /// Returns the location to which state files of this host belong.
    pub fn location(&self) -> RepositoryLocation {
        RepositoryLocation {
            endpoint: self.settings.endpoint.clone(),
            bucket: self.settings.bucket.clone(),
            prefix: self.layout.prefix().as_str().to_owned(),
        }
    }

    /// Returns sizes and storage class of a stream of this form.
    pub fn stream_settings(&self, form: Form) -> StreamSettings {
        let sse = match &self.settings.sse {
            Sse::Unset => "none".to_owned(),
            Sse::Aes256 => "AES256".to_owned(),
            Sse::Kms { key_id: None } => "aws:kms".to_owned(),
            Sse::Kms { key_id: Some(id) } => format!("aws:kms {id}"),
        };
        let form = match form {
            Form::Plain => "plain",
            Form::Protocol2 => "protocol 2",
            Form::Compressed => "compressed",
        };
        StreamSettings {
            part_bytes: self.part_bytes,
            chunk_bytes: self.chunk_bytes,
            storage_class: self.class_chunks.clone(),
            sse,
            form: form.to_owned(),
        }
    }

    /// Sets the number of parts in flight, and the memory that they need.
    pub fn hold_parts(&mut self, concurrency: usize) {
        self.concurrency = concurrency;
        self.settings.buffer_budget_bytes =
            budget_bytes(self.part_bytes, self.chunk_bytes, concurrency);
    }
}

/// Returns the memory for parts: one is filled while the others are in flight.
fn budget_bytes(part_bytes: u64, chunk_bytes: u64, concurrency: usize) -> u64 {
    let buffers = part_bytes.min(chunk_bytes).saturating_mul(concurrency as u64 + 1);
    buffers.saturating_add(DOCUMENTS_BYTES)
}

pub(super) fn bucket(
    raw: &raw::S3,
    raw_prices: &raw::Prices,
    source: &Source,
) -> Result<BucketConfig, ConfigError> {
    let prefix = KeyPrefix::parse(&raw.prefix).map_err(|err| source.invalid("s3.prefix", err))?;
    let chunk_bytes = raw.chunk_size_bytes.unwrap_or(CHUNK_BYTES);
    if chunk_bytes == 0 {
        return Err(source.invalid("s3.chunk_size_bytes", "expected at least 1"));
    }
    let parts_max = parts_max(raw, source)?;
    let part_bytes = part_bytes(raw, chunk_bytes, parts_max, source)?;
    let concurrency = raw.concurrency.unwrap_or(CONCURRENCY);
    if !(1..=CONCURRENCY_MAX).contains(&concurrency) {
        let what = format!("expected 1 to {CONCURRENCY_MAX}, found {concurrency}");
        return Err(source.invalid("s3.concurrency", what));
    }
    let retry_hours = raw.retry_hours.unwrap_or(RETRY_HOURS);
    if !(0.0..=RETRY_HOURS_MAX).contains(&retry_hours) {
        let what = format!("expected 0 to {RETRY_HOURS_MAX}, found {retry_hours}");
        return Err(source.invalid("s3.retry_hours", what));
    }
    let class = |key, class: &Option<String>, default| class_of(key, class, default, source);
    let class_manifest =
        class("s3.storage_class_manifest", &raw.storage_class_manifest, CLASS_MANIFEST)?;
    if is_archive_class(Some(&class_manifest)) {
        let what = format!(
            "manifests must be readable without a thaw, but objects in {class_manifest} are \
             archived"
        );
        return Err(source.invalid("s3.storage_class_manifest", what));
    }
    let budget = budget_bytes(part_bytes, chunk_bytes, concurrency);
    Ok(BucketConfig {
        settings: settings(raw, source, budget)?,
        layout: Layout::new(prefix).map_err(|err| source.invalid("s3.prefix", err))?,
        chunk_bytes,
        part_bytes,
        parts_max,
        concurrency,
        class_chunks: class("s3.storage_class_chunks", &raw.storage_class_chunks, CLASS_CHUNKS)?,
        class_manifest,
        retry_for: Duration::from_secs_f64(retry_hours * 3600.0),
        prices: prices(raw_prices, raw.endpoint.is_none(), source)?,
    })
}

fn parts_max(raw: &raw::S3, source: &Source) -> Result<u64, ConfigError> {
    let parts_max = raw.parts_max.unwrap_or(PART_COUNT_MAX);
    if !(1..=PART_COUNT_MAX).contains(&parts_max) {
        let what = format!("expected 1 to {PART_COUNT_MAX}, found {parts_max}");
        return Err(source.invalid("s3.parts_max", what));
    }
    Ok(parts_max)
}

fn part_bytes(
    raw: &raw::S3,
    chunk_bytes: u64,
    parts_max: u64,
    source: &Source,
) -> Result<u64, ConfigError> {
    let configured = raw.part_size_bytes.unwrap_or(PART_BYTES);
    if !(PART_BYTES_MIN..=PART_BYTES_MAX).contains(&configured) {
        let what = format!("expected {PART_BYTES_MIN} to {PART_BYTES_MAX}, found {configured}");
        return Err(source.invalid("s3.part_size_bytes", what));
    }
    part::part_bytes_within(parts_max, configured, chunk_bytes)
        .map_err(|err| source.invalid("s3.chunk_size_bytes", err))
}

fn class_of(
    key: &str,
    class: &Option<String>,
    default: &str,
    source: &Source,
) -> Result<String, ConfigError> {
    let class = class.as_deref().unwrap_or(default);
    if StorageClass::find(class).is_none() {
        let names = storage_class_names(|_| true);
        let what = format!("expected one of {names}, found {class:?}");
        return Err(source.invalid(key, what));
    }
    Ok(class.to_owned())
}

fn settings(raw: &raw::S3, source: &Source, budget: u64) -> Result<Settings, ConfigError> {
    for (key, text) in [("s3.bucket", &raw.bucket), ("s3.region", &raw.region)] {
        if text.is_empty() {
            return Err(source.invalid(key, "must not be empty"));
        }
    }
    let endpoint = s3up_store::parse_endpoint(raw.endpoint.as_deref())
        .map_err(|err| source.invalid("s3.endpoint", err))?;
    let profile = match raw.profile.as_deref() {
        None => Profile::of(endpoint.as_deref()),
        Some("aws") => Profile::Aws,
        Some("generic") => Profile::Generic,
        Some(other) => {
            let what = format!("expected \"aws\" or \"generic\", found {other:?}");
            return Err(source.invalid("s3.profile", what));
        }
    };
    let upload_bytes_per_second = match raw.bandwidth_limit_bytes.map(NonZeroU64::new) {
        None => None,
        Some(Some(limit)) => Some(limit),
        Some(None) => {
            let what = "expected at least 1, found 0; leave the key out for no limit";
            return Err(source.invalid("s3.bandwidth_limit_bytes", what));
        }
    };
    let sse = Sse::parse(raw.sse.as_deref(), raw.kms_key_id.as_deref(), Sse::Aes256)
        .map_err(|err| source.invalid(&format!("s3.{}", err.key()), err))?;
    Ok(Settings {
        endpoint,
        region: raw.region.clone(),
        bucket: raw.bucket.clone(),
        credentials: Credentials::DefaultChain,
        profile,
        ca_file: raw.ca_file.as_ref().map(|path| path.to_path_buf()),
        storage_class: None,
        sse,
        buffer_budget_bytes: budget,
        timeouts: Timeouts::default(),
        bandwidth: Bandwidth { upload_bytes_per_second, ..Bandwidth::default() },
    })
}
