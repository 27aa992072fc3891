//! The arguments of `s3up`, with the text of `--help`.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use s3up_cli::LogArgs;

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
    Scan,
    /// Download one file and verify it
    #[command(after_help = GET_EXAMPLES)]
    Get {
        /// Remote path of the file, as in uploads/a.jpg
        path: String,
        /// Write to FILE, or to standard output if FILE is -
        /// (default: the name of the remote file)
        #[arg(
            short,
            long,
            value_name = "FILE",
            verbatim_doc_comment,
            help_heading = OUTPUT
        )]
        output: Option<PathBuf>,
    },
    /// Show how many files are protected, and list problems
    #[command(after_help = STATUS_EXAMPLES)]
    Status {
        /// Print JSON
        #[arg(long, help_heading = OUTPUT)]
        json: bool,
    },
    /// Check the configuration file and print the effective settings
    #[command(after_help = CHECK_CONFIG_EXAMPLES)]
    CheckConfig,
}

const GLOBAL_OPTIONS: &str = "Global options";

const OUTPUT: &str = "Output";

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
Exit codes: 0 no file is pending or a problem, 3 some files are, 1 no file
could be uploaded or the gateway is unreachable, 75 another agent uses the
database.

Examples:
  s3up scan

  # From cron, without a log of what went well
  s3up scan --config client.yaml --log-level warning";

const GET_EXAMPLES: &str = "\
FILE is replaced only after the length and the SHA-256 of the download were
verified.

Examples:
  # Write a.jpg in the current directory
  s3up get uploads/a.jpg

  # Write to another file
  s3up get uploads/a.jpg -o /tmp/b.jpg

  # Write to standard output
  s3up get uploads/dump.sql -o - | psql";

const STATUS_EXAMPLES: &str = "\
States: protected (stored in S3), pending (to be uploaded), baseline (existed
before the agent, not uploaded), excluded, and problem (cannot be uploaded).
Exits with 0 whatever the states are; use --json in scripts.

Examples:
  s3up status
  s3up status --json";

const CHECK_CONFIG_EXAMPLES: &str = "\
Secrets are masked. Exit codes: 0 the file is valid, 2 it is not.

Examples:
  s3up check-config
  s3up check-config --config client.yaml";
