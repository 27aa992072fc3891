//! The arguments of the program, and those of the commands that have no file of their own for
//! them. The texts of `--help` that are not beside an option are in `help`.

use std::path::PathBuf;

use btrfs_to_s3::plan::decide::Trigger;
use btrfs_to_s3::prices::Dollars;
use clap::{Arg, ArgAction, CommandFactory, FromArgMatches, Parser, Subcommand};
use s3up_cli::{LogArgs, ShellFilesCommand};

use super::bucket_commands::BucketCommand;
use super::drill::DrillArgs;
use super::help;
use super::init::InitArgs;

const SET: &str = "set";

/// Back up btrfs subvolumes to S3, and restore them
#[derive(Parser)]
#[command(version, name = "btrfs-to-s3", after_help = help::PROGRAM)]
pub struct Args {
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
        value_parser = super::absolute
    )]
    pub config: PathBuf,
    #[command(flatten, next_help_heading = help::GLOBAL)]
    pub log: LogArgs,
    #[command(subcommand)]
    pub command: AnyCommand,
}

/// The options that make a backup before it is due.
#[derive(clap::Args)]
pub struct TriggerArgs {
    /// Back up now, even if no backup is due
    #[arg(long, help_heading = help::MODE)]
    once: bool,
    /// Make a full now, even if an incremental is possible
    #[arg(long, help_heading = help::MODE)]
    full: bool,
}

impl TriggerArgs {
    pub fn trigger(&self) -> Trigger {
        match self {
            TriggerArgs { full: true, .. } => Trigger::Full,
            TriggerArgs { once: true, full: false } => Trigger::Now,
            TriggerArgs { once: false, full: false } => Trigger::Scheduled,
        }
    }
}

/// The commands that need a configuration and this host.
#[derive(Subcommand)]
pub enum Command {
    /// Snapshot, send and publish the subvolumes that are due
    #[command(after_help = help::BACKUP)]
    Backup {
        #[command(flatten)]
        trigger: TriggerArgs,
        /// Only make local snapshots; do not contact S3
        #[arg(long, conflicts_with_all = ["full", "dry_run"], help_heading = help::MODE)]
        no_s3: bool,
        /// Take over a prefix where another host has published
        #[arg(long, conflicts_with = "no_s3", help_heading = help::MODE)]
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
        /// With --bytes: exit with 1 if the backups would cost
        /// more than DOLLARS by [prices], stored for one month
        /// or the minimum time of their class
        #[arg(
            long,
            value_name = "DOLLARS",
            requires = "bytes",
            verbatim_doc_comment,
            help_heading = help::OUTPUT
        )]
        max_cost: Option<Dollars>,
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
    /// Forecast the size of the next backups, and count changes
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
        /// Delete orphans instead: objects that no manifest
        /// names
        #[arg(
            long,
            requires = "older_than",
            verbatim_doc_comment,
            help_heading = help::MODE
        )]
        orphans: bool,
        /// With --orphans: only delete orphans older than
        /// DAYS days
        #[arg(
            long,
            value_name = "DAYS",
            requires = "orphans",
            verbatim_doc_comment,
            help_heading = help::MODE,
            value_parser = clap::value_parser!(u32).range(1..)
        )]
        older_than: Option<u32>,
        /// Delete nothing if the charge for early deletion is
        /// more than DOLLARS by [prices]
        #[arg(
            long,
            value_name = "DOLLARS",
            conflicts_with = "orphans",
            verbatim_doc_comment,
            help_heading = help::MODE
        )]
        max_cost: Option<Dollars>,
        /// Also prune backups that another host made
        #[arg(long, conflicts_with = "orphans", help_heading = help::MODE)]
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
pub enum AnyCommand {
    #[command(flatten)]
    OnHost(Command),
    /// Write a first configuration file and check it
    #[command(after_help = help::INIT)]
    Init(InitArgs),
    #[command(flatten)]
    InBucket(BucketCommand),
    #[command(flatten)]
    ShellFiles(ShellFilesCommand),
}

/// Parses the arguments. `--set` is accepted before and after the command, and all of them count; a
/// global argument would drop those before it.
pub fn parse() -> (Args, Vec<String>) {
    let matches = command().get_matches();
    let inner = matches.subcommand().map(|(_, matches)| matches);
    let settings = [Some(&matches), inner].into_iter().flatten();
    let settings = settings.filter_map(|matches| matches.get_many::<String>(SET)).flatten();
    let args = Args::from_arg_matches(&matches).unwrap_or_else(|err| err.exit());
    (args, settings.cloned().collect())
}

/// Returns the command line with `--set`.
pub fn command() -> clap::Command {
    let set = Arg::new(SET)
        .long(SET)
        .value_name("KEY=VALUE")
        .help("Override a key (s3.concurrency=8); repeatable")
        .help_heading(help::GLOBAL)
        .action(ArgAction::Append);
    Args::command().arg(&set).mut_subcommands(|command| command.arg(&set))
}
