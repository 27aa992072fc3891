//! The commands: each builds its parts from the configuration, runs them and reports
//! the result. They decide nothing.

pub mod args;
pub mod backup;
pub mod backup_args;
mod backup_report;
pub mod benchmark;
pub mod browse;
pub mod bucket_args;
pub mod bucket_commands;
pub mod check_config;
mod clock;
mod confirm;
pub mod cost;
pub mod doctor;
pub mod drill;
pub mod estimate;
pub mod help;
pub mod init;
pub mod list;
pub mod lock;
pub mod plan;
pub mod prune;
pub mod restore;
pub mod restore_args;
mod restore_files;
pub mod retry_hint;
mod server_checks;
pub mod show;
pub mod status;
pub mod thaw;
pub mod verify;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, anyhow};
use btrfs_host::compressed::{self, Form, FormError};
use btrfs_host::tool::Btrfs;
use btrfs_to_s3::config::{BucketConfig, Config};
use btrfs_to_s3::origin::HostIdentity;
use btrfs_to_s3::selection::{self, MissingBaseDir, Usable};
use s3up_cli::config::AbsolutePath;
use s3up_cli::{Exit, ShutdownSignal, Signal};
use s3up_repository::documents::Bucket;
use s3up_repository::names::Subvolume;
use s3up_repository::publish::Host;
use s3up_store::Store;

use self::clock::{CLOCK, now};

/// Format of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    Table,
    Json,
}

pub fn output(json: bool) -> Output {
    if json { Output::Json } else { Output::Table }
}

/// Time to wait for the bucket before a run starts.
const PROBE_RETRY_FOR: Duration = Duration::from_secs(30);
/// Time to wait until abandoned uploads are aborted.
const ABORTS_TIME_MAX: Duration = Duration::from_secs(10);

fn stopped_by(stop: Signal) -> anyhow::Error {
    Exit::from(stop).with(anyhow!("stopped by a signal"))
}

fn need_root() -> anyhow::Result<()> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    Err(anyhow!(
        "snapshots, `btrfs send` and `btrfs receive` require root; run the command as root"
    ))
}

/// Returns the named subvolumes, or all.
fn select<'c>(config: &'c Config, names: &[String]) -> anyhow::Result<Vec<&'c Subvolume>> {
    selection::select(&config.subvolumes, names).map_err(|err| Exit::Usage.with(err))
}

/// Returns which of the subvolumes this host can make snapshots of.
fn usable<'c>(
    config: &'c Config,
    selected: &[&'c Subvolume],
    missing: MissingBaseDir,
) -> anyhow::Result<Usable<'c>> {
    selection::check_paths(&config.base_dir, config.spool.as_ref(), selected, missing)
        .map_err(|err| Exit::Usage.with(err))
}

fn find_btrfs() -> anyhow::Result<Btrfs> {
    Ok(Btrfs::find(std::env::var_os("PATH").as_deref())?)
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn host_identity() -> HostIdentity {
    HostIdentity::read(host_name())
}

async fn host(btrfs: &Btrfs) -> anyhow::Result<Host> {
    let uname = rustix::system::uname();
    Ok(Host {
        name: host_name(),
        kernel: uname.release().to_string_lossy().into_owned(),
        btrfs_progs: btrfs.version().await?,
    })
}

/// Connects, and checks that the bucket exists and can be read.
async fn connect(config: &BucketConfig, shutdown: &ShutdownSignal) -> anyhow::Result<Bucket> {
    connect_within(PROBE_RETRY_FOR, config, shutdown).await
}

/// Connects to a bucket that answers within `retry_for`.
async fn connect_within(
    retry_for: Duration,
    config: &BucketConfig,
    shutdown: &ShutdownSignal,
) -> anyhow::Result<Bucket> {
    let store = Store::connect(config.settings.clone()).await?;
    tokio::select! {
        probed = store.probe(config.layout.prefix(), retry_for) => { probed?; }
        stop = shutdown.wait() => return Err(stopped_by(stop)),
    }
    Ok(Bucket {
        store,
        retry_for: config.retry_for,
        storage_class: Some(config.class_manifest.clone()),
        metadata: BTreeMap::new(),
    })
}

/// Logs the start of a command that changes something. Other commands log nothing if all
/// is well, because cron mails what they write.
fn log_start(command: &str) {
    tracing::info!(event = "command_start", command, version = env!("CARGO_PKG_VERSION"));
}

/// Returns the form of send streams, by the configuration and what this host supports.
async fn stream_form(config: &Config, btrfs: &Btrfs) -> anyhow::Result<Form> {
    let form = compressed::form(config.stream_form, btrfs).await;
    form.map_err(|err| {
        let setting = match err {
            FormError::Compressed(_) => {
                "`send.compressed` is `always`: set it to `auto` or `never`"
            }
            FormError::Protocol(_) => "`send.protocol` is 2: set it to `auto` or 1",
        };
        Exit::Usage.with(anyhow!(err).context(setting))
    })
}

pub fn absolute(text: &str) -> Result<PathBuf, String> {
    let path = AbsolutePath::try_from(PathBuf::from(text)).map_err(|err| err.to_string())?;
    Ok(path.into_inner())
}

pub fn print(text: &str) -> anyhow::Result<Exit> {
    std::io::stdout().write_all(text.as_bytes()).context("write to standard output")?;
    Ok(Exit::Done)
}
