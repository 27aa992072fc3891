//! `btrfs-to-s3`: reads arguments, builds the parts, runs them. Decides nothing.

mod commands;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use btrfs_to_s3::config::Config;
use btrfs_to_s3::plan::Asked;
use clap::{Parser, Subcommand};
use s3up_cli::config::AbsolutePath;
use s3up_cli::{Exit, LogArgs};

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
                commands::backup::run(&config, asked, &subvolume).await
            }
            Command::Restore { subvolume, target, manifest_key } => {
                commands::restore::run(&config, &subvolume, target, manifest_key.as_deref()).await
            }
            Command::CheckConfig => commands::print(&config.summary()),
        }
    });
    runtime.shutdown_timeout(RUNTIME_GRACE);
    exit
}
