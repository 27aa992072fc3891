//! What each command does: builds the parts from the configuration, runs them,
//! and says how that ended. Decides nothing.

pub mod again;
pub mod backup;
pub mod benchmark;
pub mod drill;
pub mod estimate;
pub mod help;
pub mod list;
pub mod place;
pub mod plan;
pub mod prune;
pub mod restore;
pub mod status;
pub mod thaw;
pub mod verify;
pub mod which;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, anyhow};
use btrfs_to_s3::bucket::Bucket;
use btrfs_to_s3::config::BucketConfig;
use btrfs_to_s3::publish::Host;
use btrfs_to_s3::stopping::ShutdownSignal;
use btrfs_to_s3::tool::Btrfs;
use s3up_cli::config::AbsolutePath;
use s3up_cli::{Exit, Stop};
use s3up_store::{Conditions, Store};

/// How data is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    Table,
    Json,
}

pub fn output(json: bool) -> Output {
    if json { Output::Json } else { Output::Table }
}

/// How long the bucket may be away before a run begins.
const PROBE_RETRY_FOR: Duration = Duration::from_secs(30);
/// For uploads that were given up to be aborted.
const SETTLE_TIME_MAX: Duration = Duration::from_secs(10);

fn stopped_by(stop: Stop) -> anyhow::Error {
    Exit::from(stop).with(anyhow!("stopped by a signal"))
}

fn need_root() -> anyhow::Result<()> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    Err(anyhow!("run it as root: snapshots, `btrfs send` and `btrfs receive` need that"))
}

fn find_btrfs() -> anyhow::Result<Btrfs> {
    Ok(Btrfs::find(std::env::var_os("PATH").as_deref())?)
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Now, in the time zone of this host.
fn now() -> jiff::Zoned {
    let zone = jiff::tz::TimeZone::try_system().unwrap_or_else(|err| {
        tracing::warn!(event = "time_zone_unknown", "times are taken as UTC: {err}");
        jiff::tz::TimeZone::UTC
    });
    jiff::Timestamp::now().to_zoned(zone)
}

async fn host(btrfs: &Btrfs) -> anyhow::Result<Host> {
    let uname = rustix::system::uname();
    Ok(Host {
        name: host_name(),
        kernel: uname.release().to_string_lossy().into_owned(),
        btrfs_progs: btrfs.version().await?,
    })
}

/// Connects, and looks whether the bucket is there and lets us in.
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

/// Publishing relies on them.
async fn warn_of_ignored_conditions(store: &Store, config: &BucketConfig) {
    let prefix = config.layout.prefix();
    let headers = match store.probe_conditions(prefix, PROBE_RETRY_FOR).await {
        // The store has said why it is not known.
        Conditions::Honoured | Conditions::Unknown => return,
        Conditions::HonouredWhereNew => "If-Match",
        Conditions::Ignored => "If-None-Match and If-Match",
    };
    tracing::warn!(
        event = "conditions_ignored",
        %prefix,
        "the store ignores {headers}: two hosts that write below one prefix replace each other's \
         backups silently; let no other host write there"
    );
}

pub fn absolute(text: &str) -> Result<PathBuf, String> {
    let path = AbsolutePath::try_from(PathBuf::from(text)).map_err(|err| err.to_string())?;
    Ok(path.into_inner())
}

pub fn print(text: &str) -> anyhow::Result<Exit> {
    std::io::stdout().write_all(text.as_bytes()).context("write to standard output")?;
    Ok(Exit::Done)
}
