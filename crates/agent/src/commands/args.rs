//! The arguments of `s3up`, with the text of `--help`.

use std::path::PathBuf;

use std::time::Duration;

use clap::{Parser, Subcommand};
use jiff::SignedDuration;
use s3up_cli::{LogArgs, ShellFilesCommand};

use super::cleanup::{self, CleanupArgs};
use super::drill::{self, DrillArgs};
use super::find::{self, FindArgs};
use super::gateway_args::GatewayArgs;
use super::get::{self, GetArgs};
use super::headings::{GLOBAL_OPTIONS, OUTPUT};
use super::init::{self, InitArgs};
use super::list::{self, ListArgs};
use super::output_args::OutputArgs;
use super::restore::{self, RestoreArgs};
use super::verify::{self, VerifyArgs};

/// Watch directories and upload their files through the gateway
#[derive(Parser)]
#[command(
    version,
    name = "s3up",
    after_help = EXAMPLES
)]
pub struct Args {
    /// Configuration file (default: /etc/s3up/client.yaml)
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        default_value = "/etc/s3up/client.yaml",
        hide_default_value = true,
        help_heading = GLOBAL_OPTIONS
    )]
    pub config: PathBuf,
    #[command(flatten, next_help_heading = GLOBAL_OPTIONS)]
    pub log: LogArgs,
    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Subcommand)]
pub enum Command {
    /// Watch and upload until stopped (the default)
    #[command(after_help = RUN_EXAMPLES)]
    Run,
    /// Scan once, upload all pending files, then exit
    #[command(after_help = SCAN_EXAMPLES)]
    Scan {
        #[command(flatten)]
        output: OutputArgs,
    },
    #[command(flatten)]
    Remote(RemoteCommand),
    /// Show how many files are protected, and list problems
    #[command(after_help = STATUS_EXAMPLES)]
    Status {
        /// A file or a directory, to show only that
        path: Option<PathBuf>,
        /// Print one line and exit with 1 if anything is wrong
        #[arg(long, conflicts_with_all = ["path", "json"])]
        check: bool,
        /// With --check, the longest wait of a file
        #[arg(long, value_name = "AGE", default_value = "1h", requires = "check", value_parser = age)]
        max_age: Duration,
        /// Print JSON
        #[arg(long, help_heading = OUTPUT)]
        json: bool,
    },
    /// Compare disk, database and gateway
    #[command(after_help = verify::EXAMPLES)]
    Verify(VerifyArgs),
    /// Delete local files that S3 is proven to have
    #[command(after_help = cleanup::EXAMPLES)]
    Cleanup(CleanupArgs),
    /// Restore files into a scratch directory and compare them
    #[command(after_help = drill::EXAMPLES)]
    Drill(DrillArgs),
    /// Ask the running agent to retry files with a problem
    #[command(after_help = RETRY_EXAMPLES)]
    Retry {
        /// A file, or a directory with all files below it
        /// (default: all files with a problem)
        #[arg(verbatim_doc_comment)]
        path: Option<PathBuf>,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Write a first configuration file and check it
    #[command(after_help = init::EXAMPLES)]
    Init(InitArgs),
    #[command(flatten)]
    ShellFiles(ShellFilesCommand),
    /// Check the configuration file and print the effective settings
    #[command(after_help = CHECK_CONFIG_EXAMPLES)]
    CheckConfig {
        #[command(flatten)]
        output: OutputArgs,
    },
}

/// Commands that need nothing of this host but a way to the gateway.
#[derive(Subcommand)]
pub enum RemoteCommand {
    /// List the files that the gateway has
    #[command(after_help = list::EXAMPLES)]
    List(ListArgs),
    /// Find files by a pattern of their names
    #[command(after_help = find::EXAMPLES)]
    Find(FindArgs),
    /// Download one file and verify it
    #[command(after_help = get::EXAMPLES)]
    Get(GetArgs),
    /// Restore all files of a remote directory
    #[command(after_help = restore::EXAMPLES)]
    Restore(RestoreArgs),
}

impl RemoteCommand {
    pub(super) fn gateway(&self) -> &GatewayArgs {
        match self {
            RemoteCommand::List(args) => &args.gateway,
            RemoteCommand::Find(args) => &args.gateway,
            RemoteCommand::Get(args) => &args.gateway,
            RemoteCommand::Restore(args) => &args.gateway,
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  # Watch and upload until stopped
  s3up --config client.yaml

  # Show whether all files are protected
  s3up status

  # Download one file
  s3up get uploads/a.jpg -o a.jpg

Run 's3up COMMAND --help' for the options of a command.";

const RUN_EXAMPLES: &str = "\
The agent stops on SIGTERM or SIGINT, within 10 seconds, with exit code 0.

Examples:
  s3up run

  # Log in JSON, for a log collector
  s3up run --config client.yaml --log-format json";

const SCAN_EXAMPLES: &str = "\
Exit codes: 0 all files are protected, 1 none is, 3 some are not, 75 another
agent uses the database.

Examples:
  s3up scan

  # From cron, without a log of what went well
  s3up scan --config client.yaml --log-level warning --json";

const STATUS_EXAMPLES: &str = "\
States: protected (stored in S3), pending (to be uploaded), baseline (existed
before the agent, not uploaded), excluded, and problem (cannot be uploaded).

Exit codes: 0, or with --check 1 if a file is a problem or pending for too long,
if a scan is overdue, or if the agent, its watcher or the gateway does not work.

Examples:
  s3up status

  # The state of one file, or of all files in a directory
  s3up status /var/www/uploads/a.jpg

  # From a monitor
  s3up status --check --max-age 30m";

const RETRY_EXAMPLES: &str = "\
A scan retries all files with a problem too, and so does an agent whose gateway
works again after a failure.

Examples:
  # After a limit was raised at the gateway
  s3up retry

  # One file
  s3up retry /var/www/uploads/large.iso";

const CHECK_CONFIG_EXAMPLES: &str = "\
Secrets are masked. Exit codes: 0 the file is valid, 2 it is not.

Examples:
  s3up check-config
  s3up check-config --config client.yaml";

fn age(text: &str) -> Result<Duration, String> {
    let wrong = || format!("expected a time like 90s, 30m, 2h or 1d, found {text:?}");
    // The library counts days only in a calendar; here a day has 24 hours.
    let hours = text.strip_suffix('d').and_then(|days| days.parse::<u64>().ok());
    if let Some(days) = hours {
        return Ok(Duration::from_secs(days.saturating_mul(24 * 3600)));
    }
    let age: SignedDuration = text.parse().map_err(|_| wrong())?;
    Duration::try_from(age).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_a_number_with_a_unit() {
        #[rustfmt::skip]
        let cases = [
            ("90s",   Some(90)),
            ("30m",   Some(1800)),
            ("2h",    Some(7200)),
            ("1h30m", Some(5400)),
            ("1d",    Some(86_400)),
            ("0s",    Some(0)),
            ("5",     None),
            ("-1h",   None),
            ("soon",  None),
        ];
        for (text, want) in cases {
            assert_eq!(age(text).ok(), want.map(Duration::from_secs), "{text}");
        }
    }
}
