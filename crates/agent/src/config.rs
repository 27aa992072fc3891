//! `client.yaml`: what is written there ([`Raw`]), and what the agent runs on
//! ([`Config`]).
//!
//! One pure function lies between them, [`Config::check`]; nobody checks a
//! value again after it. Every default is written in this file and nowhere
//! else. A key that is not here does not exist: one that is accepted and does
//! nothing would be a lie.

use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ignore::gitignore::{Gitignore, GitignoreBuilder};
use reqwest::Url;
use s3up_cli::config::{AbsolutePath, ConfigError, Loaded, Source};
use s3up_cli::{LogFormat, Secret};
use s3up_core::part::MIB;
use s3up_core::{KeyPrefix, Sha256Digest};
use serde::{Deserialize, Serialize};

use crate::watch::{Watch, WatchIndex};
use crate::{queue, retry, settle};

/// A file of at most this long is read into memory and sent from there.
pub const SHORT_BYTES_MAX: u64 = 8 * MIB;
/// Below the tick of the kernel's file clock (4 to 10 ms) two writes may look
/// like one; a tenth of a second is well above it.
const DEBOUNCE_SECONDS: std::ops::RangeInclusive<f64> = 0.1..=3600.0;
/// Each upload may hold one buffer of [`SHORT_BYTES_MAX`].
const CONCURRENT: std::ops::RangeInclusive<usize> = 1..=256;
/// A week; a scan that comes less often finds nothing in time.
const INTERVAL_MINUTES: std::ops::RangeInclusive<u64> = 1..=7 * 24 * 60;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Raw {
    pub server: RawServer,
    pub database: RawDatabase,
    pub watches: Vec<RawWatch>,
    #[serde(default)]
    pub exclude: Vec<String>,
    #[serde(default)]
    pub scan: RawScan,
    #[serde(default)]
    pub stability: RawStability,
    #[serde(default)]
    pub upload: RawUpload,
    #[serde(default)]
    pub log: RawLog,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RawServer {
    pub url: String,
    pub api_key: Secret,
    #[serde(default)]
    pub ca_file: Option<AbsolutePath>,
    #[serde(default)]
    pub insecure: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RawDatabase {
    pub path: AbsolutePath,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RawWatch {
    pub local_path: AbsolutePath,
    #[serde(default)]
    pub remote_prefix: String,
    #[serde(default = "yes")]
    pub recursive: bool,
    #[serde(default)]
    pub exclude: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct RawScan {
    pub upload_existing: bool,
    pub interval_minutes: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct RawStability {
    pub debounce_seconds: f64,
    pub max_attempts: u32,
    pub on_max_attempts: OnMaxAttempts,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnMaxAttempts {
    Skip,
    Upload,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct RawUpload {
    pub retry_attempts: u32,
    pub retry_delay_seconds: f64,
    pub concurrent: usize,
    pub max_file_size_mb: Option<u64>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RawLog {
    pub format: Option<LogFormat>,
}

impl Default for RawScan {
    fn default() -> RawScan {
        RawScan { upload_existing: false, interval_minutes: 60 }
    }
}

impl Default for RawStability {
    fn default() -> RawStability {
        RawStability {
            debounce_seconds: 3.0,
            max_attempts: 100,
            on_max_attempts: OnMaxAttempts::Skip,
        }
    }
}

impl Default for RawUpload {
    fn default() -> RawUpload {
        RawUpload {
            retry_attempts: 3,
            retry_delay_seconds: 5.0,
            concurrent: 8,
            max_file_size_mb: None,
        }
    }
}

fn yes() -> bool {
    true
}

/// What the agent runs on.
#[derive(Clone, Debug)]
pub struct Config {
    pub server: Server,
    pub database: PathBuf,
    pub watches: Vec<Watch>,
    pub upload_existing: bool,
    pub scan_every: Duration,
    pub settle: settle::Policy,
    pub retry: retry::Policy,
    pub lanes: queue::Limits,
    pub file_bytes_max: Option<u64>,
    /// Changes with whatever may change the gateway's mind about a file.
    pub fingerprint: String,
}

#[derive(Clone, Debug)]
pub struct Server {
    pub url: Url,
    pub api_key: Secret,
    /// Where set, no other certificate authority is trusted.
    pub ca_file: Option<PathBuf>,
}

impl Config {
    pub fn check(loaded: Loaded<Raw>) -> Result<Config, ConfigError> {
        let Loaded { raw, source } = loaded;
        let server = server(&raw.server, &source)?;
        let watches = watches(&raw, &source)?;
        let file_bytes_max = match raw.upload.max_file_size_mb {
            None => None,
            Some(0) => {
                let what = "a limit of 0 would upload nothing; leave the key out for no limit";
                return Err(source.invalid("upload.max_file_size_mb", what));
            }
            Some(mebibytes) => Some(mebibytes.saturating_mul(MIB)),
        };
        Ok(Config {
            fingerprint: fingerprint(&server, file_bytes_max),
            server,
            database: raw.database.path.clone().into_inner(),
            watches,
            upload_existing: raw.scan.upload_existing,
            scan_every: scan_every(&raw.scan, &source)?,
            settle: stability(&raw.stability, &source)?,
            retry: retry(&raw.upload, &source)?,
            lanes: lanes(&raw.upload, &source)?,
            file_bytes_max,
        })
    }

    pub fn watch(&self, index: WatchIndex) -> Option<&Watch> {
        self.watches.get(usize::from(index))
    }
}

/// True where users other than the owner and the group can read `file`.
pub fn is_readable_by_all(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}

fn server(raw: &RawServer, source: &Source) -> Result<Server, ConfigError> {
    let url = Url::parse(&raw.url).map_err(|err| {
        source.invalid("server.url", format_args!("{:?} is no URL: {err}", raw.url))
    })?;
    let wrong = |what: &str| Err(source.invalid("server.url", what));
    match url.scheme() {
        "https" => {}
        "http" if raw.insecure || is_loopback(&url) => {}
        "http" => {
            return wrong(
                "plain http would send the API key in the clear; use https, or set server.insecure: true",
            );
        }
        _ => return wrong("expected an address that starts with https://"),
    }
    if !url.has_host() {
        return wrong("expected a host name");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return wrong("expected no user name in the address; the key belongs in server.api_key");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return wrong("expected an address without ? and #");
    }
    if !is_header_text(raw.api_key.expose()) {
        let what =
            "expected a key of printable ASCII without spaces (`s3up-server keygen` makes one)";
        return Err(source.invalid("server.api_key", what));
    }
    let ca_file = raw.ca_file.clone().map(AbsolutePath::into_inner);
    Ok(Server { url, api_key: raw.api_key.clone(), ca_file })
}

/// Only what names this host by number, or by the name that always does.
fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn is_header_text(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic())
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
                "{:?} and {:?} overlap, so files would be uploaded twice; watch the outer one",
                watch.root, other.root
            );
            return Err(source.invalid(&format!("watches[{n}].local_path"), what));
        }
        if let Some(other) = watches.iter().find(|other| other.prefix == watch.prefix) {
            let what = format!(
                "{:?} has the same prefix, so files of the same name would replace each other",
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
    let root = plain(&raw.local_path).ok_or_else(|| {
        source.invalid(&key("local_path"), "expected a path without `.` and `..` segments")
    })?;
    let prefix = KeyPrefix::parse(&raw.remote_prefix)
        .map_err(|err| source.invalid(&key("remote_prefix"), err))?;
    let mut builder = GitignoreBuilder::new("");
    add_lines(&mut builder, global, "exclude", source)?;
    add_lines(&mut builder, &raw.exclude, &key("exclude"), source)?;
    let excludes: Gitignore =
        builder.build().map_err(|err| source.invalid(&key("exclude"), err))?;
    Ok(Watch { index, root, prefix, recursive: raw.recursive, excludes })
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

/// The path without a slash at its end; `None` where it has `..` segments,
/// whose meaning changes with the symlinks on the way.
fn plain(path: &Path) -> Option<PathBuf> {
    let dotted = path
        .components()
        .any(|part| matches!(part, std::path::Component::ParentDir | std::path::Component::CurDir));
    (!dotted).then(|| path.components().collect())
}

/// Component-wise: `/up` holds `/up/a` and not `/up2`.
fn overlap(one: &Path, other: &Path) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

fn scan_every(raw: &RawScan, source: &Source) -> Result<Duration, ConfigError> {
    if !INTERVAL_MINUTES.contains(&raw.interval_minutes) {
        let what = out_of_range(raw.interval_minutes, &INTERVAL_MINUTES);
        return Err(source.invalid("scan.interval_minutes", what));
    }
    Ok(Duration::from_secs(raw.interval_minutes * 60))
}

fn stability(raw: &RawStability, source: &Source) -> Result<settle::Policy, ConfigError> {
    if !DEBOUNCE_SECONDS.contains(&raw.debounce_seconds) {
        let what = out_of_range(raw.debounce_seconds, &DEBOUNCE_SECONDS);
        return Err(source.invalid("stability.debounce_seconds", what));
    }
    if raw.max_attempts == 0 {
        return Err(source.invalid("stability.max_attempts", "expected at least 1"));
    }
    Ok(settle::Policy {
        debounce: Duration::from_secs_f64(raw.debounce_seconds),
        max_attempts: raw.max_attempts,
        on_max_attempts: match raw.on_max_attempts {
            OnMaxAttempts::Skip => settle::OnMaxAttempts::Skip,
            OnMaxAttempts::Upload => settle::OnMaxAttempts::Upload,
        },
    })
}

fn retry(raw: &RawUpload, source: &Source) -> Result<retry::Policy, ConfigError> {
    let limit = 0.0..=retry::SLOW_DELAY_MAX.as_secs_f64();
    if !limit.contains(&raw.retry_delay_seconds) {
        let what = out_of_range(raw.retry_delay_seconds, &limit);
        return Err(source.invalid("upload.retry_delay_seconds", what));
    }
    Ok(retry::Policy {
        quick_tries: raw.retry_attempts,
        // Without any delay the slow lane would never slow down.
        quick_delay: Duration::from_secs_f64(raw.retry_delay_seconds.max(0.05)),
    })
}

fn lanes(raw: &RawUpload, source: &Source) -> Result<queue::Limits, ConfigError> {
    if !CONCURRENT.contains(&raw.concurrent) {
        return Err(source.invalid("upload.concurrent", out_of_range(raw.concurrent, &CONCURRENT)));
    }
    Ok(queue::Limits {
        short: raw.concurrent,
        long: raw.concurrent.div_ceil(4),
        short_bytes_max: SHORT_BYTES_MAX,
    })
}

fn out_of_range<T: std::fmt::Display>(value: T, range: &std::ops::RangeInclusive<T>) -> String {
    format!("is {value}, expected {} to {}", range.start(), range.end())
}

/// Never shows the key: it is a digest.
fn fingerprint(server: &Server, file_bytes_max: Option<u64>) -> String {
    let text = format!("{} {} {file_bytes_max:?}", server.url, server.api_key.expose());
    Sha256Digest::of(text.as_bytes()).to_string()
}

mod show;
#[cfg(test)]
mod tests;
