//! `config.toml` (or YAML): what it says, checked, with every default.
//!
//! Every default is in this file. Errors name file, line and key. Keys that
//! this version does not act on yet are checked all the same, and a run says
//! which of them are set ([`Config::without_effect`]).

mod raw;

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use s3up_cli::LogLevel;
use s3up_cli::config::{AbsolutePath, ConfigError, Loaded, Source};
use s3up_core::part::{self, MIB, PART_BYTES_MAX, PART_BYTES_MIN};
use s3up_core::{KeyPrefix, Size};
use s3up_store::{Bandwidth, Credentials, Patience, Profile, Settings, Sse};

use crate::layout::Layout;
use crate::snapshot::SubvolumeName;

const LOCK_PATH: &str = "/var/lock/btrfs-to-s3.lock";
const BASE_DIR: &str = "/srv/snapshots";
const RETAIN: usize = 2;
const CHUNK_BYTES: u64 = 200 << 30;
const PART_BYTES: u64 = 32 * MIB;
const CONCURRENCY: usize = 4;
/// Each needs a buffer of a part; more do not make a link faster.
const CONCURRENCY_MAX: usize = 256;
const RETRY_HOURS: f64 = 6.0;
/// A month: a run that hangs for longer helps nobody.
const RETRY_HOURS_MAX: f64 = 31.0 * 24.0;
const CLASS_CHUNKS: &str = "DEEP_ARCHIVE";
const CLASS_MANIFEST: &str = "STANDARD";
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-class-intro.html>
const CLASSES: [&str; 9] = [
    "STANDARD",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER_IR",
    "GLACIER",
    "DEEP_ARCHIVE",
    "REDUCED_REDUNDANCY",
    "EXPRESS_ONEZONE",
];
/// These have to be thawed before they can be read.
const ARCHIVED_CLASSES: [&str; 2] = ["GLACIER", "DEEP_ARCHIVE"];
/// Manifests and pointers are read and verified through buffers of this size.
const DOCUMENTS_BYTES: u64 = 16 * MIB;

#[derive(Debug)]
pub struct Config {
    pub log_level: Option<LogLevel>,
    pub lock_path: PathBuf,
    pub base_dir: PathBuf,
    /// Local snapshots to keep of each subvolume, at least 1.
    pub retain: usize,
    pub subvolumes: Vec<Subvolume>,
    pub bucket: BucketConfig,
    /// Keys that are set and that this version does not act on.
    without_effect: Vec<&'static str>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subvolume {
    pub name: SubvolumeName,
    pub path: PathBuf,
}

/// The bucket, and how backups are put into it.
#[derive(Clone, Debug)]
pub struct BucketConfig {
    pub settings: Settings,
    pub layout: Layout,
    pub chunk_bytes: u64,
    pub part_bytes: u64,
    /// Parts on their way at once.
    pub concurrency: usize,
    pub class_chunks: String,
    pub class_manifest: String,
    pub retry_for: Duration,
}

impl Config {
    pub fn load(path: &Path) -> Result<Config, ConfigError> {
        Config::check(s3up_cli::config::load(path)?)
    }

    fn check(Loaded { raw, source }: Loaded<raw::Raw>) -> Result<Config, ConfigError> {
        let path = |path: &Option<AbsolutePath>, default: &str| {
            path.as_ref().map_or_else(|| PathBuf::from(default), |path| path.to_path_buf())
        };
        let retain = raw.snapshots.retain.unwrap_or(RETAIN);
        if retain == 0 {
            let what = "expected at least 1: the last published snapshot is always kept";
            return Err(source.wrong("snapshots.retain", what));
        }
        check_unused(&raw, &source)?;
        Ok(Config {
            log_level: raw.global.log_level,
            lock_path: path(&raw.global.lock_path, LOCK_PATH),
            base_dir: path(&raw.snapshots.base_dir, BASE_DIR),
            retain,
            subvolumes: subvolumes(&raw.subvolumes.paths, &source)?,
            bucket: bucket(&raw.s3, &source)?,
            without_effect: without_effect(&raw),
        })
    }

    pub fn without_effect(&self) -> &[&'static str] {
        &self.without_effect
    }

    pub fn subvolume(&self, name: &SubvolumeName) -> Option<&Subvolume> {
        self.subvolumes.iter().find(|subvolume| subvolume.name == *name)
    }

    /// The effective configuration, for people: every default filled in, no secret.
    pub fn summary(&self) -> String {
        let Config { lock_path, base_dir, retain, bucket, .. } = self;
        let settings = &bucket.settings;
        let mut text = format!(
            "lock_path: {}\nbase_dir: {}\nretain: {retain}\nendpoint: {}\nprofile: {:?}\n\
             region: {}\nbucket: {}\nprefix: {:?}\nchunk_size: {}\npart_size: {}\n\
             concurrency: {}\nmemory_for_parts: {}\nstorage_class_chunks: {}\n\
             storage_class_manifest: {}\nsse: {:?}\nretry_hours: {}\nsubvolumes:\n",
            lock_path.display(),
            base_dir.display(),
            settings.endpoint.as_deref().unwrap_or("AWS"),
            settings.profile,
            settings.region,
            settings.bucket,
            bucket.layout.prefix().as_str(),
            Size(bucket.chunk_bytes),
            Size(bucket.part_bytes),
            bucket.concurrency,
            Size(settings.buffer_budget_bytes),
            bucket.class_chunks,
            bucket.class_manifest,
            settings.sse,
            bucket.retry_for.as_secs_f64() / 3600.0,
        );
        for Subvolume { name, path } in &self.subvolumes {
            text.push_str(&format!("  - {name}: {}\n", path.display()));
        }
        if !self.without_effect.is_empty() {
            let keys = self.without_effect.join(", ");
            text.push_str(&format!("set, and without effect in this version: {keys}\n"));
        }
        text
    }
}

fn subvolumes(raw: &[raw::Subvolume], source: &Source) -> Result<Vec<Subvolume>, ConfigError> {
    if raw.is_empty() {
        return Err(source.wrong("subvolumes.paths", "expected at least one subvolume"));
    }
    let mut taken: BTreeMap<SubvolumeName, &Path> = BTreeMap::new();
    let mut subvolumes = Vec::new();
    for (n, raw) in raw.iter().enumerate() {
        let key = format!("subvolumes.paths[{n}]");
        let name = name_of(raw).map_err(|what| source.wrong(&key, what))?;
        if let Some(other) = taken.insert(name.clone(), &raw.path) {
            let what = format!(
                "{other:?} is called {:?}, too; name one of them: {{ path = {:?}, name = \"…\" }}",
                name.as_str(),
                &*raw.path
            );
            return Err(source.wrong(&key, what));
        }
        subvolumes.push(Subvolume { name, path: raw.path.to_path_buf() });
    }
    Ok(subvolumes)
}

fn name_of(raw: &raw::Subvolume) -> Result<SubvolumeName, String> {
    let hint = || format!("give it a name: {{ path = {:?}, name = \"…\" }}", &*raw.path);
    let dotted = |part| matches!(part, Component::ParentDir | Component::CurDir);
    if raw.path.components().any(dotted) {
        return Err("expected a path without `.` and `..` segments".to_owned());
    }
    let name = match (&raw.name, raw.path.file_name()) {
        (Some(name), _) => name.as_str(),
        (None, Some(last)) => last.to_str().ok_or_else(hint)?,
        (None, None) => return Err(format!("{:?} has no last segment; {}", &*raw.path, hint())),
    };
    SubvolumeName::parse(name).map_err(|err| match raw.name {
        Some(_) => err.to_string(),
        None => format!("{err}; {}", hint()),
    })
}

fn bucket(raw: &raw::S3, source: &Source) -> Result<BucketConfig, ConfigError> {
    let prefix = KeyPrefix::parse(&raw.prefix).map_err(|err| source.wrong("s3.prefix", err))?;
    let chunk_bytes = raw.chunk_size_bytes.unwrap_or(CHUNK_BYTES);
    if chunk_bytes == 0 {
        return Err(source.wrong("s3.chunk_size_bytes", "expected at least 1"));
    }
    let part_bytes = part_bytes(raw, chunk_bytes, source)?;
    let concurrency = raw.concurrency.unwrap_or(CONCURRENCY);
    if !(1..=CONCURRENCY_MAX).contains(&concurrency) {
        let what = format!("is {concurrency}, expected 1 to {CONCURRENCY_MAX}");
        return Err(source.wrong("s3.concurrency", what));
    }
    let retry_hours = raw.retry_hours.unwrap_or(RETRY_HOURS);
    if !(0.0..=RETRY_HOURS_MAX).contains(&retry_hours) {
        let what = format!("is {retry_hours}, expected 0 to {RETRY_HOURS_MAX}");
        return Err(source.wrong("s3.retry_hours", what));
    }
    let class = |key, class: &Option<String>, default| class_of(key, class, default, source);
    let class_manifest =
        class("s3.storage_class_manifest", &raw.storage_class_manifest, CLASS_MANIFEST)?;
    if ARCHIVED_CLASSES.contains(&class_manifest.as_str()) {
        let what =
            format!("manifests have to be readable at once, objects in {class_manifest} are not");
        return Err(source.wrong("s3.storage_class_manifest", what));
    }
    let buffers = part_bytes.min(chunk_bytes).saturating_mul(concurrency as u64 + 1);
    Ok(BucketConfig {
        settings: settings(raw, source, buffers.saturating_add(DOCUMENTS_BYTES))?,
        layout: Layout::new(prefix).map_err(|err| source.wrong("s3.prefix", err))?,
        chunk_bytes,
        part_bytes,
        concurrency,
        class_chunks: class("s3.storage_class_chunks", &raw.storage_class_chunks, CLASS_CHUNKS)?,
        class_manifest,
        retry_for: Duration::from_secs_f64(retry_hours * 3600.0),
    })
}

fn part_bytes(raw: &raw::S3, chunk_bytes: u64, source: &Source) -> Result<u64, ConfigError> {
    let configured = raw.part_size_bytes.unwrap_or(PART_BYTES);
    if !(PART_BYTES_MIN..=PART_BYTES_MAX).contains(&configured) {
        let what = format!("is {configured}, expected {PART_BYTES_MIN} to {PART_BYTES_MAX}");
        return Err(source.wrong("s3.part_size_bytes", what));
    }
    part::part_bytes(configured, chunk_bytes)
        .map_err(|err| source.wrong("s3.chunk_size_bytes", err))
}

fn class_of(
    key: &str,
    class: &Option<String>,
    default: &str,
    source: &Source,
) -> Result<String, ConfigError> {
    let class = class.as_deref().unwrap_or(default);
    if !CLASSES.contains(&class) {
        let what = format!("expected one of {}, found {class:?}", CLASSES.join(", "));
        return Err(source.wrong(key, what));
    }
    Ok(class.to_owned())
}

fn settings(raw: &raw::S3, source: &Source, budget: u64) -> Result<Settings, ConfigError> {
    for (key, text) in [("s3.bucket", &raw.bucket), ("s3.region", &raw.region)] {
        if text.is_empty() {
            return Err(source.wrong(key, "may not be empty"));
        }
    }
    let endpoint = s3up_store::parse_endpoint(raw.endpoint.as_deref())
        .map_err(|err| source.wrong("s3.endpoint", err))?;
    let profile = match raw.profile.as_deref() {
        None => Profile::of(endpoint.as_deref()),
        Some("aws") => Profile::Aws,
        Some("generic") => Profile::Generic,
        Some(other) => {
            let what = format!("expected \"aws\" or \"generic\", found {other:?}");
            return Err(source.wrong("s3.profile", what));
        }
    };
    let upload_bytes_per_second = match raw.bandwidth_limit_bytes.map(NonZeroU64::new) {
        None => None,
        Some(Some(limit)) => Some(limit),
        Some(None) => {
            let what = "a limit of 0 would upload nothing; leave the key out for no limit";
            return Err(source.wrong("s3.bandwidth_limit_bytes", what));
        }
    };
    let sse = Sse::parse(raw.sse.as_deref(), raw.kms_key_id.as_deref(), Sse::Aes256)
        .map_err(|err| source.wrong(&format!("s3.{}", err.key()), err))?;
    Ok(Settings {
        endpoint,
        region: raw.region.clone(),
        bucket: raw.bucket.clone(),
        credentials: Credentials::Found,
        profile,
        ca_file: raw.ca_file.as_ref().map(|path| path.to_path_buf()),
        storage_class: None,
        sse,
        buffer_budget_bytes: budget,
        patience: Patience::default(),
        bandwidth: Bandwidth { upload_bytes_per_second, ..Bandwidth::default() },
    })
}

/// Words that a key may have, also where this version does not act on it.
fn check_unused(raw: &raw::Raw, source: &Source) -> Result<(), ConfigError> {
    #[rustfmt::skip]
    let words: [(&str, &Option<String>, &[&str]); 4] = [
        ("retention.prune",      &raw.retention.prune,      &["auto", "off"]),
        ("send.compressed",      &raw.send.compressed,      &["never", "auto", "always"]),
        ("restore.verify_mode",  &raw.restore.verify_mode,  &["full", "sample", "none"]),
        ("restore.restore_tier", &raw.restore.restore_tier, &["Standard", "Bulk", "Expedited"]),
    ];
    for (key, value, expected) in words {
        if let Some(value) = value
            && !expected.contains(&value.as_str())
        {
            let what = format!("expected one of {}, found {value:?}", expected.join(", "));
            return Err(source.wrong(key, what));
        }
    }
    if let Some(run_at) = &raw.schedule.run_at
        && jiff::civil::Time::strptime("%H:%M", run_at).is_err()
    {
        let what = format!("expected a time like 02:00, found {run_at:?}");
        return Err(source.wrong("schedule.run_at", what));
    }
    Ok(())
}

fn without_effect(raw: &raw::Raw) -> Vec<&'static str> {
    let raw::Raw { global, schedule, s3, retention, send, restore, notify, drill, .. } = raw;
    #[rustfmt::skip]
    let set = [
        ("global.state_path",               global.state_path.is_some()),
        ("global.spool_dir",                global.spool_dir.is_some()),
        ("global.spool_size_bytes",         global.spool_size_bytes.is_some()),
        ("schedule.full_every_days",        schedule.full_every_days.is_some()),
        ("schedule.incremental_every_days", schedule.incremental_every_days.is_some()),
        ("schedule.run_at",                 schedule.run_at.is_some()),
        ("s3.spool_enabled",                s3.spool_enabled == Some(true)),
        ("retention.generations",           retention.generations.is_some()),
        ("retention.min_age_days",          retention.min_age_days.is_some()),
        ("retention.prune",                 retention.prune.as_deref() == Some("auto")),
        ("send.compressed",                 send.compressed.as_deref().is_some_and(|word| word != "never")),
        ("restore.target_base_dir",         restore.target_base_dir.is_some()),
        ("restore.verify_mode",             restore.verify_mode.as_deref().is_some_and(|word| word != "none")),
        ("restore.sample_max_files",        restore.sample_max_files.is_some()),
        ("restore.wait_for_restore",        restore.wait_for_restore.is_some()),
        ("restore.restore_timeout_seconds", restore.restore_timeout_seconds.is_some()),
        ("restore.restore_tier",            restore.restore_tier.is_some()),
        ("restore.thaw_days",               restore.thaw_days.is_some()),
        ("notify.url",                      notify.url.is_some()),
        ("drill.scratch_dir",               drill.scratch_dir.is_some()),
    ];
    set.into_iter().filter(|(_, is_set)| *is_set).map(|(key, _)| key).collect()
}

#[cfg(test)]
mod tests;
