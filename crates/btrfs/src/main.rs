//! `btrfs-to-s3`: reads arguments, builds the parts, runs them. Decides nothing.

// As in the library.
#![recursion_limit = "256"]

mod commands;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, anyhow};
use btrfs_to_s3::config::Config;
use btrfs_to_s3::plan::decide::Trigger;
use clap::{Arg, ArgAction, CommandFactory, FromArgMatches, Parser, Subcommand};
use commands::bucket_commands::BucketCommand;
use commands::drill::DrillArgs;
use commands::prune::{self, Doing};
use commands::{benchmark, output};
use s3up_cli::config::Setting;
use s3up_cli::{Exit, LogArgs};

const SET: &str = "set";
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
        value_parser = commands::absolute
    )]
    config: PathBuf,
    #[command(flatten)]
    log: LogArgs,
    #[command(subcommand)]
    command: AnyCommand,
}

#[derive(Subcommand)]
enum Command {
    /// Snapshot, send and publish what is due
    Backup {
        /// Back up now, also what is not due
        #[arg(long)]
        once: bool,
        /// Make a full, also where an incremental could be made
        #[arg(long)]
        full: bool,
        /// Make the snapshots and keep them on this host; leave S3 alone
        #[arg(long, conflicts_with_all = ["full", "dry_run"])]
        no_s3: bool,
        /// Print what would be done, and why; do nothing
        #[arg(long)]
        dry_run: bool,
        /// Print the plan as JSON
        #[arg(long, requires = "dry_run")]
        json: bool,
        /// Only this subvolume; may be repeated (default: all)
        #[arg(long, value_name = "NAME")]
        subvolume: Vec<String>,
    },
    /// Print what a backup would do now, and why
    Plan {
        /// As JSON
        #[arg(long)]
        json: bool,
        /// Only this subvolume; may be repeated (default: all)
        #[arg(long, value_name = "NAME")]
        subvolume: Vec<String>,
    },
    /// Print how the backups stand: last run, next due, history
    Status {
        /// One line for a monitor: `OK: ...`, or `PROBLEM: ...` and exit code 1
        #[arg(long, conflicts_with_all = ["json", "history"])]
        check: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
        /// So many backups of each subvolume, newest first
        #[arg(long, value_name = "COUNT", default_value_t = 10)]
        history: usize,
        /// Only this subvolume; may be repeated (default: all)
        #[arg(long, value_name = "NAME")]
        subvolume: Vec<String>,
    },
    /// Print how much has changed lately, before it is sent
    Estimate {
        /// Files whose ctime is so many days ago at most
        #[arg(long, default_value_t = 7)]
        days: u32,
        /// As JSON
        #[arg(long)]
        json: bool,
        /// Only this subvolume; may be repeated (default: all)
        #[arg(long, value_name = "NAME")]
        subvolume: Vec<String>,
    },
    /// Measure how fast this host sends, hashes and uploads; leaves nothing in the bucket
    Benchmark {
        /// Send the newest snapshot of this subvolume (default: upload made-up data)
        #[arg(long, value_name = "NAME")]
        subvolume: Option<String>,
        /// So much for each measurement
        #[arg(long, value_name = "BYTES", default_value_t = 1 << 30)]
        bytes: u64,
        /// Parts on their way at once, to try
        #[arg(long, value_name = "COUNTS", value_delimiter = ',', default_value = "1,2,4,8,16")]
        concurrency: Vec<usize>,
        /// Of what is uploaded
        #[arg(long, value_name = "CLASS", default_value = "STANDARD")]
        storage_class: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Delete old backups from the bucket, by `[retention]`
    Prune {
        /// Print what goes and what stays, and why; delete nothing
        #[arg(long)]
        dry_run: bool,
        /// Instead: chunks that no manifest names
        #[arg(long, requires = "older_than")]
        orphans: bool,
        /// With --orphans: only those that were stored so many days ago
        #[arg(
            long,
            value_name = "DAYS",
            requires = "orphans",
            value_parser = clap::value_parser!(u32).range(1..)
        )]
        older_than: Option<u32>,
        /// As JSON
        #[arg(long, conflicts_with = "orphans")]
        json: bool,
        /// Only this subvolume; may be repeated (default: all)
        #[arg(long, value_name = "NAME")]
        subvolume: Vec<String>,
    },
    /// Restore the newest backups into a file in `drill.scratch_dir`, compare, and remove it all
    Drill(DrillArgs),
    /// Check the configuration file and print what is in force, then exit
    CheckConfig,
}

#[derive(Subcommand)]
enum AnyCommand {
    #[command(flatten)]
    OnHost(Command),
    #[command(flatten)]
    InBucket(BucketCommand),
}

fn asked(once: bool, full: bool) -> Trigger {
    match (once, full) {
        (_, true) => Trigger::Full,
        (true, false) => Trigger::Now,
        (false, false) => Trigger::Scheduled,
    }
}

fn main() -> ExitCode {
    let (args, settings) = parse();
    s3up_cli::finish("btrfs-to-s3", run(args, &settings))
}

/// `--set` may stand before the command and after it, and all count: of a
/// global argument those before it would be dropped.
fn parse() -> (Args, Vec<String>) {
    let set = Arg::new(SET)
        .long(SET)
        .value_name("SECTION.KEY=VALUE")
        .help("Set a key of the configuration for this run; may be repeated")
        .action(ArgAction::Append);
    let command = Args::command().arg(&set).mut_subcommands(|command| command.arg(&set));
    let matches = command.get_matches();
    let inner = matches.subcommand().map(|(_, matches)| matches);
    let settings = [Some(&matches), inner].into_iter().flatten();
    let settings = settings.filter_map(|matches| matches.get_many::<String>(SET)).flatten();
    let args = Args::from_arg_matches(&matches).unwrap_or_else(|err| err.exit());
    (args, settings.cloned().collect())
}

fn run(args: Args, settings: &[String]) -> anyhow::Result<Exit> {
    let settings = settings.iter().map(|text| text.parse()).collect::<Result<Vec<Setting>, _>>();
    let settings = settings.map_err(|err| Exit::Usage.with(anyhow!(err).context("--set")))?;
    match args.command {
        AnyCommand::InBucket(command) => {
            let place = command.place(&args.config, &settings)?;
            args.log.with_config(place.log_level(), None).init()?;
            block_on(command.run(&place))
        }
        AnyCommand::OnHost(command) => {
            let config = Config::load(&args.config, &settings)?;
            args.log.with_config(config.log_level, None).init()?;
            block_on(run_on_host(command, &config))
        }
    }
}

fn block_on(work: impl Future<Output = anyhow::Result<Exit>>) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Runtime::new().context("start the runtime")?;
    let exit = runtime.block_on(work);
    runtime.shutdown_timeout(RUNTIME_GRACE);
    exit
}

async fn run_on_host(command: Command, config: &Config) -> anyhow::Result<Exit> {
    match command {
        Command::Backup { no_s3: true, subvolume, .. } => {
            commands::backup::run_without_s3(config, &subvolume).await
        }
        Command::Backup { once, full, dry_run, json, subvolume, no_s3: _ } => {
            let asked = asked(once, full);
            if dry_run {
                return commands::plan::run(config, asked, &subvolume, output(json)).await;
            }
            commands::backup::run(config, asked, &subvolume).await
        }
        Command::Plan { json, subvolume } => {
            commands::plan::run(config, Trigger::Scheduled, &subvolume, output(json)).await
        }
        Command::Status { check: true, subvolume, .. } => {
            commands::status::check(config, &subvolume).await
        }
        Command::Status { check: false, json, history, subvolume } => {
            commands::status::run(config, &subvolume, history, output(json)).await
        }
        Command::Estimate { days, json, subvolume } => {
            commands::estimate::run(config, &subvolume, days, output(json)).await
        }
        Command::Benchmark { subvolume, bytes, concurrency, storage_class, json } => {
            let concurrencies = concurrency;
            let request = benchmark::Request { subvolume, bytes, concurrencies, storage_class };
            benchmark::run(config, request, output(json)).await
        }
        Command::Prune { dry_run, orphans: _, older_than, json, subvolume } => {
            let doing = if dry_run { Doing::Print } else { Doing::Delete };
            match older_than {
                Some(days) => prune::run_orphans(config, doing, &subvolume, days).await,
                None => prune::run(config, doing, &subvolume, output(json)).await,
            }
        }
        Command::Drill(args) => commands::drill::run(config, args).await,
        Command::CheckConfig => commands::print(&config.summary()),
    }
}
