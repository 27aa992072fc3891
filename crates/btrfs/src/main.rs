//! `btrfs-to-s3`: reads arguments, builds the parts, runs them. Decides nothing.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, anyhow};
use btrfs_to_s3::backup::{Backup, Report};
use btrfs_to_s3::bucket::Bucket;
use btrfs_to_s3::config::{BucketConfig, Config};
use btrfs_to_s3::failure::Failure;
use btrfs_to_s3::lock::{Lock, LockError};
use btrfs_to_s3::plan::Asked;
use btrfs_to_s3::publish::Host;
use btrfs_to_s3::record::{RUN_METADATA, Records, RunId};
use btrfs_to_s3::restore::error::RestoreError;
use btrfs_to_s3::restore::{Request, Restore};
use btrfs_to_s3::selection;
use btrfs_to_s3::snapshot::SubvolumeName;
use btrfs_to_s3::stopping::Stopping;
use btrfs_to_s3::tool::Btrfs;
use clap::{Parser, Subcommand};
use s3up_cli::config::AbsolutePath;
use s3up_cli::{Exit, LogArgs, Stop};
use s3up_core::{Key, Size};
use s3up_store::{Conditions, Store};

/// How long the bucket may be away before a run begins.
const PROBE_RETRY_FOR: Duration = Duration::from_secs(30);
/// For uploads that were given up to be aborted.
const SETTLE_TIME_MAX: Duration = Duration::from_secs(10);
/// What still hashes or resolves a name when all is done.
const RUNTIME_GRACE: Duration = Duration::from_secs(1);

/// Snapshots of btrfs subvolumes into S3, and back
#[derive(Parser)]
#[command(version, name = "btrfs-to-s3")]
struct Args {
    /// Configuration file (TOML or YAML), an absolute path
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        default_value = "/etc/btrfs-to-s3/config.toml",
        value_parser = absolute
    )]
    config: PathBuf,
    #[command(flatten)]
    log: LogArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Snapshot, send and publish subvolumes
    Backup {
        /// Back up now (this version keeps no schedule of its own)
        #[arg(long, required = true)]
        once: bool,
        /// Make a full, also where an incremental could be made
        #[arg(long)]
        full: bool,
        /// Only this subvolume; may be repeated (default: all)
        #[arg(long, value_name = "NAME")]
        subvolume: Vec<String>,
    },
    /// Restore a subvolume to a path that does not exist yet
    Restore {
        /// The subvolume's name, as in the bucket
        #[arg(long, value_name = "NAME")]
        subvolume: String,
        /// Where the restored subvolume goes, on btrfs
        #[arg(long, value_name = "PATH", value_parser = absolute)]
        target: PathBuf,
        /// Restore exactly this backup (default: the newest)
        #[arg(long, value_name = "KEY")]
        manifest_key: Option<String>,
    },
    /// Check the configuration file and print what is in force, then exit
    CheckConfig,
}

fn absolute(text: &str) -> Result<PathBuf, String> {
    let path = AbsolutePath::try_from(PathBuf::from(text)).map_err(|err| err.to_string())?;
    Ok(path.into_inner())
}

fn main() -> ExitCode {
    let args = Args::parse();
    s3up_cli::finish("btrfs-to-s3", run(args))
}

fn run(args: Args) -> anyhow::Result<Exit> {
    let config = Config::load(&args.config)?;
    args.log.with_config(config.log_level, None).init()?;
    let runtime = tokio::runtime::Runtime::new().context("start the runtime")?;
    let exit = runtime.block_on(async {
        match args.command {
            Command::Backup { once: _, full, subvolume } => {
                let asked = if full { Asked::Full } else { Asked::Any };
                backup(&config, asked, &subvolume).await
            }
            Command::Restore { subvolume, target, manifest_key } => {
                restore(&config, &subvolume, target, manifest_key.as_deref()).await
            }
            Command::CheckConfig => print(&config.summary()),
        }
    });
    runtime.shutdown_timeout(RUNTIME_GRACE);
    exit
}

async fn backup(config: &Config, asked: Asked, names: &[String]) -> anyhow::Result<Exit> {
    need_root()?;
    let stopping = Stopping::listen();
    if !config.without_effect().is_empty() {
        let keys = config.without_effect().join(", ");
        tracing::warn!(event = "config_without_effect", %keys, "this version does not act on them");
    }
    let subvolumes = selection::select(config, names).map_err(|err| Exit::Usage.with(err))?;
    selection::check_places(config, &subvolumes).map_err(|err| Exit::Usage.with(err))?;
    let btrfs = find_btrfs()?;
    let _lock = Lock::take(&config.lock_path).map_err(|err| match err {
        LockError::Held { .. } => Exit::Locked.with(err),
        LockError::Io { .. } | LockError::Foreign { .. } => Exit::Usage.with(err),
    })?;
    let host = host(&btrfs).await?;
    let mut bucket = connect(&config.bucket, &stopping).await?;
    tokio::select! {
        () = warn_of_ignored_conditions(&bucket.store, &config.bucket) => {}
        stop = stopping.wait() => return Err(stopped_by(stop)),
    }
    let run = RunId::random().context("choose a name for this run")?;
    bucket.metadata.insert(RUN_METADATA.to_owned(), run.as_str().to_owned());
    let records = Records::new(&config.base_dir, &config.bucket);
    let backup = Backup { config, bucket, btrfs, host, stopping, records, run };
    let report = backup.run(&subvolumes, asked, jiff::Timestamp::now()).await;
    // What is not aborted by then, the next run sweeps.
    if tokio::time::timeout(SETTLE_TIME_MAX, backup.bucket.store.settle()).await.is_err() {
        tracing::warn!(event = "uploads_left_behind", "the store does not answer");
    }
    exit_of(report, subvolumes.len())
}

fn exit_of(report: Report, count: usize) -> anyhow::Result<Exit> {
    let Report { published, mut failed, stopped } = report;
    if failed.len() == 1 && count == 1 && stopped.is_none() {
        let (name, failure) = failed.remove(0);
        return Err(anyhow!(failure).context(format!("back up {name}")));
    }
    let names: Vec<_> = failed.iter().map(|(name, _)| name.as_str()).collect();
    let names = names.join(", ");
    let is_stopped =
        |failure: &Failure| matches!(failure, Failure::Stopped(_) | Failure::StoppedPublishing(_));
    for (name, failure) in failed.into_iter().filter(|(_, failure)| !is_stopped(failure)) {
        let error = format!("{:#}", anyhow!(failure));
        tracing::error!(event = "backup_failed", subvolume = %name, "{error}");
    }
    match (stopped, names.is_empty(), published.is_empty()) {
        (Some(stop), _, _) => {
            let what = format!("{} of {count} done; not backed up: {names}", published.len());
            Err(Exit::from(stop).with(anyhow!("stopped by a signal: {what}")))
        }
        (None, true, _) => Ok(Exit::Done),
        (None, false, false) => {
            let what = format!("{} of {count} done; not backed up: {names}", published.len());
            Err(Exit::Partial.with(anyhow!(what)))
        }
        (None, false, true) => Err(anyhow!("none of {count} done; not backed up: {names}")),
    }
}

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

async fn host(btrfs: &Btrfs) -> anyhow::Result<Host> {
    let uname = rustix::system::uname();
    Ok(Host {
        name: uname.nodename().to_string_lossy().into_owned(),
        kernel: uname.release().to_string_lossy().into_owned(),
        btrfs_progs: btrfs.version().await?,
    })
}

/// Connects, and looks whether the bucket is there and lets us in.
async fn connect(config: &BucketConfig, stopping: &Stopping) -> anyhow::Result<Bucket> {
    let store = Store::connect(config.settings.clone()).await?;
    tokio::select! {
        probed = store.probe(config.layout.prefix(), PROBE_RETRY_FOR) => { probed?; }
        stop = stopping.wait() => return Err(stopped_by(stop)),
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

async fn restore(
    config: &Config,
    subvolume: &str,
    target: PathBuf,
    manifest: Option<&str>,
) -> anyhow::Result<Exit> {
    need_root()?;
    let stopping = Stopping::listen();
    let subvolume = SubvolumeName::parse(subvolume).map_err(|err| Exit::Usage.with(err))?;
    let manifest = manifest.map(Key::parse).transpose().map_err(|err| Exit::Usage.with(err))?;
    let btrfs = find_btrfs()?;
    let bucket = connect(&config.bucket, &stopping).await?;
    let restore = Restore {
        bucket: &bucket,
        layout: &config.bucket.layout,
        btrfs: &btrfs,
        concurrency: config.bucket.concurrency,
        stopping,
    };
    let request = Request { subvolume, target, manifest };
    let restored = restore.run(&request).await.map_err(restore_failed)?;
    tracing::info!(
        event = "restore_complete",
        subvolume = %request.subvolume,
        target = %request.target.display(),
        manifest = %restored.manifest,
        links = restored.links,
        total_bytes = restored.total_bytes,
        elapsed_seconds = format_args!("{:.1}", restored.elapsed.as_secs_f64()),
        "{}", Size(restored.total_bytes)
    );
    Ok(Exit::Done)
}

fn restore_failed(err: RestoreError) -> anyhow::Error {
    #[expect(clippy::wildcard_enum_match_arm, reason = "all others are failures")]
    match err {
        RestoreError::TargetPath { .. }
        | RestoreError::TargetExists { .. }
        | RestoreError::TargetFolder(_) => Exit::Usage.with(err),
        RestoreError::Stopped(stop) => Exit::from(stop).with(err),
        err => err.into(),
    }
}

fn print(text: &str) -> anyhow::Result<Exit> {
    std::io::stdout().write_all(text.as_bytes()).context("write to standard output")?;
    Ok(Exit::Done)
}
