//! `btrfs-to-s3`: reads arguments, builds the parts, runs them. Decides nothing.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, anyhow};
use btrfs_to_s3::backup::{Backup, Report};
use btrfs_to_s3::bucket::Bucket;
use btrfs_to_s3::config::{BucketConfig, Config, Subvolume};
use btrfs_to_s3::filesystem;
use btrfs_to_s3::lock::{Lock, LockError};
use btrfs_to_s3::plan::Asked;
use btrfs_to_s3::publish::Host;
use btrfs_to_s3::restore::{Request, Restore};
use btrfs_to_s3::restore_error::RestoreError;
use btrfs_to_s3::snapshot::SubvolumeName;
use btrfs_to_s3::stopping::Stopping;
use btrfs_to_s3::tool::Btrfs;
use clap::{Parser, Subcommand};
use s3up_cli::config::AbsolutePath;
use s3up_cli::{Exit, LogArgs};
use s3up_core::{Key, Size};
use s3up_store::Store;

/// How long the bucket may be away before a run begins.
const PROBE_RETRY_FOR: Duration = Duration::from_secs(30);
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
    let stopping = Stopping::listen();
    if !config.without_effect().is_empty() {
        let keys = config.without_effect().join(", ");
        tracing::warn!(event = "config_without_effect", %keys, "this version does not act on them");
    }
    let subvolumes = select(config, names).map_err(|err| Exit::Usage.with(err))?;
    check_places(config, &subvolumes).map_err(|err| Exit::Usage.with(err))?;
    let btrfs = find_btrfs()?;
    let _lock = Lock::take(&config.lock_path).map_err(|err| match err {
        LockError::Held { .. } => Exit::Locked.with(err),
        LockError::Io { .. } => err.into(),
    })?;
    let host = host(&btrfs).await?;
    let bucket = connect(&config.bucket).await?;
    let backup = Backup { config, bucket, btrfs, host, stopping };
    let report = backup.run(&subvolumes, asked, jiff::Timestamp::now()).await?;
    backup.bucket.store.settle().await;
    exit_of(report, subvolumes.len())
}

fn exit_of(report: Report, count: usize) -> anyhow::Result<Exit> {
    let Report { published, mut failed, stopped } = report;
    if failed.len() == 1 && count == 1 {
        let (name, failure) = failed.remove(0);
        return Err(anyhow!(failure).context(format!("back up {name}")));
    }
    let names: Vec<_> = failed.iter().map(|(name, _)| name.as_str()).collect();
    let names = names.join(", ");
    for (name, failure) in failed {
        let error = format!("{:#}", anyhow!(failure));
        tracing::error!(event = "backup_failed", subvolume = %name, "{error}");
    }
    match (stopped, names.is_empty(), published.is_empty()) {
        (Some(stop), _, _) => Err(Exit::from(stop).with(anyhow!("stopped by a signal"))),
        (None, true, _) => Ok(Exit::Done),
        (None, false, false) => Err(Exit::Partial
            .with(anyhow!("{} of {count} done; not backed up: {names}", published.len()))),
        (None, false, true) => Err(anyhow!("none of {count} done; not backed up: {names}")),
    }
}

/// Those that were named, or all.
fn select<'c>(config: &'c Config, names: &[String]) -> anyhow::Result<Vec<&'c Subvolume>> {
    if names.is_empty() {
        return Ok(config.subvolumes.iter().collect());
    }
    let known = || {
        let names: Vec<_> = config.subvolumes.iter().map(|known| known.name.as_str()).collect();
        names.join(", ")
    };
    let mut selected: Vec<&Subvolume> = Vec::new();
    for name in names {
        let found = SubvolumeName::parse(name).ok().and_then(|name| config.subvolume(&name));
        let found = found.ok_or_else(|| {
            anyhow!("no subvolume {name:?} in the configuration, which has {}", known())
        })?;
        if !selected.contains(&found) {
            selected.push(found);
        }
    }
    Ok(selected)
}

/// Before any snapshot is made: all are subvolumes, on the filesystem that the
/// snapshots go to.
fn check_places(config: &Config, subvolumes: &[&Subvolume]) -> anyhow::Result<()> {
    let base = filesystem::on_btrfs(&config.base_dir).context("snapshots.base_dir")?;
    for Subvolume { name, path } in subvolumes {
        let place = filesystem::on_btrfs(path).with_context(|| format!("subvolume {name}"))?;
        if !place.is_subvolume {
            return Err(anyhow!(
                "subvolume {name}: {path:?} is a folder, not a subvolume; \
                 `btrfs subvolume create` makes one"
            ));
        }
        if place.mount.device != base.mount.device {
            return Err(anyhow!(
                "subvolume {name}: {path:?} is on another filesystem than `snapshots.base_dir` \
                 ({:?}); snapshots cannot cross filesystems",
                config.base_dir
            ));
        }
    }
    Ok(())
}

fn find_btrfs() -> anyhow::Result<Btrfs> {
    Ok(Btrfs::find(std::env::var_os("PATH").as_deref())?)
}

async fn host(btrfs: &Btrfs) -> anyhow::Result<Host> {
    let kernel = rustix::system::uname().release().to_string_lossy().into_owned();
    Ok(Host { kernel, btrfs_progs: btrfs.version().await? })
}

/// Connects, and looks whether the bucket is there and lets us in.
async fn connect(config: &BucketConfig) -> anyhow::Result<Bucket> {
    let store = Store::connect(config.settings.clone()).await?;
    store.probe(config.layout.prefix(), PROBE_RETRY_FOR).await?;
    Ok(Bucket {
        store,
        retry_for: config.retry_for,
        storage_class: Some(config.class_manifest.clone()),
    })
}

async fn restore(
    config: &Config,
    subvolume: &str,
    target: PathBuf,
    manifest: Option<&str>,
) -> anyhow::Result<Exit> {
    let stopping = Stopping::listen();
    let subvolume = SubvolumeName::parse(subvolume).map_err(|err| Exit::Usage.with(err))?;
    let manifest = manifest.map(Key::parse).transpose().map_err(|err| Exit::Usage.with(err))?;
    let btrfs = find_btrfs()?;
    let bucket = connect(&config.bucket).await?;
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
