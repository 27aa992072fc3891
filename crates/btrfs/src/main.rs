//! The program `btrfs-to-s3`: parses the arguments and runs the command. Decides nothing.

// The futures of the AWS SDK are nested about a hundred deep, as in the library.
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
use commands::prune::{self, Operation};
use commands::{benchmark, help, output};
use s3up_cli::config::Setting;
use s3up_cli::{Exit, LogArgs};
use s3up_repository::origin::Adopt;

const SET: &str = "set";
/// Time for blocking tasks, such as a name lookup, to end after the command.
const RUNTIME_GRACE: Duration = Duration::from_secs(1);

/// Back up btrfs subvolumes to S3, and restore them
#[derive(Parser)]
#[command(version, name = "btrfs-to-s3", after_help = help::PROGRAM)]
struct Args {
    /// Configuration file (TOML or YAML), an absolute path
    /// (default: /etc/btrfs-to-s3/config.toml)
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        default_value = "/etc/btrfs-to-s3/config.toml",
        hide_default_value = true,
        verbatim_doc_comment,
        help_heading = help::GLOBAL,
        value_parser = commands::absolute
    )]
    config: PathBuf,
    #[command(flatten, next_help_heading = help::GLOBAL)]
    log: LogArgs,
    #[command(subcommand)]
    command: AnyCommand,
}

#[derive(Subcommand)]
enum Command {
    /// Snapshot, send and publish the subvolumes that are due
    #[command(after_help = help::BACKUP)]
    Backup {
        /// Back up now, even if no backup is due
        #[arg(long, help_heading = help::SELECTION)]
        once: bool,
        /// Make a full now, even if an incremental is possible
        #[arg(long, help_heading = help::SELECTION)]
        full: bool,
        /// Only make local snapshots; do not contact S3
        #[arg(long, conflicts_with_all = ["full", "dry_run"], help_heading = help::SELECTION)]
        no_s3: bool,
        /// Take over a prefix where another host has published
        #[arg(long, conflicts_with = "no_s3", help_heading = help::SELECTION)]
        adopt: bool,
        /// Back up only NAME; repeatable (default: all)
        #[arg(long, value_name = "NAME", help_heading = help::SELECTION)]
        subvolume: Vec<String>,
        /// Print what would be done and why; change nothing
        #[arg(long, help_heading = help::OUTPUT)]
        dry_run: bool,
        /// With --dry-run: print JSON
        #[arg(long, requires = "dry_run", help_heading = help::OUTPUT)]
        json: bool,
    },
    /// Print what a backup would do now, and why
    #[command(after_help = help::PLAN)]
    Plan {
        /// Plan only NAME; repeatable (default: all)
        #[arg(long, value_name = "NAME", help_heading = help::SELECTION)]
        subvolume: Vec<String>,
        /// Forecast how many bytes would be sent, from a
        /// temporary snapshot that is deleted again
        #[arg(long, verbatim_doc_comment, help_heading = help::OUTPUT)]
        bytes: bool,
        /// Print JSON
        #[arg(long, help_heading = help::OUTPUT)]
        json: bool,
    },
    /// Show the state of the backups: last run, next due, history
    #[command(after_help = help::STATUS)]
    Status {
        /// Show only NAME; repeatable (default: all)
        #[arg(long, value_name = "NAME", help_heading = help::SELECTION)]
        subvolume: Vec<String>,
        /// Print one line, 'OK: ...' or 'PROBLEM: ...', and
        /// exit with 1 on a problem
        #[arg(
            long,
            conflicts_with_all = ["json", "history"],
            verbatim_doc_comment,
            help_heading = help::OUTPUT
        )]
        check: bool,
        /// Print JSON
        #[arg(long, help_heading = help::OUTPUT)]
        json: bool,
        /// Show at most COUNT backups of each subvolume,
        /// newest first (default: 10)
        #[arg(
            long,
            value_name = "COUNT",
            default_value_t = 10,
            hide_default_value = true,
            verbatim_doc_comment,
            help_heading = help::OUTPUT
        )]
        history: usize,
    },
    /// Forecast what a backup would send, and count what changed
    #[command(after_help = help::ESTIMATE)]
    Estimate {
        /// Count files that changed in the last DAYS days
        /// (default: 7)
        #[arg(
            long,
            value_name = "DAYS",
            default_value_t = 7,
            hide_default_value = true,
            verbatim_doc_comment,
            help_heading = help::SELECTION
        )]
        days: u32,
        /// Estimate only NAME; repeatable (default: all)
        #[arg(long, value_name = "NAME", help_heading = help::SELECTION)]
        subvolume: Vec<String>,
        /// Print JSON
        #[arg(long, help_heading = help::OUTPUT)]
        json: bool,
    },
    /// Measure how fast this host sends, hashes and uploads
    #[command(after_help = help::BENCHMARK)]
    Benchmark {
        /// Send the newest snapshot of NAME
        /// (default: upload generated data)
        #[arg(
            long,
            value_name = "NAME",
            verbatim_doc_comment,
            help_heading = help::MEASUREMENT
        )]
        subvolume: Option<String>,
        /// Transfer BYTES bytes per measurement
        /// (default: 1073741824, which is 1 GiB)
        #[arg(
            long,
            value_name = "BYTES",
            default_value_t = 1 << 30,
            hide_default_value = true,
            verbatim_doc_comment,
            help_heading = help::MEASUREMENT
        )]
        bytes: u64,
        /// Numbers of concurrent part uploads to test
        /// (default: 1,2,4,8,16)
        #[arg(
            long,
            value_name = "COUNTS",
            value_delimiter = ',',
            default_value = "1,2,4,8,16",
            hide_default_value = true,
            verbatim_doc_comment,
            help_heading = help::MEASUREMENT
        )]
        concurrency: Vec<usize>,
        /// Storage class of the test objects
        /// (default: STANDARD)
        #[arg(
            long,
            value_name = "CLASS",
            default_value = "STANDARD",
            hide_default_value = true,
            verbatim_doc_comment,
            help_heading = help::MEASUREMENT
        )]
        storage_class: String,
        /// Print JSON
        #[arg(long, help_heading = help::OUTPUT)]
        json: bool,
    },
    /// Delete old backups from the bucket, by [retention]
    #[command(after_help = help::PRUNE)]
    Prune {
        /// Prune only NAME; repeatable (default: all)
        #[arg(long, value_name = "NAME", help_heading = help::SELECTION)]
        subvolume: Vec<String>,
        /// Delete orphans instead: chunks that no manifest
        /// names
        #[arg(
            long,
            requires = "older_than",
            verbatim_doc_comment,
            help_heading = help::SELECTION
        )]
        orphans: bool,
        /// With --orphans: only delete orphans older than
        /// DAYS days
        #[arg(
            long,
            value_name = "DAYS",
            requires = "orphans",
            verbatim_doc_comment,
            help_heading = help::SELECTION,
            value_parser = clap::value_parser!(u32).range(1..)
        )]
        older_than: Option<u32>,
        /// Apply retention to backups of another host, too
        #[arg(long, conflicts_with = "orphans", help_heading = help::SELECTION)]
        adopt: bool,
        /// Print what would be deleted and why; delete nothing
        #[arg(long, help_heading = help::OUTPUT)]
        dry_run: bool,
        /// Print JSON
        #[arg(long, conflicts_with = "orphans", help_heading = help::OUTPUT)]
        json: bool,
    },
    /// Restore the newest backups, compare and remove them
    #[command(after_help = help::DRILL)]
    Drill(DrillArgs),
    /// Check the configuration file and print the settings
    #[command(after_help = help::CHECK_CONFIG)]
    CheckConfig,
}

#[derive(Subcommand)]
enum AnyCommand {
    #[command(flatten)]
    OnHost(Command),
    #[command(flatten)]
    InBucket(BucketCommand),
}

fn adopt_of(adopt: bool) -> Adopt {
    if adopt { Adopt::Yes } else { Adopt::No }
}

fn trigger(once: bool, full: bool) -> Trigger {
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

/// Parses the arguments. `--set` is accepted before and after the command, and all of them count; a
/// global argument would drop those before it.
fn parse() -> (Args, Vec<String>) {
    let set = Arg::new(SET)
        .long(SET)
        .value_name("KEY=VALUE")
        .help("Override a key (s3.concurrency=8); repeatable")
        .help_heading(help::GLOBAL)
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
            let access = command.access(&args.config, &settings)?;
            args.log.with_config(access.log_level(), None).init()?;
            block_on(command.run(&access))
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
        Command::Backup { once, full, adopt, dry_run, json, subvolume, no_s3: _ } => {
            let (trigger, adopt) = (trigger(once, full), adopt_of(adopt));
            if dry_run {
                let names = subvolume;
                let request = commands::plan::Request { trigger, adopt, names, bytes: false };
                return commands::plan::run(config, request, output(json)).await;
            }
            commands::backup::run(config, (trigger, adopt), &subvolume).await
        }
        Command::Plan { json, bytes, subvolume: names } => {
            let (trigger, adopt) = (Trigger::Scheduled, Adopt::No);
            let request = commands::plan::Request { trigger, adopt, names, bytes };
            commands::plan::run(config, request, output(json)).await
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
        Command::Prune { dry_run, orphans: _, older_than, adopt, json, subvolume } => {
            let operation = if dry_run { Operation::Print } else { Operation::Delete };
            let request = (operation, adopt_of(adopt));
            match older_than {
                Some(days) => prune::run_orphans(config, operation, &subvolume, days).await,
                None => prune::run(config, request, &subvolume, output(json)).await,
            }
        }
        Command::Drill(args) => commands::drill::run(config, args).await,
        Command::CheckConfig => commands::print(&config.summary()),
    }
}
