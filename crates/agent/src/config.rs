//! The configuration: `client.yaml` as it is written ([`Raw`]), and as the agent
//! uses it ([`Config`]).
//!
//! [`Config::check`] leads from one to the other and is pure. No value is
//! checked again after it.

pub mod first;
mod raw;
mod show;

use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ignore::gitignore::{Gitignore, GitignoreBuilder};
use jiff::civil::Time;
use s3up_cli::config::{AbsolutePath, ConfigError, LoadedConfig, Source};
use s3up_core::part::MIB;
use s3up_core::{KeyPrefix, Sha256Digest};

pub use self::raw::Raw;
use self::raw::{OnMaxAttempts, RawCleanup, RawScan, RawServer, RawStability, RawUpload, RawWatch};
use crate::cleanup::policy::{CleanupPolicy, REMOVED_NAMES};
use crate::files::watch::{Watch, WatchIndex};
use crate::gateway::address::{self, AddressError};
use crate::gateway::client::GatewayAccess;
use crate::scanning::schedule::{POLL_EVERY, ScanIntervals};
use crate::settling;
use crate::uploading::stable_copy::Spool;
use crate::uploading::{queue, retry};

/// The kernel's clock for files ticks every 4 to 10 ms, and two writes within a
/// tick may look like one. A tenth of a second is well above that.
const DEBOUNCE_SECONDS: std::ops::RangeInclusive<f64> = 0.1..=3600.0;
/// At most a day: a copy that is older protects little.
const HOT_SECONDS: std::ops::RangeInclusive<f64> = 1.0..=86_400.0;
/// Each upload may hold a buffer of [`queue::SHORT_BYTES_MAX`].
const CONCURRENT: std::ops::RangeInclusive<usize> = 1..=256;
/// A cleanup has to leave time to notice that something is wrong.
const AFTER_DAYS: std::ops::RangeInclusive<u64> = 1..=36_500;
/// At most a week; a rarer scan would find missed files too late.
const INTERVAL_MINUTES: std::ops::RangeInclusive<u64> = 1..=7 * 24 * 60;

/// The checked configuration.
#[derive(Clone, Debug)]
pub struct Config {
    pub server: GatewayAccess,
    pub database: PathBuf,
    pub watches: Vec<Watch>,
    pub upload_existing: bool,
    pub scans: ScanIntervals,
    pub settle: settling::SettlePolicy,
    pub retry: retry::RetryPolicy,
    pub lanes: queue::LaneLimits,
    pub file_bytes_max: Option<u64>,
    /// Limit of all uploads together.
    pub upload_bytes_per_second: Option<NonZeroU64>,
    /// Time of day (UTC) from which the day before is reported.
    pub report_time: Time,
    pub cleanup: CleanupPolicy,
    pub spool: Spool,
    /// Digest of the settings that decide whether the gateway accepts a file. If it
    /// changes, refused files are retried.
    pub fingerprint: String,
}

impl Config {
    pub fn check(loaded: LoadedConfig<Raw>) -> Result<Config, ConfigError> {
        let LoadedConfig { raw, source } = loaded;
        let server = server(&raw.server, &source)?;
        let watches = watches(&raw, &source)?;
        let upload = &raw.upload;
        let file_bytes_max =
            optional_mebibytes(upload.max_file_size_mb, "upload.max_file_size_mb", &source)?;
        let upload_bytes_per_second =
            optional_mebibytes(upload.bandwidth_limit_mb, "upload.bandwidth_limit_mb", &source)?;
        let file_bytes_max = file_bytes_max.map(NonZeroU64::get);
        Ok(Config {
            fingerprint: fingerprint(&server, file_bytes_max),
            server,
            database: raw.database.path.clone().into_inner(),
            watches,
            upload_existing: raw.scan.upload_existing,
            scans: scans(&raw.scan, &source)?,
            settle: stability(&raw.stability, &source)?,
            retry: retry(&raw.upload, &source)?,
            lanes: lanes(&raw.upload, &source)?,
            file_bytes_max,
            upload_bytes_per_second,
            report_time: time_of_day(&raw.report.time, "report.time", "00:10", &source)?,
            cleanup: cleanup(&raw.cleanup, &source)?,
            spool: spool(&raw),
        })
    }

    pub fn watch(&self, index: WatchIndex) -> Option<&Watch> {
        self.watches.get(usize::from(index))
    }
}

fn server(raw: &RawServer, source: &Source) -> Result<GatewayAccess, ConfigError> {
    let url = address::parse(&raw.url, raw.insecure).map_err(|err| {
        let advice = match err {
            AddressError::Plaintext => "; to allow that, set server.insecure: true",
            AddressError::UserName => "; the key belongs in server.api_key",
            AddressError::NoUrl { .. }
            | AddressError::Scheme
            | AddressError::NoHost
            | AddressError::Query => "",
        };
        source.invalid("server.url", format_args!("{err}{advice}"))
    })?;
    address::check_key(&raw.api_key).map_err(|err| source.invalid("server.api_key", err))?;
    let ca_file = raw.ca_file.clone().map(AbsolutePath::into_inner);
    Ok(GatewayAccess { url, api_key: raw.api_key.clone(), ca_file })
}

fn watches(raw: &Raw, source: &Source) -> Result<Vec<Watch>, ConfigError> {
    if raw.watches.is_empty() {
        return Err(source.invalid("watches", "expected at least one watch"));
    }
    let mut watches: Vec<Watch> = Vec::new();
    for (n, raw_watch) in raw.watches.iter().enumerate() {
        let watch = watch(n, raw_watch, &raw.exclude, source)?;
        if let Some(other) = watches.iter().find(|other| overlap(&other.root, &watch.root)) {
            let what = format!(
                "{:?} overlaps with {:?}, so files would be uploaded twice; watch only the outer one",
                watch.root, other.root
            );
            return Err(source.invalid(&format!("watches[{n}].local_path"), what));
        }
        if let Some(other) = watches.iter().find(|other| share_keys(other, &watch)) {
            let what = format!(
                "prefix {:?} overlaps with {:?} of {:?}, so two files could have the same remote \
                 path and overwrite each other; use prefixes that are not inside each other",
                watch.prefix.as_str(),
                other.prefix.as_str(),
                other.root
            );
            return Err(source.invalid(&format!("watches[{n}].remote_prefix"), what));
        }
        watches.push(watch);
    }
    Ok(watches)
}

fn watch(
    n: usize,
    raw: &RawWatch,
    global: &[String],
    source: &Source,
) -> Result<Watch, ConfigError> {
    let key = |name: &str| format!("watches[{n}].{name}");
    let index = WatchIndex::try_from(n)
        .map_err(|_| source.invalid("watches", "expected at most 65536 watches"))?;
    let root = without_dots(&raw.local_path).ok_or_else(|| {
        source.invalid(&key("local_path"), "expected a path without `.` and `..` segments")
    })?;
    let prefix = KeyPrefix::parse(&raw.remote_prefix)
        .map_err(|err| source.invalid(&key("remote_prefix"), err))?;
    let mut builder = GitignoreBuilder::new("");
    add_lines(&mut builder, global, "exclude", source)?;
    add_lines(&mut builder, &raw.exclude, &key("exclude"), source)?;
    // The last line counts: no setting makes such a file look like one of the host.
    let own = builder.add_line(None, REMOVED_NAMES);
    own.map_err(|err| source.invalid(&key("exclude"), err))?;
    let excludes: Gitignore =
        builder.build().map_err(|err| source.invalid(&key("exclude"), err))?;
    Ok(Watch { index, root, prefix, recursive: raw.recursive, poll: raw.poll, excludes })
}

fn add_lines(
    builder: &mut GitignoreBuilder,
    lines: &[String],
    key: &str,
    source: &Source,
) -> Result<(), ConfigError> {
    for (n, line) in lines.iter().enumerate() {
        let wrong = |what: String| source.invalid(&format!("{key}[{n}]"), what);
        builder.add_line(None, line).map_err(|err| wrong(err.to_string()))?;
    }
    Ok(())
}

/// Returns the path without a trailing slash; `None` if it has `.` or `..`
/// segments, whose meaning depends on symlinks.
fn without_dots(path: &Path) -> Option<PathBuf> {
    let dotted = path
        .components()
        .any(|part| matches!(part, std::path::Component::ParentDir | std::path::Component::CurDir));
    (!dotted).then(|| path.components().collect())
}

/// Returns true if a file of `one` and a file of `other` can have the same remote path. A watch that is
/// not recursive has no file in a directory. A prefix ends with a slash, unless it is empty.
fn share_keys(one: &Watch, other: &Watch) -> bool {
    let contains = |outer: &Watch, inner: &Watch| {
        outer.recursive && inner.prefix.as_str().starts_with(outer.prefix.as_str())
    };
    one.prefix == other.prefix || contains(one, other) || contains(other, one)
}

/// Compares by component: `/up` contains `/up/a` and not `/up2`.
fn overlap(one: &Path, other: &Path) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

fn scans(raw: &RawScan, source: &Source) -> Result<ScanIntervals, ConfigError> {
    if !INTERVAL_MINUTES.contains(&raw.interval_minutes) {
        let what = out_of_range(raw.interval_minutes, &INTERVAL_MINUTES);
        return Err(source.invalid("scan.interval_minutes", what));
    }
    let every = Duration::from_secs(raw.interval_minutes * 60);
    Ok(ScanIntervals { every, poll_every: POLL_EVERY })
}

fn stability(raw: &RawStability, source: &Source) -> Result<settling::SettlePolicy, ConfigError> {
    if !DEBOUNCE_SECONDS.contains(&raw.debounce_seconds) {
        let what = out_of_range(raw.debounce_seconds, &DEBOUNCE_SECONDS);
        return Err(source.invalid("stability.debounce_seconds", what));
    }
    if raw.max_attempts == 0 {
        return Err(source.invalid("stability.max_attempts", "expected at least 1, found 0"));
    }
    if !HOT_SECONDS.contains(&raw.hot_interval_seconds) {
        let what = out_of_range(raw.hot_interval_seconds, &HOT_SECONDS);
        return Err(source.invalid("stability.hot_interval_seconds", what));
    }
    Ok(settling::SettlePolicy {
        hot_every: Duration::from_secs_f64(raw.hot_interval_seconds),
        debounce: Duration::from_secs_f64(raw.debounce_seconds),
        max_attempts: raw.max_attempts,
        on_max_attempts: match raw.on_max_attempts {
            OnMaxAttempts::Skip => settling::OnMaxAttempts::Skip,
            OnMaxAttempts::Upload => settling::OnMaxAttempts::Upload,
        },
    })
}

/// The spool is beside the database, where the agent may write.
fn spool(raw: &Raw) -> Spool {
    let dir = raw.database.path.with_file_name("spool");
    Spool { dir, bytes_max: raw.stability.spool_max_mb.saturating_mul(MIB) }
}

fn retry(raw: &RawUpload, source: &Source) -> Result<retry::RetryPolicy, ConfigError> {
    let limit = 0.0..=retry::SLOW_DELAY_MAX.as_secs_f64();
    if !limit.contains(&raw.retry_delay_seconds) {
        let what = out_of_range(raw.retry_delay_seconds, &limit);
        return Err(source.invalid("upload.retry_delay_seconds", what));
    }
    Ok(retry::RetryPolicy {
        quick_tries: raw.retry_attempts,
        // The delay doubles after the quick tries; from zero it would never grow.
        quick_delay: Duration::from_secs_f64(raw.retry_delay_seconds.max(0.05)),
    })
}

fn lanes(raw: &RawUpload, source: &Source) -> Result<queue::LaneLimits, ConfigError> {
    if !CONCURRENT.contains(&raw.concurrent) {
        return Err(source.invalid("upload.concurrent", out_of_range(raw.concurrent, &CONCURRENT)));
    }
    Ok(queue::LaneLimits {
        short: raw.concurrent,
        long: raw.concurrent.div_ceil(4),
        batches: raw.concurrent.div_ceil(2).min(queue::BATCHES_MAX),
        short_bytes_max: queue::SHORT_BYTES_MAX,
    })
}

/// Returns a limit in bytes; `None` for no limit.
fn optional_mebibytes(
    mebibytes: Option<u64>,
    key: &str,
    source: &Source,
) -> Result<Option<NonZeroU64>, ConfigError> {
    let Some(mebibytes) = mebibytes else { return Ok(None) };
    match NonZeroU64::new(mebibytes.saturating_mul(MIB)) {
        Some(bytes) => Ok(Some(bytes)),
        None => {
            let what = "expected at least 1, found 0; leave the key out for no limit";
            Err(source.invalid(key, what))
        }
    }
}

fn cleanup(raw: &RawCleanup, source: &Source) -> Result<CleanupPolicy, ConfigError> {
    if !AFTER_DAYS.contains(&raw.after_days) {
        let what = out_of_range(raw.after_days, &AFTER_DAYS);
        return Err(source.invalid("cleanup.after_days", what));
    }
    if raw.files_per_minute == 0 {
        return Err(source.invalid("cleanup.files_per_minute", "expected at least 1, found 0"));
    }
    if raw.min_free_gb == Some(0) {
        let what = "expected at least 1, found 0; leave the key out to delete in any case";
        return Err(source.invalid("cleanup.min_free_gb", what));
    }
    if raw.min_old_version_days == Some(0) {
        let what =
            "expected at least 1, found 0; leave the key out if no old version may be deleted";
        return Err(source.invalid("cleanup.min_old_version_days", what));
    }
    let mut builder = GitignoreBuilder::new("");
    add_lines(&mut builder, &raw.exclude, "cleanup.exclude", source)?;
    let excludes = builder.build().map_err(|err| source.invalid("cleanup.exclude", err))?;
    let days = |days: u64| Duration::from_secs(days.saturating_mul(24 * 60 * 60));
    Ok(CleanupPolicy {
        is_enabled: raw.enabled,
        after: days(raw.after_days),
        min_age: days(raw.min_age_days),
        min_free_bytes: raw.min_free_gb.map(|gibibytes| gibibytes.saturating_mul(1024 * MIB)),
        min_old_version_days: raw.min_old_version_days,
        files_per_minute: raw.files_per_minute,
        time: time_of_day(&raw.time, "cleanup.time", "03:00", source)?,
        excludes,
    })
}

fn time_of_day(text: &str, key: &str, example: &str, source: &Source) -> Result<Time, ConfigError> {
    Time::strptime("%H:%M", text).map_err(|_| {
        source.invalid(key, format_args!("expected a time like {example}, found {text:?}"))
    })
}

fn out_of_range<T: std::fmt::Display>(value: T, range: &std::ops::RangeInclusive<T>) -> String {
    format!("expected {} to {}, found {value}", range.start(), range.end())
}

/// The result is a digest, so it does not show the key.
fn fingerprint(server: &GatewayAccess, file_bytes_max: Option<u64>) -> String {
    let text = format!("{} {} {file_bytes_max:?}", server.url, server.api_key.expose());
    Sha256Digest::of(text.as_bytes()).to_string()
}

#[cfg(test)]
mod tests;
