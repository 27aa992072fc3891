//! The configuration file, `config.toml` or YAML, checked and with all defaults.
//!
//! Every default is in this module. Errors name file, line and key.

mod bucket;
pub mod first;
mod prices;
mod raw;
mod report;
mod restore;
mod spool;
mod summary;
mod words;

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use btrfs_host::compressed::FormSetting;
use btrfs_host::spool::Spool;
use jiff::civil::Time;
use s3up_cli::config::{AbsolutePath, ConfigError, LoadedConfig, Setting, Source};
use s3up_cli::{LogLevel, Secret, SecretUrl};
use s3up_repository::names::{Subvolume, SubvolumeName};
use s3up_repository::retention::Retention;

pub use self::bucket::{BucketConfig, CONCURRENCY_MAX};
use self::raw::EVERY_DAYS_MAX;
pub use self::restore::RestoreConfig;
use self::words::{prunes, retention, stream_form, unplanned_full};
use crate::backup_report::deliver::ReportSettings;
use crate::plan::schedule::Schedule;

const LOCK_PATH: &str = "/var/lock/btrfs-to-s3.lock";
const STATE_PATH: &str = "/var/lib/btrfs-to-s3/state.json";
const BASE_DIR: &str = "/srv/snapshots";
const RETAIN: usize = 2;
const FULL_EVERY_DAYS: u32 = 180;
const INCREMENTAL_EVERY_DAYS: u32 = 7;
const RUN_AT: Time = Time::constant(2, 0, 0, 0);

#[derive(Debug)]
pub struct Config {
    pub log_level: Option<LogLevel>,
    pub lock_path: PathBuf,
    pub state_path: PathBuf,
    pub base_dir: PathBuf,
    /// Number of local snapshots to keep of each subvolume, at least 1.
    pub retain: usize,
    pub subvolumes: Vec<Subvolume>,
    /// Nested subvolumes that need no backup.
    pub ignore_nested: Vec<PathBuf>,
    pub schedule: Schedule,
    pub bucket: BucketConfig,
    /// `None` if streams pass through memory only.
    pub spool: Option<Spool>,
    pub restore: RestoreConfig,
    /// Directory for restores without `--target`. `None` means that each restore must
    /// name its target.
    pub target_base_dir: Option<PathBuf>,
    /// Directory for drills. `None` means that no drills are configured.
    pub drill_dir: Option<PathBuf>,
    /// Form that send streams should have.
    pub stream_form: FormSetting,
    pub notify: Option<SecretUrl>,
    /// The gateway to report to.
    pub report: Option<ReportSettings>,
    pub report_insecure: bool,
    /// Rules for the backups that stay in the bucket.
    pub retention: Retention,
    pub prune_after_backup: bool,
}

impl Config {
    pub fn load(path: &Path, settings: &[Setting]) -> Result<Config, ConfigError> {
        Config::check(s3up_cli::config::load_with(path, settings)?)
    }

    /// Parses the text of a TOML file. A `${VAR}` in it is refused, as if the variable were not set.
    pub fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::check(s3up_cli::config::parse(Path::new("config.toml"), text, &|_| None)?)
    }

    fn check(LoadedConfig { raw, source }: LoadedConfig<raw::Raw>) -> Result<Config, ConfigError> {
        let path = |path: &Option<AbsolutePath>, default: &str| {
            path.as_ref().map_or_else(|| PathBuf::from(default), |path| path.to_path_buf())
        };
        let retain = raw.snapshots.retain.unwrap_or(RETAIN);
        if retain == 0 {
            let what = "expected at least 1, because the last published snapshot is always kept";
            return Err(source.invalid("snapshots.retain", what));
        }
        let ignored = raw.subvolumes.ignore_nested.iter().flatten();
        let bucket = bucket::bucket(&raw.s3, &raw.prices, &source)?;
        let subvolumes = subvolumes(&raw.subvolumes.paths, &source)?;
        Ok(Config {
            log_level: raw.global.log_level,
            state_path: path(&raw.global.state_path, STATE_PATH),
            lock_path: path(&raw.global.lock_path, LOCK_PATH),
            base_dir: path(&raw.snapshots.base_dir, BASE_DIR),
            retain,
            report: report::report(&raw.report, subvolumes.len(), &source)?,
            report_insecure: raw.report.insecure.unwrap_or(false),
            subvolumes,
            ignore_nested: ignored.map(|path| path.to_path_buf()).collect(),
            schedule: schedule(&raw.schedule, &source)?,
            spool: spool::spool(&raw, bucket.part_bytes, &source)?,
            bucket,
            restore: restore::restore(&raw.restore, &source)?,
            target_base_dir: raw.restore.target_base_dir.as_ref().map(|path| path.to_path_buf()),
            drill_dir: raw.drill.scratch_dir.as_ref().map(|path| path.to_path_buf()),
            stream_form: stream_form(&raw.send, &source)?,
            notify: notify(raw.notify.url.as_ref(), &source)?,
            retention: retention(&raw.retention, &source)?,
            prune_after_backup: prunes(&raw.retention, &source)?,
        })
    }

    /// Returns the paths of all subvolumes that are backed up or need no backup.
    pub fn covered(&self) -> Vec<PathBuf> {
        let configured = self.subvolumes.iter().map(|subvolume| &subvolume.path);
        configured.chain(&self.ignore_nested).cloned().collect()
    }

    pub fn subvolume(&self, name: &SubvolumeName) -> Option<&Subvolume> {
        self.subvolumes.iter().find(|subvolume| subvolume.name == *name)
    }
}

fn schedule(raw: &raw::Schedule, source: &Source) -> Result<Schedule, ConfigError> {
    let days = |key, days: Option<u32>, default| {
        let days = days.unwrap_or(default);
        if (1..=EVERY_DAYS_MAX).contains(&days) {
            return Ok(days);
        }
        Err(source.invalid(key, format_args!("expected 1 to {EVERY_DAYS_MAX}, found {days}")))
    };
    let run_at = match &raw.run_at {
        None => RUN_AT,
        Some(text) => Time::strptime("%H:%M", text).map_err(|_| {
            let what = format!("expected a time like 02:00, found {text:?}");
            source.invalid("schedule.run_at", what)
        })?,
    };
    let incremental = raw.incremental_every_days;
    Ok(Schedule {
        full_every_days: days("schedule.full_every_days", raw.full_every_days, FULL_EVERY_DAYS)?,
        incremental_every_days: days(
            "schedule.incremental_every_days",
            incremental,
            INCREMENTAL_EVERY_DAYS,
        )?,
        run_at,
        unplanned_full: unplanned_full(raw, source)?,
    })
}

fn notify(url: Option<&Secret>, source: &Source) -> Result<Option<SecretUrl>, ConfigError> {
    let Some(url) = url else { return Ok(None) };
    let notify = SecretUrl::new(url.clone()).map_err(|err| source.invalid("notify.url", err))?;
    Ok(Some(notify))
}

fn subvolumes(raw: &[raw::Subvolume], source: &Source) -> Result<Vec<Subvolume>, ConfigError> {
    if raw.is_empty() {
        return Err(source.invalid("subvolumes.paths", "expected at least one subvolume"));
    }
    let mut taken: BTreeMap<SubvolumeName, &Path> = BTreeMap::new();
    let mut subvolumes = Vec::new();
    for (n, raw) in raw.iter().enumerate() {
        let key = format!("subvolumes.paths[{n}]");
        let name = name_of(raw).map_err(|what| source.invalid(&key, what))?;
        if let Some(other) = taken.insert(name.clone(), &raw.path) {
            let what = format!(
                "the name {:?} is already used for {other:?}; give this one another name: \
                 {{ path = {:?}, name = \"…\" }}",
                name.as_str(),
                &*raw.path
            );
            return Err(source.invalid(&key, what));
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

#[cfg(test)]
mod keys;
#[cfg(test)]
mod pages;
#[cfg(test)]
mod tests;
