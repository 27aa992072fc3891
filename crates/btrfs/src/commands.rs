//! The commands: each builds its parts from the configuration, runs them and reports
//! the result. They decide nothing.

pub mod backup;
pub mod backup_args;
pub mod benchmark;
pub mod bucket_args;
pub mod bucket_commands;
mod clock;
pub mod drill;
pub mod estimate;
pub mod help;
pub mod list;
pub mod lock;
pub mod plan;
pub mod prune;
pub mod restore;
pub mod retry_hint;
pub mod show;
pub mod status;
pub mod thaw;
pub mod verify;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, anyhow};
use btrfs_host::tool::Btrfs;
use btrfs_to_s3::config::{BucketConfig, Config};
use btrfs_to_s3::selection;
use s3up_cli::config::AbsolutePath;
use s3up_cli::{Exit, ShutdownSignal, Signal};
use s3up_repository::documents::Bucket;
use s3up_repository::names::Subvolume;
use s3up_repository::publish::Host;
use s3up_store::{Conditions, Store};

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

/// Returns the named subvolumes, or all, if this host can make snapshots of them.
fn select_for_backup<'c>(
    config: &'c Config,
    names: &[String],
) -> anyhow::Result<Vec<&'c Subvolume>> {
    let subvolumes = select(config, names)?;
    selection::check_paths(&config.base_dir, config.spool.as_ref(), &subvolumes)
        .map_err(|err| Exit::Usage.with(err))?;
    Ok(subvolumes)
}

fn find_btrfs() -> anyhow::Result<Btrfs> {
    Ok(Btrfs::find(std::env::var_os("PATH").as_deref())?)
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
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
    let store = Store::connect(config.settings.clone()).await?;
    tokio::select! {
        probed = store.probe(config.layout.prefix(), PROBE_RETRY_FOR) => { probed?; }
        stop = shutdown.wait() => return Err(stopped_by(stop)),
    }
    Ok(Bucket {
        store,
        retry_for: config.retry_for,
        storage_class: Some(config.class_manifest.clone()),
        metadata: BTreeMap::new(),
    })
}

/// Warns if the server ignores conditional writes, which publishing relies on.
async fn warn_of_ignored_conditions(store: &Store, config: &BucketConfig) {
    let prefix = config.layout.prefix();
    let headers = match store.probe_conditions(prefix, PROBE_RETRY_FOR).await {
        // The store has logged why it is unknown.
        Conditions::Honoured | Conditions::Unknown => return,
        Conditions::IfNoneMatchOnly => "If-Match",
        Conditions::Ignored => "If-None-Match and If-Match",
    };
    tracing::warn!(
        event = "conditions_ignored",
        %prefix,
        "the server ignores {headers}: two hosts that write below one prefix replace each other's \
         backups silently; make sure that no other host writes there"
    );
}

/// Logs the start of a command that changes something. Other commands log nothing if all
/// is well, because cron mails what they write.
fn log_start(command: &str) {
    tracing::info!(event = "command_start", command, version = env!("CARGO_PKG_VERSION"));
}

pub fn absolute(text: &str) -> Result<PathBuf, String> {
    let path = AbsolutePath::try_from(PathBuf::from(text)).map_err(|err| err.to_string())?;
    Ok(path.into_inner())
}

pub fn print(text: &str) -> anyhow::Result<Exit> {
    std::io::stdout().write_all(text.as_bytes()).context("write to standard output")?;
    Ok(Exit::Done)
}
